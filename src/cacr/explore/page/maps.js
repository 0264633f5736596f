// Two relation maps side by side and, row by row, how far they differ.

const LABEL_MOST = 12;
const PEN = document.createElement("canvas").getContext("2d");

function short(text) {
  return text.length > LABEL_MOST ? `${text.slice(0, LABEL_MOST - 1)}…` : text;
}

// Pixels that the widest label takes, with its margin.
function labelRoom(labels) {
  PEN.font = `700 12px ${getComputedStyle(document.body).fontFamily}`;
  return Math.ceil(Math.max(...labels.map((text) => PEN.measureText(short(text)).width))) + 12;
}

function whole(text) {
  return short(text) === text ? null : svg("title", {}, text);
}

function mapNames(vision, hard) {
  const [own, soft, looked] = vision ? ["S_VV", "S_VL S_LL S_VLᵀ", "S_LL"] : ["S_LL", "S_LV S_VV S_LVᵀ", "S_VV"];
  return [own, hard ? `${looked}[i*, j*]` : soft];
}

// One matrix as SVG; over(row, column) and keep(row) are called with what is under the pointer or the keys.
function matrix(labels, size, over, keep, label) {
  const count = labels.length, side = labelRoom(labels);
  const width = side + count * size + 2, height = side + count * size + 2;
  const cells = [], rows = [];
  const node = svg("svg", { class: "matrix", width, height, viewBox: `0 0 ${width} ${height}`, tabindex: "0", role: "application",
    "aria-label": `${label}; arrow keys move among its cells, Enter marks the row` });
  labels.forEach((text, index) => {
    const middle = side + (index + 0.5) * size;
    const name = svg("text", { x: side - 6, y: middle, class: "label row-label", "data-row": index, onclick: () => keep(index) }, short(text), whole(text));
    rows.push(name);
    node.append(name, svg("text", { transform: `translate(${middle} ${side - 6}) rotate(-90)`, class: "label column-label" }, short(text), whole(text)));
  });
  const group = svg("g");
  for (let r = 0; r < count; r++) {
    for (let c = 0; c < count; c++) {
      const cell = svg("rect", { x: side + c * size, y: side + r * size, width: size - 1, height: size - 1 });
      cells.push(cell);
      group.append(cell);
    }
  }
  const band = svg("rect", { class: "band", x: side - 1.5, width: count * size + 2, height: size + 2 });
  const point = svg("rect", { class: "point", width: size + 1, height: size + 1 });
  node.append(group, band, point);
  node.style.setProperty("--label", `${Math.min(12, size - 2)}px`);
  function at(event) {
    const box = node.getBoundingClientRect();
    const c = Math.floor((event.clientX - box.left - side) / size), r = Math.floor((event.clientY - box.top - side) / size);
    return r >= 0 && r < count && c >= 0 && c < count ? [r, c] : null;
  }
  node.addEventListener("pointermove", (event) => over(at(event)));
  node.addEventListener("pointerleave", () => over(null));
  node.addEventListener("click", (event) => { const found = at(event); if (found) { over(found); keep(found[0]); } });
  node.addEventListener("keydown", (event) => {
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
  function update(numbers, most, marked, cell) {
    cells.forEach((rect, index) => {
      const unseen = Number.isNaN(numbers[index]);
      rect.setAttribute("fill", unseen ? "none" : shade(numbers[index] / most));
      rect.classList.toggle("unseen", unseen);
    });
    rows.forEach((name, index) => name.classList.toggle("marked", index === marked));
    band.style.display = marked === null ? "none" : "";
    if (marked !== null) band.setAttribute("y", side + marked * size - 1.5);
    const inside = cell && cell[0] < count && cell[1] < count;
    point.style.display = inside ? "" : "none";
    if (inside) {
      point.setAttribute("x", side + cell[1] * size - 1);
      point.setAttribute("y", side + cell[0] * size - 1);
    }
  }
  return { node, update, side };
}

// Bars with numbers, one a row, at the heights of the matrices' rows; negative ones go to the left.
function bars(labels, size, top, keep, room) {
  const side = labelRoom(labels), numbers = 62, long = Math.max(80, Math.min(260, room - side - numbers));
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
  function update(values, marked, summary) {
    node.setAttribute("aria-label", summary);
    const most = highest(values.map((x) => (Number.isNaN(x) ? 0 : Math.abs(x)))) || 1, signed = values.some((x) => x < 0);
    const zero = signed ? side + long / 2 : side, scale = (signed ? long / 2 : long) / most;
    drawn.forEach(({ bar, number, name }, index) => {
      const length = Number.isNaN(values[index]) ? 0 : Math.abs(values[index]) * scale;
      bar.setAttribute("x", values[index] < 0 ? zero - length : zero);
      bar.setAttribute("width", length);
      bar.classList.toggle("minus", values[index] < 0);
      number.setAttribute("x", signed ? side + long + 5 : zero + length + 5);
      number.textContent = shown(values[index]);
      for (const part of [number, name]) part.classList.toggle("marked", index === marked);
    });
  }
  return { node, update };
}

// How large a cell can be, and how many of the three drawings stand beside each other.
function sizes(labels, width) {
  const side = labelRoom(labels), gap = 24, least = 13, barRoom = side + 130;
  for (const across of [3, 2, 1]) {
    const maps = Math.min(2, across), room = width - gap * (across - 1) - side * maps - (across === 3 ? barRoom : 0);
    const size = Math.min(28, Math.floor((room - 4 * maps) / maps / labels.length));
    if (size >= least || across === 1) {
      const cell = Math.max(least, size), used = maps * (side + cell * labels.length + 2) + gap * (across - 1);
      return { size: cell, across, left: across === 3 ? width - used : width };
    }
  }
}

// The maps of a pane. width: pixels that it has.
function mapsOf(model, caption, image, view, width, chooseWord, chooseRegion) {
  const vision = visionShown(view);
  const labels = vision ? Array.from({ length: view.regions }, (_, r) => (view.names ? `${r} ${view.names[r]}` : String(r))) : view.tokens;
  const keep = (index) => (vision ? chooseRegion(index, true) : chooseWord(index, true));
  const over = (cell) => { STATE.cell = cell; update_all(); };
  const { size, across, left: rest } = sizes(labels, width);
  const heads = [el("h3"), el("h3"), el("h3")], readout = el("p", { class: "readout" }), said = el("span"), legend = el("span", { class: "scale" });
  const left = matrix(labels, size, over, keep, "own relation map"), right = matrix(labels, size, over, keep, "carried-over relation map");
  const rows = bars(labels, size, across === 3 ? left.side : 6, keep, rest), most = el("span", { class: "number" });
  const scales = el("button", { type: "button", class: "quiet small scales", onclick: () => { STATE.apart = !STATE.apart; update_all(); } });
  const missing = STATE.direction === "vision" && !view.vision;
  const why = !missing ? null : el("p", { class: "note why" }, view.regions > META.most_regions
    ? `Shown among words: the relations of ${view.regions} ${view.kind === "patches" ? "patches" : "regions"} would be ${view.regions ** 2} cells; the vision direction is drawn up to ${META.most_regions} regions.`
    : "Shown among words: this model has no S_VL, so the words' relations cannot be carried over to its regions.");
  const scroll = (part) => el("div", { class: "scroll" }, part);
  const node = el("section", { class: "maps card", "aria-label": "relation maps" }, why, readout,
    el("div", { class: `three across-${across}` }, el("div", {}, heads[0], scroll(left.node)), el("div", {}, heads[1], scroll(right.node)), el("div", {}, heads[2], scroll(rows.node))),
    el("div", { class: "under" }, el("p", { class: "legend" }, "0", legend, most, " · ", said), scales));

  function update(found, word, region) {
    if (!found) return;
    const prefix = vision ? "vision_" : "", name = STATE.hard ? "hard" : "soft", marked = vision ? region : word;
    const own = found[`${prefix}own`].numbers, carried = found[prefix + name].numbers, apart = found[`${prefix}${name}_divergence`].numbers;
    const tops = [highest(own) || 1, highest(carried) || 1], top = Math.max(...tops), [ownName, carriedName] = mapNames(vision, STATE.hard);
    heads[0].replaceChildren("Own, ", formula(ownName));
    heads[1].replaceChildren(STATE.hard ? "Looked up (hard), " : "Carried over (soft), ", formula(carriedName));
    heads[2].replaceChildren("Divergence, nats ", el("small", {}, `mean ${shown(mean(apart))}`));
    left.update(own, STATE.apart ? tops[0] : top, marked, STATE.cell);
    right.update(carried, STATE.apart ? tops[1] : top, marked, STATE.cell);
    rows.update(apart, marked, `divergence of each row in nats: ${labels.map((text, k) => `${text} ${shown(apart[k])}`).join(", ")}`);
    most.textContent = STATE.apart ? tops.map(shown).join(" and ") : shown(top);
    const unseen = own.some((x) => Number.isNaN(x)) ? ". Blank: a later word, which this model does not let see" : "";
    said.textContent = `${STATE.apart ? "each map by its own highest value" : "one scale for both maps"}; rows look, columns are looked at${unseen}.`;
    scales.textContent = STATE.apart ? "One scale for both maps" : "A scale for each map";
    legend.style.background = `linear-gradient(to right, ${RAMPS[themeNow()].join(",")})`;
    readout.replaceChildren(...saying(labels, own, carried, apart, marked, ownName, carriedName));
  }
  function saying(labels, own, carried, apart, marked, ownName, carriedName) {
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
