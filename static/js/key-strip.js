// The report's key images, chosen in the gallery: part of the draft, so that they are saved and kept as its words are.

const form = document.getElementById("draft");
const field = form?.elements.key_images;
const most = Number(field?.dataset.most);

/** Whether whoever looks at the page writes the report. */
export const canChoose = Boolean(field);

const chosen = () => field.value.split(",").filter(Boolean).map(Number);
const tile = (image) => document.getElementById(`tile-${image}`);
const numbered = (image) => `#${tile(image)?.dataset.number ?? image}`;

/** "#1, #4" of a list as the draft keeps it, or "none". */
export function named(list) {
  return list.split(",").filter(Boolean).map(numbered).join(", ") || "none";
}

/** Put images among the key images, or take them out where all of them are there; answers what was done, in words. */
export function turn(images) {
  const now = chosen();
  const fresh = images.filter((image) => !now.includes(image));
  if (now.length + fresh.length > most) return `A report shows up to ${most} key images, and ${now.length} are chosen. Take one out first.`;
  const next = fresh.length ? [...now, ...fresh] : now.filter((image) => !images.includes(image));
  field.value = next.join();
  draw();
  field.dispatchEvent(new Event("change", { bubbles: true }));
  const shown = (fresh.length ? fresh : images).map(numbered).join(", ");
  return fresh.length ? `Key image: ${shown}. ${next.length} of ${most} chosen.` : `No key image any more: ${shown}.`;
}

/** Let the strip and the tiles show what is chosen. */
export function draw() {
  if (!field) return;
  const images = chosen();
  for (const li of document.querySelectorAll("#gallery-groups li.tile")) {
    const is = images.includes(Number(li.dataset.image));
    if (li.hasAttribute("data-key") === is) continue;
    li.toggleAttribute("data-key", is);
    const option = li.querySelector("[role=option]");
    if (is) option.setAttribute("aria-description", "Key image of the report");
    else option.removeAttribute("aria-description");
  }
  const strip = document.getElementById("key-strip");
  strip.hidden = !images.length;
  if (strip.dataset.shows === images.join()) return;
  strip.dataset.shows = images.join();
  strip.replaceChildren(...images.filter(tile).map(entry));
}

function entry(image) {
  const item = document.createElement("li");
  const link = document.createElement("a");
  link.href = tile(image).querySelector("a").href;
  link.setAttribute("aria-label", `Image ${tile(image).dataset.number}`);
  const picture = new Image(72, 72);
  picture.alt = "";
  picture.src = tile(image).querySelector("img").src;
  link.append(picture);
  const number = document.createElement("span");
  number.className = "small muted";
  number.textContent = numbered(image);
  item.append(link, number);
  return item;
}

document.addEventListener("live:applied", draw);
draw();
