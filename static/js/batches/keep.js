// Keeps files that are not sent yet in the browser's own database, so that a reload or a crash goes on by itself.
// A file leaves it as soon as it has arrived, and after a day in any case. Without room nothing is kept, and the
// person is asked for the same files again.

const NAME = "leukolens-uploads";
const STORE = "files";
const DAY = 24 * 3600 * 1000;
const LARGEST = 256 * 1024 ** 2;

let opened = null;

function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opened;
}

async function run(mode, work) {
  const db = await database();
  return new Promise((resolve, reject) => {
    const transaction = db.transaction(STORE, mode);
    const request = work(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request?.result);
    transaction.onerror = () => reject(transaction.error);
    transaction.onabort = () => reject(transaction.error);
  });
}

export async function keep(batch, transfer) {
  if (transfer.file.size > LARGEST) return false;
  try {
    const room = await navigator.storage?.estimate?.();
    if (room?.quota && room.quota - room.usage < transfer.file.size * 2) return false;
    await run("readwrite", (store) => store.put({ id: `${batch}|${transfer.key}`, batch, key: transfer.key, path: transfer.path, replaces: transfer.replaces, file: transfer.file, at: Date.now() }));
    return true;
  } catch {
    return false; // private windows and full disks: the upload itself goes on
  }
}

export async function forget(batch, key) {
  try {
    await run("readwrite", (store) => store.delete(`${batch}|${key}`));
  } catch {
    // Nothing was kept.
  }
}

export async function kept(batch) {
  try {
    const all = await run("readonly", (store) => store.getAll());
    const old = all.filter((each) => Date.now() - each.at > DAY);
    if (old.length) await run("readwrite", (store) => { for (const each of old) store.delete(each.id); });
    return all.filter((each) => each.batch === batch && Date.now() - each.at <= DAY);
  } catch {
    return [];
  }
}
