// Lengths in the picture, from click to click or by the keyboard, in µm. Refused in words where the scale is unknown.
// They belong to this browser tab: nothing is sent anywhere.

const SVG = "http://www.w3.org/2000/svg";
const COARSE = 10; // px of the screen that an arrow key moves the mark; with Shift 1
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Serve `panel` for `stage`. Answers `{ toggle, onKey }`; `onKey` takes the keys pressed in the picture. */
export function makeMeasure(panel, stage) {
  const button = document.getElementById("measure-toggle");
  const list = panel.querySelector("[data-lengths]");
  const status = panel.querySelector("[data-measure-words]");
  const all = panel.querySelector("[data-measure-clear]");
  const key = `lengths:${panel.dataset.keep}`;
  const sheet = element("svg", { class: "measure-sheet", "aria-hidden": "true" });
  stage.place.after(sheet);

  let on = false;
  let lengths = remembered(key);
  let first = null; // the end that is set, in the picture's pixels
  let cursor = null; // where the next end would be, in the picture's pixels
  let byKeys = false;

  const um = ([from, to]) => Math.hypot(to.x - from.x, to.y - from.y) * stage.um;
  const words = (length) => `${um(length).toFixed(1)} µm`;

  function say(text) {
    if (status.textContent !== text) status.textContent = text;
  }
  function keep() {
    try {
      sessionStorage.setItem(key, JSON.stringify(lengths));
    } catch {
      // Storage is closed to us: the lengths last for this page.
    }
  }

  function draw() {
    const parts = [];
    const put = (name, attributes, text = "") => {
      const made = element(name, attributes);
      made.textContent = text;
      parts.push(made);
    };
    const stroke = ([from, to], text, name) => {
      const [a, b] = [stage.toStage(from), stage.toStage(to)];
      for (const layer of ["halo", "line"]) put("line", { class: `${layer} ${name}`, x1: a.x, y1: a.y, x2: b.x, y2: b.y });
      for (const end of [a, b]) put("circle", { class: name, cx: end.x, cy: end.y, r: 4 });
      // The words stand beside the line: above a flat one, to the right of a steep one.
      const long = Math.hypot(b.x - a.x, b.y - a.y) || 1;
      const steep = Math.abs(b.y - a.y) > Math.abs(b.x - a.x);
      const away = { x: ((b.y - a.y) / long) * 14, y: (-(b.x - a.x) / long) * 14 };
      const side = (steep ? away.x < 0 : away.y > 0) ? -1 : 1;
      const at = { x: (a.x + b.x) / 2 + side * away.x, y: (a.y + b.y) / 2 + side * away.y + 4 };
      put("text", { ...at, "text-anchor": steep ? "start" : "middle" }, text);
    };
    if (stage.um && stage.isOpen()) {
      lengths.forEach((length, at) => stroke(length, `${at + 1}: ${words(length)}`, "kept"));
      if (on && first && cursor) stroke([first, cursor], words([first, cursor]), "fresh");
      if (on && cursor && (byKeys || !first)) {
        const { x, y } = stage.toStage(cursor);
        if (byKeys) for (const layer of ["halo", "line"]) put("path", { class: `${layer} fresh`, d: `M${x - 14} ${y}h28M${x} ${y - 14}v28` });
      }
    }
    sheet.replaceChildren(...parts);
  }

  function drawList() {
    list.replaceChildren(
      ...lengths.map((length, at) => {
        const item = document.createElement("li");
        const name = document.createElement("span");
        name.className = "num";
        name.textContent = `${at + 1}: ${words(length)}`;
        const remove = document.createElement("button");
        remove.type = "button";
        remove.className = "btn quiet";
        remove.textContent = "Delete";
        remove.setAttribute("aria-label", `Delete length ${at + 1}, ${words(length)}`);
        remove.addEventListener("click", () => {
          take(at);
          (list.querySelectorAll("button")[Math.min(at, lengths.length - 1)] ?? button).focus();
        });
        item.append(name, remove);
        return item;
      }),
    );
    all.hidden = lengths.length < 2;
    draw();
  }
  function take(at) {
    const [gone] = lengths.splice(at, 1);
    keep();
    drawList();
    if (gone) say(`Length ${at + 1} deleted.`);
  }

  /** An end is set: the first one, or the second, which makes a length. */
  function set(point) {
    if (!first) {
      first = cursor = point;
      say("First end set. Set the other end.");
    } else {
      const length = [first, point].map(({ x, y }) => ({ x, y }));
      first = null;
      if (um(length) > 0) {
        lengths.push(length);
        keep();
        say(`Length ${lengths.length}: ${words(length)}. Set the first end of the next one, or press Escape to stop.`);
      } else {
        say("Both ends are the same point. Set the first end again.");
      }
      drawList();
    }
    draw();
  }

  function toggle(wanted = !on) {
    on = wanted;
    first = cursor = null;
    byKeys = false;
    panel.hidden = !on && !(stage.um && lengths.length);
    button.setAttribute("aria-pressed", String(on));
    const canMeasure = on && stage.um !== null;
    stage.frame.classList.toggle("measuring", canMeasure);
    for (const gestures of [stage.viewer.gestureSettingsMouse, stage.viewer.gestureSettingsTouch]) gestures.dblClickToZoom = !canMeasure;
    if (on && !stage.um) {
      say(panel.dataset.unknown);
      panel.querySelector("[data-opens-scale]")?.focus();
    } else {
      say(on ? "Click one end and then the other. By keyboard: arrow keys move the mark (Shift: finely), Enter sets an end." : "");
      if (on) stage.viewer.canvas.focus();
    }
    draw();
  }

  /** A key in the picture; true where it is ours. */
  function onKey(event) {
    if (!on || !stage.um || event.ctrlKey || event.metaKey || event.altKey) return false;
    const step = STEPS[event.key];
    if (step) {
      byKeys = true;
      const at = stage.toStage(cursor ?? stage.middle());
      const by = event.shiftKey ? 1 : COARSE;
      cursor = within(stage.toPicture({ x: at.x + step[0] * by, y: at.y + step[1] * by }));
      follow();
      if (first) say(words([first, cursor]));
    } else if (event.key === "Enter" || event.key === " ") {
      byKeys = true;
      cursor ??= stage.middle();
      set(cursor);
    } else if (event.key === "Escape") {
      if (first) {
        first = null;
        say("First end taken back.");
      } else {
        toggle(false);
      }
    } else if (event.key === "Backspace" || event.key === "Delete") {
      if (lengths.length) take(lengths.length - 1);
    } else {
      return false;
    }
    event.preventDefault();
    draw();
    return true;
  }
  function within({ x, y }) {
    return { x: Math.min(Math.max(x, 0), stage.width), y: Math.min(Math.max(y, 0), stage.height) };
  }
  /** Where in the picture a pointer is. */
  function pointed({ clientX, clientY }) {
    const box = stage.place.getBoundingClientRect();
    return within(stage.toPicture({ x: clientX - box.left, y: clientY - box.top }));
  }
  /** The mark stays in sight. */
  function follow() {
    const { x, y } = stage.toStage(cursor);
    const box = stage.place.getBoundingClientRect();
    if (x < 20 || y < 20 || x > box.width - 20 || y > box.height - 20) stage.show(cursor, stage.zoomed());
  }

  stage.viewer.addHandler("canvas-click", (event) => {
    if (!on || !stage.um || !event.quick) return;
    event.preventDefaultAction = true;
    byKeys = false;
    set(pointed(event.originalEvent));
  });
  stage.viewer.canvas.addEventListener("pointermove", (event) => {
    if (!on || !first || event.pointerType === "touch") return;
    byKeys = false;
    cursor = pointed(event);
    draw();
  });
  stage.onView(draw);
  button.addEventListener("click", () => toggle());
  all.addEventListener("click", () => {
    lengths = [];
    keep();
    drawList();
    say("All lengths deleted.");
    button.focus();
  });
  if (stage.um) drawList();
  if (stage.um && lengths.length) panel.hidden = false;
  return { toggle, onKey };
}

function remembered(key) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "[]");
    return kept.filter((length) => length.length === 2 && length.every(({ x, y }) => Number.isFinite(x) && Number.isFinite(y)));
  } catch {
    return [];
  }
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}
