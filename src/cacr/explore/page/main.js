// The page: items, controls, panes. `build` makes what an item needs; `update_all` shows what is chosen.

let PARTS = []; // what update_all updates
let MARKS = []; // what marks the cell under the pointer
let WIDTH = 0;

// ---- choices ---------------------------------------------------------------------------------------------------------

function chooseWord(model, caption, index, kept) {
  const chosen = index === null ? null : { model, caption, index };
  if (!kept && wordIs(STATE.overWord, chosen)) return;
  if (kept) {
    STATE.word = wordIs(keptWord(), chosen) ? null : chosen;
    STATE.overWord = null;
    say(STATE.word ? `kept the word ${viewOf(model, caption, STATE.image).tokens[index]}` : "no word is kept");
  } else STATE.overWord = chosen;
  update_all();
}

function chooseRegion(model, image, index, kept) {
  const chosen = index === null ? null : { model, image, index };
  if (!kept && regionIs(STATE.overRegion, chosen)) return;
  if (kept) {
    STATE.region = regionIs(STATE.region, chosen) ? null : chosen;
    STATE.overRegion = null;
    say(STATE.region ? `kept ${regionName(viewOf(model, STATE.caption, image), index)}` : "no region is kept");
  } else STATE.overRegion = chosen;
  update_all();
}

function wordIs(one, other) {
  return one === other || Boolean(one && other) && ["model", "caption", "index"].every((name) => one[name] === other[name]);
}

function regionIs(one, other) {
  return one === other || Boolean(one && other) && ["model", "image", "index"].every((name) => one[name] === other[name]);
}

function choosePair(caption, image) {
  const suggested = STATE.word && STATE.word.suggested;
  if (!suggested && STATE.word && STATE.word.caption !== caption) {
    const from = viewOf(STATE.word.model, STATE.word.caption, image), to = viewOf(STATE.word.model, caption, image);
    const index = counterpart(from, STATE.word.index, to, false);
    STATE.word = index === null ? null : { ...STATE.word, caption, index };
  }
  if (STATE.region && STATE.region.image !== image) STATE.region = null;
  Object.assign(STATE, { caption, image, all: false });
  if (suggested) STATE.word = suggestedWord();
  build();
}

function chooseItem(index) {
  if (index < 0 || index >= META.items.length || index === STATE.item) return;
  Object.assign(STATE, { item: index, caption: 0, image: 0, region: null, overWord: null, overRegion: null });
  STATE.all = STATE.all && captionsHere().length === 2 && imagesHere() === 2;
  STATE.word = suggestedWord();
  build();
}

function chooseLayer(models, index) {
  for (const m of models) STATE.layer[m] = Math.min(META.models[m].layers.length - 1, Math.max(0, index));
  update_all();
}

function chooseCell(cell) {
  if (String(cell) === String(STATE.cell)) return;
  STATE.cell = cell;
  for (const mark of MARKS) mark();
}

function say(text) {
  document.getElementById("live").textContent = text;
}

// ---- controls --------------------------------------------------------------------------------------------------------

// A row of buttons of which one is pressed; arrow keys move among them.
function oneOf(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) => el("button", {
    type: "button", "data-choice": `${label}-${value}`, "aria-pressed": String(value === chosen()), onclick: () => {
      choose(value);
      buttons.forEach((button, k) => button.setAttribute("aria-pressed", String(options[k][0] === chosen())));
    } }, text));
  roving(buttons, 1);
  return el("div", { class: "control" }, el("span", { class: "control-name" }, label), el("div", { class: "segments", role: "group", "aria-label": label }, ...buttons));
}

function layerControl(models, named) {
  const { name, layers, heads, apart } = META.models[models[0]], of = named ? ` of ${name}` : "";
  const told = el("output", { class: "number" });
  const slider = el("input", { type: "range", min: 0, max: layers.length - 1, step: 1, "aria-label": `layer${of}`, class: "layer", "data-model": models[0],
    oninput: () => chooseLayer(models, Number(slider.value)) });
  slider.disabled = layers.length === 1;
  const select = el("select", { "aria-label": `head${of}`, class: "head", "data-model": models[0],
    onchange: () => { for (const m of models) STATE.head[m] = Number(select.value); update_all(); } },
    ...Array.from({ length: apart.length ? heads + 1 : 1 }, (_, head) => el("option", { value: head }, headName(models[0], head))));
  PARTS.push(() => {
    slider.value = STATE.layer[models[0]];
    slider.setAttribute("aria-valuetext", `layer ${layers[STATE.layer[models[0]]]}`);
    told.textContent = String(layers[STATE.layer[models[0]]]);
    select.value = String(headNow(models[0]));
    for (const option of select.options) option.disabled = option.value !== "0" && !headsKept(models[0], STATE.layer[models[0]]);
    select.title = apart.length && !headsKept(models[0], STATE.layer[models[0]]) ? `heads are kept in layers ${apart.join(", ")}` : "";
  });
  return [el("label", { class: "control" }, el("span", { class: "control-name" }, `Layer${of}`), slider, told),
    el("label", { class: "control" }, el("span", { class: "control-name" }, `Head${of}`), select)];
}

function controls() {
  const two = META.models.length > 1, together = !two || sameLayers();
  const sets = together ? [META.models.map((_, m) => m)] : STATE.models.map((m) => [m]);
  return el("div", { class: "controls card", role: "toolbar", "aria-label": "what is shown" },
    two ? oneOf("Model", [...META.models.map((model, m) => [String(m), model.name]), ["0-1", "Both, side by side"]], () => STATE.models.join("-"),
      (value) => { STATE.models = value.split("-").map(Number); build(); }) : null,
    ...sets.flatMap((models) => layerControl(models, !together)),
    oneOf("Through the picture", [["soft", "soft"], ["hard", "hard (argmax)"]], () => (STATE.hard ? "hard" : "soft"), (value) => { STATE.hard = value === "hard"; update_all(); }),
    STATE.all ? null : oneOf("Relations among", [["language", "words"], ["vision", "regions"]], () => STATE.direction,
      (value) => { STATE.direction = value; build(); }));
}

// ---- an item ---------------------------------------------------------------------------------------------------------

function pane(model, width) {
  const { caption, image } = STATE, view = viewOf(model, caption, image), text = matchTexts(model)[caption][image], seen = el("span");
  const word = (index, kept) => chooseWord(model, caption, index, kept), region = (index, kept) => chooseRegion(model, image, index, kept);
  const picture = place(view, region, `picture ${image} of item ${STATE.item}`), words = wordsOf(model, caption, view, word);
  const lists = listsOf(model, caption, image, view, word, region), maps = mapsOf(model, caption, image, view, width - 34, word, region);
  const many = captionsHere().length + imagesHere() > 2, wait = el("p", { class: "hint wait" }, "Unpacking the numbers …");
  PARTS.push(() => {
    const found = arrays(STATE.item, model, caption, image, STATE.layer[model], headNow(model));
    const marked = wordFor(model, caption, image), chosen = regionFor(model, caption, image);
    wait.hidden = Boolean(found);
    seen.textContent = seenAt(model);
    picture.update(...(found && marked !== null ? [row(found.lv, marked), found.lv_best.numbers[marked]] : [null, null]), chosen);
    words.update(marked, wordFor(model, caption, image, keptWord()), regionWords(found, chosen));
    lists.update(found, marked, chosen);
    maps.update(found, marked, chosen);
  });
  return el("section", { class: "pane", "data-model": model, "aria-label": META.models[model].name },
    el("div", { class: "pane-head" }, el("h2", { title: META.models[model].title }, META.models[model].name),
      el("p", { class: "pair-line" }, many ? `caption ${caption} with picture ${image} · ` : "", seen, " · match ", el("b", { class: "pair-match" }, view.match === null ? "not given" : text))),
    el("div", { class: "look" }, el("div", { class: "card" }, picture.node), el("div", { class: "read" }, el("div", { class: "card" }, words.node), wait, lists.node)), maps.node);
}

// The way from the root to a node as numbers of children, to find its like when all is made anew.
function wayTo(node) {
  const way = [];
  for (; node && node !== document.body; node = node.parentNode) way.unshift(Array.from(node.parentNode.children).indexOf(node));
  return way;
}

function nodeAt(way) {
  return way.reduce((node, index) => node && node.children[index], document.body);
}

function focusAgain(before, now) {
  if (!now || now.tagName !== before.tagName) return;
  (now.disabled ? document.getElementById("item") : now).focus({ preventScroll: true });
}

// Makes everything below the top anew; the focus stays where it was, or on its like.
function build() {
  const focused = document.activeElement, way = wayTo(focused);
  PARTS = [];
  MARKS = [];
  STATE.cell = null;
  const item = META.items[STATE.item], main = document.getElementById("main"), both = STATE.models.length === 2;
  WIDTH = main.clientWidth;
  const many = item.captions.length + imagesHere() > 2, square = item.captions.length === 2 && imagesHere() === 2;
  const head = el("div", { class: "item-head" }, el("h2", { class: "item-title" }, item.title), item.note ? el("p", { class: "note" }, item.note) : null);
  const captions = el("ol", { class: "captions", start: 0 }, ...item.captions.map((text) => el("li", {}, text)));
  const pairs = !many ? null : el("section", { class: "card pairs", "aria-label": "match scores" },
    el("div", { class: "tables" }, ...STATE.models.map((model) => matchTable(model, choosePair))),
    el("div", { class: "said" }, captions, square ? el("button", { type: "button", class: "quiet", id: "all", "aria-pressed": String(STATE.all),
      onclick: () => { STATE.all = !STATE.all; build(); } }, STATE.all ? "Back to one pair" : "Show all four pairs at once") : null));
  const panes = el("div", { class: `panes${both && !STATE.all ? " both" : ""}` });
  main.replaceChildren(...[head, pairs, controls(), panes].filter(Boolean));
  const room = both && WIDTH > 860 ? (WIDTH - 20) / 2 : WIDTH;
  for (const model of STATE.models) {
    if (STATE.all) {
      const four = allFour(model, chooseWord, chooseRegion);
      PARTS.push(four.update);
      panes.append(four.node);
    } else panes.append(pane(model, room));
  }
  if (both && !STATE.all) {
    const apart = apartFrom(STATE.caption, STATE.image, chooseWord);
    PARTS.push(apart.update);
    main.append(apart.node);
  }
  document.getElementById("items").replaceWith(itemChooser());
  const bar = document.querySelector(".controls"); // its lines depend on the width
  if (bar) document.documentElement.style.setProperty("--below-bar", `${bar.offsetHeight + 8}px`);
  update_all();
  if (focused && !focused.isConnected) focusAgain(focused, nodeAt(way));
  const asked = STATE.item;
  if (!BLOCKS.has(asked)) {
    loadItem(asked).then(() => STATE.item === asked && update_all(), (error) => {
      for (const wait of document.querySelectorAll(".wait")) wait.remove();
      main.prepend(el("p", { class: "notice", role: "alert" }, `The numbers could not be unpacked (${error.message}). This page needs a browser of 2023 or later, and the whole file.`));
    });
  }
}

function update_all() {
  for (const part of PARTS) part();
  writeAddress();
}

function itemChooser() {
  const last = META.items.length - 1;
  const button = (name, text, step, off) => el("button", { type: "button", class: "quiet", id: name, "aria-label": text, disabled: off,
    onclick: () => chooseItem(STATE.item + step) }, step < 0 ? "‹" : "›");
  const select = el("select", { id: "item", "aria-label": "item", onchange: () => chooseItem(Number(select.value)) },
    ...META.items.map((item, index) => el("option", { value: index, selected: index === STATE.item }, `${index} · ${item.title}`)));
  return el("nav", { id: "items", "aria-label": "Items" }, button("previous", "previous item", -1, STATE.item === 0), select,
    button("next", "next item", 1, STATE.item === last), el("span", { class: "note" }, `${META.items.length} item${last ? "s" : ""}`));
}

// ---- the whole -------------------------------------------------------------------------------------------------------

function theme() {
  const button = document.getElementById("theme"), other = () => (themeNow() === "dark" ? "light" : "dark");
  const name = () => { button.textContent = other() === "dark" ? "Dark" : "Light"; button.setAttribute("aria-label", `use ${other()} colours`); };
  button.addEventListener("click", () => { document.documentElement.dataset.theme = other(); name(); update_all(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { name(); update_all(); });
  PAPER.addEventListener("change", update_all);
  name();
}

function keys(event) {
  if ((event.ctrlKey || event.metaKey || event.altKey) && !event.getModifierState("AltGraph")) return;
  if (event.key === "Escape") {
    Object.assign(STATE, { word: null, region: null, overWord: null, overRegion: null, cell: null });
    say("nothing is chosen");
    update_all();
  } else if (event.key === "[" || event.key === "]") {
    const step = event.key === "]" ? 1 : -1;
    for (const models of META.models.length > 1 && sameLayers() ? [[0, 1]] : STATE.models.map((m) => [m])) chooseLayer(models, STATE.layer[models[0]] + step);
    say(`layer ${META.models[STATE.models[0]].layers[STATE.layer[STATE.models[0]]]}`);
  } else if ((event.key === "PageUp" || event.key === "PageDown") && event.target.tagName !== "SELECT" && event.target.tagName !== "INPUT") {
    event.preventDefault();
    chooseItem(STATE.item + (event.key === "PageDown" ? 1 : -1));
  }
}

if (META.left_out) Object.assign(document.getElementById("left-out"), { textContent: META.left_out, hidden: false });
theme();
readAddress();
build();
document.addEventListener("keydown", keys);
addEventListener("hashchange", () => { readAddress(); build(); });
addEventListener("resize", () => { if (Math.abs(document.getElementById("main").clientWidth - WIDTH) > 24) build(); });
