// What the page knows: its description (META), its pictures, and numbers that are inflated when an item is shown.

const META = JSON.parse(document.getElementById("meta").textContent);
const READY = new Promise((done) => {
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", () => done());
  else done();
});
const HEAD_MEAN = 0;
const BLOCKS = new Map(); // item -> Uint16Array, the units of its numbers
const ASKED = new Map(); // item -> promise of the same
const READ = new Map(); // arrays that were asked for, by their place
const READ_MOST = 64;

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
  const count = planes.length / 2, units = new Uint16Array(count);
  for (let i = 0; i < count; i++) units[i] = (planes[i] << 8) | planes[count + i];
  return units;
}

const READERS = {
  half: (units) => Float32Array.from(units, (bits) => HALF[bits]),
  single: (units) => new Float32Array(
    Uint32Array.from({ length: units.length / 2 }, (_, k) => units[2 * k] | (units[2 * k + 1] << 16)).buffer),
  index: (units) => units,
};

function unitsOf([, rows, columns, kind]) {
  return rows * columns * (kind === "single" ? 2 : 1);
}

function loadItem(index) {
  if (!ASKED.has(index)) {
    ASKED.set(index, READY.then(() => inflate(document.getElementById(`block-${index}`).textContent))
      .then((units) => BLOCKS.set(index, units)));
  }
  return ASKED.get(index);
}

function partLength(view) {
  return view.fields.reduce((total, field) => total + unitsOf(field), 0);
}

// Whether the heads of a layer (its place in the list) are kept beside their mean.
function headsKept(model, layer) {
  return META.models[model].apart.includes(META.models[model].layers[layer]);
}

// How many parts a model has before those of a layer.
function partsBefore(model, layer) {
  let count = 0;
  for (let k = 0; k < layer; k++) count += 1 + (headsKept(model, k) ? META.models[model].heads : 0);
  return count;
}

// Arrays of a pair at a layer (its place in the list) and a head (0: the mean; also where the layer's heads are not
// kept); null until they are inflated. The same arrays again for the same question.
function arrays(item, model, caption, image, layer, head) {
  if (!BLOCKS.has(item)) return null;
  const part = headsKept(model, layer) ? head : HEAD_MEAN, key = [item, model, caption, image, layer, part].join();
  if (!READ.has(key)) {
    if (READ.size >= READ_MOST) READ.clear();
    READ.set(key, readPart(item, model, caption, image, partsBefore(model, layer) + part));
  }
  return READ.get(key);
}

function readPart(item, model, caption, image, part) {
  const units = BLOCKS.get(item), views = META.items[item].views, found = {};
  let at = 0;
  const skip = (m, c, i) => { at += partsBefore(m, META.models[m].layers.length) * partLength(views[m][c][i]); };
  for (let m = 0; m < model; m++) views[m].forEach((line, c) => line.forEach((_, i) => skip(m, c, i)));
  for (let c = 0; c < caption; c++) views[model][c].forEach((_, i) => skip(model, c, i));
  for (let i = 0; i < image; i++) skip(model, caption, i);
  const view = views[model][caption][image];
  at += part * partLength(view);
  for (const field of view.fields) {
    const [name, rows, columns, kind] = field;
    found[name] = { rows, columns, numbers: READERS[kind](units.subarray(at, at + unitsOf(field))) };
    at += unitsOf(field);
  }
  return found;
}

function row(array, index) {
  return array.numbers.subarray(index * array.columns, (index + 1) * array.columns);
}

function column(array, index) {
  return Float32Array.from({ length: array.rows }, (_, r) => array.numbers[r * array.columns + index]);
}

function highest(numbers) {
  let most = 0;
  for (const x of numbers) if (x > most) most = x;
  return most;
}

// Whether what a drawing was made of has changed since it was last asked.
function changeOf() {
  let before = [];
  return (values, ...others) => {
    const now = [values && values.buffer, values && values.byteOffset, ...others], changed = now.some((x, k) => x !== before[k]);
    before = now;
    return changed;
  };
}

function mean(numbers) {
  return numbers.reduce((total, x) => total + x, 0) / numbers.length;
}

// Three digits, or more; what is below 0.0001 is said to be that.
function shown(x, digits = 3) {
  if (x === null || x === undefined || Number.isNaN(x)) return "–";
  const size = Math.abs(x), sign = x < 0 ? "−" : "";
  if (size === 0) return "0";
  if (size < 0.0001 && digits === 3) return x < 0 ? "> −0.0001" : "< 0.0001";
  if (size >= 10 ** digits - 0.5) return sign + Math.round(size);
  return sign + size.toPrecision(digits);
}

// Numbers that are compared: as many digits as it takes for different ones to look different.
function shownApart(numbers) {
  const different = new Set(numbers).size;
  for (let digits = 3; ; digits++) {
    const texts = numbers.map((x) => shown(x, digits));
    if (digits === 17 || new Set(texts).size === different) return texts;
  }
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

function inkOn([r, g, b]) {
  const linear = (x) => (x / 255 <= 0.03928 ? x / 255 / 12.92 : ((x / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) > 0.179 ? "#000" : "#fff";
}

const PAPER = matchMedia("print");

function themeNow() {
  if (PAPER.matches) return "light";
  const chosen = document.documentElement.dataset.theme;
  return chosen || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}
