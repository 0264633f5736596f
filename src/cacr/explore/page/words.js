// The caption as words, and lists of where a word attends and to which words a region attends.

function wordsOf(model, caption, view, choose) {
  const buttons = view.tokens.map((token, index) => el("button", {
    type: "button", class: "word", "data-word": index, "aria-pressed": "false",
    onpointerenter: (event) => event.pointerType !== "touch" && choose(index, false),
    onpointerleave: () => choose(null, false),
    onfocus: (event) => event.target.matches(":focus-visible") && choose(index, false),
    onblur: (event) => staysInLists(event) || choose(null, false), onclick: () => choose(index, true) },
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

// From a word into a list that speaks of it: the list must still say what it said.
function staysInLists(event) {
  return event.relatedTarget !== null && event.relatedTarget.closest(".lists") !== null;
}

// A list of names with bars and numbers, highest first. Line k is the same button whatever stands in it, so that a
// click or the focus on it outlives a change of what is shown.
function valueList(onpick) {
  const SHORT = 6, MOST = 100;
  const heading = el("h3"), note = el("p", { class: "note" }), list = el("ol", { class: "values" }), lines = [];
  const more = el("button", { type: "button", class: "quiet small", onclick: () => { whole = !whole; draw(); } });
  const node = el("section", { class: "card" }, heading, note, list, more);
  let whole = false, values = null, names = null, first = null;
  function line(k) {
    if (lines[k]) return lines[k];
    let pressed = null; // what stood there when the pointer went down: that is what was meant
    const name = el("span", { class: "name" }), bar = el("span", { class: "bar" }), number = el("span", { class: "number" });
    const button = el("button", { type: "button", class: "value", onpointerdown: () => { pressed = Number(button.dataset.index); },
      onclick: (event) => { onpick(event.detail && pressed !== null ? pressed : Number(button.dataset.index)); pressed = null; } },
    name, el("span", { class: "track" }, bar), number);
    const item = el("li", {}, button);
    list.append(item);
    return (lines[k] = { item, button, name, bar, number });
  }
  function draw() {
    const before = (a, b) => values[b] - values[a] || (b === first) - (a === first) || a - b;
    const order = values ? Array.from(values.keys()).sort(before) : [];
    const most = values ? highest(values) || 1 : 1, long = Math.min(order.length, whole ? MOST : SHORT);
    for (let k = 0; k < Math.max(long, lines.length); k++) {
      const { item, button, name, bar, number } = line(k);
      item.hidden = k >= long;
      if (item.hidden) continue;
      button.dataset.index = order[k];
      name.textContent = names(order[k]);
      bar.style.width = `${(100 * values[order[k]]) / most}%`;
      number.textContent = shown(values[order[k]]);
    }
    list.hidden = long === 0;
    more.hidden = order.length <= SHORT;
    more.textContent = whole ? "Fewer" : order.length > MOST ? `The highest ${MOST} of ${order.length}` : `All ${order.length}`;
  }
  // best: which of the numbers is the first, where rounded ones are equal
  function update(title, said, numbers, best, nameOf) {
    heading.replaceChildren(...title);
    note.textContent = said;
    note.hidden = !said;
    [values, first, names] = [numbers, best, nameOf];
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
    if (word === null) where.update(["Where a word attends"], "Choose a word of the caption.", null, null, null);
    else {
      where.update(["Where ", el("q", {}, view.tokens[word]), " attends, ", formula("S_LV")],
        STATE.hard ? "Hard: the word stands for the first of these alone." : "",
        ...(found ? [row(found.lv, word), found.lv_best.numbers[word]] : [null, null]), (index) => regionName(view, index));
    }
    const one = { boxes: "region", patches: "patch", queries: "query" }[view.kind];
    if (region === null) which.update([`The words of a ${one}`], `Choose a ${one}${view.kind === "queries" ? "" : " in the picture"}.`, null, null, null);
    else {
      const lacking = found && !found.vl;
      which.update(
        [lacking ? `Words that attend to ${regionName(view, region)}, column of ` : `Where ${regionName(view, region)} attends, `,
          formula(lacking ? "S_LV" : "S_VL")],
        lacking ? WITHOUT_VL : "", regionWords(found, region), found && found.vl ? found.vl_best.numbers[region] : null,
        (index) => view.tokens[index]);
    }
  }
  const leave = (event) => {
    if (node.contains(event.relatedTarget)) return;
    chooseWord(null, false);
    chooseRegion(null, false);
  };
  const node = el("div", { class: "lists", onfocusout: leave }, where.node, which.node);
  return { node, update };
}

// Attention of a region to words, or the column of S_LV where there is none.
function regionWords(found, region) {
  if (!found || region === null) return null;
  return found.vl ? row(found.vl, region) : column(found.lv, region);
}
