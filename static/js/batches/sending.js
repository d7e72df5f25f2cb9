// Sends files by the tus protocol, a few at a time, and never gives up on a connection: what broke is tried again
// where it broke. What the server refuses ends at once with its words.

const AT_ONCE = 4;
const CHUNK = 4 * 1024 ** 2; // what a broken connection can lose at most
const SLOWEST = 30_000;
const WINDOW = 10_000; // ms of which the speed is told

export const fingerprint = (path, file) => `${path}|${file.size}|${file.lastModified}`;

function cookie(name) {
  return document.cookie.split("; ").find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1);
}

export class Sending {
  constructor({ endpoint, batch, token, changed, arrived }) {
    Object.assign(this, { endpoint, batch, token, changed, arrived });
    this.transfers = [];
    this.paused = false;
    this.signedOut = false;
    this.recent = [];
    window.addEventListener("online", () => this.hurry());
    document.addEventListener("visibilitychange", () => document.hidden || this.hurry());
  }

  add(file, path, replaces = null) {
    const key = fingerprint(path, file);
    const known = this.transfers.find((transfer) => transfer.key === key && transfer.state !== "gone");
    if (known) return null;
    const transfer = { file, path, key, replaces, state: "waiting", sent: 0, tries: 0, words: "Waiting", upload: null };
    this.transfers.push(transfer);
    return transfer;
  }

  get active() {
    return this.transfers.filter(({ state }) => state === "waiting" || state === "sending" || state === "again");
  }

  next() {
    if (this.paused) return;
    let running = this.transfers.filter(({ state }) => state === "sending").length;
    for (const transfer of this.transfers) {
      if (running >= AT_ONCE) break;
      if (transfer.state === "waiting") {
        running += 1;
        this.send(transfer);
      }
    }
    this.changed();
  }

  async send(transfer) {
    transfer.state = "sending";
    transfer.words = "Sending";
    transfer.upload ??= this.upload(transfer);
    if (!transfer.upload.url) {
      const before = await transfer.upload.findPreviousUploads();
      if (before.length) transfer.upload.resumeFromPreviousUpload(before[0]);
    }
    if (transfer.state === "sending") transfer.upload.start();
  }

  upload(transfer) {
    const metadata = { filename: transfer.file.name, relativePath: transfer.path, batch: String(this.batch), fingerprint: transfer.key };
    if (transfer.replaces) metadata.replaces = String(transfer.replaces);
    return new window.tus.Upload(transfer.file, {
      endpoint: this.endpoint,
      chunkSize: CHUNK,
      retryDelays: [0, 500, 1500, 4000],
      metadata,
      fingerprint: async () => `leukolens-${this.batch}-${transfer.key}`,
      removeFingerprintOnSuccess: true,
      onBeforeRequest: (request) => request.setHeader("X-CSRFToken", cookie("__Host-csrftoken") ?? cookie("csrftoken") ?? this.token),
      onAfterResponse: (_, response) => {
        const outcome = response.getHeader("Upload-Outcome");
        if (outcome) transfer.outcome = JSON.parse(decodeURIComponent(outcome));
      },
      onShouldRetry: (error) => this.isPassing(error),
      onProgress: (sent) => {
        this.recent.push({ at: Date.now(), bytes: Math.max(0, sent - transfer.sent) });
        transfer.sent = sent;
        transfer.words = sent < transfer.file.size ? `Sending ${Math.floor((100 * sent) / transfer.file.size)} %` : "Being checked";
        this.changed();
      },
      onSuccess: () => this.end(transfer),
      onError: (error) => this.broke(transfer, error),
    });
  }

  isPassing(error) {
    const status = error.originalResponse?.getStatus() ?? 0;
    return status === 0 || status === 409 || status === 423 || status === 429 || status === 460 || status >= 500;
  }

  end(transfer) {
    transfer.state = "gone";
    transfer.sent = transfer.file.size;
    this.arrived(transfer);
    this.next();
  }

  broke(transfer, error) {
    if (transfer.state === "gone") return;
    const status = error.originalResponse?.getStatus() ?? 0;
    if (status === 401 || status === 403) {
      transfer.state = "waiting";
      this.signedOut = true;
      this.pause();
      return;
    }
    if (status === 404 || status === 410) transfer.upload = null; // given up meanwhile: from the start
    if (this.isPassing(error) || !transfer.upload) {
      transfer.tries += 1;
      const wait = Math.min(SLOWEST, 1_000 * 2 ** transfer.tries);
      transfer.state = "again";
      transfer.words = `Not sent – trying again in ${Math.round(wait / 1000)} s`;
      transfer.timer = setTimeout(() => this.again(transfer), wait);
    } else {
      transfer.state = "failed";
      transfer.words = error.originalResponse?.getBody() || "The server refused it.";
    }
    this.next();
  }

  again(transfer) {
    clearTimeout(transfer.timer);
    if (transfer.state !== "again" && transfer.state !== "failed") return;
    transfer.state = "waiting";
    transfer.words = "Waiting";
    this.next();
  }

  hurry() {
    for (const transfer of this.transfers) if (transfer.state === "again") this.again(transfer);
  }

  pause() {
    this.paused = true;
    for (const transfer of this.transfers) {
      if (transfer.state !== "sending") continue;
      transfer.upload?.abort();
      transfer.state = "waiting";
      transfer.words = "Paused";
    }
    this.changed();
  }

  resume() {
    this.paused = this.signedOut = false;
    this.hurry();
    this.next();
  }

  drop(transfer) {
    clearTimeout(transfer.timer);
    transfer.state = "gone";
    transfer.upload?.abort(true).catch(() => {});
    this.next();
  }

  // Bytes a second of the last moments, and seconds until the rest has been sent.
  pace() {
    const now = Date.now();
    this.recent = this.recent.filter(({ at }) => now - at < WINDOW);
    const bytes = this.recent.reduce((sum, each) => sum + each.bytes, 0);
    const since = this.recent.length ? Math.max(1, (now - this.recent[0].at) / 1000) : 1;
    const left = this.active.reduce((sum, { file, sent }) => sum + file.size - sent, 0);
    const speed = bytes / since;
    return { speed, seconds: speed > 0 ? left / speed : null };
  }
}
