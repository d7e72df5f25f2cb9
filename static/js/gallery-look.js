// How large the gallery's images are and in which order they lie: kept by the browser.

import { arrange } from "./tiles.js";

const size = document.getElementById("gallery-size");
const sort = document.getElementById("gallery-sort");

function resize(value) {
  const gallery = document.getElementById("gallery");
  size.value = value; // the slider keeps it within its ends
  gallery.style.setProperty("--tile", `${size.value}px`);
  gallery.classList.toggle("compact", Number(size.value) < 104);
  try {
    localStorage.setItem("gallery-tile", size.value);
  } catch {
    // The size lasts for this page.
  }
}

/** One step larger (1) or smaller (-1). */
export function grow(direction) {
  resize(Number(size.value) + 24 * direction);
}

function kept() {
  try {
    return localStorage.getItem("gallery-tile");
  } catch {
    return null;
  }
}

resize(kept() ?? (matchMedia("(max-width: 820px)").matches ? 100 : 124));
size.addEventListener("input", () => resize(size.value));
sort.value = /(?:^|;\s*)gallery-sort=arrival/.test(document.cookie) ? "arrival" : "unsure";
sort.addEventListener("change", () => {
  // A cookie, not storage: the server puts the page in the same order.
  document.cookie = `gallery-sort=${sort.value}; path=/; max-age=31536000; SameSite=Lax`;
  arrange({ sort: true });
});
