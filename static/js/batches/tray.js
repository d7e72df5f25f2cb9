// The tray: tick whole batches, see how many pictures are ticked, and scan a number from anywhere.

import { isTyping } from "../keys.js";

const form = document.getElementById("tray");
const ticked = document.getElementById("ticked");

function count() {
  const boxes = [...form.querySelectorAll('input[name="file"]')];
  const chosen = boxes.filter((box) => box.checked).length;
  if (ticked) ticked.textContent = chosen ? String(chosen) : "";
  for (const group of form.querySelectorAll("fieldset")) {
    const own = [...group.querySelectorAll('input[name="file"]')];
    const button = group.querySelector("[data-tick-all]");
    if (button) button.textContent = own.every((box) => box.checked) ? "Tick none" : `Tick all ${own.length}`;
  }
}

form?.addEventListener("change", count);
form?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-tick-all]");
  if (!button) return;
  const own = [...button.closest("fieldset").querySelectorAll('input[name="file"]')];
  const all = own.every((box) => box.checked);
  for (const box of own) box.checked = !all;
  count();
});
if (form) count();

// A hand scanner types its code and Enter wherever the focus is: after a tick that would be nowhere. What is typed
// outside of a field goes to the number, Space and the keys that move excepted.
const accession = document.getElementById("accession");
document.addEventListener("keydown", (event) => {
  if (!accession || event.key.length !== 1 || event.key === " " || isTyping(event)) return;
  accession.focus();
  accession.select();
});
