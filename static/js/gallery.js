// Arrow keys walk through the gallery; Enter opens, as it does on any link.

document.addEventListener("keydown", (event) => {
  const here = event.target.closest?.("[data-gallery] a");
  if (!here || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...here.closest("[data-gallery]").querySelectorAll("li > a")];
  const at = links.indexOf(here);
  const top = here.getBoundingClientRect().top;
  const columns = Math.max(1, links.filter((link) => Math.abs(link.getBoundingClientRect().top - top) < 8).length);
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
  const target = event.key === "Home" ? links[0] : event.key === "End" ? links.at(-1) : links[at + step];
  if (step === undefined && event.key !== "Home" && event.key !== "End") return;
  if (target) {
    event.preventDefault();
    target.focus();
  }
});
