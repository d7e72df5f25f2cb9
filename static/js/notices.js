// Keeps the bell's number up to date. It looks rarely, rests while the page is hidden, and looks at once when the page
// is seen again; without it the number is that of when the page was loaded.

const EVERY = 45_000;
const PATIENCE = 10_000;

const bell = document.getElementById("bell");
let timer = 0;
let last = Date.now();

function show(unread) {
  const shown = unread > 99 ? "99+" : String(unread);
  const count = bell.querySelector(".count");
  count.textContent = shown;
  count.hidden = !unread;
  bell.setAttribute("aria-label", unread ? `Notices, ${shown} unread` : "Notices, none unread");
}

async function look() {
  clearTimeout(timer);
  if (document.hidden) return;
  last = Date.now();
  try {
    const answer = await fetch(bell.dataset.url, {
      headers: { "X-Requested-With": "fetch" },
      signal: AbortSignal.timeout(PATIENCE),
      cache: "no-store",
    });
    if (answer.status === 401 || answer.status === 403) return;
    if (answer.ok) show((await answer.json()).unread);
  } catch {
    // The server does not answer: the page says so where it matters, and the bell asks again.
  }
  timer = setTimeout(look, EVERY);
}

if (bell) {
  timer = setTimeout(look, EVERY);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden && Date.now() - last > 5_000) look();
  });
}
