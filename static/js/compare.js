// Two stages side by side: two pictures, or two networks on one. Zoom and pan go together unless they are unlinked.

import { isTyping } from "./keys.js";
import { makeLight } from "./light.js";
import { makeStage } from "./stage.js";

const find = (id) => document.getElementById(id);
const stages = [...document.querySelectorAll("[data-stage]")].map((place) => makeStage(place));
const light = makeLight(find("light-panel"), stages);
const linked = find("linked");
const sameScale = find("same-scale");

// What is linked: where each stage was when they were, and how much larger a pixel of the second one is shown.
let joint = null;
let leader = stages[0];

/** Take what both show now as what belongs together; on the same scale a micrometre is as long on both. */
function join() {
  if (!stages.every((stage) => stage.isOpen())) return;
  const [one, other] = stages;
  const ratio = sameScale?.checked ? other.um / one.um : other.zoomed() / one.zoomed();
  joint = { middles: stages.map((stage) => stage.middle()), ratio };
  follow();
}

function follow() {
  if (!linked.checked || !joint) return;
  const from = stages.indexOf(leader);
  const to = 1 - from;
  const ratio = from === 0 ? joint.ratio : 1 / joint.ratio;
  const here = leader.middle();
  const moved = { x: here.x - joint.middles[from].x, y: here.y - joint.middles[from].y };
  const middle = { x: joint.middles[to].x + moved.x / ratio, y: joint.middles[to].y + moved.y / ratio };
  const zoom = leader.zoomed() * ratio;
  const now = stages[to].middle();
  const isThere = Math.abs(stages[to].zoomed() / zoom - 1) < 1e-6 && Math.hypot(now.x - middle.x, now.y - middle.y) * zoom < 0.01;
  if (!isThere) stages[to].show(middle, zoom);
}

for (const stage of stages) {
  for (const event of ["canvas-press", "canvas-scroll", "canvas-key", "canvas-pinch", "canvas-double-click", "steered"]) {
    stage.viewer.addHandler(event, () => (leader = stage));
  }
  stage.viewer.addHandler("open", join);
  stage.viewer.addHandler("oriented", () => {
    const other = stages.find((each) => each !== stage);
    const same = ["degrees", "flipped"].every((part) => stage.orientation()[part] === other.orientation()[part]);
    if (linked.checked && stage === leader && !same) other.orient(stage.orientation());
  });
  stage.onView(() => {
    const { x, y } = stage.middle();
    stage.place.dataset.seen = [x, y, stage.zoomed()].map((number) => number.toFixed(3)).join(" ");
    if (stage === leader) follow();
  });
}
linked.addEventListener("change", join);
sameScale?.addEventListener("change", () => {
  if (sameScale.checked) linked.checked = true;
  join();
});

// Heat maps: on each stage that of its own network, or that of the chosen one.
function showHeat() {
  const opacity = find("heat-opacity");
  find("heat-percent").textContent = `${opacity.value} %`;
  for (const stage of stages) {
    if (!stage.isOpen()) continue;
    const heats = JSON.parse(stage.place.dataset.heats);
    const heat = heats[stage.place.dataset.network || find("heat-network")?.value];
    const said = stage.frame.parentElement.querySelector("[data-heat-words]");
    stage.setHeatStrength(Number(opacity.value) / 100);
    const label = find("heat-class").value || heat?.top;
    const url = find("heat-on").checked && heat ? `${heat.url}?class=${encodeURIComponent(label)}` : "";
    stage.heat(url, () => (said.textContent = "The heat map could not be loaded. Switch it off and on to try again."));
    const name = [...find("heat-class").options].find((option) => option.value === label)?.textContent ?? label;
    said.textContent = url ? `Where ${heat.name} found signs of “${name}”.` : find("heat-on").checked ? "No heat map: not read yet." : "";
  }
}
for (const id of ["heat-on", "heat-network", "heat-class", "heat-opacity"]) find(id)?.addEventListener("input", showHeat);
for (const stage of stages) stage.viewer.addHandler("open", showHeat);

// The chosen picture is in sight in the strip; the page itself stays where it is.
const chosen = document.querySelector(".strip [aria-current]");
if (chosen) {
  const strip = chosen.closest("ol");
  strip.scrollLeft = chosen.offsetLeft - strip.offsetLeft - strip.clientWidth / 2;
}

document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const inPicture = stages.some((stage) => stage.viewer.canvas.contains(event.target));
  const act = (name) => leader.zooms[name]();
  if ((event.key === "+" || event.key === "=") && !inPicture) act("in");
  else if ((event.key === "-" || event.key === "−") && !inPicture) act("out");
  else if (event.key === "0" && !inPicture) act("fit");
  else if (event.key === "r") act("turn");
  else if (event.key === "f") act("flip");
  else if (event.key === "F") act("full");
  else if (event.key === "K") linked.click();
  else if (event.key === "S") sameScale?.click();
  else if (event.key === "h") find("heat-on").click();
  else if (event.key === "I") light.invert();
  else if (event.key === "R") light.reset();
  else if (event.key === "u") find("to-image").click();
});
