// The worklist's keys: J and K walk through the rows, C claims or releases the row's case, N takes the next case.

import { isTyping } from "./keys.js";

function step(by) {
  const links = [...document.querySelectorAll(".worklist .accession")];
  const at = links.findIndex((link) => link.closest("tr").contains(document.activeElement));
  const next = at < 0 ? links[by > 0 ? 0 : links.length - 1] : links[at + by];
  if (next) next.focus();
  else document.querySelector(by > 0 ? ".pager a[rel=next]" : ".pager a[rel=prev]")?.focus();
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const key = event.key.toLowerCase();
  if (key === "j") step(1);
  else if (key === "k") step(-1);
  else if (key === "c") document.activeElement?.closest?.(".worklist tr")?.querySelector("[data-hold]")?.click();
  else if (key === "n") document.getElementById("take-next")?.click();
});
