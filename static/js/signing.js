// A signature is sent once: a second click while the first is on its way does nothing.

const form = document.getElementById("sign");
form?.addEventListener("submit", (event) => {
  if (form.dataset.sent) {
    event.preventDefault();
    return;
  }
  form.dataset.sent = "yes";
  const button = form.querySelector("button[type=submit]");
  button.setAttribute("aria-disabled", "true");
  button.lastChild.textContent = " Signing…";
});
// Coming back by the browser's own way finds the form as it was left.
window.addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
