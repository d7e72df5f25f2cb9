// Steps of a review that still wait in this browser are sent from every page of the portal, not only from their case's,
// and the line under the masthead says how they are. Where nothing waits, nothing is done. A step that is refused is
// told on every page until somebody has understood it.

import { Outbox, remember, remembered, waitingCases } from "./outbox.js";

const line = document.getElementById("unsaved");
const { person, url, signIn } = line.dataset;
const gallery = document.getElementById("gallery");
const own = gallery?.dataset.review ? gallery.dataset.case : null; // the gallery sends these and says so itself
const outboxes = new Map();
let sent = 0;

function look() {
  for (const review of waitingCases(person)) if (review !== own) take(review);
  if (remembered(person).length) tell();
}

function take(review) {
  if (outboxes.has(review)) return outboxes.get(review).send();
  const outbox = new Outbox(url.replace("/0/", `/${review}/`), person, review);
  outboxes.set(review, outbox);
  outbox.addEventListener("change", tell);
  outbox.addEventListener("answer", ({ detail: { step, answer } }) => {
    sent += 1;
    if (answer.refused.length) remember(person, review, step, answer.refused.map(({ image }) => image), answer.refused.map(({ message }) => message));
    document.dispatchEvent(new CustomEvent("live:look"));
    tell();
  });
  outbox.addEventListener("refusal", ({ detail: { step, answer } }) => {
    remember(person, review, step, (step.decisions ?? []).map(({ image }) => image), [answer.detail]);
    tell();
  });
  tell();
  return outbox.send();
}

// --- what the line says ---

const page = (review) => url.replace(/\/0\/.*/, `/${review}/`);
const steps = (n) => `${n} step${n > 1 ? "s" : ""} of your review`;
const WORDS = {
  "signed-out": (n) => `▲ ${steps(n)} not saved – you are signed out`,
  away: (n) => `▲ ${steps(n)} not saved – trying again`,
  forbidden: (n) => `▲ ${steps(n)} not saved – you may not decide there now`,
};

function tell() {
  const waiting = [...outboxes].filter(([, outbox]) => outbox.waiting.length);
  const n = waiting.reduce((sum, [, outbox]) => sum + outbox.waiting.length, 0);
  const worst = Object.keys(WORDS).find((state) => waiting.some(([, outbox]) => outbox.state === state));
  const refused = remembered(person);
  const lines = refused.map(left);
  if (n) {
    const parts = [worst ? WORDS[worst](n) : `Saving ${steps(n)}`];
    for (const [review, outbox] of waiting) parts.push(" · ", link(page(review), outbox.waiting[0].name || `case ${review}`));
    if (worst === "signed-out") parts.push(" · ", link(`${signIn}?next=${encodeURIComponent(location.pathname + location.search)}`, "Sign in again"));
    lines.unshift(element("p", parts));
  } else if (sent) {
    lines.unshift(element("p", [`✓ ${steps(sent)} saved`]));
  }
  const fresh = element("div", lines);
  line.hidden = !lines.length;
  line.className = `unsaved ${worst || refused.length ? "alarm" : n ? "" : "calm"}`;
  if (line.firstElementChild?.textContent !== fresh.textContent) line.replaceChildren(fresh);
}

/** What became of images that the server did not take, with the way to them. */
function left(each) {
  const n = each.images.length;
  const what = n > 1 ? `${n} images were left as they are` : n ? "One image was left as it is" : "A step was not taken";
  const understood = button("Understood", () => {
    each.forget();
    tell();
  });
  return element("p", [`▲ ${what} in `, link(page(each.review) + (n ? `#images=${each.images.join()}` : ""), each.name || `case ${each.review}`), `: ${each.lines[0]} `, understood]);
}

function element(name, parts) {
  const made = document.createElement(name);
  made.append(...parts);
  return made;
}

function link(href, words) {
  const made = element("a", [words]);
  made.href = href;
  return made;
}

function button(words, handler) {
  const made = element("button", [words]);
  made.type = "button";
  made.className = "btn";
  made.addEventListener("click", handler);
  return made;
}

window.addEventListener("pageshow", look);
window.addEventListener("storage", look);
document.addEventListener("visibilitychange", () => document.hidden || look());
look();
