// Swagger UI's own dark colours follow the theme of the page.
const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

function follow() {
  const theme = root.dataset.theme ?? (system.matches ? "dark" : "light");
  root.classList.toggle("dark-mode", theme === "dark");
}

follow();
system.addEventListener("change", follow);
new MutationObserver(follow).observe(root, { attributeFilter: ["data-theme"] });
