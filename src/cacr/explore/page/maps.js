// Two relation maps side by side and, row by row, how far they differ.

const LABEL_MOST = 12;
const SHORTEST_BAR = 80; // pixels of the longest bar, at least
const GAP = 22; // between drawings, as in the style
const HEADING = 160; // pixels of a heading, at least; longer ones take more lines
const PEN = document.createElement("canvas").getContext("2d");

function short(text) {
  return text.length > LABEL_MOST ? `${text.slice(0, LABEL_MOST - 1)}…` : text;
}

// Pixels that the widest text takes in bold.
function widest(texts) {
  PEN.font = `700 12px ${getComputedStyle(document.body).fontFamily}`;
  return Math.ceil(Math.max(...texts.map((text) => PEN.measureText(text).width)));
}

function labelRoom(labels) {
  return widest(labels.map(short)) + 12;
}

// Beside a bar: the longest of three digits.
function numberRoom() {
  return widest(["> −0.0001", "−0.000888"]) + 14;
}

function whole(text) {
  return short(text) === text ? null : svg("title", {}, text);
}

function mapNames(vision, hard) {
  const [own, soft, looked] = vision ? ["S_VV", "S_VL S_LL S_VLᵀ", "S_LL"] : ["S_LL", "S_LV S_VV S_LVᵀ", "S_VV"];
  return [own, hard ? `${looked}[i*, j*]` : soft];
}

// One matrix: its cells are pixels of a canvas, below labels and marks in SVG. over(cell) and keep(row) are called with
// what is under the pointer or the keys; update redraws what changed, mark moves the frame of a cell.
function matrix(labels, size, over, keep, label) {
  const count = labels.length, side = labelRoom(labels), span = count * size;
  const width = side + span + 2, height = width, rows = [];
  const layer = svg("svg", { class: "matrix", width, height, viewBox: `0 0 ${width} ${height}`, tabindex: "0", role: "application",
    "aria-label": `${label}; arrow keys move among its cells, Enter marks the row` });
  const canvas = el("canvas", { class: "cells", width: count, height: count, "aria-hidden": "true" });
  Object.assign(canvas.style, { left: `${side}px`, top: `${side}px`, width: `${span}px`, height: `${span}px` });
  labels.forEach((text, index) => {
    const middle = side + (index + 0.5) * size;
    const name = svg("text", { x: side - 6, y: middle, class: "label row-label", "data-row": index, onclick: () => keep(index) }, short(text), whole(text));
    rows.push(name);
    layer.append(name, svg("text", { transform: `translate(${middle} ${side - 6}) rotate(-90)`, class: "label column-label" }, short(text), whole(text)));
  });
  const gaps = Array.from({ length: count }, (_, k) => side + (k + 1) * size - 0.5);
  const band = svg("rect", { class: "band", x: side - 1.5, width: span + 2, height: size + 2 });
  const point = svg("rect", { class: "point", width: size + 1, height: size + 1 });
  layer.append(svg("path", { class: "gaps", d: gaps.map((x) => `M${x} ${side}v${span}M${side} ${x}h${span}`).join("") }), band, point);
  layer.style.setProperty("--label", `${Math.min(12, size - 2)}px`);
  const node = el("div", { class: "map" }, canvas, layer);
  node.style.width = `${width}px`;
  const changed = changeOf();
  let last = -1;

  function at(event) {
    const box = layer.getBoundingClientRect();
    const c = Math.floor((event.clientX - box.left - side) / size), r = Math.floor((event.clientY - box.top - side) / size);
    return r >= 0 && r < count && c >= 0 && c < count ? [r, c] : null;
  }
  layer.addEventListener("pointermove", (event) => over(at(event)));
  layer.addEventListener("pointerleave", () => over(null));
  layer.addEventListener("click", (event) => { const found = at(event); if (found) { over(found); keep(found[0]); } });
  layer.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
    const [r, c] = STATE.cell || [0, 0];
    if (event.key in steps) {
      event.preventDefault();
      const clip = (x) => Math.min(count - 1, Math.max(0, x));
      over(STATE.cell ? [clip(r + steps[event.key][0]), clip(c + steps[event.key][1])] : [0, 0]);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      keep(r);
    }
  });
  function update(numbers, most, marked) {
    const ramp = RAMPS[themeNow()];
    if (changed(numbers, most, ramp)) paint(canvas, Array.from(numbers, (x) => (Number.isNaN(x) ? [0, 0, 0, 0] : [...rgb(ramp, x / most), 255])));
    if (last in rows) rows[last].classList.remove("marked");
    last = marked === null ? -1 : marked;
    if (last in rows) rows[last].classList.add("marked");
    band.style.display = marked === null ? "none" : "";
    if (marked !== null) band.setAttribute("y", side + marked * size - 1.5);
  }
  function mark(cell) {
    const inside = cell && cell[0] < count && cell[1] < count;
    point.style.display = inside ? "" : "none";
    if (inside) {
      point.setAttribute("x", side + cell[1] * size - 1);
      point.setAttribute("y", side + cell[0] * size - 1);
    }
  }
  return { node, update, mark, side };
}

// Bars with numbers, one a row, at the heights of the matrices' rows; negative ones go to the left.
function bars(labels, size, top, keep, room) {
  const side = labelRoom(labels), numbers = numberRoom(), long = Math.max(SHORTEST_BAR, Math.min(260, room - side - numbers));
  const width = side + long + numbers, height = top + labels.length * size + 2;
  const node = svg("svg", { class: "bars", width, height, viewBox: `0 0 ${width} ${height}`, role: "img" });
  node.style.setProperty("--label", `${Math.min(12, size - 2)}px`);
  const drawn = labels.map((text, index) => {
    const middle = top + (index + 0.5) * size;
    const bar = svg("rect", { class: "bar", y: middle - Math.min(5, size / 3), height: Math.min(10, (2 * size) / 3) });
    const number = svg("text", { y: middle, class: "label bar-number", "data-row": index });
    const name = svg("text", { x: side - 6, y: middle, class: "label row-label", onclick: () => keep(index) }, short(text), whole(text));
    node.append(name, bar, number);
    return { bar, number, name };
  });
  const changed = changeOf();
  function update(values, marked, summary) {
    for (const [index, { number, name }] of drawn.entries()) for (const part of [number, name]) part.classList.toggle("marked", index === marked);
    if (!changed(values)) return;
    node.setAttribute("aria-label", summary());
    const most = highest(values.map((x) => (Number.isNaN(x) ? 0 : Math.abs(x)))) || 1, signed = values.some((x) => x < 0);
    const zero = signed ? side + long / 2 : side, scale = (signed ? long / 2 : long) / most;
    drawn.forEach(({ bar, number }, index) => {
      const length = Number.isNaN(values[index]) ? 0 : Math.abs(values[index]) * scale;
      bar.setAttribute("x", values[index] < 0 ? zero - length : zero);
      bar.setAttribute("width", length);
      bar.classList.toggle("minus", values[index] < 0);
      number.setAttribute("x", signed ? side + long + 5 : zero + length + 5);
      number.textContent = shown(values[index]);
    });
  }
  return { node, update };
}

// How large a cell can be, and how many of the three drawings stand beside each other; left: pixels for the bars.
function sizes(labels, width) {
  const side = labelRoom(labels), count = labels.length, least = 13, forBars = side + SHORTEST_BAR + numberRoom();
  for (const across of [3, 2, 1]) {
    const maps = Math.min(2, across), room = (width - GAP * (across - 1) - (across === 3 ? forBars : 0)) / maps;
    const size = Math.max(least, Math.min(28, Math.floor((room - side - 2) / count))), column = Math.max(HEADING, side + count * size + 2);
    if (column <= room || across === 1) return { size, across, column, left: across === 3 ? width - maps * (column + GAP) : width };
  }
}

// The maps of a pane. width: pixels that it has.
function mapsOf(model, caption, image, view, width, chooseWord, chooseRegion) {
  const vision = visionShown(view);
  const labels = vision ? Array.from({ length: view.regions }, (_, r) => (view.names ? `${r} ${view.names[r]}` : String(r))) : view.tokens;
  const keep = (index) => (vision ? chooseRegion(index, true) : chooseWord(index, true));
  const { size, across, column, left: rest } = sizes(labels, width);
  const heads = [el("h3"), el("h3"), el("h3")], readout = el("p", { class: "readout" }), said = el("span"), legend = el("span", { class: "scale" });
  const left = matrix(labels, size, chooseCell, keep, "own relation map"), right = matrix(labels, size, chooseCell, keep, "carried-over relation map");
  const rows = bars(labels, size, across === 3 ? left.side : 6, keep, rest), most = el("span", { class: "number" });
  const scales = el("button", { type: "button", class: "quiet small scales", onclick: () => { STATE.apart = !STATE.apart; update_all(); } });
  const missing = STATE.direction === "vision" && !view.vision;
  const why = !missing ? null : el("p", { class: "note why" }, view.regions > META.most_regions
    ? `Shown among words: the relations of ${view.regions} ${view.kind === "patches" ? "patches" : "regions"} would be ${view.regions ** 2} cells; the vision direction is drawn up to ${META.most_regions} regions.`
    : "Shown among words: this model has no S_VL, so the words' relations cannot be carried over to its regions.");
  const scroll = (part) => el("div", { class: "scroll" }, part);
  const three = el("div", { class: `three across-${across}` }, ...[left, right, rows].map((part, k) => el("div", {}, heads[k], scroll(part.node))));
  if (across > 1) three.style.gridTemplateColumns = `repeat(2, ${column}px) minmax(0, 1fr)`;
  const node = el("section", { class: "maps card", "aria-label": "relation maps" }, why, readout, three,
    el("div", { class: "under" }, el("p", { class: "legend" }, "0", legend, most, " · ", said), scales));

  let mark = () => {};
  function update(found, word, region) {
    if (!found) return;
    const prefix = vision ? "vision_" : "", name = STATE.hard ? "hard" : "soft", marked = vision ? region : word;
    const own = found[`${prefix}own`].numbers, carried = found[prefix + name].numbers, apart = found[`${prefix}${name}_divergence`].numbers;
    const tops = [highest(own) || 1, highest(carried) || 1], top = Math.max(...tops), [ownName, carriedName] = mapNames(vision, STATE.hard);
    heads[0].replaceChildren("Own, ", formula(ownName));
    heads[1].replaceChildren(STATE.hard ? "Looked up (hard), " : "Carried over (soft), ", formula(carriedName));
    heads[2].replaceChildren("Divergence, nats ", el("small", {}, `mean ${shown(mean(apart))}`));
    left.update(own, STATE.apart ? tops[0] : top, marked);
    right.update(carried, STATE.apart ? tops[1] : top, marked);
    rows.update(apart, marked, () => `divergence of each row in nats: ${labels.map((text, k) => `${text} ${shown(apart[k])}`).join(", ")}`);
    most.textContent = STATE.apart ? tops.map(shown).join(" and ") : shown(top);
    const unseen = own.some((x) => Number.isNaN(x)) ? ". Blank: a later word, which this model does not let see" : "";
    said.textContent = `${STATE.apart ? "each map by its own highest value" : "one scale for both maps"}; rows look, columns are looked at${unseen}.`;
    scales.textContent = STATE.apart ? "One scale for both maps" : "A scale for each map";
    legend.style.background = `linear-gradient(to right, ${RAMPS[themeNow()].join(",")})`;
    mark = () => {
      left.mark(STATE.cell);
      right.mark(STATE.cell);
      readout.replaceChildren(...saying(own, carried, apart, marked, ownName, carriedName));
    };
    mark();
  }
  MARKS.push(() => mark());
  function saying(own, carried, apart, marked, ownName, carriedName) {
    const count = labels.length, [r, c] = STATE.cell || [];
    if (STATE.cell && r < count && c < count) {
      const at = r * count + c;
      return [quoted(labels[r]), " → ", quoted(labels[c]), ":  ", formula(ownName), " ", el("b", { "data-own": "" }, shown(own[at])), "   ",
        formula(carriedName), " ", el("b", { "data-carried": "" }, shown(carried[at]))];
    }
    if (marked !== null) return ["Row ", quoted(labels[marked]), ": divergence ", el("b", {}, shown(apart[marked])), " nats. Point at a cell for its values."];
    return ["Point at a cell for its values; choose a row to mark it."];
  }
  return { node, update };
}
