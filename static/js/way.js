// From one case of the list to the next: [ and ], on any keyboard.

document.addEventListener("keydown", (event) => {
  // Not `isTyping`: on many keyboards the brackets come with AltGr, which tells the page of Ctrl and Alt.
  if (event.defaultPrevented || event.metaKey || document.querySelector("dialog[open]")) return;
  if (event.target.closest?.("input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable]")) return;
  const way = { "[": "case-before", "]": "case-behind" }[event.key];
  if (way) document.getElementById(way)?.click();
});
