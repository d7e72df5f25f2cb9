// Keeps the parts of a page that change by themselves up to date, without moving scroll, focus or selection.
//
// `#live-source` says where to look and how often (data-url, data-every in ms; 0: nothing is expected). The answer
// is HTML whose elements with [data-live] and an id replace, by morphing, the elements of the same id. Looking
// slows down while nothing changes, rests while the page is hidden, and says so when the server does not answer.
// What a page's own script has set stays: an element names such attributes in data-live-keep.
// A "live:look" event on the document asks for a look at once (an upload has just ended).

const SLOWEST = 12_000;
const PATIENCE = 10_000; // after so long without an answer a look has failed

let timer = 0;
let etag = null;
let wait = 0;
let failures = 0;
let looking = false;
let again = false; // somebody asked while a look was under way

function source() {
  return document.getElementById("live-source");
}

function every() {
  return Number(source()?.dataset.every ?? 0);
}

function say(words) {
  const status = document.getElementById("live-status");
  if (!status) return;
  status.hidden = !words;
  if (status.textContent !== words) status.textContent = words;
}

function schedule(delay) {
  clearTimeout(timer);
  timer = delay > 0 ? setTimeout(look, delay) : 0;
}

function apply(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const put = heldInPlace();
  for (const part of fresh.querySelectorAll("[data-live][id]")) {
    const old = document.getElementById(part.id);
    if (!old || isBeingFilled(old)) continue;
    window.Idiomorph.morph(old, part, { morphStyle: "outerHTML", ignoreActiveValue: true, callbacks: { beforeAttributeUpdated: keepOpen } });
  }
  put();
}

// What has the focus and is in sight stays where it is on the screen, however much grows or goes around it.
function heldInPlace() {
  const focused = document.activeElement;
  const before = focused?.closest("[data-live]") ? focused.getBoundingClientRect() : null;
  if (!before || before.bottom < 0 || before.top > window.innerHeight) return () => {};
  return () => {
    if (focused.isConnected) window.scrollBy({ top: focused.getBoundingClientRect().top - before.top, behavior: "instant" });
  };
}

// A form that somebody types in, or has typed in, is left alone.
function isBeingFilled(part) {
  const active = document.activeElement;
  if (part.contains(active) && active.matches("textarea, select, input")) return true;
  return [...part.querySelectorAll("form textarea, form select")].some((field) =>
    field.tagName === "SELECT" ? [...field.options].some((option) => option.selected !== option.defaultSelected && option.value) : field.value !== field.defaultValue,
  );
}

// What a person has unfolded stays unfolded, and what a script says is its own is left to it.
function keepOpen(name, element) {
  if (element.dataset.liveKeep?.split(" ").includes(name)) return false;
  return !(name === "open" && element instanceof HTMLDetailsElement);
}

async function look() {
  if (looking || document.hidden || !source()) return;
  looking = true;
  const url = source().dataset.url;
  const asked = performance.now();
  try {
    const answer = await fetch(url, {
      headers: { "X-Requested-With": "fetch", ...(etag ? { "If-None-Match": etag } : {}) },
      signal: AbortSignal.timeout(PATIENCE),
      cache: "no-store",
    });
    if (answer.status === 401 || answer.status === 403 || answer.status === 404) {
      say(answer.status === 401 ? "You are signed out. Reload the page to sign in again." : "This page is no longer open to you. Go back to the worklist.");
      schedule(0);
      return;
    }
    if (answer.status === 304) {
      wait = Math.min(wait * 1.5, SLOWEST);
    } else if (answer.ok) {
      const html = await answer.text();
      etag = answer.headers.get("ETag");
      apply(html);
      document.dispatchEvent(new CustomEvent("live:applied", { detail: { asked } }));
      wait = every();
    } else {
      throw new Error(`status ${answer.status}`);
    }
    failures = 0;
    say("");
    schedule(every() ? Math.max(wait, every()) : 0);
  } catch {
    failures += 1;
    const pause = Math.min(2_000 * failures, SLOWEST);
    if (failures > 1) say(`The server does not answer. What you see may be out of date; trying again every ${Math.round(pause / 1000)} s.`);
    schedule(pause);
  } finally {
    looking = false;
    if (again) {
      again = false;
      etag = null;
      look();
    }
  }
}

document.addEventListener("live:look", () => {
  etag = null;
  if (looking) again = true;
  else look();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && (every() || failures)) look();
});
// htmx may have brought another list with other rows to watch.
document.addEventListener("htmx:afterSettle", () => {
  etag = null;
  wait = every();
  schedule(wait);
});

wait = every();
schedule(wait);
