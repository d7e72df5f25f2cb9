// The draft of the report is saved as it is typed, and says truthfully whether it is.
//
// What is typed lies in this browser's storage until the server has confirmed it, so that a reload, a closed laptop
// or an absent server loses nothing. Whoever was overtaken sees both drafts and chooses.

import { combobox } from "./combobox.js";
import { draw as drawKeys, named } from "./key-strip.js";

const PAUSE = 700; // ms after the last key
const LONGEST = 15_000;
const PATIENCE = 15_000;
const NAMES = ["diagnosis", "diagnosis_text", "comment", "key_images"];

const form = document.getElementById("draft");
if (form) begin(form);

function begin(form) {
  const key = form.dataset.key;
  const state = document.getElementById("draft-state");
  const problem = document.getElementById("draft-problem");
  const saved = values(); // what the server has
  let timer = 0;
  let failures = 0;
  let inFlight = null;
  let halted = false; // a conflict or a closed case waits for the person

  combobox(document.getElementById("report-diagnosis"), document.getElementById("report-diagnosis-label"));
  recover();

  form.addEventListener("input", () => changed(PAUSE));
  form.addEventListener("change", () => changed(0));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save();
  });

  const insert = document.getElementById("report-insert");
  insert?.addEventListener("click", () => {
    const text = document.getElementById("report-template").selectedOptions[0]?.dataset.text;
    const comment = form.elements.comment;
    if (!text) return;
    const { selectionStart: start, selectionEnd: end, value } = comment;
    const lead = start > 0 && !/\s$/.test(value.slice(0, start)) ? "\n" : "";
    comment.setRangeText(lead + text, start, end, "end");
    comment.focus();
    comment.dispatchEvent(new Event("input", { bubbles: true }));
  });

  // Links that need the draft wait for it.
  for (const link of document.querySelectorAll("#case-report [data-leaves]")) {
    link.addEventListener("click", async (event) => {
      if (!isOpen() || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      if (await save()) location.assign(link.href);
      else document.getElementById("draft-state").scrollIntoView({ block: "nearest" });
    });
  }

  window.addEventListener("online", () => isOpen() && save());
  document.addEventListener("visibilitychange", () => {
    if (document.hidden && isOpen()) save();
  });
  window.addEventListener("beforeunload", (event) => {
    if (isOpen() && !stored()) event.preventDefault();
  });

  function values() {
    return Object.fromEntries(NAMES.map((name) => [name, form.elements[name].value]));
  }

  function isOpen() {
    const now = values();
    return NAMES.some((name) => now[name] !== saved[name]);
  }

  function say(words, tone) {
    state.className = `pill ${tone}`;
    if (state.textContent !== words) state.textContent = words;
  }

  function keep() {
    try {
      localStorage.setItem(key, JSON.stringify({ revision: form.elements.revision.value, ...values() }));
    } catch {
      // Storage is closed or full: the page warns before it is left.
    }
  }

  function stored() {
    try {
      const copy = JSON.parse(localStorage.getItem(key));
      return Boolean(copy) && NAMES.every((name) => copy[name] === form.elements[name].value);
    } catch {
      return false;
    }
  }

  function forget() {
    try {
      localStorage.removeItem(key);
    } catch {
      // Nothing was kept there.
    }
  }

  function put(fields) {
    for (const name of NAMES) form.elements[name].value = fields[name] ?? "";
    form.elements.diagnosis.dispatchEvent(new Event("combobox:look"));
    drawKeys();
  }

  function recover() {
    let copy = null;
    try {
      copy = JSON.parse(localStorage.getItem(key));
    } catch {
      forget();
    }
    if (!copy || NAMES.every((name) => (copy[name] ?? saved[name]) === saved[name])) {
      forget();
      return;
    }
    const theirs = { ...saved };
    copy = { ...saved, ...copy }; // an older page kept fewer fields
    put(copy);
    if (copy.revision === form.elements.revision.value) {
      save();
    } else {
      const shown = form.elements.diagnosis.querySelector(`option[value="${CSS.escape(theirs.diagnosis)}"]`);
      conflict("The draft was changed on another page while this browser kept yours.", {
        ...theirs,
        revision: Number(form.elements.revision.value),
        diagnosis_shown: theirs.diagnosis ? shown?.textContent : "none chosen",
        by: "the saved draft",
      });
    }
  }

  function changed(pause) {
    if (!isOpen()) return;
    keep();
    if (halted) return;
    say("Not saved yet", "doubt");
    schedule(pause);
  }

  function schedule(pause) {
    clearTimeout(timer);
    timer = setTimeout(save, pause);
  }

  // Answers whether everything is stored.
  async function save() {
    clearTimeout(timer);
    if (halted) return false;
    if (inFlight) {
      await inFlight;
      return isOpen() && !failures ? save() : !isOpen();
    }
    if (!isOpen()) return true;
    inFlight = send();
    try {
      await inFlight;
    } finally {
      inFlight = null;
    }
    if (!failures && !halted && isOpen()) schedule(PAUSE);
    return !isOpen();
  }

  async function send() {
    const sent = values();
    say("Saving…", "accent");
    let answer;
    try {
      answer = await fetch(form.action, {
        method: "POST",
        body: new FormData(form),
        headers: { "X-Requested-With": "fetch", Accept: "application/json" },
        signal: AbortSignal.timeout(PATIENCE),
      });
    } catch {
      again();
      return;
    }
    if (answer.status === 401 || answer.status === 403) {
      failures = 1;
      say(answer.status === 401 ? "▲ Not saved – you are signed out" : "▲ Not saved – you may not write here", "alarm");
      return;
    }
    if (answer.status >= 500 || answer.status === 429) {
      again();
      return;
    }
    const told = await answer.json().catch(() => null);
    if (!told) {
      again();
      return;
    }
    failures = 0;
    if (answer.status === 409) {
      conflict(told.detail, told.current);
    } else if (!answer.ok) {
      say("▲ Not saved", "alarm");
      show(told.detail);
      halted = told.code === "signed";
      failures = 1;
    } else {
      Object.assign(saved, sent);
      form.elements.revision.value = told.revision;
      if (isOpen()) keep();
      else forget();
      problem.hidden = true;
      say(isOpen() ? "Not saved yet" : `✓ Saved ${told.at}`, isOpen() ? "doubt" : "calm");
      refresh(told.missing);
    }
  }

  function again() {
    failures += 1;
    const wait = Math.min(2_000 * failures, LONGEST);
    say("▲ Not saved – trying again", "alarm");
    schedule(wait);
  }

  function refresh(html) {
    const fresh = new DOMParser().parseFromString(html, "text/html").getElementById("report-missing");
    const old = document.getElementById("report-missing");
    if (fresh && old && fresh.innerHTML !== old.innerHTML) old.replaceWith(fresh);
  }

  function show(...parts) {
    const body = document.createElement("div");
    body.append(...parts);
    const sign = document.createElement("span");
    sign.className = "sign";
    sign.ariaHidden = "true";
    sign.textContent = "▲";
    problem.replaceChildren(sign, body);
    problem.hidden = false;
  }

  function conflict(words, theirs) {
    halted = true;
    keep();
    say("▲ Not saved – two drafts", "alarm");
    const lead = document.createElement("b");
    lead.textContent = words;
    const list = document.createElement("dl");
    list.className = "theirs";
    for (const [title, text] of [
      ["Diagnosis", theirs.diagnosis_shown],
      ["Statement", theirs.diagnosis_text || "empty"],
      ["Comment", theirs.comment || "empty"],
      ["Key images", named(theirs.key_images)],
    ]) {
      const term = document.createElement("dt");
      const detail = document.createElement("dd");
      term.textContent = title;
      detail.textContent = text;
      list.append(term, detail);
    }
    const choices = document.createElement("div");
    choices.className = "actions";
    choices.append(
      button("Keep mine", () => {
        form.elements.revision.value = theirs.revision;
        for (const name of NAMES) saved[name] = theirs[name];
        resume();
        save();
      }),
      button("Take theirs", () => {
        form.elements.revision.value = theirs.revision;
        put(theirs);
        Object.assign(saved, values());
        forget();
        resume();
        say("✓ Saved", "calm");
      }),
    );
    show(lead, `Saved by ${theirs.by}:`, list, choices);
    problem.scrollIntoView({ block: "nearest" });
  }

  function resume() {
    halted = false;
    problem.hidden = true;
  }

  function button(words, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.className = "btn";
    made.textContent = words;
    made.addEventListener("click", act);
    return made;
  }
}
