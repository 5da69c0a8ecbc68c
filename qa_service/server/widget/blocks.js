/* The blocks of a passage as DOM nodes, with its quotes marked. Text of documents only ever becomes text nodes. */

import { joined, visible } from "./client.js";
import { h, iconButton } from "./view.js";

const NEAR = 180; // characters of the neighbours that are shown with a quote
const REST = 80; // a block is not cut for less
const WORTH = 160; // characters that are worth a button that shows them
const WAIT_MS = 2000;
const ELEMENTS = { strong: "strong", emphasis: "em", strike: "s", code: "code" };

/** Return the ranges of a passage to show at first: its quotes and what follows them; `null` means all of it. */
export function excerptOf({ characters, blocks, quotes }) {
  const whole = [{ kind: "plain", start: 0, end: characters.length }];
  const within = (at) => (blocks ?? whole).find(({ start, end }) => start < at && at < end);
  const [first, last] = quotes.length ? [quotes[0][0], quotes.at(-1)[1]] : [0, 0];
  const ranges = quotes.length ? quotes.map((quote) => [...quote]) : [[0, 0]];
  const ends = characters.slice(last).some((one) => one.trim());
  if (ends) ranges.at(-1)[1] = boundary(characters, last + NEAR, 1, within);
  else ranges[0][0] = boundary(characters, first - NEAR, -1, within);
  for (const range of ranges) {
    if (within(range[0])?.kind === "code") range[0] = line(characters, range[0], -1);
    if (within(range[1])?.kind === "code") range[1] = line(characters, range[1], 1);
  }
  const shown = joined(ranges, NEAR);
  const hidden = characters.length - shown.reduce((sum, [start, end]) => sum + end - start, 0);
  return hidden < WORTH ? null : shown;
}

/** Return the end of a word near an offset, in the given direction, or that of its block if it is near. */
function boundary(characters, at, step, within) {
  const block = within(at);
  if (at <= 0 || at >= characters.length) return Math.min(Math.max(at, 0), characters.length);
  if (!block) return at;
  const end = step > 0 ? block.end : block.start;
  if (Math.abs(end - at) <= REST) return end;
  for (let here = at; Math.abs(here - at) < 30; here += step) {
    if (!characters[step > 0 ? here : here - 1].trim()) return here;
  }
  return at; // a script without spaces
}

function line(characters, at, step) {
  let here = at;
  while (characters[step > 0 ? here : here - 1] !== undefined && characters[step > 0 ? here : here - 1] !== "\n") here += step;
  return here;
}

/**
 * Return the nodes of a passage. `shown` are the ranges to show, the rest is an ellipsis; `null` shows all. With `intact`, a
 * paragraph stays one where its quote ends.
 */
export function nodesOf({ characters, blocks, quotes, words, intact = false }, shown, strings) {
  const cuts = [...quotes, ...words, ...(shown ?? [])].flat().sort((one, other) => one - other);
  const view = { characters, quotes, words, intact, shown, cuts, strings };
  const nodes = [];
  for (const block of blocks ?? [plain(characters.length)]) {
    const node = (MADE[block.kind] ?? flow)(block, view);
    if (!node) continue;
    node.dataset.start = String(block.start);
    const list = nodes.at(-1);
    if (block.kind !== "item") nodes.push(node);
    else if (list?.className === "items") list.append(node);
    else nodes.push(h("ul", { class: "items", role: "list" }, node));
  }
  return nodes;
}

const plain = (length) => ({ kind: "plain", start: 0, end: length, runs: [{ start: 0, end: length, marks: [] }] });

const inside = (ranges, at) => ranges.some(([start, end]) => start <= at && at < end);
const meets = (view, { start, end }) => !view.shown || view.shown.some(([from, to]) => from < end && start < to);

/** Return runs cut at the ends of quotes, of their exact words, and of what is shown. */
function pieces(runs, view) {
  return runs.flatMap((run) => {
    const ends = [run.start, ...view.cuts.filter((cut) => run.start < cut && cut < run.end), run.end];
    return ends.slice(1).map((end, place) => ({
      text: visible(view.characters.slice(ends[place], end).join("")),
      marks: run.marks,
      quoted: inside(view.quotes, ends[place]),
      exact: inside(view.words, ends[place]),
      shown: !view.shown || inside(view.shown, ends[place]),
    }));
  });
}

/** Return the nodes of pieces: what is quoted in `mark` elements, the exact words of the answer in `strong` ones. */
function inline(some, view) {
  const nodes = [];
  const name = view.words.length ? "exact" : null;
  for (const piece of some) {
    let node = document.createTextNode(piece.text);
    for (const mark of piece.marks) node = marked(mark, node);
    if (piece.exact) node = h("strong", { class: "words", part: "words" }, node);
    const quote = nodes.at(-1);
    if (!piece.quoted) nodes.push(node);
    else if (quote?.localName === "mark") quote.append(node);
    else nodes.push(h("mark", { class: name, part: "quote" }, node));
  }
  return nodes;
}

function marked(mark, node) {
  if (mark === "image") return h("span", { class: "image", role: "img", "aria-label": node.textContent }, node);
  return h(ELEMENTS[mark] ?? "span", { class: mark === "math" ? "math" : null, translate: mark === "math" ? "no" : null }, node);
}

/** Return the paragraphs of a block: each either quoted, or a neighbour of what is quoted. */
function paragraphs(block, view) {
  const groups = [];
  let gap = false;
  for (const piece of pieces(block.runs, view)) {
    if (!piece.shown) gap ||= Boolean(piece.text.trim());
    else if (piece.text.trim() || groups.length) {
      const group = groups.at(-1);
      const same = group && !gap && (view.intact || group.quoted === piece.quoted || !piece.text.trim());
      if (same) group.pieces.push(piece);
      else groups.push({ quoted: piece.quoted, gap, pieces: [piece] });
      gap = false;
    }
  }
  return groups.map((group, place) => {
    const last = place === groups.length - 1 && gap;
    group.pieces[0].text = group.pieces[0].text.trimStart();
    group.pieces.at(-1).text = group.pieces.at(-1).text.trimEnd();
    const name = `${group.quoted ? "lead" : "near"}${block.kind === "plain" ? " plain" : ""}`;
    return h("p", { class: name }, group.gap ? cut("… ") : null, ...inline(group.pieces, view), last ? cut(" …") : null);
  });
}

const cut = (text) => h("span", { class: "cut" }, text);

function flow(block, view) {
  if (!meets(view, block)) return null;
  const parts = paragraphs(block, view);
  if (!parts.length) return null;
  return parts.length === 1 ? parts[0] : h("div", { class: "parts" }, ...parts);
}

const MADE = {
  heading(block, view) {
    const content = meets(view, block) ? inline(pieces(block.runs, view), view) : [];
    return content.length ? h("h4", { class: `heading level-${block.level}` }, ...content) : null;
  },
  item(block, view) {
    const parts = flow(block, view);
    return parts && h("li", { class: `level-${block.level}` }, h("span", { class: "marker" }, block.marker), parts);
  },
  quote(block, view) {
    const parts = flow(block, view);
    return parts && h("div", { class: `cited level-${block.level}` }, parts);
  },
  rule: (block, view) => (meets(view, block) ? h("hr") : null),
  code,
  table,
};

function code(block, view) {
  if (!meets(view, block)) return null;
  const all = pieces(block.runs, view);
  const some = all.filter((piece) => piece.shown);
  const before = all.findIndex((piece) => piece.shown) > 0;
  const after = all.length > 0 && !all.at(-1).shown;
  const text = h("code", {}, before ? "…\n" : null, ...inline(some, view), after ? "\n…" : null);
  const label = block.language || view.strings.code;
  const lines = h("pre", { class: "wide", tabindex: "0", role: "group", "aria-label": label, translate: "no", dir: "ltr" }, text);
  const copied = all.map((piece) => piece.text).join("");
  return h("div", { class: `code ${some.some((piece) => piece.quoted) ? "lead" : "near"}` }, lines, copy(copied, view.strings));
}

function copy(text, strings) {
  if (!navigator.clipboard) return null;
  const said = h("span", { role: "status" });
  const says = (words) => {
    said.textContent = words;
    setTimeout(() => (said.textContent = ""), WAIT_MS);
  };
  const press = () => navigator.clipboard.writeText(text).then(() => says(strings.copied), () => says(strings.notCopied));
  return h("div", { class: "copy" }, said, iconButton("copy", strings.copyCode, "copy-code", press));
}

function table(block, view) {
  const within = (row) => row.cells.some((runs) => runs.some((run) => meets(view, run)));
  const some = block.rows.filter(within);
  if (!some.length || (view.shown && some.every((row) => row.header && !quoted(row, view)))) return null;
  const made = [];
  let gap = 0;
  for (const row of block.rows) {
    if (!row.header && !within(row)) {
      gap = Math.max(gap, row.cells.length, 1);
      continue;
    }
    if (gap) made.push(skipped(gap));
    gap = 0;
    made.push(rowOf(row, view));
  }
  if (gap) made.push(skipped(gap));
  const label = { role: "group", "aria-label": view.strings.table };
  return h("div", { class: "wide", tabindex: "0", ...label }, h("table", {}, h("tbody", {}, ...made)));
}

const skipped = (count) => h("tr", { class: "near" }, h("td", { colspan: String(count) }, "…"));

const quoted = (row, { quotes }) =>
  row.cells.flat().some((run) => quotes.some(([start, end]) => run.start < end && start < run.end));

function rowOf(row, view) {
  const cells = row.cells.map((runs) => inline(pieces(runs, view), view));
  const cell = (nodes) => h(row.header ? "th" : "td", { scope: row.header ? "col" : null }, h("div", { dir: "auto" }, ...nodes));
  return h("tr", { class: quoted(row, view) ? "lead" : "near" }, ...cells.map(cell));
}
