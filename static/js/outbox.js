// Steps of a review that the server has not confirmed yet. They are kept in this browser's storage, one entry each,
// and sent in their order, one after the other, until each is answered: after a lost connection, a server that was
// away, a signed-out session, a closed laptop. Sending one twice is harmless: the server knows a step by its name.
//
// Entries belong to one person and one case, so that nobody sends what another person decided at the same machine.

const PATIENCE = 15_000; // ms without an answer, then the step is sent again
const SLOWEST = 15_000; // ms between two tries
const KEPT = "leukolens:outbox:";
const REFUSED = "leukolens:refused:";

let within = false; // a way within the portal is being taken: the next page sends what waits

/** To be called before the page is left by script for another page of the portal. */
export function passOn() {
  within = true;
  setTimeout(() => (within = false), 2_000);
}

for (const kind of ["click", "submit"]) {
  document.addEventListener(kind, ({ target }) => {
    const way = target.closest?.(kind === "click" ? "a[href]" : "form");
    if (way && new URL(way.href ?? way.action).origin === location.origin && !way.target) passOn();
  });
}

function* entries(prefix) {
  try {
    const keys = Array.from({ length: localStorage.length }, (_, n) => localStorage.key(n));
    for (const key of keys.filter((each) => each.startsWith(prefix))) yield [key, JSON.parse(localStorage.getItem(key))];
  } catch {
    // Storage that cannot be read holds nothing for us.
  }
}

/** The cases of which steps of `person` wait in this browser. */
export function waitingCases(person) {
  const prefix = `${KEPT}${person}:`;
  return new Set([...entries(prefix)].map(([key]) => key.slice(prefix.length).split(":")[0]));
}

/** Keeps what the server said (`lines`) of a step that it refused, or of `images` of it, until somebody has read it. */
export function remember(person, review, step, images, lines) {
  try {
    localStorage.setItem(`${REFUSED}${person}:${step.step}`, JSON.stringify({ review, name: step.name, images, lines, at: Date.now() }));
  } catch {
    // Storage is closed to us: the case's page shows how its images stand.
  }
}

/** What `remember` has kept for a person, oldest first, each with `forget()`. */
export function remembered(person) {
  return [...entries(`${REFUSED}${person}:`)]
    .map(([key, said]) => ({ ...said, forget: () => localStorage.removeItem(key) }))
    .sort((one, other) => one.at - other.at);
}

/** A random UUID, also where the page came without TLS and crypto.randomUUID is not offered. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

function csrf() {
  // From the cookie, not from the page: signing in again in another tab makes a new one.
  return /(?:^|;\s*)(?:__Host-)?csrftoken=([^;]+)/.exec(document.cookie)?.[1] ?? "";
}

export class Outbox extends EventTarget {
  #url;
  #prefix;
  #steps = new Map(); // by name: what localStorage holds, and what it would not take
  #state = "saved"; // saved, saving, away, signed-out, forbidden
  #failures = 0;
  #timer = 0;
  #sending = false;
  #last = 0;
  #name;

  /** `url` takes the steps of the case `review`, which people call `name`; events: "change" (count or state), "answer"
   * and "refusal" ({step, answer}). */
  constructor(url, person, review, name = "") {
    super();
    this.#url = url;
    this.#name = name;
    this.#prefix = `${KEPT}${person}:${review}:`;
    this.#load();
    window.addEventListener("online", () => this.send());
    window.addEventListener("pageshow", () => this.send());
    window.addEventListener("focus", () => this.#state !== "saved" && this.send());
    document.addEventListener("visibilitychange", () => document.hidden || this.send());
    window.addEventListener("storage", (event) => {
      if (event.key === null || event.key.startsWith(this.#prefix)) this.#load();
    });
    window.addEventListener("beforeunload", (event) => {
      if (this.#steps.size && !(within && this.kept)) event.preventDefault();
    });
  }

  /** Steps that wait, in the order in which they were made. */
  get waiting() {
    return [...this.#steps.values()].sort((one, other) => one.at - other.at);
  }

  get state() {
    return this.#state;
  }

  /** Whether every step that waits would outlive this page. */
  get kept() {
    return [...this.#steps.values()].every((step) => step.kept);
  }

  put(step) {
    this.#last = Math.max(this.#last + 1, Date.now());
    const entry = { ...step, name: this.#name, at: this.#last, kept: true };
    try {
      localStorage.setItem(this.#prefix + step.step, JSON.stringify(entry));
    } catch {
      entry.kept = false; // full, or closed to us: it lives as long as this page
    }
    this.#steps.set(step.step, entry);
    if (this.#state === "saved") this.#state = "saving";
    this.#changed();
    this.send();
  }

  /** Resolves when nothing waits any more, or after `ms`. */
  settled(ms) {
    return new Promise((resolve) => {
      const done = () => {
        if (this.#steps.size) return;
        this.removeEventListener("change", done);
        resolve();
      };
      this.addEventListener("change", done);
      setTimeout(resolve, ms);
      done();
    });
  }

  async send() {
    clearTimeout(this.#timer);
    if (this.#sending || !this.#steps.size) return;
    this.#sending = true;
    let drained = false;
    try {
      // One tab at a time, where the browser can tell them apart: another tab's steps are these steps.
      drained = navigator.locks ? await navigator.locks.request(this.#prefix, () => this.#drain()) : await this.#drain();
    } finally {
      this.#sending = false;
    }
    if (drained) this.send(); // what came after the last answer
  }

  /** Whether all was answered. */
  async #drain() {
    for (let entry = this.waiting[0]; entry; entry = this.waiting[0]) {
      if (entry.kept && !this.#stored(entry)) {
        this.#steps.delete(entry.step); // another tab has sent it
        document.dispatchEvent(new CustomEvent("live:look"));
        continue;
      }
      const answer = await this.#post(entry);
      if (!answer) {
        this.#failures += 1;
        this.#timer = setTimeout(() => this.send(), Math.min(1_000 * 2 ** (this.#failures - 1), SLOWEST));
        this.#changed();
        return false;
      }
      this.#failures = 0;
      this.#forget(entry);
      this.dispatchEvent(new CustomEvent(answer.ok ? "answer" : "refusal", { detail: { step: entry, answer: answer.body } }));
      this.#changed();
    }
    this.#changed();
    return true;
  }

  /** {ok, body} where the server has settled the step, null where it is to be sent again. */
  async #post(entry) {
    const sent = { step: entry.step, act: entry.act, decisions: entry.decisions, undoes: entry.undoes };
    try {
      const answer = await fetch(this.#url, {
        method: "POST",
        headers: { Accept: "application/json", "X-Requested-With": "fetch", "X-CSRFToken": csrf() },
        body: new URLSearchParams({ sent: JSON.stringify(sent) }),
        signal: AbortSignal.timeout ? AbortSignal.timeout(PATIENCE) : undefined,
        redirect: "error",
      });
      if (answer.ok) {
        const body = await answer.json();
        this.#state = "saving";
        return { ok: true, body };
      }
      if (answer.status === 409 || answer.status === 422) return { ok: false, body: await answer.json() };
      this.#state = { 401: "signed-out", 403: "forbidden", 404: "forbidden" }[answer.status] ?? "away";
    } catch {
      this.#state = "away";
    }
    return null;
  }

  #stored(entry) {
    try {
      return localStorage.getItem(this.#prefix + entry.step) !== null;
    } catch {
      return true;
    }
  }

  #forget(entry) {
    this.#steps.delete(entry.step);
    try {
      localStorage.removeItem(this.#prefix + entry.step);
    } catch {
      // Sent again at the next visit, and known there.
    }
  }

  #load() {
    const before = [...this.#steps.keys()].join();
    for (const [name, entry] of this.#steps) if (entry.kept) this.#steps.delete(name);
    for (const [, entry] of entries(this.#prefix)) {
      this.#steps.set(entry.step, entry);
      this.#last = Math.max(this.#last, entry.at);
    }
    if (before !== [...this.#steps.keys()].join()) this.#changed();
  }

  #changed() {
    if (!this.#steps.size) this.#state = "saved";
    this.dispatchEvent(new CustomEvent("change"));
  }
}
