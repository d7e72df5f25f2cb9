// The image page: one stage with the heat map, measuring and light, and the page's keys.

import { isTyping } from "./keys.js";
import { makeLight } from "./light.js";
import { makeMeasure } from "./measure.js";
import { makeStage } from "./stage.js";

const find = (id) => document.getElementById(id);
let measure = null;
const stage = makeStage(find("viewer"), { onKey: (event) => measure?.onKey(event) ?? false });
measure = makeMeasure(find("measure-panel"), stage);
const light = makeLight(find("light-panel"), [stage]);

// Heat map.
function heatUrl() {
  const network = find("heat-network")?.selectedOptions[0];
  if (!network || !find("heat-on").checked) return "";
  return `${network.dataset.url}?class=${encodeURIComponent(find("heat-class").value || network.dataset.top)}`;
}

function named(value) {
  const option = [...find("heat-class").options].find((each) => each.value === value);
  return option ? option.textContent : value;
}

function showHeat() {
  if (!stage.isOpen()) return;
  const url = heatUrl();
  const network = find("heat-network")?.selectedOptions[0];
  if (find("heat-words")) {
    const read = stage.isCut ? " The dashed square is what the networks read." : "";
    const words = url ? `Where ${network.textContent} found signs of “${named(find("heat-class").value || network.dataset.top)}”.${read}` : "";
    if (find("heat-words").textContent !== words) find("heat-words").textContent = words;
  }
  stage.heat(url, () => {
    find("heat-words").textContent = "The heat map could not be loaded. Switch it off and on to try again.";
  });
}

find("heat-choice").parentElement.addEventListener("input", (event) => {
  if (event.target.id === "heat-opacity") {
    find("heat-percent").textContent = `${event.target.value} %`;
    stage.setHeatStrength(Number(event.target.value) / 100);
  } else if (event.target.closest("#heat-choice")) {
    showHeat();
  }
});
stage.viewer.addHandler("open", showHeat);
document.addEventListener("live:applied", showHeat);

// Panels under the picture.
function toggleLight() {
  const panel = find("light-panel");
  panel.hidden = !panel.hidden;
  find("light-toggle").setAttribute("aria-expanded", String(!panel.hidden));
  if (!panel.hidden) panel.querySelector("input").focus();
}
find("light-toggle").addEventListener("click", toggleLight);
document.addEventListener("click", (event) => {
  if (!event.target.closest?.("[data-opens-scale]")) return;
  find("scale-form").open = true;
  find("um_per_pixel").focus();
});

// Keys of the page, wherever the focus is, unless somebody types.
document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const inPicture = stage.viewer.canvas.contains(event.target);
  const onRange = event.target.matches?.("input[type=radio], input[type=range]");
  const go = (id) => find(id)?.click();
  if (event.key === "ArrowLeft" && !inPicture && !onRange) go("previous");
  else if (event.key === "ArrowRight" && !inPicture && !onRange) go("following");
  else if ((event.key === "+" || event.key === "=") && !inPicture) stage.zooms.in();
  else if ((event.key === "-" || event.key === "−") && !inPicture) stage.zooms.out();
  else if (event.key === "0" && !inPicture) stage.zooms.fit();
  else if (event.key === "r") stage.zooms.turn();
  else if (event.key === "f") stage.zooms.flip();
  else if (event.key === "F") stage.zooms.full();
  else if (event.key === "M") measure.toggle();
  else if (event.key === "L") toggleLight();
  else if (event.key === "I") light.invert();
  else if (event.key === "R") light.reset();
  else if (event.key === "C") go("to-compare");
  else if (event.key === "k") go("turn-key");
  else if (event.key === "u") go("to-case");
  else if (event.key === "h" && find("heat-on")) {
    find("heat-on").checked = !find("heat-on").checked;
    showHeat();
  }
});
