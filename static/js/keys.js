// Shared by the pages' modules; importing it does nothing by itself.

/** Whether a key belongs to what is being typed, or to the browser, rather than to the page. */
export function isTyping(event) {
  return (
    event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey ||
    document.querySelector("dialog[open]") !== null ||
    (event.target instanceof HTMLElement &&
      (event.target.isContentEditable ||
        event.target.matches("input:not([type=radio], [type=checkbox], [type=range], [type=submit]), textarea, select")))
  );
}
