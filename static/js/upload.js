// Uploads from the case page: one file a request, a few at a time, a bar and an outcome in words for each.
//
// Without this script the same form sends all files at once and the server answers with a page of outcomes.

const AT_ONCE = 3;
const RETRIES = 3; // of a transfer that broke; an answer of the server is never asked for twice
const FOLD_FROM = 8; // files, from which a finished board shows only what needs the person

const form = document.getElementById("upload");
const drop = document.getElementById("drop");
const files = document.getElementById("files");
const folder = document.getElementById("folder");
const board = document.getElementById("upload-board");
const list = document.getElementById("upload-list");
const summary = document.getElementById("upload-summary");
const total = document.getElementById("upload-total");
const toggle = document.getElementById("upload-toggle");
const template = document.getElementById("upload-row");

const maxBytes = Number(form.dataset.maxBytes);
const pictures = /\.(jpe?g|png|tiff?|bmp|webp)$/i;
const waiting = [];
const transfers = [];
let running = 0;
let showAll = false;

const SIGN = { accepted: "✓", duplicate: "◆", rejected: "▲", broken: "▲" };

function megabytes(bytes) {
  return bytes < 102_400 ? `${Math.max(1, Math.round(bytes / 1024))} kB` : `${(bytes / 1024 ** 2).toFixed(1).replace(/\.0$/, "")} MB`;
}

function add(chosen) {
  for (const { file, path } of chosen) {
    const row = template.content.firstElementChild.cloneNode(true);
    const transfer = { file, row, state: "waiting", share: 0, tries: 0, kind: form.kind.value, scale: form.um_per_pixel.value };
    row.querySelector(".upload-name").textContent = path || file.name;
    row.querySelector("progress").setAttribute("aria-label", `Upload of ${file.name}`);
    row.querySelector("button").addEventListener("click", () => again(transfer));
    list.append(row);
    transfers.push(transfer);
    if (file.size > maxBytes) {
      end(transfer, "rejected", `This file is ${megabytes(file.size)} large; up to ${megabytes(maxBytes)} are allowed. Export it smaller, or as several fields.`);
    } else if (file.size === 0) {
      end(transfer, "rejected", "This file is empty. Export it again from the microscope.");
    } else {
      tell(transfer, "Waiting");
      waiting.push(transfer);
    }
  }
  if (transfers.length) board.hidden = false;
  next();
  count();
}

function next() {
  while (running < AT_ONCE && waiting.length) send(waiting.shift());
}

function again(transfer) {
  transfer.tries = 0;
  transfer.state = "waiting";
  transfer.row.className = "upload-row";
  transfer.row.querySelector("button").hidden = true;
  tell(transfer, "Waiting");
  waiting.push(transfer);
  next();
  count();
}

function send(transfer) {
  running += 1;
  transfer.state = "sending";
  transfer.tries += 1;
  const body = new FormData();
  body.append("csrfmiddlewaretoken", form.csrfmiddlewaretoken.value);
  body.append("kind", transfer.kind);
  body.append("um_per_pixel", transfer.scale);
  body.append("files", transfer.file, transfer.file.name);
  const request = new XMLHttpRequest();
  request.open("POST", form.action);
  request.responseType = "json";
  request.timeout = 600_000;
  request.setRequestHeader("Accept", "application/json");
  request.setRequestHeader("X-Requested-With", "XMLHttpRequest");
  request.upload.addEventListener("progress", (event) => {
    if (!event.lengthComputable) return;
    transfer.share = event.loaded / event.total;
    transfer.row.querySelector("progress").value = transfer.share;
    tell(transfer, transfer.share < 1 ? `Sending ${Math.round(transfer.share * 100)} %` : "Checking");
    count();
  });
  request.addEventListener("load", () => answered(transfer, request));
  for (const event of ["error", "timeout", "abort"]) request.addEventListener(event, () => broken(transfer, "The connection broke."));
  request.addEventListener("loadend", () => {
    running -= 1;
    next();
    count();
  });
  tell(transfer, "Sending");
  request.send(body);
}

function answered(transfer, request) {
  const answer = request.response;
  if (request.status === 200 && answer?.outcomes?.length) {
    const outcome = answer.outcomes[0];
    end(transfer, outcome.status, outcome.reason ? `${outcome.words}. ${outcome.reason}` : outcome.words, outcome.url);
    if (outcome.status === "accepted") document.dispatchEvent(new CustomEvent("live:look"));
  } else if (request.status === 401) {
    fail(transfer, "You are signed out. Sign in in another tab, then try again.");
  } else if (request.status === 403) {
    fail(transfer, "The server refused it: reload the page and try again, or ask whether you may upload here.");
  } else if (request.status === 413) {
    end(transfer, "rejected", "The server takes no file this large. Export it smaller, or as several fields.");
  } else if (request.status === 422 && answer?.detail) {
    fail(transfer, answer.detail);
  } else {
    broken(transfer, "The server could not take it just now.");
  }
}

function broken(transfer, why) {
  if (transfer.tries < RETRIES) {
    transfer.state = "waiting";
    tell(transfer, `${why} Trying again`);
    setTimeout(() => {
      waiting.push(transfer);
      next();
    }, 1_000 * 2 ** transfer.tries);
  } else {
    fail(transfer, `${why} Nothing is lost here: try again.`);
  }
}

function fail(transfer, words) {
  end(transfer, "broken", `Not uploaded. ${words}`);
  transfer.row.querySelector("button").hidden = false;
}

function end(transfer, state, words, url) {
  transfer.state = state;
  transfer.share = 1;
  transfer.row.classList.add("ended", state);
  tell(transfer, words, SIGN[state]);
  if (url) {
    const name = transfer.row.querySelector(".upload-name");
    const link = document.createElement("a");
    link.href = url;
    link.textContent = name.textContent;
    name.replaceChildren(link);
  }
  count();
}

function tell(transfer, words, sign = "") {
  transfer.row.querySelector(".upload-words").textContent = sign ? `${sign} ${words}` : words;
}

function count() {
  const by = (state) => transfers.filter((transfer) => transfer.state === state).length;
  const accepted = by("accepted");
  const duplicate = by("duplicate");
  const problems = by("rejected") + by("broken");
  const ended = accepted + duplicate + problems;
  const parts = [];
  if (accepted) parts.push(`${accepted} accepted`);
  if (duplicate) parts.push(`${duplicate} already here`);
  if (by("rejected")) parts.push(`${by("rejected")} not accepted`);
  if (by("broken")) parts.push(`${by("broken")} not uploaded`);
  const done = ended === transfers.length;
  const words = done ? `All ${transfers.length === 1 ? "done" : `${transfers.length} files done`}: ${parts.join(", ")}` : `Uploading: ${ended} of ${transfers.length}${parts.length ? ` · ${parts.join(", ")}` : ""}`;
  if (summary.textContent !== words) summary.textContent = words;
  total.max = transfers.length || 1;
  total.value = transfers.reduce((sum, transfer) => sum + transfer.share, 0);
  total.hidden = done;
  const foldable = done && transfers.length >= FOLD_FROM && accepted > 0;
  toggle.hidden = !foldable;
  toggle.textContent = showAll ? "Show only what needs you" : `Show all ${transfers.length}`;
  list.classList.toggle("folded", foldable && !showAll);
}

toggle.addEventListener("click", () => {
  showAll = !showAll;
  count();
});

files.addEventListener("change", () => {
  add([...files.files].map((file) => ({ file, path: "" })));
  files.value = "";
});
folder.addEventListener("change", () => {
  add(onlyPictures([...folder.files].map((file) => ({ file, path: file.webkitRelativePath }))));
  folder.value = "";
});
document.getElementById("choose-folder").addEventListener("click", () => folder.click());
form.addEventListener("submit", (event) => event.preventDefault());

// A folder holds other things too (thumbs.db, reports); a file that a person picked is always told its outcome.
function onlyPictures(chosen) {
  return chosen.filter(({ file }) => pictures.test(file.name));
}

async function unfold(entry, into) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    into.push({ file, path: entry.fullPath.replace(/^\//, "") });
  } else if (entry.isDirectory) {
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!some.length) break;
      for (const child of some) await unfold(child, into);
    }
  }
}

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
  if (!drag.dataTransfer?.types.includes("Files")) return;
  const entries = [...drag.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  const loose = [...drag.dataTransfer.files].map((file) => ({ file, path: "" }));
  if (!entries.some((entry) => entry.isDirectory)) return add(loose);
  const found = [];
  for (const entry of entries) await unfold(entry, found);
  add(onlyPictures(found));
});
window.addEventListener("beforeunload", (event) => {
  if (running || waiting.length) event.preventDefault();
});

// Chosen before this script was there.
if (files.files.length) files.dispatchEvent(new Event("change"));
