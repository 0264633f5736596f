// Match scores of all pairs of an item, the view of two captions x two pictures, and two models side by side.

function matchesOf(model) {
  return META.items[STATE.item].views[model].map((line) => line.map((view) => view.match));
}

// The same as texts.
function matchTexts(model) {
  const match = matchesOf(model), texts = shownApart(match.flat());
  return match.map((line, c) => line.map((_, i) => texts[c * line.length + i]));
}

// Which of two is larger; null for a tie, for one alone, and where there are no scores.
function larger(pair) {
  if (pair.length !== 2 || pair.some((x) => x === null) || pair[0] === pair[1]) return null;
  return pair[0] > pair[1] ? 0 : 1;
}

// Winoground's three: text (for each picture the right caption), image (for each caption the right picture), both.
function verdict(match) {
  if (match.length !== 2 || match[0].length !== 2 || match.flat().some((x) => x === null)) return null;
  const text = [0, 1].every((i) => larger([match[0][i], match[1][i]]) === i);
  const image = [0, 1].every((c) => larger(match[c]) === c);
  return { text, image, group: text && image };
}

function sign(right) {
  return el("span", { class: right ? "right" : "wrong" }, right ? "✓ right" : "✗ wrong");
}

function pickWords(kind, pair, truth) {
  if (pair.some((x) => x === null)) return [];
  const found = larger(pair);
  if (found === null) return pair.length === 2 ? ["tie ", truth === null ? null : sign(false)] : [];
  return [`${kind} ${found} larger `, truth === null ? null : sign(found === truth)];
}

// The table of match scores; choose(caption, image) shows that pair.
function matchTable(model, choose) {
  const match = matchesOf(model), texts = matchTexts(model), captions = captionsHere(), images = match[0].map((_, i) => i);
  const square = captions.length === 2 && images.length === 2, columns = images.map((i) => match.map((line) => line[i]));
  const cell = (c, i) => {
    const chosen = !STATE.all && STATE.caption === c && STATE.image === i;
    const button = el("button", { type: "button", class: "match", "data-pair": `${c}-${i}`, "aria-pressed": String(chosen),
      "aria-label": `caption ${c} with picture ${i}${square && c === i ? ", the true pair" : ""}: match ${texts[c][i]}; show this pair`,
      onclick: () => choose(c, i) }, el("b", {}, texts[c][i]), square && c === i ? el("small", {}, "true pair") : null);
    return el("td", {}, button);
  };
  const body = captions.map((text, c) => el("tr", {}, el("th", { scope: "row", title: text }, `caption ${c}`), ...images.map((i) => cell(c, i)),
    el("td", { class: "pick" }, ...pickWords("picture", match[c], square ? c : null))));
  const foot = captions.length === 2 ? el("tr", {}, el("td"), ...images.map((i) =>
    el("td", { class: "pick" }, ...pickWords("caption", columns[i], square ? i : null))), el("td")) : null;
  const found = verdict(match);
  return el("div", { class: "match-box" },
    el("table", { class: "matches" }, el("caption", {}, META.models.length > 1 ? `Match, ${META.models[model].name}` : "Match"),
      el("thead", {}, el("tr", {}, el("td"), ...images.map((i) => el("th", { scope: "col" }, `picture ${i}`)), el("td"))),
      el("tbody", {}, ...body, foot)),
    found ? el("p", { class: "verdict" }, ...["text", "image", "group"].flatMap((name, k) => [k ? " · " : null, `${name} `, sign(found[name])])) : null);
}

// Two captions x two pictures: a word of each caption over both pictures.
function allFour(model, chooseWord, chooseRegion) {
  const texts = matchTexts(model), heading = el("p", { class: "pair-line" }), lines = captionsHere().map((text, c) => {
    const words = wordsOf(model, c, viewOf(model, c, 0), (index, kept) => chooseWord(model, c, index, kept));
    const places = [0, 1].map((i) => {
      const view = viewOf(model, c, i);
      return { view, part: place(view, (index, kept) => chooseRegion(model, i, index, kept), `picture ${i}`), said: el("p", { class: "caption-line top-region" }) };
    });
    const node = el("section", { class: "card four-row", "aria-label": `caption ${c}` }, el("h3", {}, `Caption ${c}`), words.node,
      el("div", { class: "two" }, ...places.map(({ part, said }, i) => el("figure", { "data-pair": `${c}-${i}` }, part.node,
        el("figcaption", {}, `picture ${i}${c === i ? ", true pair" : ""} · match `, el("b", {}, texts[c][i])), said))));
    return { c, words, places, node };
  });
  function update() {
    heading.replaceChildren(el("b", {}, META.models[model].name), ` · ${seenAt(model)}`);
    for (const { c, words, places } of lines) {
      const marked = wordFor(model, c, 0), kept = wordFor(model, c, 0, keptWord());
      let values = null;
      places.forEach(({ view, part, said }, i) => {
        const found = arrays(STATE.item, model, c, i, STATE.layer[model], headNow(model)), region = regionFor(model, c, i);
        const seen = found && marked !== null ? row(found.lv, marked) : null, first = seen ? found.lv_best.numbers[marked] : null;
        part.update(seen, first, region);
        if (region !== null) values = regionWords(found, region) || values;
        if (seen) said.textContent = `${quoted(view.tokens[marked])} most at ${regionName(view, first)}: ${shown(seen[first])}`;
        else if (marked !== null) said.textContent = "";  // not unpacked yet
        else said.textContent = wordNow() ? "this caption does not have the chosen word" : "choose a word of a caption";
      });
      words.update(marked, kept, values);
    }
  }
  return { node: el("div", { class: "four" }, heading, ...lines.map((line) => line.node)), update };
}

// Two models, one pair: difference of their divergences, for the words that both have.
function apartFrom(caption, image, chooseWord) {
  const [a, b] = [viewOf(0, caption, image), viewOf(1, caption, image)];
  const shared = a.tokens.map((token, index) => [index, counterpart(a, index, b, true)]).filter(([, other]) => other !== null);
  const heading = el("h3"), labels = shared.map(([index]) => a.tokens[index]);
  const drawn = labels.length ? bars(labels, 20, 6, (k) => chooseWord(0, caption, shared[k][0], true), Math.min(520, WIDTH - 34)) : null;
  const note = el("p", { class: "note" }, labels.length ? `Among words, each model at its chosen layer and head. Bars to the right: ${META.models[0].name} differs more from its picture's relations; to the left: ${META.models[1].name} does.` : "The two models cut the caption into different words; none is the same.");
  const node = el("section", { class: "card apart" }, heading, note, drawn ? el("div", { class: "scroll" }, drawn.node) : null);
  function update() {
    const [first, second] = [0, 1].map((m) => arrays(STATE.item, m, caption, image, STATE.layer[m], headNow(m)));
    if (!first || !second || !drawn) return;
    const name = `${STATE.hard ? "hard" : "soft"}_divergence`, marked = wordFor(0, caption, image);
    const values = Float64Array.from(shared, ([index, other]) => first[name].numbers[index] - second[name].numbers[other]);
    heading.textContent = `Difference of divergences, ${META.models[0].name} − ${META.models[1].name}, nats`;
    drawn.update(values, marked === null ? null : shared.findIndex(([index]) => index === marked), () => heading.textContent);
  }
  return { node, update };
}
