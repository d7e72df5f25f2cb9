// The batch page: what is brought is sent and shown until it has arrived; from then on the server's list has it.

import { dropped, onlyPictures } from "./folders.js";
import { forget, keep, kept } from "./keep.js";
import { Sending } from "./sending.js";

const SHOWN = 60; // rows of what is on its way

const form = document.getElementById("bring-form");
const drop = document.getElementById("drop");
const files = document.getElementById("files");
const folder = document.getElementById("folder");
const replacement = document.getElementById("replacement");
const board = document.getElementById("sending");
const list = document.getElementById("sending-list");
const words = document.getElementById("sending-words");
const total = document.getElementById("sending-total");
const more = document.getElementById("sending-more");
const pause = document.getElementById("pause");
const retryAll = document.getElementById("retry-all");
const missing = document.getElementById("missing");
const template = document.getElementById("sending-row");
const batch = Number(form.dataset.batch);
const rows = new Map();
let drawing = false;
let looked = 0;

const sending = new Sending({
  endpoint: form.dataset.endpoint,
  batch,
  token: form.csrfmiddlewaretoken.value,
  changed: () => {
    if (drawing) return;
    drawing = true;
    requestAnimationFrame(draw);
  },
  arrived: (transfer) => {
    forget(batch, transfer.key);
    look();
  },
});

// At most one look a second: a thousand small files must not ask a thousand times.
function look() {
  const wait = looked + 1000 - Date.now();
  if (wait > 0) {
    clearTimeout(look.timer);
    look.timer = setTimeout(look, wait);
    return;
  }
  looked = Date.now();
  document.dispatchEvent(new CustomEvent("live:look"));
}

function bytes(count) {
  if (count < 1024 ** 2) return `${Math.max(1, Math.round(count / 1024))} kB`;
  return count < 1024 ** 3 ? `${(count / 1024 ** 2).toFixed(1)} MB` : `${(count / 1024 ** 3).toFixed(2)} GB`;
}

function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

async function add(chosen, { replaces = null, before = false } = {}) {
  for (const { file, path } of chosen) {
    const transfer = sending.add(file, path || file.name, replaces);
    if (transfer && !before) transfer.keeping = keep(batch, transfer).then((is) => (transfer.kept = is));
    if (transfer && before) transfer.kept = true;
  }
  sending.next();
}

function row(transfer) {
  if (rows.has(transfer)) return rows.get(transfer);
  const item = template.content.firstElementChild.cloneNode(true);
  item.querySelector(".sending-name").textContent = transfer.path;
  item.querySelector("progress").setAttribute("aria-label", `Upload of ${transfer.path}`);
  const again = item.querySelector("[data-again]");
  again.setAttribute("aria-label", `Try ${transfer.path} again`);
  again.addEventListener("click", () => sending.again(transfer));
  const away = item.querySelector("[data-drop]");
  away.setAttribute("aria-label", `Do not send ${transfer.path}`);
  away.addEventListener("click", () => {
    sending.drop(transfer);
    forget(batch, transfer.key);
  });
  rows.set(transfer, item);
  return item;
}

function draw() {
  drawing = false;
  const open = sending.transfers.filter(({ state }) => state !== "gone");
  const failed = open.filter(({ state }) => state === "failed");
  const sorted = [...failed, ...open.filter(({ state }) => state === "sending"), ...open.filter(({ state }) => state === "again"), ...open.filter(({ state }) => state === "waiting")];
  const shown = new Set(sorted.slice(0, SHOWN));
  for (const [transfer, item] of rows) {
    if (!shown.has(transfer)) {
      item.remove();
      rows.delete(transfer);
    }
  }
  for (const transfer of open) {
    if (!shown.has(transfer)) continue;
    const item = row(transfer);
    if (!item.isConnected) list.append(item);
    item.className = `sending-row ${transfer.state}`;
    item.querySelector("progress").value = transfer.file.size ? transfer.sent / transfer.file.size : 0;
    const state = item.querySelector(".sending-state");
    const said = sending.paused && transfer.state === "waiting" ? "Paused" : transfer.words;
    if (state.textContent !== said) state.textContent = said;
    item.querySelector("[data-again]").hidden = transfer.state !== "failed" && transfer.state !== "again";
  }
  more.hidden = open.length <= SHOWN;
  more.textContent = `And ${open.length - SHOWN} more wait for their turn.`;
  retryAll.hidden = !failed.length;
  pause.hidden = !sending.active.length;
  pause.textContent = sending.paused ? "Go on" : "Pause";
  const all = sending.transfers.reduce((sum, { file }) => sum + file.size, 0);
  const sent = sending.transfers.reduce((sum, each) => sum + each.sent, 0);
  total.value = all ? sent / all : 0;
  const done = sending.transfers.length - open.length;
  const { speed, seconds } = sending.pace();
  const parts = [`${done} of ${sending.transfers.length} sent`, `${bytes(sent)} of ${bytes(all)}`];
  if (failed.length) parts.push(`${failed.length} refused`);
  if (sending.signedOut) parts.push("you are signed out: sign in in another tab, then go on");
  else if (sending.paused) parts.push("paused");
  else if (sending.active.length && speed) parts.push(`${bytes(speed)}/s`, seconds === null ? "" : `about ${duration(seconds)} left`);
  const said = open.length ? parts.filter(Boolean).join(" · ") : `All ${sending.transfers.length} sent`;
  if (words.textContent !== said) words.textContent = said;
  total.hidden = !open.length;
  if (sending.transfers.length) board.hidden = false;
  tellMissing();
}

function tellMissing() {
  const receiving = Number(document.getElementById("batch-progress")?.dataset.receiving ?? 0);
  missing.hidden = !receiving || sending.active.length > 0;
}

pause.addEventListener("click", () => (sending.paused ? sending.resume() : sending.pause()));
retryAll.addEventListener("click", () => {
  for (const transfer of sending.transfers) if (transfer.state === "failed") sending.again(transfer);
});
files.addEventListener("change", () => {
  add([...files.files].map((file) => ({ file, path: file.name })));
  files.value = "";
});
folder.addEventListener("change", () => {
  add(onlyPictures([...folder.files].map((file) => ({ file, path: file.webkitRelativePath }))));
  folder.value = "";
});
document.getElementById("choose-folder").addEventListener("click", () => folder.click());
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-replace]");
  if (!button) return;
  replacement.dataset.replaces = button.dataset.replace;
  replacement.click();
});
replacement.addEventListener("change", () => {
  add([...replacement.files].map((file) => ({ file, path: file.name })), { replaces: replacement.dataset.replaces });
  replacement.value = "";
});
form.addEventListener("submit", (event) => event.preventDefault());

let inside = 0;
for (const event of ["dragenter", "dragover", "dragleave", "drop"]) {
  window.addEventListener(event, (drag) => {
    if (!drag.dataTransfer?.types.includes("Files")) return;
    drag.preventDefault();
    if (event === "dragenter") inside += 1;
    if (event === "dragleave") inside -= 1;
    if (event === "drop") inside = 0;
    drop.classList.toggle("over", inside > 0);
  });
}
window.addEventListener("drop", async (drag) => {
  if (drag.dataTransfer?.types.includes("Files")) add(await dropped(drag.dataTransfer));
});
document.addEventListener("live:applied", tellMissing);
// What is kept goes on by itself when the page comes back; only for the rest somebody has to be asked.
window.addEventListener("beforeunload", (event) => {
  if (sending.active.some((transfer) => !transfer.kept)) event.preventDefault();
});

// Chosen before this script was there.
if (files.files.length) files.dispatchEvent(new Event("change"));

const before = await kept(batch);
for (const each of before) {
  const transfer = sending.add(each.file, each.path, each.replaces);
  if (transfer) transfer.kept = true;
}
if (before.length) sending.next();
else tellMissing();
