// What is chosen: kept here, and in the address (#item=…) so that a view can be linked.

const STATE = {
  item: 0,
  models: [0], // shown, one or both
  caption: 0,
  image: 0,
  all: false, // two captions x two pictures at once
  layer: META.models.map((model) => model.layers.length - 1), // places in each model's list
  head: META.models.map(() => HEAD_MEAN),
  hard: false,
  direction: "language",
  word: null, // {model, caption, index}: kept until Escape; suggested: true where nobody chose it
  region: null, // {model, image, index}
  overWord: null, // under the pointer or in focus
  overRegion: null,
  cell: null, // [row, column] of the maps under the pointer
  lines: false, // lines between patches
  apart: false, // a scale for each relation map
};

function viewOf(model, caption, image) {
  return META.items[STATE.item].views[model][caption][image];
}

function captionsHere() {
  return META.items[STATE.item].captions;
}

function imagesHere() {
  return META.items[STATE.item].views[0][0].length;
}

// The head that is shown: the mean in a layer whose heads are not kept.
function headNow(model) {
  return headsKept(model, STATE.layer[model]) ? STATE.head[model] : HEAD_MEAN;
}

function headName(model, head) {
  const { heads } = META.models[model];
  return head === HEAD_MEAN ? (heads ? `mean of ${heads} heads` : "mean of the heads") : `head ${head - 1}`;
}

function seenAt(model) {
  return `layer ${META.models[model].layers[STATE.layer[model]]}, ${headName(model, headNow(model))}, ${STATE.hard ? "hard" : "soft"}`;
}

function sameLayers() {
  const same = (name) => META.models.every((model) => String(model[name]) === String(META.models[0][name]));
  return same("heads") && same("layers") && same("apart");
}

// ---- the same word in another caption or for another model -----------------------------------------------------------

function counterpart(from, index, to, sameCaption) {
  if (index >= from.tokens.length) return null;
  if (String(from.tokens) === String(to.tokens)) return index;
  if (sameCaption && from.spans && to.spans) {
    const [start, end] = from.spans[index];
    const found = to.spans.findIndex(([s, e]) => s < end && start < e);
    return found < 0 ? null : found;
  }
  const word = from.tokens[index].toLowerCase();
  let turn = from.tokens.slice(0, index).filter((token) => token.toLowerCase() === word).length;
  for (let i = 0; i < to.tokens.length; i++) if (to.tokens[i].toLowerCase() === word && turn-- === 0) return i;
  return null;
}

function wordNow() {
  return STATE.overWord || STATE.word;
}

function keptWord() {
  return STATE.word && !STATE.word.suggested ? STATE.word : null;
}

function wordFor(model, caption, image, chosen = wordNow()) {
  if (!chosen) return null;
  const from = viewOf(chosen.model, chosen.caption, image), to = viewOf(model, caption, image);
  return counterpart(from, chosen.index, to, caption === chosen.caption);
}

function regionFor(model, caption, image) {
  const chosen = STATE.overRegion || STATE.region;
  if (!chosen || chosen.image !== image) return null;
  const from = viewOf(chosen.model, caption, image), to = viewOf(model, caption, image);
  const alike = chosen.model === model ||
    (from.regions === to.regions && JSON.stringify(from.places) === JSON.stringify(to.places));
  return alike && chosen.index < to.regions ? chosen.index : null;
}

function regionName(view, index) {
  if (view.kind === "patches") {
    return `patch ${index} (row ${Math.floor(index / view.grid[1])}, column ${index % view.grid[1]})`;
  }
  const kind = view.kind === "queries" ? "query" : "region";
  return view.names ? `${kind} ${index} · ${view.names[index]}` : `${kind} ${index}`;
}

function suggestedWord() {
  const tokens = viewOf(STATE.models[0], STATE.caption, STATE.image).tokens;
  let best = 0;
  for (let i = 1; i < tokens.length; i++) if (tokens[i].length > tokens[best].length) best = i;
  return { model: STATE.models[0], caption: STATE.caption, index: best, suggested: true };
}

function visionShown(view) {
  return STATE.direction === "vision" && view.vision;
}

// ---- the address -----------------------------------------------------------------------------------------------------

let writing = 0;

function writeAddress() {
  const said = new URLSearchParams();
  said.set("item", STATE.item);
  if (META.models.length > 1) said.set("models", STATE.models.join("-"));
  if (captionsHere().length > 1) said.set("caption", STATE.caption);
  if (imagesHere() > 1) said.set("picture", STATE.image);
  if (STATE.all) said.set("view", "all");
  said.set("layer", META.models.map((model, m) => model.layers[STATE.layer[m]]).join("-"));
  said.set("head", STATE.head.map((head) => (head === HEAD_MEAN ? "mean" : head - 1)).join("-"));
  if (STATE.hard) said.set("maps", "hard");
  if (STATE.direction === "vision") said.set("direction", "vision");
  if (!STATE.word || !STATE.word.suggested) said.set("word", STATE.word ? [STATE.word.model, STATE.word.caption, STATE.word.index].join("-") : "none");
  if (STATE.region) said.set("region", [STATE.region.model, STATE.region.image, STATE.region.index].join("-"));
  const address = `#${said}`;
  clearTimeout(writing); // browsers count how often the address changes
  writing = setTimeout(() => address !== location.hash && history.replaceState(null, "", address), 120);
}

function numbersIn(said, name, mosts) {
  // "1-2-3" where each is below its limit; null where the address says something else
  const found = (said.get(name) || "").split("-").map((text) => (/^\d+$/.test(text) ? Number(text) : NaN));
  return found.length === mosts.length && found.every((x, k) => x < mosts[k]) ? found : null;
}

function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1)), models = META.models.length;
  STATE.item = (numbersIn(said, "item", [META.items.length]) || [0])[0];
  STATE.models = numbersIn(said, "models", [models, models]) ? [0, 1].slice(0, models) :
    numbersIn(said, "models", [models]) || [0];
  STATE.caption = (numbersIn(said, "caption", [captionsHere().length]) || [0])[0];
  STATE.image = (numbersIn(said, "picture", [imagesHere()]) || [0])[0];
  STATE.all = said.get("view") === "all" && captionsHere().length === 2 && imagesHere() === 2;
  const layers = (said.get("layer") || "").split("-"), heads = (said.get("head") || "").split("-");
  META.models.forEach((model, m) => {
    const layer = model.layers.map(String).indexOf(layers[m]);
    STATE.layer[m] = layer < 0 ? model.layers.length - 1 : layer;
    STATE.head[m] = /^\d+$/.test(heads[m]) && Number(heads[m]) < model.heads ? Number(heads[m]) + 1 : HEAD_MEAN;
  });
  if (sameLayers()) { // they have one control
    STATE.layer.fill(STATE.layer[0]);
    STATE.head.fill(STATE.head[0]);
  }
  STATE.hard = said.get("maps") === "hard";
  STATE.direction = said.get("direction") === "vision" ? "vision" : "language";
  STATE.overWord = STATE.overRegion = STATE.cell = null;
  const word = numbersIn(said, "word", [models, captionsHere().length, Infinity]);
  const known = word && word[2] < viewOf(word[0], word[1], STATE.image).tokens.length;
  STATE.word = known ? { model: word[0], caption: word[1], index: word[2] } : said.get("word") === "none" ? null : suggestedWord();
  const region = numbersIn(said, "region", [models, imagesHere(), Infinity]);
  const there = region && region[2] < viewOf(region[0], STATE.caption, region[1]).regions;
  STATE.region = there ? { model: region[0], image: region[1], index: region[2] } : null;
}
