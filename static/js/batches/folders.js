// What a person chose or dropped, as [{ file, path }], folders unfolded.

const wanted = /\.(jpe?g|png|tiff?|bmp|webp|zip)$/i;

// A folder holds other things too (thumbs.db, reports); a file that a person picked is always told its outcome.
export function onlyPictures(chosen) {
  return chosen.filter(({ file }) => wanted.test(file.name));
}

async function unfold(entry, into) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    into.push({ file, path: entry.fullPath.replace(/^\//, "") });
  } else if (entry.isDirectory) {
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      for (const child of some) await unfold(child, into);
    }
  }
}

export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const loose = [...transfer.files].map((file) => ({ file, path: file.name }));
  if (!entries.some((entry) => entry.isDirectory)) return loose;
  const found = [];
  for (const entry of entries) await unfold(entry, found);
  return onlyPictures(found);
}
