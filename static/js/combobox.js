// A select that can be searched: by name, by code, by group. The select stays in the form and holds the value.
//
// After the pattern of the ARIA Authoring Practices: an input of role combobox and a listbox below it.

let numbers = 0;

export function combobox(select, label) {
  if (!select) return;
  const id = `combobox-${++numbers}`;
  const input = document.createElement("input");
  Object.assign(input, { type: "text", id: `${id}-input`, autocomplete: "off", spellcheck: false, placeholder: "Name, code or group" });
  input.setAttribute("role", "combobox");
  input.setAttribute("aria-autocomplete", "list");
  input.setAttribute("aria-expanded", "false");
  input.setAttribute("aria-controls", `${id}-list`);
  const list = document.createElement("ul");
  list.id = `${id}-list`;
  list.className = "combobox-list plain";
  list.hidden = true;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-labelledby", label.id);
  const clear = document.createElement("button");
  Object.assign(clear, { type: "button", className: "btn quiet icon combobox-clear", textContent: "✕" });
  clear.setAttribute("aria-label", "Choose no diagnosis");
  const frame = document.createElement("div");
  frame.className = "combobox";
  frame.append(input, clear, list);
  select.hidden = true;
  select.after(frame);
  label.htmlFor = input.id;

  const entries = [...select.options]
    .filter((option) => option.value)
    .map((option) => {
      const group = option.closest("optgroup")?.label ?? "";
      return { option, group, words: `${option.textContent} ${group}`.toLowerCase() };
    });
  let active = -1;
  let shown = [];

  const chosen = () => [...select.options].find((option) => option.value === select.value && option.value);

  function look() {
    input.value = chosen()?.textContent ?? "";
    input.title = input.value;
    clear.hidden = !select.value;
  }

  function search(text) {
    const parts = text.toLowerCase().split(/\s+/).filter(Boolean);
    const found = entries.filter((entry) => parts.every((part) => entry.words.includes(part)));
    if (!parts.length) return found;
    const seen = new Set(); // what fits the case stands again in its own group
    return found.filter((entry) => !seen.has(entry.option.value) && seen.add(entry.option.value));
  }

  function open(text) {
    shown = search(text);
    const rows = [];
    let group = null;
    for (const [at, entry] of shown.entries()) {
      if (entry.group !== group) {
        group = entry.group;
        const title = document.createElement("li");
        title.className = "combobox-group";
        title.setAttribute("role", "presentation");
        title.textContent = group;
        rows.push(title);
      }
      const row = document.createElement("li");
      row.id = `${id}-${at}`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", String(entry.option.value === select.value));
      row.textContent = entry.option.textContent;
      row.addEventListener("mousedown", (event) => event.preventDefault());
      row.addEventListener("click", () => choose(entry.option.value));
      rows.push(row);
    }
    if (!rows.length) {
      const none = document.createElement("li");
      none.className = "combobox-group";
      none.setAttribute("role", "option");
      none.setAttribute("aria-disabled", "true");
      none.textContent = "No diagnosis has these words. Try a part of the name or the code.";
      rows.push(none);
    }
    list.replaceChildren(...rows);
    list.hidden = false;
    input.setAttribute("aria-expanded", "true");
    move(text && shown.length ? 0 : -1);
  }

  function close() {
    list.hidden = true;
    input.setAttribute("aria-expanded", "false");
    input.removeAttribute("aria-activedescendant");
    active = -1;
  }

  function move(to) {
    list.querySelector(".active")?.classList.remove("active");
    active = to;
    const row = document.getElementById(`${id}-${to}`);
    if (row) {
      row.classList.add("active");
      row.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", row.id);
    } else input.removeAttribute("aria-activedescendant");
  }

  function choose(value) {
    select.value = value;
    close();
    look();
    select.dispatchEvent(new Event("change", { bubbles: true }));
  }

  input.addEventListener("focus", () => input.select());
  input.addEventListener("click", () => list.hidden && open(""));
  input.addEventListener("input", (event) => {
    event.stopPropagation(); // what is searched for is no change of the form
    open(input.value);
  });
  input.addEventListener("change", (event) => event.stopPropagation());
  input.addEventListener("blur", () => {
    close();
    look();
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list.hidden) open("");
      const step = event.key === "ArrowDown" ? 1 : -1;
      if (shown.length) move((active + step + shown.length + (active < 0 && step < 0 ? 1 : 0)) % shown.length);
    } else if (event.key === "Enter") {
      if (!list.hidden && shown[active]) {
        event.preventDefault();
        choose(shown[active].option.value);
      } else if (!list.hidden) event.preventDefault();
    } else if (event.key === "Escape" && !list.hidden) {
      event.preventDefault();
      event.stopPropagation();
      close();
      look();
    }
  });
  clear.addEventListener("click", () => {
    choose("");
    input.focus();
  });
  select.addEventListener("combobox:look", look);
  look();
}
