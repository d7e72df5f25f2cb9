// The tiles of a case's gallery: how each image stands (as the server shows it, as the last answer told, as steps
// that still wait would have it), in which class it lies, and what the filter shows.

const told = new Map(); // by image: how it stands by an answer that is newer than the page
let waiting = new Map(); // by image: {label, step} of the newest step that waits
const painted = new Set();
let filter = { name: "all", only: null };

export const names = new Map(
  [...document.querySelectorAll("#review-bar [data-class]")].map((button) => [button.dataset.class, button.querySelector("[data-name]").textContent]),
);

/** All tiles, in the order of the page. */
export function tiles() {
  return [...document.getElementById("gallery-groups").querySelectorAll("li.tile")];
}

export function tile(image) {
  return document.getElementById(`tile-${image}`);
}

export function option(li) {
  return li.querySelector("[role=option]");
}

export function shown() {
  return tiles().filter((li) => !li.hidden);
}

/** How the image of a tile stands now: the class that people gave it ("": none), whether it waits to be saved, and
 * what the next step says that the person saw. */
export function standing(li) {
  const image = Number(li.dataset.image);
  const pending = waiting.get(image);
  const known = told.get(image);
  const base = known ?? {
    label: li.dataset.label,
    decision: li.dataset.decision ? Number(li.dataset.decision) : null,
    by: li.dataset.by,
    mine: "mine" in li.dataset,
  };
  if (!pending) return { ...base, expected: base.decision, waits: false };
  return { label: pending.label, by: "You", mine: true, expected: pending.step, waits: true };
}

/** What an answer says of its images stands until a look that was asked later brings the page up to date. */
export function tell(images) {
  for (const image of images) told.set(image.image, { ...image, at: performance.now() });
}

export function forgetTold(asked) {
  for (const [image, state] of told) if (state.at < asked) told.delete(image);
}

/** Takes the steps that wait, in their order. */
export function setWaiting(steps) {
  waiting = new Map();
  for (const step of steps) {
    for (const [image, label] of step.paints ?? []) waiting.set(image, { label, step: step.step });
  }
}

export function setFilter(name, only = null) {
  filter = { name, only };
}

function fits(li, name, state) {
  switch (name) {
    case "undecided": return !state.label;
    case "decided": return Boolean(state.label);
    case "disagree": return li.dataset.doubt === "networks disagree";
    case "flagged": return "flagged" in li.dataset;
    default: return true;
  }
}

function paint(li, state) {
  li.toggleAttribute("data-pending", state.waits);
  li.classList.toggle("decided", Boolean(state.label));
  li.classList.toggle("agrees", Boolean(state.label) && state.label === li.dataset.reading);
  const said = li.querySelector("[data-said]");
  const name = state.label ? (names.get(state.label) ?? state.label) : "";
  said.hidden = !state.label;
  if (said.textContent !== name) said.textContent = name;
  const sign = li.querySelector("[data-sign]");
  sign.textContent = state.waits ? "…" : state.label ? "✓" : li.classList.contains("failed") ? "▲" : li.dataset.doubt ? "◆" : "";
  const spoken = li.querySelector("[data-spoken]");
  const facts = spoken.textContent.split(". ")[0];
  write(spoken, `${facts}. ${state.label ? `${state.by} decided: ${name}` : "Undecided"}${state.waits ? ", not saved yet" : ""}`);
}

function before(one, other) {
  if (sortName() === "arrival") return Number(one.dataset.number) - Number(other.dataset.number);
  return (
    Number(!one.dataset.doubt) - Number(!other.dataset.doubt) ||
    Number(one.dataset.sure) - Number(other.dataset.sure) ||
    Number(one.dataset.number) - Number(other.dataset.number)
  );
}

function sortName() {
  return document.getElementById("gallery-sort").value;
}

function listOf(kind, label) {
  return document.querySelector(`#group-${kind}-${label} [data-gallery]`);
}

/** The class under which a tile lies. */
export function group(li, state = standing(li)) {
  if (state.label) return state.label;
  return li.dataset.reading || (li.classList.contains("failed") ? "failed" : "waiting");
}

/** Put every tile where it belongs and let it say how it stands; `sort`: also put each class in order. */
export function arrange({ sort = false } = {}) {
  const active = document.activeElement;
  const counts = { all: 0, undecided: 0, disagree: 0, flagged: 0, decided: 0 };
  const all = tiles();
  for (const li of all) {
    const state = standing(li);
    // As the server shows it, unless a step or an answer says otherwise, or just has.
    const ours = state.waits || told.has(Number(li.dataset.image));
    if (ours || painted.has(li.id)) paint(li, state);
    painted[ours ? "add" : "delete"](li.id);
    const list = listOf(li.dataset.kind, group(li, state));
    if (list && li.parentElement !== list) list.insertBefore(li, [...list.children].find((each) => before(li, each) < 0) ?? null);
    for (const name of Object.keys(counts)) counts[name] += Number(fits(li, name, state));
    const shows = filter.only ? filter.only.has(Number(li.dataset.image)) : fits(li, filter.name, state);
    const hide = !shows && !li.contains(active);
    if (li.hidden !== hide) li.hidden = hide;
  }
  if (sort) {
    for (const list of document.querySelectorAll("#gallery-groups [data-gallery]")) list.append(...[...list.children].sort(before));
  }
  describe(counts);
  if (active !== document.activeElement && active?.isConnected) active.focus({ preventScroll: true });
}

function describe(counts) {
  const classed = {};
  const sections = [...document.querySelectorAll("#gallery-groups .group")];
  const isClass = (section) => !["failed", "waiting"].includes(section.dataset.label);
  for (const section of sections) {
    if (isClass(section)) classed[section.dataset.kind] = (classed[section.dataset.kind] ?? 0) + section.querySelectorAll("li.tile").length;
  }
  let visible = 0;
  for (const section of sections) {
    const inside = [...section.querySelectorAll("li.tile")];
    const seen = inside.filter((li) => !li.hidden).length;
    visible += seen;
    section.hidden = !seen;
    if (!seen) continue;
    const open = inside.filter((li) => !li.classList.contains("decided")).length;
    write(section.querySelector("[data-count]"), seen === inside.length ? inside.length : `${seen} of ${inside.length}`);
    if (isClass(section)) write(section.querySelector("[data-share]"), `${Math.round((100 * inside.length) / classed[section.dataset.kind])} %`);
    write(section.querySelector("[data-undecided]"), open ? `${open} undecided` : "✓ all decided");
  }
  document.getElementById("gallery-none").hidden = visible > 0 || counts.all === 0;
  for (const button of document.querySelectorAll("#gallery .filters [data-filter]")) {
    write(button.querySelector("[data-filter-count]"), counts[button.dataset.filter]);
    button.setAttribute("aria-pressed", String(!filter.only && button.dataset.filter === filter.name));
  }
}

function write(element, words) {
  if (element.textContent !== String(words)) element.textContent = words;
}

/** Steps that can be undone and redone, oldest first, with those that wait already taken in. */
export function stacks(known, steps) {
  const undo = [...known.undo];
  const redo = [...known.redo];
  for (const step of steps) {
    if (undo.includes(step.step) || redo.includes(step.step)) continue; // the server had it when it said
    if (step.act === "decide") {
      undo.push(step.step);
      redo.length = 0;
    } else {
      const [from, to] = step.act === "undo" ? [undo, redo] : [redo, undo];
      const at = from.lastIndexOf(step.undoes);
      if (at >= 0) from.splice(at, 1);
      to.push(step.step);
    }
  }
  return { undo, redo };
}

export function knownSteps() {
  const list = (words) => (words ? words.split(",") : []);
  const now = document.getElementById("gallery-groups");
  return { undo: list(now.dataset.undo), redo: list(now.dataset.redo) };
}
