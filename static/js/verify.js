// Hashes a PDF in the browser and asks for its SHA-256; the file itself is never sent.

const chooser = document.getElementById("pdf");
const state = document.getElementById("pdf-state");

chooser?.addEventListener("change", async () => {
  const file = chooser.files[0];
  if (!file) return;
  if (!globalThis.crypto?.subtle) {
    state.textContent = "This browser computes hashes on https pages only. Compute it with sha256sum and type it above.";
    return;
  }
  state.textContent = "Computing…";
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", await file.arrayBuffer()));
  const code = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  location.assign(`/verify/${code}/`);
});

// Chosen before this script was there.
if (chooser?.files.length) chooser.dispatchEvent(new Event("change"));
