// Where a person is in the gallery: the tile that keys speak of, and those that are selected.

import { neighbour } from "./gallery-walk.js";
import * as view from "./tiles.js";

const bar = document.getElementById("review-bar");
let cursor = null; // id of the tile that keys speak of
let anchor = null; // where Shift began
let tell = () => {};

/** `listener` is called whenever another tile is spoken of, or others are selected. */
export function onMove(listener) {
  tell = listener;
}

export const here = () => document.getElementById(cursor);
export const picked = () => view.shown().filter((li) => view.option(li).getAttribute("aria-selected") === "true");

export function targets() {
  const chosen = picked();
  const one = here();
  return chosen.length ? chosen : one && !one.hidden ? [one] : [];
}

export function rove() {
  const all = view.tiles();
  if (!here() || here().hidden) cursor = (all.find((li) => !li.hidden) ?? all[0])?.id ?? null;
  for (const li of all) view.option(li).tabIndex = li.id === cursor ? 0 : -1;
}

export function go(li, { keep = false } = {}) {
  if (!li) return;
  const old = here();
  if (old) view.option(old).tabIndex = -1;
  cursor = li.id;
  const link = view.option(li);
  link.tabIndex = 0;
  link.focus({ preventScroll: true });
  // Clear of the bar below: content-visibility and sticky parts make the browser's own idea too near the edge.
  const box = li.getBoundingClientRect();
  const floor = innerHeight - (bar && !bar.hidden ? bar.offsetHeight : 0) - 12;
  if (box.top < 72 || box.bottom > floor) li.scrollIntoView({ block: "center" });
  if (!keep) anchor = cursor;
  tell();
}

/** Speak of a tile from now on, without going there; `keep`: Shift goes on from where it began. */
export function stand(li, { keep = false } = {}) {
  cursor = li.id;
  if (!keep) anchor = cursor;
}

export function anchorHere() {
  anchor = cursor;
}

export function pick(li, on) {
  view.option(li).setAttribute("aria-selected", String(on));
}

export function pickOnly(list) {
  for (const li of picked()) pick(li, false);
  for (const li of list) pick(li, true);
  tell();
}

export function pickRange(to) {
  const all = view.shown();
  const ends = [all.indexOf(document.getElementById(anchor)), all.indexOf(to)].sort((a, b) => a - b);
  pickOnly(all.slice(Math.max(0, ends[0]), ends[1] + 1));
}

export function move(key, extend) {
  const to = here() && neighbour(here(), key);
  if (!to) return;
  go(to, { keep: extend });
  if (extend) pickRange(to);
}

export function nextUndecided(from) {
  const all = view.shown();
  const at = all.indexOf(from) + 1;
  return [...all.slice(at), ...all.slice(0, at)].find((li) => !view.standing(li).label && li !== from) ?? null;
}
