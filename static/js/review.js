// Agree, override, withdraw, undo and redo are stored at the moment they are made; this says truthfully whether they are.
//
// When the server does not answer, the decision stays in the form, is sent again by itself, and the page warns
// before it is left.

import { isTyping } from "./keys.js";

const LONGEST = 15_000;
let unsaved = false;
let failures = 0;
let pending = null;

function say(words, tone) {
  const state = document.getElementById("save-state");
  if (!state) return;
  state.className = `pill ${tone}`;
  if (state.textContent !== words) state.textContent = words;
}

function isDecision(event) {
  return ["decide", "turn"].some((id) => event.detail.elt?.id === id || event.target?.id === id);
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (!isDecision(event)) return;
  unsaved = true;
  say("Saving…", "accent");
});

document.addEventListener("htmx:afterRequest", (event) => {
  if (!isDecision(event)) return;
  const status = event.detail.xhr.status;
  const answered = status === 200 || status === 409 || status === 422;
  if (answered) {
    unsaved = false;
    failures = 0;
    return;
  }
  if (status === 401 || status === 403) {
    unsaved = false;
    say(status === 401 ? "▲ Not saved – you are signed out" : "▲ Not saved – you may not decide here", "alarm");
    return;
  }
  failures += 1;
  const wait = Math.min(2_000 * failures, LONGEST);
  say(`▲ Not saved – trying again in ${Math.round(wait / 1000)} s`, "alarm");
  const verdict = event.detail.requestConfig.parameters.verdict ?? event.detail.requestConfig.formData?.get("verdict");
  clearTimeout(pending);
  pending = setTimeout(() => document.getElementById(verdict)?.click(), wait);
});

document.addEventListener("htmx:afterSwap", (event) => {
  // The swapped part took the focus with it: the next step is the next image, or the decision's heading.
  if (event.detail.target?.id !== "decision") return;
  const next = document.getElementById("next-undecided") ?? document.getElementById("agree");
  if (document.activeElement === document.body) next?.focus({ preventScroll: true });
});

document.addEventListener("submit", (event) => {
  if (event.target.id !== "decide" || event.submitter?.value !== "override") return;
  const label = document.getElementById("label");
  if (!label.value) {
    event.preventDefault();
    event.stopImmediatePropagation();
    label.setAttribute("aria-invalid", "true");
    label.focus();
    say("Choose a class to override with", "doubt");
  }
}, true);

window.addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  if (event.key === "a") document.getElementById("agree")?.click();
  else if (event.key === "n") document.getElementById("next-undecided")?.click();
  else if (event.key === "w") document.getElementById("withdraw")?.click();
  else if (event.key === "z" || event.key === "y" || event.key === "Z") document.getElementById(event.key === "z" ? "undo" : "redo")?.click();
  else if (event.key === "o") {
    event.preventDefault();
    document.getElementById("label")?.focus();
  }
});
