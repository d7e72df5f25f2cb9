// Brightness, contrast, gamma and inversion of what is seen: view only. Nothing of it reaches the server, the stored
// picture, the readings or the heat map. It stays for the case while this browser tab is open, and says that it is on.

const SVG = "http://www.w3.org/2000/svg";
const NEUTRAL = { brightness: 0, contrast: 0, gamma: 0, invert: false };

/**
 * Serve `panel` (inputs named as in NEUTRAL) for all `stages`; `panel.dataset.keep` names what the settings belong to.
 * Answers `{ invert, reset }`.
 */
export function makeLight(panel, stages) {
  const key = `light:${panel.dataset.keep}`;
  const badges = document.querySelectorAll("[data-light-on]");
  const filter = makeFilter();
  let light = { ...NEUTRAL, ...remembered(key) };

  function apply() {
    const changed = Object.keys(NEUTRAL).some((name) => light[name] !== NEUTRAL[name]);
    setFilter(filter, light);
    for (const stage of stages) stage.canvas().style.filter = changed ? "url(#light-filter)" : "";
    for (const badge of badges) badge.hidden = !changed;
    for (const input of panel.querySelectorAll("input")) {
      if (input.type === "checkbox") input.checked = light[input.name];
      else input.value = light[input.name];
    }
    for (const output of panel.querySelectorAll("output")) output.textContent = shown(output.htmlFor.value, light);
    panel.querySelector("[data-light-reset]").disabled = !changed;
  }
  function set(part) {
    light = { ...light, ...part };
    try {
      sessionStorage.setItem(key, JSON.stringify(light));
    } catch {
      // Storage is closed to us: the settings last for this page.
    }
    apply();
  }

  panel.addEventListener("input", ({ target }) => {
    set({ [target.name]: target.type === "checkbox" ? target.checked : Number(target.value) });
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-light-reset]")) set(NEUTRAL);
  });
  for (const stage of stages) stage.viewer.addHandler("open", apply);
  return { invert: () => set({ invert: !light.invert }), reset: () => set(NEUTRAL) };
}

function remembered(key) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? "{}");
    return Object.fromEntries(Object.entries(kept).filter(([name, value]) => typeof value === typeof NEUTRAL[name]));
  } catch {
    return {};
  }
}

function shown(id, light) {
  const name = id.replace("light-", "");
  return name === "gamma" ? exponent(light).toFixed(2) : `${light[name] > 0 ? "+" : ""}${light[name]}`.replace("-", "−");
}

/** Gamma from 0.25 to 4; above 1 the dark parts become lighter. */
function exponent({ gamma }) {
  return 4 ** (gamma / 100);
}

function makeFilter() {
  const svg = element("svg", { width: 0, height: 0, class: "light-svg", "aria-hidden": "true" });
  // The pixels' own values are reckoned with, not linear light, as image programs do.
  const filter = element("filter", { id: "light-filter", "color-interpolation-filters": "sRGB", x: 0, y: 0, width: 1, height: 1 });
  for (const step of ["gamma", "linear", "invert"]) {
    const transfer = element("feComponentTransfer", { "data-step": step });
    transfer.append(...["R", "G", "B"].map((channel) => element(`feFunc${channel}`, { type: step === "gamma" ? "gamma" : "linear" })));
    filter.append(transfer);
  }
  svg.append(filter);
  document.body.append(svg);
  return filter;
}

function setFilter(filter, light) {
  const slope = light.contrast < 0 ? 1 + light.contrast / 100 : 1 + light.contrast / 40;
  const values = {
    gamma: { exponent: 1 / exponent(light), amplitude: 1, offset: 0 },
    linear: { slope, intercept: 0.5 * (1 - slope) + light.brightness / 200 },
    invert: light.invert ? { slope: -1, intercept: 1 } : { slope: 1, intercept: 0 },
  };
  for (const transfer of filter.children) {
    for (const channel of transfer.children) {
      for (const [name, value] of Object.entries(values[transfer.dataset.step])) channel.setAttribute(name, value);
    }
  }
}

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [attribute, value] of Object.entries(attributes)) made.setAttribute(attribute, value);
  return made;
}
