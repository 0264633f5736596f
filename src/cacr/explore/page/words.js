// The caption as words, and lists of where a word attends and to which words a region attends.

function wordsOf(model, caption, view, choose) {
  const buttons = view.tokens.map((token, index) => el("button", {
    type: "button", class: "word", "data-word": index, "aria-pressed": "false",
    onpointerenter: (event) => event.pointerType !== "touch" && choose(index, false),
    onpointerleave: () => choose(null, false),
    onfocus: (event) => event.target.matches(":focus-visible") && choose(index, false),
    onblur: () => choose(null, false), onclick: () => choose(index, true) },
    el("span", { class: "word-text" }, token), el("span", { class: "word-bar", "aria-hidden": "true" })));
  roving(buttons, 1);
  const node = el("div", { class: "words", role: "group", "aria-label": "words of the caption; arrow keys move among them" }, ...buttons);
  function update(chosen, kept, values) {
    const most = values ? highest(values) || 1 : 1;
    buttons.forEach((button, index) => {
      button.classList.toggle("chosen", index === chosen);
      button.setAttribute("aria-pressed", String(index === kept));
      const bar = button.lastElementChild;
      bar.style.width = values ? `${(100 * values[index]) / most}%` : "0";
      button.title = values ? `${view.tokens[index]}: ${shown(values[index])}` : "";
    });
  }
  return { node, update };
}

// A list of names with bars and numbers, highest first.
function valueList(onpick) {
  const heading = el("h3"), note = el("p", { class: "note" }), list = el("ol", { class: "values" });
  const more = el("button", { type: "button", class: "quiet small", onclick: () => { whole = !whole; draw(); } });
  const node = el("section", { class: "card" }, heading, note, list, more);
  let whole = false, values = null, names = null;
  const SHORT = 6;
  function draw() {
    const order = values ? Array.from(values.keys()).sort((a, b) => values[b] - values[a]) : [];
    const most = values ? highest(values) || 1 : 1;
    list.replaceChildren(...order.slice(0, whole ? 100 : SHORT).map((index) => {
      const bar = el("span", { class: "bar" });
      bar.style.width = `${(100 * values[index]) / most}%`;
      return el("li", {}, el("button", { type: "button", class: "value", "data-index": index, onclick: () => onpick(index) },
        el("span", { class: "name" }, names(index)), el("span", { class: "track" }, bar),
        el("span", { class: "number" }, shown(values[index]))));
    }));
    more.hidden = order.length <= SHORT;
    more.textContent = whole ? "Fewer" : order.length > 100 ? `The highest 100 of ${order.length}` : `All ${order.length}`;
  }
  function update(title, said, numbers, nameOf) {
    heading.replaceChildren(...title);
    note.textContent = said;
    note.hidden = !said;
    [values, names] = [numbers, nameOf];
    draw();
  }
  return { node, update };
}

function quoted(token) {
  return `“${token}”`;
}

const WITHOUT_VL = "This model has no S_VL: its regions do not attend to words. (A causal model reads the picture first and " +
  "never looks ahead; with cross attention, only words look at the picture.) Shown instead is the region's column of S_LV: " +
  "how strongly each word attends to it. A column need not sum to 1.";

// Both lists of a pane.
function listsOf(model, caption, image, view, chooseWord, chooseRegion) {
  const where = valueList((index) => chooseRegion(index, true)), which = valueList((index) => chooseWord(index, true));
  function update(found, word, region) {
    if (word === null) where.update(["Where a word attends"], "Choose a word of the caption.", null, null);
    else {
      where.update(["Where ", el("q", {}, view.tokens[word]), " attends, ", formula("S_LV")],
        STATE.hard ? "Hard: the word stands for the first of these alone." : "",
        found ? row(found.lv, word) : null, (index) => regionName(view, index));
    }
    const one = { boxes: "region", patches: "patch", queries: "query" }[view.kind];
    if (region === null) which.update([`The words of a ${one}`], `Choose a ${one}${view.kind === "queries" ? "" : " in the picture"}.`, null, null);
    else {
      const lacking = found && !found.vl;
      which.update(
        [lacking ? `Words that attend to ${regionName(view, region)}, column of ` : `Where ${regionName(view, region)} attends, `,
          formula(lacking ? "S_LV" : "S_VL")],
        lacking ? WITHOUT_VL : "", regionWords(found, region), (index) => view.tokens[index]);
    }
  }
  return { node: el("div", { class: "lists" }, where.node, which.node), update };
}

// Attention of a region to words, or the column of S_LV where there is none.
function regionWords(found, region) {
  if (!found || region === null) return null;
  return found.vl ? row(found.vl, region) : column(found.lv, region);
}
