// What every page has: the theme toggle, menus that close, `?` for the keys, `/` for the search.

import { isTyping } from "./keys.js";

const root = document.documentElement;
const systemDark = matchMedia("(prefers-color-scheme: dark)");

function theme() {
  return root.dataset.theme ?? (systemDark.matches ? "dark" : "light");
}

for (const toggle of document.querySelectorAll("[data-theme-toggle]")) {
  const say = () => toggle.setAttribute("aria-label", theme() === "dark" ? "Change to light" : "Change to dark");
  say();
  systemDark.addEventListener("change", say);
  toggle.addEventListener("click", () => {
    const wanted = theme() === "dark" ? "light" : "dark";
    const system = systemDark.matches ? "dark" : "light";
    try {
      // Choosing what the system already wants means following the system again.
      if (wanted === system) localStorage.removeItem("theme");
      else localStorage.setItem("theme", wanted);
    } catch {
      // Storage is closed to us: the choice lasts for this page.
    }
    if (wanted === system) delete root.dataset.theme;
    else root.dataset.theme = wanted;
    say();
  });
}

// A form that came back starts where something has to be mended.
document.querySelector("form [aria-invalid=true]")?.focus();

// Looked up anew each time: a list that comes afresh brings its own.
const menus = () => document.querySelectorAll("[data-menu]");
document.addEventListener("click", (event) => {
  for (const menu of menus()) if (menu.open && !menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    for (const menu of menus()) {
      if (menu.open) {
        menu.open = false;
        menu.querySelector("summary").focus();
      }
    }
  }
  if (isTyping(event)) return;
  if (event.key === "?") {
    const keys = document.querySelector("dialog[data-keys]");
    if (keys && !keys.open) keys.showModal();
  } else if (event.key === "/") {
    const search = document.querySelector("input[type=search]");
    if (search) {
      event.preventDefault();
      search.focus();
      search.select();
    }
  }
});

document.addEventListener("click", (event) => {
  const opener = event.target.closest?.("[data-opens]");
  if (opener) document.getElementById(opener.dataset.opens)?.showModal();
  const closer = event.target.closest?.("[data-closes]");
  if (closer) closer.closest("dialog").close();
  // A click on the backdrop lands on the dialog itself.
  if (event.target instanceof HTMLDialogElement) event.target.close();
});
