// Says how many images are chosen, and takes no more than the report shows.

const form = document.getElementById("key-images");
const count = document.getElementById("key-count");
const boxes = [...form.querySelectorAll("input[type=checkbox]")];
const most = Number(form.dataset.most);

function look() {
  const chosen = boxes.filter((box) => box.checked).length;
  if (count) count.textContent = chosen >= most ? `${chosen} of ${most} chosen: take one out to choose another` : `${chosen} of ${most} chosen`;
  for (const box of boxes) box.disabled = !box.checked && chosen >= most;
}

form.addEventListener("change", look);
look();
