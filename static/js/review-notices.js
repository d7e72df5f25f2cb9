// What the server did not take of a review, said until somebody has understood it.

/** A notice with a title, lines (four of them are shown) and buttons: [words, handler] each; the last one closes it. */
export function notice(title, lines, actions) {
  const box = element("div", "notice alarm");
  const sign = element("span", "sign", "▲");
  sign.setAttribute("aria-hidden", "true");
  const body = element("div");
  body.append(element("b", "", title), ...lines.slice(0, 4).map((line) => element("p", "", line)));
  if (lines.length > 4) body.append(element("p", "", `and ${lines.length - 4} more.`));
  const row = element("div", "actions");
  actions.forEach(([words, handler], at) => {
    const button = element("button", "btn", words);
    button.type = "button";
    button.addEventListener("click", () => {
      if (at === actions.length - 1) box.remove();
      handler();
    });
    row.append(button);
  });
  body.append(row);
  box.append(sign, body);
  document.getElementById("review-notices").append(box);
}

function element(name, className = "", words = "") {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = words;
  return made;
}
