// What the page knows: its description (META), its pictures, and numbers that are inflated when an item is shown.

const META = JSON.parse(document.getElementById("meta").textContent);
const READY = new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => done());
  else done();
});
const HEAD_MEAN = 0;
const BLOCKS = new Map(); // item -> Float32Array
const ASKED = new Map(); // item -> promise of the same

// ---- elements; everything that a user wrote is a text node -------------------------------------------------------

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

function el(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function formula(name) {
  // "S_LV S_VV S_LVᵀ" with its letters set low
  const node = el("span", { class: "formula" });
  for (const [index, piece] of name.split(/_([LV]{2})/).entries()) node.append(index % 2 ? el("sub", {}, piece) : piece);
  return node;
}

// ---- numbers -----------------------------------------------------------------------------------------------------

const HALF = new Float32Array(65536);
for (let bits = 0; bits < 65536; bits++) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) HALF[bits] = sign * fraction * 2 ** -24;
  else if (exponent === 31) HALF[bits] = fraction ? NaN : sign * Infinity;
  else HALF[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

async function inflate(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const planes = new Uint8Array(await new Response(stream).arrayBuffer());
  const count = planes.length / 2, numbers = new Float32Array(count);
  for (let i = 0; i < count; i++) numbers[i] = HALF[(planes[i] << 8) | planes[count + i]];
  return numbers;
}

function loadItem(index) {
  if (!ASKED.has(index)) {
    ASKED.set(index, READY.then(() => inflate(document.getElementById(`block-${index}`).textContent))
      .then((numbers) => BLOCKS.set(index, numbers)));
  }
  return ASKED.get(index);
}

function partLength(view) {
  return view.fields.reduce((total, [, rows, columns]) => total + rows * columns, 0);
}

function partsOf(model) {
  return META.models[model].layers.length * (META.models[model].heads + 1);
}

// Arrays of a pair at a layer (its place in the list) and a head (0: the mean); null until they are inflated.
function arrays(item, model, caption, image, layer, head) {
  const block = BLOCKS.get(item);
  if (!block) return null;
  let at = 0;
  const views = META.items[item].views;
  for (let m = 0; m < views.length; m++) {
    for (let c = 0; c < views[m].length; c++) {
      for (let i = 0; i < views[m][c].length; i++) {
        const view = views[m][c][i], size = partLength(view);
        if (m === model && c === caption && i === image) {
          at += (layer * (META.models[m].heads + 1) + head) * size;
          const found = {};
          for (const [name, rows, columns] of view.fields) {
            found[name] = { rows, columns, numbers: block.subarray(at, at + rows * columns) };
            at += rows * columns;
          }
          return found;
        }
        at += partsOf(m) * size;
      }
    }
  }
  return null;
}

function row(array, index) {
  return array.numbers.subarray(index * array.columns, (index + 1) * array.columns);
}

function column(array, index) {
  return Float32Array.from({ length: array.rows }, (_, r) => array.numbers[r * array.columns + index]);
}

function largest(numbers) {
  let best = 0;
  for (let i = 1; i < numbers.length; i++) if (numbers[i] > numbers[best]) best = i;
  return best;
}

function highest(numbers) {
  let most = 0;
  for (const x of numbers) if (x > most) most = x;
  return most;
}

function mean(numbers) {
  return numbers.reduce((total, x) => total + x, 0) / numbers.length;
}

// Three digits; attention below 0.0001 is said to be that.
function shown(x) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  const size = Math.abs(x), sign = x < 0 ? "−" : "";
  if (size === 0) return "0";
  if (size < 0.0001) return x < 0 ? "> −0.0001" : "< 0.0001";
  if (size >= 999.5) return sign + Math.round(size);
  return sign + size.toPrecision(3);
}

// ---- colours: own tables, even in lightness, one hue (maps) or from blue to yellow (pictures) -----------------------

const RAMPS = {
  light: ["#f1f8ff", "#bfdfff", "#91c5ff", "#68aaf9", "#488fe6", "#3274cb", "#275ca7", "#22467c", "#193157"],
  dark: ["#1a1f29", "#1d3555", "#124e82", "#0069a9", "#0087c9", "#00a6e1", "#37c4f0", "#7cdffb", "#bdf7ff"],
  heat: ["#121671", "#003e80", "#005f87", "#007b89", "#35958a", "#56b18a", "#88c982", "#c3de75", "#ffed6c"],
};

function rgb(ramp, share) {
  const at = Math.min(1, Math.max(0, share)) * (ramp.length - 1), low = Math.min(ramp.length - 2, Math.floor(at));
  const channel = (text, k) => parseInt(text.slice(1 + 2 * k, 3 + 2 * k), 16);
  return [0, 1, 2].map((k) => Math.round(channel(ramp[low], k) * (1 - at + low) + channel(ramp[low + 1], k) * (at - low)));
}

function shade(share) {
  return `rgb(${rgb(RAMPS[themeNow()], share).join(",")})`;
}

function inkOn([r, g, b]) {
  const linear = (x) => (x / 255 <= 0.03928 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) > 0.179 ? "#000" : "#fff";
}

function themeNow() {
  const chosen = document.documentElement.dataset.theme;
  return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}
