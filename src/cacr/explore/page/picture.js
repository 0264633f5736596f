// The picture with its boxes, with a heat map over its patches, or beside a strip of numbered queries.

// place(view, choose) -> {node, update(values, first, chosenRegion)}; first: the highest of the values
// choose(index or null, kept): a region is under the pointer or in focus, or clicked.
function place(view, choose, label) {
  const stage = el("div", { class: `stage ${view.kind}` });
  const [width, height] = view.size || [400, 300];
  stage.style.aspectRatio = `${width} / ${height}`;
  stage.style.setProperty("--ratio", width / height);
  if (view.picture !== null) {
    const image = el("img", { alt: label, draggable: "false" });
    if (Math.max(width, height) < 200) image.classList.add("tiny");
    const source = () => document.getElementById(`picture-${view.picture}`);
    if (source()) image.src = source().textContent;
    else READY.then(() => { image.src = source().textContent; });
    stage.append(image);
  } else {
    stage.classList.add("blank");
    stage.append(el("span", { class: "no-picture" }, "no picture at hand"));
  }
  const node = el("div", { class: "place" }, stage);
  const kinds = { boxes: boxesOver, patches: patchesOver, queries: queriesBelow };
  const { update } = kinds[view.kind](view, choose, stage, node, width, height);
  return { node, update };
}

// Pixels [red, green, blue, opacity] of a canvas, in reading order.
function paint(canvas, pixels) {
  const context = canvas.getContext("2d"), picture = context.createImageData(canvas.width, canvas.height);
  pixels.forEach((pixel, index) => picture.data.set(pixel, 4 * index));
  context.putImageData(picture, 0, 0);
}

// One Tab stop for a group; arrows move inside it.
function roving(nodes, columns) {
  nodes.forEach((node, index) => {
    node.setAttribute("tabindex", index ? "-1" : "0");
    node.addEventListener("focus", () => nodes.forEach((other) => other.setAttribute("tabindex", other === node ? "0" : "-1")));
    node.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
      let next = event.key in steps ? index + steps[event.key] : null;
      if (event.key === "Home") next = 0;
      if (event.key === "End") next = nodes.length - 1;
      if (next === null) return;
      event.preventDefault();
      next = Math.min(nodes.length - 1, Math.max(0, next));
      nodes[next].focus();
    });
  });
}

function pressed(action) {
  return (event) => {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      action();
    }
  };
}

// ---- boxes -----------------------------------------------------------------------------------------------------------

function boxesOver(view, choose, stage, node, width, height) {
  const layer = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "group", "aria-label": "regions; arrow keys move among them" });
  stage.append(layer);
  const corners = view.places.map(([x1, y1, x2, y2]) => ({
    x: x1 * width, y: y1 * height, width: Math.max(0, (x2 - x1) * width), height: Math.max(0, (y2 - y1) * height) }));
  const casing = corners.map((box) => svg("rect", { ...box, class: "casing" }));
  const seen = corners.map((box) => svg("rect", { ...box, class: "seen" }));
  const best = svg("rect", { class: "best" }), bestCasing = svg("rect", { class: "best-casing" });
  const active = svg("rect", { class: "active" }), activeCasing = svg("rect", { class: "active-casing" });
  const hits = corners.map((box, index) => svg("rect", {
    ...box, class: "hit", role: "button", "aria-label": regionName(view, index), "data-region": index,
    onpointerenter: () => choose(index, false), onpointerleave: () => choose(null, false),
    onfocus: () => choose(index, false), onblur: (event) => staysInLists(event) || choose(null, false),
    onclick: () => choose(index, true), onkeydown: pressed(() => choose(index, true)) }));
  const bySize = hits.map((_, index) => index).sort(
    (a, b) => corners[b].width * corners[b].height - corners[a].width * corners[a].height);
  const drawn = svg("g", { "aria-hidden": "true" });
  layer.append(drawn, bestCasing, best, activeCasing, active, svg("g", {}, ...bySize.map((index) => hits[index])));
  roving(hits, 1);
  const tag = el("span", { class: "tag" }), activeTag = el("span", { class: "tag tag-active" });
  stage.append(tag, activeTag);

  function put(shape, box) {
    for (const [name, value] of Object.entries(box || { x: 0, y: 0, width: 0, height: 0 })) shape.setAttribute(name, value);
    shape.style.display = box ? "" : "none";
  }
  function write(label, box, text) {
    label.hidden = !box;
    if (!box) return;
    label.textContent = text;
    const wide = stage.clientWidth || 1, high = stage.clientHeight || 1, left = (box.x / width) * wide, top = (box.y / height) * high;
    const above = top - label.offsetHeight, inside = (x, most) => Math.max(0, Math.min(x, most));
    label.style.left = `${(100 * inside(left, wide - label.offsetWidth)) / wide}%`;
    label.style.top = `${(100 * inside(above >= 0 ? above : top, high - label.offsetHeight)) / high}%`;
  }
  const changed = changeOf();
  function shadeBoxes(values) {
    const most = values ? highest(values) || 1 : 1;
    const order = values ? Array.from(values.keys()).sort((a, b) => values[a] - values[b]) : [...seen.keys()];
    for (const index of order) {
      const share = values ? values[index] / most : 0;
      const hidden = STATE.hard && values;
      seen[index].style.opacity = hidden ? 0 : values ? 0.06 + 0.94 * share : 0.55;
      seen[index].style.strokeWidth = `${0.75 + 2.5 * share}px`;
      casing[index].style.opacity = hidden ? 0 : values ? 0.6 * share : 0.25;
      casing[index].style.strokeWidth = `${2.25 + 2.5 * share}px`;
      seen[index].dataset.value = values ? values[index] : "";
      drawn.append(casing[index], seen[index]);
    }
  }
  function update(values, first, chosen) {
    if (changed(values, STATE.hard)) shadeBoxes(values);
    put(best, corners[first]);
    put(bestCasing, corners[first]);
    write(tag, corners[first], values ? `${stage.clientWidth > 260 ? "highest: " : "▲ "}${shown(values[first])}` : "");
    put(active, corners[chosen]);
    put(activeCasing, corners[chosen]);
    const apart = chosen !== null && chosen !== first;
    write(activeTag, apart ? corners[chosen] : null, apart ? `${chosen}${values ? `: ${shown(values[chosen])}` : ""}` : "");
  }
  return { update };
}

// ---- patches ---------------------------------------------------------------------------------------------------------

function patchesOver(view, choose, stage, node) {
  const [rows, columns] = view.grid, [left, top, right, bottom] = view.places;
  const canvas = el("canvas", { width: columns, height: rows, class: "heat", "aria-hidden": "true" });
  const layer = svg("svg", { viewBox: `0 0 ${columns} ${rows}`, preserveAspectRatio: "none", class: "grid", role: "application",
    tabindex: "0", "aria-label": `${rows} rows of ${columns} patches; arrow keys move among them, Enter keeps one` });
  for (const part of [canvas, layer]) {
    part.style.left = `${100 * left}%`;
    part.style.top = `${100 * top}%`;
    part.style.width = `${100 * (right - left)}%`;
    part.style.height = `${100 * (bottom - top)}%`;
  }
  const lines = svg("path", { class: "lines", d: [
    ...Array.from({ length: columns - 1 }, (_, k) => `M${k + 1} 0V${rows}`),
    ...Array.from({ length: rows - 1 }, (_, k) => `M0 ${k + 1}H${columns}`)].join("") });
  const square = (name) => svg("rect", { class: name, width: 1, height: 1 });
  const best = square("best"), bestCasing = square("best-casing"), active = square("active"), activeCasing = square("active-casing");
  layer.append(lines, bestCasing, best, activeCasing, active);
  stage.append(canvas, layer);
  const say = el("p", { class: "caption-line" });
  const toggle = el("button", { type: "button", class: "quiet small", "aria-pressed": String(STATE.lines),
    onclick: () => { STATE.lines = !STATE.lines; update(...last); } }, "Lines between patches");
  const scale = el("span", { class: "scale heat-scale" }), most = el("span", { class: "number" });
  node.append(el("div", { class: "under" }, el("span", { class: "legend" }, "0", scale, most), toggle), say);
  scale.style.background = `linear-gradient(to right, ${RAMPS.heat.join(",")})`;
  const changed = changeOf();
  let cursor = 0, last = [null, null, null];

  function at(event) {
    const box = layer.getBoundingClientRect();
    const x = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const y = Math.floor(((event.clientY - box.top) / box.height) * rows);
    return Math.min(rows - 1, Math.max(0, y)) * columns + Math.min(columns - 1, Math.max(0, x));
  }
  layer.addEventListener("pointermove", (event) => event.pointerType !== "touch" && choose(at(event), false));
  layer.addEventListener("pointerleave", () => choose(null, false));
  layer.addEventListener("click", (event) => { cursor = at(event); choose(cursor, true); });
  layer.addEventListener("focus", () => layer.matches(":focus-visible") && choose(cursor, false));
  layer.addEventListener("blur", (event) => staysInLists(event) || choose(null, false));
  layer.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
    if (event.key in steps) {
      event.preventDefault();
      const next = cursor + steps[event.key];
      if (next >= 0 && next < rows * columns) cursor = next;
      choose(cursor, false);
    } else pressed(() => choose(cursor, true))(event);
  });

  function put(shape, index) {
    shape.style.display = index === null ? "none" : "";
    shape.setAttribute("x", index === null ? 0 : index % columns);
    shape.setAttribute("y", index === null ? 0 : Math.floor(index / columns));
  }
  function update(values, first, chosen) {
    last = [values, first, chosen];
    const top = values ? highest(values) || 1 : 1;
    if (changed(values, STATE.hard)) {
      paint(canvas, Array.from(values || [], (value, index) => {
        const share = STATE.hard ? Number(index === first) : value / top;
        return [...rgb(RAMPS.heat, share), Math.round(255 * (0.45 + 0.35 * share))];
      }));
    }
    for (const shape of [best, bestCasing]) put(shape, first);
    for (const shape of [active, activeCasing]) put(shape, chosen);
    lines.style.display = STATE.lines ? "" : "none";
    toggle.setAttribute("aria-pressed", String(STATE.lines));
    most.textContent = values ? shown(top) : "–";
    const told = chosen !== null ? chosen : first;
    say.textContent = told === null ? "" : `${chosen !== null ? "" : "highest: "}${regionName(view, told)}${values ? `: ${shown(values[told])}` : ""}`;
  }
  return { update };
}

// ---- queries: they have no place -------------------------------------------------------------------------------------

function queriesBelow(view, choose, stage, node) {
  const cells = Array.from({ length: view.regions }, (_, index) => el("button", {
    type: "button", class: "query", "data-region": index, "aria-label": regionName(view, index),
    onpointerenter: () => choose(index, false), onpointerleave: () => choose(null, false),
    onfocus: () => choose(index, false), onblur: (event) => staysInLists(event) || choose(null, false),
    onclick: () => choose(index, true) }, String(index)));
  roving(cells, 8);
  node.append(
    el("p", { class: "caption-line" }, "Queries have no place in the picture; each cell is one of them."),
    el("div", { class: "queries", role: "group", "aria-label": "queries; arrow keys move among them" }, ...cells));
  function update(values, first, chosen) {
    const most = values ? highest(values) || 1 : 1;
    cells.forEach((cell, index) => {
      const share = values ? (STATE.hard ? Number(index === first) : values[index] / most) : 0;
      const colour = rgb(RAMPS[themeNow()], share);
      cell.style.background = `rgb(${colour.join(",")})`;
      cell.style.color = inkOn(colour);
      cell.classList.toggle("first", index === first);
      cell.classList.toggle("chosen", index === chosen);
    });
  }
  return { update };
}
