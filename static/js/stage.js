// One picture on a stage: zoom and pan, turning, percent, scale bar, heat map. The image page has one stage, comparing has two.

const OSD = window.OpenSeadragon;
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
const SHARP = 3; // from here on the picture's own pixels are shown as squares, never smoothed
// In the picture the arrows pan; OpenSeadragon's other letters (turn, mirror, pan by WASD) would hide those of the page.
const PICTURE_KEYS = new Set(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "+", "=", "-", "_", "0"]);

// OpenSeadragon adds an inline style sheet unless one with this mark is there; our policy allows none, and the rule
// (no focus ring on touch screens) is not wanted. An element without a namespace carries the mark and no style.
const mark = document.createElementNS(null, "style");
mark.setAttribute("data-openseadragon-mobile-css", "");
document.head.append(mark);

/**
 * Put the picture of `place` (data-src, -width and -height in px, -um per pixel, -name) on its stage, the `.stage`
 * around it, whose buttons [data-zoom], [data-percent] and [data-scale] it serves. `onKey(event)` may take a key that
 * is pressed in the picture by answering true.
 */
export function makeStage(place, { onKey = () => false } = {}) {
  const frame = place.closest(".stage");
  const part = (name) => frame.querySelector(`[data-${name}]`);
  const width = Number(place.dataset.width);
  const height = Number(place.dataset.height);
  const um = Number(place.dataset.um) || null;
  place.replaceChildren();
  const viewer = OSD({
    element: place,
    drawer: "canvas",
    // A pyramid in memory keeps small zooms sharp; browsers give no canvas beyond 16384 px.
    tileSources: { type: "image", url: place.dataset.src, buildPyramid: Math.max(width, height) <= 16_000 },
    showNavigationControl: false,
    showNavigator: false,
    visibilityRatio: 0.6,
    minZoomImageRatio: 0.8,
    maxZoomPixelRatio: 16,
    overlayPreserveContentDirection: false, // the heat map is mirrored with its picture
    animationTime: still ? 0 : 0.5,
    imageSmoothingEnabled: true,
    gestureSettingsMouse: { clickToZoom: false, dblClickToZoom: true },
    gestureSettingsTouch: { clickToZoom: false, dblClickToZoom: true, flickEnabled: !still },
  });
  viewer.canvas.setAttribute("role", "application");
  viewer.canvas.setAttribute("aria-label", `${place.dataset.name}: arrow keys pan, plus and minus zoom, R turns, F mirrors, 0 fits`);
  const view = viewer.viewport;
  const isOpen = () => viewer.world.getItemCount() > 0;

  viewer.addHandler("open-failed", () => {
    part("problem").textContent = "The picture could not be loaded. Check the connection and reload the page.";
    part("problem").hidden = false;
  });
  viewer.addHandler("canvas-key", (event) => {
    const { key } = event.originalEvent;
    if (onKey(event.originalEvent) || !PICTURE_KEYS.has(key)) event.preventDefaultAction = true;
    else if (key === "0") {
      event.preventDefaultAction = true;
      zooms.fit();
    } else if (view.getFlip() && (key === "ArrowLeft" || key === "ArrowRight")) {
      event.preventDefaultAction = true; // OpenSeadragon would pan a mirrored picture the wrong way
      view.panBy(view.deltaPointsFromPixels(new OSD.Point(key === "ArrowLeft" ? 40 : -40, 0)));
      view.applyConstraints();
    }
  });

  /** Points of the screen for each pixel of the picture, as it is shown now or as it will be at rest. */
  const zoomed = (now = true) => view.viewportToImageZoom(view.getZoom(now));
  /** Pixels of the screen itself, so that 100 % is what the camera took: one pixel of it on one of the screen. */
  const percent = () => zoomed() * window.devicePixelRatio * 100;

  const zooms = {
    in: () => by(1.5),
    out: () => by(1 / 1.5),
    fit: () => {
      orient({ degrees: 0, flipped: false });
      view.goHome();
    },
    full: () => {
      view.zoomTo(view.imageToViewportZoom(1 / window.devicePixelRatio));
      view.applyConstraints();
    },
    // A quarter clockwise as it is seen: a mirrored picture is turned before it is mirrored.
    turn: () => orient({ degrees: view.getRotation() + (view.getFlip() ? -90 : 90) }),
    flip: () => orient({ flipped: !view.getFlip() }),
  };
  /** View only: nothing of it is stored, and the next visit begins upright. */
  function orient({ degrees = view.getRotation(), flipped = view.getFlip() }) {
    view.setRotation(((degrees % 360) + 360) % 360, true);
    view.setFlip(flipped);
    view.applyConstraints(true);
    const turned = view.getRotation(); // as the words say it: first turned, then mirrored
    frame.querySelector("[data-zoom=flip]").setAttribute("aria-pressed", String(flipped));
    part("turned").hidden = !turned && !flipped;
    part("turned-words").textContent = [turned ? `turned ${turned}°` : "", flipped ? "mirrored" : ""].filter(Boolean).join(", ");
    viewer.raiseEvent("oriented");
  }
  part("turned").addEventListener("click", () => {
    viewer.raiseEvent("steered");
    orient({ degrees: 0, flipped: false });
    viewer.canvas.focus();
  });
  function by(factor) {
    view.zoomBy(factor);
    view.applyConstraints();
  }
  for (const button of frame.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      viewer.raiseEvent("steered");
      zooms[button.dataset.zoom]();
    });
  }

  // Scale bar: the roundest length that is about 100 px on the screen.
  function drawScale() {
    if (!um) return;
    const target = (110 / zoomed()) * um;
    const decade = 10 ** Math.floor(Math.log10(target));
    const length = [5, 2, 1].map((step) => step * decade).find((step) => step <= target);
    part("scale-bar").style.width = `${Math.round((length / um) * zoomed())}px`;
    part("scale-words").textContent = length >= 1000 ? `${length / 1000} mm` : `${Number(length.toPrecision(1))} µm`;
  }

  let wasSharp = false;
  function draw() {
    if (!isOpen()) return;
    drawScale();
    const shown = `${Math.round(percent())} %`;
    if (part("percent").textContent !== shown) part("percent").textContent = shown;
    const sharp = percent() >= SHARP * 100;
    if (sharp !== wasSharp) {
      viewer.drawer.setImageSmoothingEnabled(!sharp);
      wasSharp = sharp;
    }
  }
  viewer.addHandler("open", () => {
    // One to one must be within reach for a picture that is smaller than its stage, too.
    view.minZoomLevel = Math.min(0.8 * view.getHomeZoom(), view.imageToViewportZoom(1 / window.devicePixelRatio));
    draw();
  });
  for (const event of ["animation", "resize", "update-viewport"]) viewer.addHandler(event, draw);

  // The heat map lies over the square that the networks read: the middle of the picture. It is an element of its own,
  // so that what is done to the picture's light never reaches it.
  const short = Math.min(width, height);
  const square = new OSD.Rect((width - short) / 2 / width, (height - short) / 2 / width, short / width, short / width);
  let layer = null;
  let strength = 0.45;
  /** Lay the map at `url` over the picture, or take it away (""); `failed` is called where it does not come. */
  function heat(url, failed = () => {}) {
    if ((layer?.getAttribute("src") ?? "") === url) return;
    viewer.clearOverlays();
    layer = null;
    if (!url) return;
    layer = document.createElement("img");
    layer.className = "heat-layer";
    layer.alt = "";
    layer.style.opacity = strength;
    layer.addEventListener("error", failed);
    layer.src = url;
    viewer.addOverlay({ element: layer, location: square });
    if (short === Math.max(width, height)) return;
    const border = document.createElement("div");
    border.className = "read-square";
    viewer.addOverlay({ element: border, location: square });
  }

  /** OpenSeadragon reckons with the turning of the picture, but not with its being mirrored. */
  function mirrored({ x, y }) {
    return new OSD.Point(view.getFlip() ? view.getContainerSize().x - x : x, y);
  }

  return {
    viewer, place, frame, width, height, um, zooms, heat, percent, zoomed, isOpen,
    isCut: short < Math.max(width, height),
    orient,
    orientation: () => ({ degrees: view.getRotation(), flipped: view.getFlip() }),
    setHeatStrength(share) {
      strength = share;
      if (layer) layer.style.opacity = share;
    },
    /** The canvas that the picture is painted on. */
    canvas: () => viewer.drawer.canvas,
    /** {x, y} on the stage, in CSS pixels, of {x, y} in the picture's pixels; and back. */
    toStage: ({ x, y }) => mirrored(view.imageToViewerElementCoordinates(new OSD.Point(x, y))),
    toPicture: (point) => view.viewerElementToImageCoordinates(mirrored(point)),
    /** The middle of what is seen, in the picture's pixels. */
    middle: (now = true) => view.viewportToImageCoordinates(view.getCenter(now)),
    /** Show `middle` at `zoom` points of the screen a pixel, at once. */
    show(middle, zoom) {
      view.zoomTo(view.imageToViewportZoom(zoom), null, true);
      view.panTo(view.imageToViewportCoordinates(new OSD.Point(middle.x, middle.y)), true);
    },
    /** Call `listener` whenever what is seen changes, and once the picture is there. */
    onView(listener) {
      for (const event of ["open", "animation", "resize", "update-viewport", "oriented"]) viewer.addHandler(event, () => isOpen() && listener());
    },
  };
}
