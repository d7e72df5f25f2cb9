// Images dragged onto a class, in the gallery or in the palette.

import { names } from "./tiles.js";

/** `taken(li)`: the tiles that go with the one that is drawn; `dropped(tiles, label)`: they were let go on a class. */
export function dragging(gallery, { taken, dropped }) {
  let carried = [];
  const landing = (event) => event.target.closest?.("#gallery-groups .group, #review-bar [data-class]");
  const labelOf = (place) => place?.dataset.class ?? place?.dataset.label;
  const leave = (except = null) => {
    for (const old of gallery.querySelectorAll(".landing")) if (old !== except) old.classList.remove("landing");
  };
  gallery.addEventListener("dragstart", (event) => {
    const li = event.target.closest?.("li.tile");
    if (!li) return;
    carried = taken(li);
    event.dataTransfer.setData("text/plain", `${carried.length} image${carried.length > 1 ? "s" : ""}`);
    event.dataTransfer.effectAllowed = "move";
  });
  gallery.addEventListener("dragover", (event) => {
    const place = carried.length ? landing(event) : null;
    leave(place);
    if (!names.has(labelOf(place))) return;
    place.classList.add("landing");
    event.preventDefault();
  });
  gallery.addEventListener("drop", (event) => {
    event.preventDefault();
    const label = labelOf(landing(event));
    if (carried.length && names.has(label)) dropped(carried, label);
  });
  gallery.addEventListener("dragend", () => {
    carried = [];
    leave();
  });
}
