// The picture with zoom and pan, the heat map over it, and the scale bar.

import { isTyping } from "./keys.js";

const place = document.getElementById("viewer");
const width = Number(place.dataset.width);
const height = Number(place.dataset.height);
const um = Number(place.dataset.um) || null;
const problem = document.getElementById("viewer-problem");
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

// OpenSeadragon adds an inline style sheet unless one with this mark is there; our policy allows none, and the rule
// (no focus ring on touch screens) is not wanted. An element without a namespace carries the mark and no style.
const mark = document.createElementNS(null, "style");
mark.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(mark);

place.replaceChildren();
const viewer = window.OpenSeadragon({
  element: place,
  drawer: "canvas",
  // A pyramid in memory keeps small zooms sharp; browsers give no canvas beyond 16384 px.
  tileSources: { type: "image", url: place.dataset.src, buildPyramid: Math.max(width, height) <= 16_000 },
  showNavigationControl: false,
  showNavigator: false,
  visibilityRatio: 0.6,
  minZoomImageRatio: 0.8,
  maxZoomPixelRatio: 8,
  animationTime: still ? 0 : 0.5,
  imageSmoothingEnabled: true,
  gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
  gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true, flickEnabled: !still },
});
viewer.canvas.setAttribute("role", "application");
viewer.canvas.setAttribute("aria-label", "Smear image: arrow keys pan, plus and minus zoom, 0 fits");

viewer.addHandler("open-failed", () => {
  problem.textContent = "The picture could not be loaded. Check the connection and reload the page.";
  problem.hidden = false;
});

// In the picture the arrows pan; OpenSeadragon's other letters (turn, mirror, pan by WASD) would hide those of the page.
const pictureKeys = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "+", "=", "-", "_", "0"]);
viewer.addHandler("canvas-key", (event) => {
  if (!pictureKeys.has(event.originalEvent.key)) event.preventDefaultAction = true;
});

// Zoom.
function zoom(factor) {
  viewer.viewport.zoomBy(factor);
  viewer.viewport.applyConstraints();
}
const zooms = { "zoom-in": () => zoom(1.5), "zoom-out": () => zoom(1 / 1.5), "zoom-fit": () => viewer.viewport.goHome() };
for (const [id, act] of Object.entries(zooms)) document.getElementById(id).addEventListener("click", act);

// Scale bar: the roundest length that is about 100 px on the screen.
const bar = document.getElementById("scale-bar");
const words = document.getElementById("scale-words");
function scale() {
  if (!um || !viewer.world.getItemCount()) return;
  const perImagePixel = viewer.viewport.viewportToImageZoom(viewer.viewport.getZoom(true));
  const target = (110 / perImagePixel) * um;
  const decade = 10 ** Math.floor(Math.log10(target));
  const length = [5, 2, 1].map((step) => step * decade).find((step) => step <= target);
  bar.style.width = `${Math.round((length / um) * perImagePixel)}px`;
  words.textContent = length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(1))} µm`;
}
for (const event of ["open", "animation", "resize", "update-viewport"]) viewer.addHandler(event, scale);

// Heat map. It lies over the square that the networks read: the middle of the picture.
const short = Math.min(width, height);
const square = { x: (width - short) / 2 / width, y: (height - short) / 2 / width, side: short / width };
let heat = null;
let wanted = "";

function choice(id) {
  return document.getElementById(id);
}

function heatUrl() {
  const network = choice("heat-network")?.selectedOptions[0];
  if (!network || !choice("heat-on").checked) return "";
  const label = choice("heat-class").value || network.dataset.top;
  return `${network.dataset.url}?class=${encodeURIComponent(label)}`;
}

function named(value) {
  const option = [...choice("heat-class").options].find((each) => each.value === value);
  return option ? option.textContent : value;
}

function showHeat() {
  const url = heatUrl();
  const network = choice("heat-network")?.selectedOptions[0];
  if (choice("heat-words")) {
    const read = short < Math.max(width, height) ? " The dashed square is what the networks read." : "";
    const words = url ? `Where ${network.textContent} found signs of “${named(choice("heat-class").value || network.dataset.top)}”.${read}` : "";
    if (choice("heat-words").textContent !== words) choice("heat-words").textContent = words;
  }
  if (url === wanted) return;
  wanted = url;
  if (heat) viewer.world.removeItem(heat);
  heat = null;
  viewer.clearOverlays();
  if (!url) return;
  viewer.addSimpleImage({
    url,
    x: square.x,
    y: square.y,
    width: square.side,
    opacity: opacity(),
    success: (added) => {
      if (url !== wanted) return viewer.world.removeItem(added.item);
      heat = added.item;
      heat.setOpacity(opacity());
    },
    error: () => {
      if (url === wanted) choice("heat-words").textContent = "The heat map could not be loaded. Switch it off and on to try again.";
    },
  });
  if (short < Math.max(width, height)) {
    const frame = document.createElement("div");
    frame.className = "read-square";
    viewer.addOverlay({ element: frame, location: new window.OpenSeadragon.Rect(square.x, square.y, square.side, square.side) });
  }
}

function opacity() {
  return Number(choice("heat-opacity")?.value ?? 45) / 100;
}

document.getElementById("heat-choice").parentElement.addEventListener("input", (event) => {
  if (event.target.id === "heat-opacity") {
    choice("heat-percent").textContent = `${event.target.value} %`;
    heat?.setOpacity(opacity());
  } else {
    showHeat();
  }
});
viewer.addHandler("open", showHeat);
document.addEventListener("live:applied", showHeat);

// Keys of the page, wherever the focus is, unless somebody types.
document.addEventListener("keydown", (event) => {
  if (isTyping(event)) return;
  const inPicture = viewer.canvas.contains(event.target) || event.target === viewer.canvas;
  const onRange = event.target.matches?.("input[type=radio], input[type=range]");
  const go = (id) => document.getElementById(id)?.click();
  if (event.key === "ArrowLeft" && !inPicture && !onRange) go("previous");
  else if (event.key === "ArrowRight" && !inPicture && !onRange) go("following");
  else if ((event.key === "+" || event.key === "=") && !inPicture) zoom(1.5);
  else if ((event.key === "-" || event.key === "−") && !inPicture) zoom(1 / 1.5);
  else if (event.key === "0" && !inPicture) viewer.viewport.goHome();
  else if (event.key === "u") go("to-case");
  else if (event.key === "h" && choice("heat-on")) {
    choice("heat-on").checked = !choice("heat-on").checked;
    showHeat();
  }
});
