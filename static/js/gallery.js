// The gallery of a case: move, select and decide by keyboard, mouse or touch. Each decision is a step that goes into the
// outbox at once and shows at once; what the server makes of it is told truthfully.

import { anchorHere, go, here, move, nextUndecided, onMove, pick, picked, pickOnly, pickRange, rove, stand, targets } from "./gallery-cursor.js";
import { dragging } from "./gallery-drag.js";
import { grow } from "./gallery-look.js";
import { canChoose, turn as turnKeys } from "./key-strip.js";
import { isTyping } from "./keys.js";
import { Outbox, passOn, uuid } from "./outbox.js";
import { notice } from "./review-notices.js";
import * as view from "./tiles.js";

const gallery = document.getElementById("gallery");
const bar = document.getElementById("review-bar");
const outbox = bar ? new Outbox(gallery.dataset.review, gallery.dataset.person, gallery.dataset.case, gallery.dataset.name) : null;
const byKey = new Map([...(bar?.querySelectorAll("[data-class]") ?? [])].map((button) => [button.dataset.key.toLowerCase(), button]));
const before = new Map(); // by step: [image, class before it], so that undoing shows at once
let answered = null; // {undo, redo, at}: newer than the page until a later look
let extending = false;

// --- deciding ---

let fading = 0;

/** Heard at once, and seen above the bar for a while. */
function say(words) {
  const place = document.getElementById("review-said");
  place.textContent = place.textContent === words ? `${words} ` : words;
  place.classList.remove("visually-hidden");
  clearTimeout(fading);
  fading = setTimeout(() => place.classList.add("visually-hidden"), 5_000);
}

const numbers = (list) => (list.length === 1 ? `image ${list[0].dataset.number}` : `${list.length} images`);

/** Puts a step into the outbox; `paints`: [image, class from now on]. */
function step(act, paints, more) {
  const name = uuid();
  before.set(name, paints.map(([image]) => [image, view.standing(view.tile(image)).label]));
  outbox.put({ step: name, act, paints, ...more });
}

/** `make(li)`: the decision on a tile, or null to leave it. */
function decide(make, done, otherwise) {
  const chosen = targets();
  const decisions = new Map();
  for (const li of chosen) {
    const state = view.standing(li);
    const decision = make(li, state);
    if (decision) decisions.set(li, { image: Number(li.dataset.image), expected: state.expected, ...decision });
  }
  if (!decisions.size) {
    say(otherwise);
    return;
  }
  // Where to go on is settled before anything moves.
  const all = view.shown();
  const acted = [...decisions.keys()];
  const last = acted.at(-1);
  const fresh = acted.some((li) => !view.standing(li).label);
  const rest = all.slice(all.indexOf(last) + 1).filter((li) => !decisions.has(li));
  const following = rest[0] ?? null;
  const paints = acted.map((li) => {
    const { image, verdict, label } = decisions.get(li);
    return [image, verdict === "withdraw" ? "" : label];
  });
  pickOnly([]);
  step("decide", paints, { decisions: [...decisions.values()] });
  go((fresh ? (rest.find((li) => !view.standing(li).label) ?? nextUndecided(last)) : following) ?? last);
  view.arrange();
  const left = chosen.length - acted.length;
  say(`${done}: ${numbers(acted)}.${left ? ` ${left} left as they are.` : ""}`);
}

const acts = {
  confirm: () =>
    decide(
      (li, state) => (state.label || !li.dataset.reading ? null : { verdict: "agree", label: li.dataset.reading }),
      "Confirmed",
      "Nothing to confirm: decided already, or without a reading. A class key decides, W takes a decision back.",
    ),
  withdraw: () => decide((li, state) => (state.label ? { verdict: "withdraw", label: null } : null), "Taken back", "Nobody has decided on this yet."),
  pick: () => {
    const one = here();
    if (one) pick(one, view.option(one).getAttribute("aria-selected") !== "true");
    anchorHere();
    tellBar();
  },
  none: () => pickOnly([]),
  next: () => {
    const one = nextUndecided(here());
    if (one) go(one);
    else say("Every image shown is decided.");
  },
  key: () => canChoose && targets().length && say(turnKeys(targets().map((li) => Number(li.dataset.image)))),
  undo: () => turn("undo"),
  redo: () => turn("redo"),
  open: async () => {
    const one = here();
    if (!one) return;
    await outbox?.settled(2_000);
    passOn();
    location.assign(view.option(one).href);
  },
  retry: async () => {
    await outbox?.settled(2_000);
    const form = document.getElementById("retry");
    const { pathname, search } = new URL(view.option(here()).href);
    form.action = `${pathname}retry/${search}`;
    form.requestSubmit();
  },
};

function classify(button, list = null) {
  const { class: label, kind } = button.dataset;
  if (list) pickOnly(list);
  const name = view.names.get(label);
  decide(
    (li, state) => (li.dataset.kind !== kind || state.label === label ? null : { verdict: "override", label }),
    name,
    targets().some((li) => li.dataset.kind === kind) ? `Decided already: ${name}.` : `${name} is a class of ${kind === "cell" ? "cells" : "fields"}.`,
  );
}

function turn(act) {
  const target = stacks()[act].at(-1);
  if (!target) {
    say(`There is nothing of yours to ${act}.`);
    return;
  }
  pickOnly([]);
  const paints = (before.get(target) ?? []).filter(([image]) => view.tile(image));
  step(act, paints, { undoes: target });
  view.arrange();
  if (paints.length) {
    go(view.tile(paints[0][0]));
    say(`${act === "undo" ? "Undone" : "Redone"}: ${numbers(paints.map(([image]) => view.tile(image)))}.`);
  }
}

function stacks() {
  return view.stacks(answered ?? view.knownSteps(), outbox.waiting);
}

// --- what the server says ---

function changed() {
  const waiting = outbox.waiting;
  const n = waiting.length;
  const words = {
    saved: ["✓ Saved", "calm"],
    saving: [`Saving ${n}`, "accent"],
    away: [`▲ Not saved – trying again (${n} waiting)`, "alarm"],
    "signed-out": [`▲ Not saved – you are signed out (${n} waiting)`, "alarm"],
    forbidden: [`▲ Not saved – you may not decide here now (${n} waiting)`, "alarm"],
  }[outbox.state];
  const place = document.getElementById("review-state");
  const text = outbox.kept ? words[0] : `${words[0]}. Keep this page open: the browser stores nothing`;
  if (place.textContent !== text) place.textContent = text;
  place.className = `pill ${words[1]}${outbox.kept ? "" : " wrap"}`;
  document.getElementById("review-sign-in").hidden = outbox.state !== "signed-out";
  view.setWaiting(waiting);
  tellBar();
}

const understood = ["Understood", () => here() && view.option(here()).focus()];
const numbered = (image) => `Image ${view.tile(image)?.dataset.number ?? image}`;

function onAnswer({ detail: { step: sent, answer } }) {
  view.tell(answer.images);
  answered = { undo: answer.undo, redo: answer.redo, at: performance.now() };
  changed();
  view.arrange();
  if (answer.refused.length) {
    const n = answer.refused.length;
    notice(
      n === 1 ? "One image was left as it is" : `${n} images were left as they are`,
      [...goingOn(sent.act, answer), ...answer.refused.map((each) => `${numbered(each.image)}: ${each.message}`)],
      [["Show them", () => only(answer.refused.map((each) => each.image))], understood],
    );
  }
  if (sent.act !== "decide" && !sent.paints.length && answer.saved.length) {
    go(view.tile(answer.saved[0]));
    say(`${sent.act === "undo" ? "Undone" : "Redone"}: ${answer.saved.length} image${answer.saved.length > 1 ? "s" : ""}.`);
  }
  if (!outbox.waiting.length) document.dispatchEvent(new CustomEvent("live:look"));
}

/** Where colleagues have overtaken a whole step: what the same key does next. */
function goingOn(act, answer) {
  if (act === "decide" || answer.saved.length) return [];
  const next = answer[act].length ? `takes ${act === "undo" ? "back your step before that one" : "up your next step"}` : `has nothing left of yours to ${act}`;
  return [`Nothing of this step could be ${act === "undo" ? "undone" : "redone"}. ${act === "undo" ? "Undo" : "Redo"} again ${next}.`];
}

function onRefusal({ detail: { step: sent, answer } }) {
  changed();
  view.arrange();
  const lost = (sent.decisions ?? []).map((each) => `${numbered(each.image)}: ${each.label ? (view.names.get(each.label) ?? each.label) : "withdraw"}`);
  notice(sent.act === "decide" ? "Not stored" : `Nothing to ${sent.act}`, [answer.detail, ...lost], [understood]);
  answered = null;
  document.dispatchEvent(new CustomEvent("live:look"));
}

// --- the bar, filters, size, order ---

function tellBar() {
  if (!bar) return;
  const chosen = picked();
  const one = here();
  document.getElementById("review-picked").textContent = chosen.length ? `${chosen.length} selected` : one ? `Image ${one.dataset.number}` : "";
  const kinds = new Set((chosen.length ? chosen : one ? [one] : []).map((li) => li.dataset.kind));
  for (const palette of bar.querySelectorAll("[data-palette]")) palette.hidden = kinds.size > 0 && !kinds.has(palette.dataset.palette);
  const { undo, redo } = stacks();
  bar.querySelector("[data-act=undo]").disabled = !undo.length;
  bar.querySelector("[data-act=redo]").disabled = !redo.length;
  bar.querySelector("[data-act=none]").hidden = !chosen.length;
  bar.querySelector("[data-act=retry]").hidden = !one?.classList.contains("failed");
  bar.hidden = !view.tiles().length;
}

function show(name, images = null) {
  pickOnly([]);
  view.setFilter(name, images);
  document.activeElement.closest?.("li.tile") && document.activeElement.blur();
  view.arrange();
  rove();
  tellBar();
}

function only(images) {
  show("all", new Set(images));
  go(view.shown()[0]);
}

function fromHash() {
  const found = /^#images=([\d,]+)$/.exec(location.hash);
  if (found) only(found[1].split(",").map(Number));
}

// --- keys, mouse, touch ---

function letter(event) {
  if (event.key.length > 1) return event.key;
  if (/^[a-z0-9+=−-]$/i.test(event.key)) return event.key.toLowerCase();
  return /^(?:Key|Digit)(.)$/.exec(event.code)?.[1].toLowerCase() ?? event.key; // another script than the Latin one
}

document.addEventListener("keydown", (event) => {
  const inside = event.target.closest?.("#gallery-groups [role=option]");
  const near = inside ?? event.target.closest?.("#review-bar");
  const key = letter(event);
  if ((event.ctrlKey || event.metaKey) && !event.altKey && near && !event.defaultPrevented) {
    const shifted = event.shiftKey && key === "z";
    if (key === "a" && bar) pickOnly(view.shown().filter((li) => li.parentElement === here()?.parentElement));
    else if (key === "z" && !shifted && bar) acts.undo();
    else if ((shifted || key === "y") && bar) acts.redo();
    else return;
    event.preventDefault();
    return;
  }
  if (isTyping(event)) return;
  const atRest = event.target === document.body || event.target.id === "content";
  if ((near || atRest) && (key === "+" || key === "=")) grow(1);
  else if ((near || atRest) && (key === "-" || key === "−")) grow(-1);
  else if (key === "n" && !event.shiftKey) acts.next();
  else if (!near) return;
  else if (inside && ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Home", "End"].includes(key)) move(key, event.shiftKey && bar !== null);
  else if (key === "o" && !event.shiftKey) acts.open();
  else if (inside && key === "Enter") bar ? acts.confirm() : acts.open();
  else if (!bar) return;
  else if (key === "z") event.shiftKey ? acts.redo() : acts.undo();
  else if (event.shiftKey) return;
  else if (key === "c") acts.confirm();
  else if (key === "y") acts.redo();
  else if (key === "w") acts.withdraw();
  else if (key === "k") acts.key();
  else if (key === "x" || (inside && key === " ")) acts.pick();
  else if (key === "Escape") acts.none();
  else if (byKey.has(key)) classify(byKey.get(key));
  else return;
  event.preventDefault();
});

gallery.addEventListener("focusin", (event) => {
  const li = event.target.closest("li.tile");
  if (!li || li === here()) return;
  stand(li, { keep: extending });
  rove();
  tellBar();
});
gallery.addEventListener("pointerdown", (event) => {
  extending = event.shiftKey; // the press brings the focus before the click is told
});

gallery.addEventListener("click", (event) => {
  const link = event.target.closest("#gallery-groups [role=option]");
  if (link) {
    const li = link.closest("li.tile");
    event.preventDefault();
    if (bar && event.shiftKey) {
      go(li, { keep: true });
      pickRange(li);
    } else {
      if (bar && (event.ctrlKey || event.metaKey || event.pointerType === "touch")) pick(li, link.getAttribute("aria-selected") !== "true");
      else pickOnly([]);
      go(li);
    }
    return;
  }
  const { act, class: label, filter } = event.target.closest("button")?.dataset ?? {};
  if (act) acts[act]();
  else if (label) classify(event.target.closest("button"));
  else if (filter) show(filter);
  else if (event.target.closest("[data-pick-group]")) {
    const all = [...event.target.closest(".group").querySelectorAll("li.tile")].filter((li) => !li.hidden);
    go(all[0]);
    pickOnly(all);
  }
});
gallery.addEventListener("dblclick", (event) => {
  const li = event.target.closest("#gallery-groups li.tile");
  if (!li) return;
  go(li);
  acts.open();
});
// A press in the bar leaves the focus on the image.
bar?.addEventListener("mousedown", (event) => event.preventDefault());

if (bar) {
  dragging(gallery, {
    taken: (li) => (picked().includes(li) ? picked() : [li]),
    dropped: (list, label) => {
      stand(list[0], { keep: true });
      classify(bar.querySelector(`[data-class="${label}"]`), list);
    },
  });
}

// --- begin ---

document.addEventListener("live:applied", (event) => {
  view.forgetTold(event.detail.asked);
  if (answered && answered.at < event.detail.asked) answered = null;
  view.arrange();
  rove();
  tellBar();
});
window.addEventListener("hashchange", fromHash);
document.addEventListener("click", ({ target }) => {
  // The address may be there already, with another filter on by now.
  const link = target.closest?.("a[href^='#images=']");
  if (link && link.hash === location.hash) fromHash();
});
onMove(tellBar);
if (outbox) {
  outbox.addEventListener("change", changed);
  outbox.addEventListener("answer", onAnswer);
  outbox.addEventListener("refusal", onRefusal);
  changed();
  outbox.send();
}
view.arrange();
rove();
tellBar();
fromHash();
