// Labels: tick all cases, see how many labels it will be, and whether the stock is a sheet.

const form = document.getElementById("labels");
const said = document.getElementById("label-count");
const all = form?.querySelector("[data-tick-all]");

function boxes() {
  return [...form.querySelectorAll('input[name="ticked"]')];
}

function number(name) {
  return Math.max(0, Number.parseInt(form.elements[name].value, 10) || 0);
}

function show() {
  const ticked = boxes().filter((box) => box.checked).length;
  const count = ticked * number("smears") * number("copies");
  said.textContent = count === 1 ? "1 label as PDF" : `${count} labels as PDF`;
  if (all) all.textContent = ticked === boxes().length ? "Tick none" : `Tick all ${boxes().length}`;
  form.elements.start.closest(".field").hidden = !form.dataset.sheets.split(" ").includes(form.elements.stock.value);
}

form?.addEventListener("input", show);
all?.addEventListener("click", () => {
  const tick = boxes().some((box) => !box.checked);
  for (const box of boxes()) box.checked = tick;
  show();
});
if (form) show();
