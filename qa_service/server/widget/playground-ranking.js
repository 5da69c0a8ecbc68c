/* How the last answer's passages came to their ranks: a slope chart, the same as a table, and the passages. */

import { readBlocks, visible } from "./client.js";
import { count, inCollection, post } from "./playground-service.js";
import { percent } from "./strings.js";
import { h } from "./view.js";

const SVG = "http://www.w3.org/2000/svg";
const ROW = 34;
const TOP = 30;
const EDGE = 22;
const RADIUS = 11;
const LABEL_CHARACTER = 7.3; // pixels of a character of a label, about
const FOLLOWED = 8; // passages, up to which the picture stays in view above them
const COLUMN = 64; // pixels of a column at least
const NARROW = 380; // pixels, below which the picture has no labels
const SIGNALS = [
  { name: "Meaning", key: "dense", says: "how near the passage's vector is to the question's" },
  { name: "Words", key: "lexical", says: "the words they share; rare ones count more" },
  { name: "Tokens", key: "rerank", says: "the best counterpart of each of the question's tokens" },
  { name: "Reading", key: "reading", says: "whether the best sentence answers, for the first passages" },
];
const AND = new Intl.ListFormat("en");
const VERDICTS = {
  answered: "Answered",
  uncertain: "This may answer it",
  not_found: "Not found in these documents",
};

/** Return the picture of how an answer was ranked, asking once more with an explanation; `open` shows a citation. */
export async function ranking({ question, answer }, chat, open) {
  const verdict = VERDICTS[answer.verdict] ?? "No verdict, because the model has no calibration";
  const head = [
    h("p", { class: "verdict" }, h("strong", {}, verdict), answer.confidence === null ? "" : ` · confidence ${percent(answer.confidence, "en")}`),
    answer.reason ? h("p", {}, visible(answer.reason.message, 1000)) : null,
  ].filter(Boolean);
  if (!answer.results.length) return [...head, h("p", { class: "quiet" }, "No passage shares enough with the question to be ranked.")];
  const rows = rowsOf(await explained(question, answer, chat));
  const chart = h("div", { class: "chart" });
  const list = h("ol", { class: "ranked" }, ...rows.map((row) => passageOf(row, question, open)));
  const light = (rank) => {
    for (const one of [...chart.querySelectorAll(".line"), ...list.children]) one.classList.toggle("lit", one.dataset.rank === String(rank));
    chart.classList.toggle("lighting", rank !== null);
  };
  for (const [kind, value] of Object.entries({ mouseover: true, focusin: true, mouseleave: false, focusout: false })) {
    for (const part of [chart, list]) {
      part.addEventListener(kind, ({ target }) => light(value ? (target.closest("[data-rank]")?.dataset.rank ?? null) : null));
    }
  }
  new ResizeObserver(([{ contentRect }]) => contentRect.width && chart.replaceChildren(picture(rows, contentRect.width))).observe(chart);
  chart.style.height = `${heightOf(rows)}px`; // reserved, so that nothing moves when it is drawn
  return [
    ...head,
    h("figure", { class: rows.length <= FOLLOWED ? "follows" : null }, chart),
    h("p", { class: "quiet", id: "caption" }, caption(rows)),
    list,
    h("details", {}, h("summary", {}, "Ranks and scores as a table"), table(rows)),
    h("details", {}, h("summary", {}, "The four signals"), h("dl", {}, ...SIGNALS.flatMap(({ name, says }) => [h("dt", {}, name), h("dd", {}, says)]))),
    h("p", { class: "quiet" }, `${answer.took_ms} ms · index ${visible(answer.index_version, 40)}`),
  ];
}

async function explained(question, answer, chat) {
  const asked = answer.understood?.follow_up_of ? answer.understood.text : question;
  const body = { question: asked, top_k: answer.results.length, ...(chat.filters ? { filters: chat.filters } : {}) };
  return (await post(inCollection(chat.getAttribute("collection") ?? "", "ask?explain=true&blocks=true"), body)).results;
}

/** Return for each result its place in each column, and its rank there where it has one. */
function rowsOf(results) {
  const rows = results.map(({ rank, score, scores, explanation, citation, confidence, text, blocks }) => ({
    ...{ rank, score, scores, citation, confidence, quote: quoteOf(citation.quote, text, blocks), terms: explanation?.matched_terms ?? [] },
    ranks: [explanation?.dense_rank ?? null, explanation?.lexical_rank ?? null, rankBy(results, scores.rerank, "rerank"), rankBy(results, scores.reading, "reading"), rank],
    places: [],
  }));
  for (let column = 0; column <= SIGNALS.length; column++) {
    const order = [...rows].sort((one, other) => (one.ranks[column] ?? Infinity) - (other.ranks[column] ?? Infinity) || one.rank - other.rank);
    order.forEach((row, place) => (row.places[column] = place));
  }
  return rows;
}

const rankBy = (results, value, key) =>
  Number.isFinite(value) ? 1 + results.filter(({ scores }) => (scores[key] ?? -Infinity) > value).length : null;

const heightOf = (rows) => TOP + rows.length * ROW;
const nameOf = ({ citation }) => visible(citation.section_path.at(-1) || citation.title || citation.uri, 200);

function s(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

function picture(rows, width) {
  const labels = width < NARROW ? 0 : Math.min(220, width * 0.33, width - SIGNALS.length * COLUMN - 2 * EDGE);
  const x = (column) => EDGE + (column * (width - labels - 2 * EDGE)) / SIGNALS.length;
  const y = (place) => TOP + place * ROW + ROW / 2;
  const heads = [...SIGNALS.map(({ name }) => name), "Result"].map((name, column) =>
    s("text", { x: x(column), y: 14, class: column ? "head" : "head first" }, name),
  );
  const lines = rows.toReversed().map((row) => line(row, x, y, Math.floor(labels / LABEL_CHARACTER)));
  const looks = { viewBox: `0 0 ${width} ${heightOf(rows)}`, width, height: heightOf(rows), role: "img" };
  return s("svg", { ...looks, "aria-label": `Ranks of ${count(rows.length, "passage")} by each signal; the table below has the same figures` }, ...heads, ...lines);
}

function line(row, x, y, characters) {
  const points = row.places.map((place, column) => [x(column), y(place)]);
  const bend = ([x1, y1], [x2, y2]) => `C${(x1 + x2) / 2} ${y1} ${(x1 + x2) / 2} ${y2} ${x2} ${y2}`;
  const path = `M${points[0].join(" ")}${points.slice(1).map((point, place) => bend(points[place], point)).join("")}`;
  const dots = points.map(([cx, cy], column) => {
    const rank = row.ranks[column];
    const [dot, text] = [s("circle", { cx, cy, r: rank === null ? 4 : RADIUS }), s("text", { x: cx, y: cy, dy: ".36em" }, String(rank ?? ""))];
    return s("g", { class: rank === null ? "dot none" : "dot" }, dot, text);
  });
  const [endX, endY] = points.at(-1);
  const name = nameOf(row);
  const label = s("text", { x: endX + RADIUS + 7, y: endY, dy: ".36em", class: "label" }, name.length > characters ? `${name.slice(0, characters - 1).trimEnd()}…` : name);
  const parts = [s("path", { d: path, class: "reach" }), s("path", { d: path }), ...dots, ...(characters ? [label] : [])];
  return s("g", { class: row.rank === 1 ? "line first" : "line", "data-rank": row.rank }, ...parts);
}

/** Say in words what the picture shows of the first result. */
function caption(rows) {
  const names = SIGNALS.slice(0, 3).map(({ name }) => name.toLowerCase());
  const byRank = Map.groupBy(names, (_, column) => rows[0].ranks[column]);
  const places = [...byRank].map(([rank, some]) => `${rank === null ? "not ranked" : rank === 1 ? "first" : `number ${rank}`} by ${AND.format(some)}`);
  const read = rows.some(({ ranks }) => ranks[3] !== null) ? " Reading then judged whether the best sentences answer." : "";
  return `The first result is ${AND.format(places)}.${read} A number is the rank by that signal; a small dot was not ranked by it.`;
}

function passageOf({ rank, citation, quote, confidence, terms }, question, open) {
  const place = [citation.title, ...citation.section_path].filter(Boolean).join(" › ");
  const button = h("button", { class: "link", type: "button", dir: "auto", onclick: () => open(citation) }, visible(place || citation.uri, 300));
  return h(
    "li",
    { "data-rank": String(rank) },
    h("p", { class: "place" }, h("strong", {}, `${rank}.`), button, confidence === null ? "" : h("span", { class: "quiet" }, percent(confidence, "en"))),
    h("p", { class: "quote", dir: "auto" }, visible(quote, 300)),
    terms.length ? h("p", { class: "quiet" }, `In common: ${visible(wordsOf(terms, question).join(", "), 300)}`) : null,
  );
}

/** Return a quote as it reads, without markup, and with dots between the cells of a table. */
function quoteOf(quote, text, raw) {
  const characters = Array.from(text);
  const blocks = readBlocks(raw, characters.length);
  const place = text.indexOf(quote);
  if (!blocks || place < 0) return quote;
  const from = Array.from(text.slice(0, place)).length;
  const to = from + Array.from(quote).length;
  const words = (runs) => runs.map(({ start, end }) => characters.slice(Math.max(start, from), Math.min(end, to)).join("")).join("");
  const lines = blocks.flatMap(({ runs, rows }) => [words(runs), ...rows.map(({ cells }) => cells.map(words).filter(Boolean).join(" · "))]);
  return lines.filter(Boolean).join(" ");
}

/** Return the question's words of which the service gave the stems. */
function wordsOf(stems, question) {
  const words = question.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? [];
  const begins = (stem) => words.find((word) => stem.length > 2 && word.startsWith(stem.replace(/[iy]$/, "")));
  return stems.map((stem) => (words.includes(stem) ? stem : (begins(stem) ?? stem)));
}

function table(rows) {
  const heads = ["Passage", ...SIGNALS.map(({ name }) => name), "Score"].map((name) => h("th", { scope: "col" }, name));
  const cell = (row, column) => {
    const score = row.scores[SIGNALS[column].key];
    const [rank, value] = [row.ranks[column], Number.isFinite(score) ? score.toFixed(3) : ""];
    return h("td", {}, rank === null ? (value ? `${value} (unranked)` : "–") : h("b", {}, String(rank)), rank === null ? "" : ` ${value}`);
  };
  const body = rows.map((row) =>
    h("tr", {}, h("th", { scope: "row", dir: "auto" }, `${row.rank}. ${nameOf(row)}`), ...SIGNALS.map((_, column) => cell(row, column)), h("td", {}, row.score.toFixed(3))),
  );
  return h(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": "Ranks and scores" },
    h("table", {}, h("caption", {}, "Rank, then score, of each passage by each signal"), h("thead", {}, h("tr", {}, ...heads)), h("tbody", {}, ...body)),
  );
}
