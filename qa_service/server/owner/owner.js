/* The owner's page: fetches the report with the key that was typed in, and shows it. The key is kept in its field only. */

import { visible } from "../widget/client.js";
import { h } from "../widget/view.js";

const BASE = new URL("..", import.meta.url); // the root of the service, with the path prefix of a proxy
const SVG = "http://www.w3.org/2000/svg";
const VERDICTS = { answered: "answered", uncertain: "uncertain", not_found: "not found" };
const CHART = { height: 100, gap: 0.2 };
const $ = (id) => document.getElementById(id);
const number = (value) => value.toLocaleString("en");
const counted = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
const shown = (text) => visible(text, 2000);
let last = 0;

$("wanted").addEventListener("submit", (event) => {
  event.preventDefault();
  load();
});
for (const name of ["days", "collection"]) $(name).addEventListener("change", () => $("report").hasChildNodes() && load());
for (const format of ["csv", "json"]) $(format).addEventListener("click", () => save(format));

/** Fetch the report that the form describes. A redirect could pass the key on, so none is followed. */
async function request(format) {
  const collection = $("collection").value;
  const route = collection ? `collections/${encodeURIComponent(collection)}/owner/report` : "owner/report";
  const address = new URL(`${route}?days=${$("days").value}&format=${format}`, BASE);
  const headers = { Authorization: `Bearer ${$("key").value.trim()}` };
  const response = await fetch(address, { headers, cache: "no-store", redirect: "error" });
  if (response.ok) return response;
  const { detail = `status ${response.status}` } = await response.json().catch(() => ({}));
  throw new Error(detail);
}

async function load() {
  const own = ++last; // what was asked for last is shown
  say("Loading…");
  try {
    const report = await (await request("json")).json();
    if (own !== last) return;
    offerCollections(report);
    $("report").replaceChildren(...sections(report));
    say(`${counted(report.period.questions, "question")} since ${report.since.slice(0, 10)} (UTC)`);
    for (const format of ["csv", "json"]) $(format).hidden = false;
  } catch (error) {
    if (own !== last) return;
    $("report").replaceChildren();
    for (const format of ["csv", "json"]) $(format).hidden = true;
    say(`No report: ${shown(error.message)}`, "fault");
  }
}

async function save(format) {
  try {
    const address = URL.createObjectURL(await (await request(format)).blob());
    h("a", { href: address, download: `questions-${$("days").value}-days.${format}` }).click();
    URL.revokeObjectURL(address);
  } catch (error) {
    say(`Not saved: ${shown(error.message)}`, "fault");
  }
}

function say(text, kind = "") {
  $("state").className = kind;
  $("state").textContent = text;
}

function offerCollections({ collection, collections }) {
  const names = [...new Set(["", ...collections, collection])].sort();
  $("collection-field").hidden = names.length < 2;
  $("collection").replaceChildren(...names.map((name) => h("option", { value: name, selected: name === collection }, name || "default")));
}

function sections(report) {
  if (!report.period.questions) return [h("p", {}, "No question was recorded in this period.")];
  return [tiles(report), ...chart(report), ...gaps(report), ...top(report), ...disliked(report), ...neverCited(report)];
}

function tiles({ period, before }) {
  const share = (one, name) => (one?.questions ? (100 * one[name]) / one.questions : null);
  const trend = (now, then, digits = 0) => {
    if (then === null || then === undefined) return "nothing before";
    const change = (now - then).toFixed(digits);
    return `before: ${digits ? `${then.toFixed(digits)} %` : number(then)} (${change > 0 ? "+" : ""}${change.replace("-", "−")})`;
  };
  const tile = (name, value, note) => h("li", {}, name, h("b", {}, value), h("span", {}, note));
  const milliseconds = (value) => (value === null ? "–" : `${number(Math.round(value))} ms`);
  return h(
    "ul",
    { class: "tiles" },
    tile("questions", number(period.questions), trend(period.questions, before?.questions)),
    ...Object.entries(VERDICTS).map(([name, says]) => tile(says, `${share(period, name).toFixed(1)} %`, trend(share(period, name), share(before, name), 1))),
    tile("marked useless", number(period.useless), `${number(period.useful)} marked useful`),
    tile("median time", milliseconds(period.median_ms), `95 % within ${milliseconds(period.p95_ms)}`),
  );
}

function chart({ by_day: days }) {
  const most = Math.max(1, ...days.map((day) => day.questions));
  const svg = document.createElementNS(SVG, "svg");
  const says = `Questions a day, at most ${number(most)}; the table below has the numbers`;
  for (const [name, value] of Object.entries({ viewBox: `0 0 ${days.length} ${CHART.height}`, preserveAspectRatio: "none", role: "img", "aria-label": says })) svg.setAttribute(name, value);
  days.forEach((day, place) => {
    let top = CHART.height;
    for (const [name, value] of parts(day)) {
      const rect = document.createElementNS(SVG, "rect");
      const height = (value / most) * CHART.height;
      top -= height;
      for (const [key, given] of Object.entries({ class: name, x: place + CHART.gap / 2, y: top, width: 1 - CHART.gap, height })) rect.setAttribute(key, given);
      svg.append(rect);
    }
  });
  const legend = Object.entries(VERDICTS).map(([name, label]) => h("span", {}, h("i", { class: name }), label));
  const ends = h("p", { class: "ends" }, h("span", {}, days[0].day), h("span", {}, `at most ${number(most)} a day`), h("span", {}, days.at(-1).day));
  const rows = days.map((day) => [day.day, day.questions, day.answered, day.uncertain, day.not_found]).reverse();
  return [
    h("h2", {}, "Questions a day"),
    h("figure", { class: "card" }, h("figcaption", {}, ...legend), svg, ends),
    h("details", {}, h("summary", {}, h("span", {}, "As a table")), h("div", { class: "inside" }, table("Questions a day", ["day", "questions", ...Object.values(VERDICTS)], rows))),
  ];
}

function parts(day) {
  const known = Object.keys(VERDICTS).map((name) => [name, day[name]]);
  return [...known, ["unknown", day.questions - known.reduce((sum, [, value]) => sum + value, 0)]].filter(([, value]) => value > 0);
}

function gaps({ gaps: found, texts }) {
  const title = h("h2", {}, "Gaps");
  if (!texts) return [title, h("p", { class: "quiet" }, "No texts were recorded. ", h("code", {}, "QA_ANALYTICS=questions"), " records them.")];
  if (!found.length) return [title, h("p", { class: "quiet" }, "Every recorded question was answered.")];
  const item = (gap) => {
    const others = gap.questions.filter((question) => question !== gap.question);
    const places = gap.nearest_headings.map((place) => h("li", { dir: "auto" }, shown([place.title, ...place.section_path].join(" › ")), " ", h("code", {}, shown(place.uri))));
    return h(
      "details",
      {},
      h("summary", {}, h("span", { dir: "auto" }, shown(gap.question)), h("b", {}, `${number(gap.count)} ×`)),
      h(
        "div",
        { class: "inside" },
        ...(others.length ? [h("p", {}, "Also asked:"), h("ul", { class: "plain" }, ...others.map((question) => h("li", { dir: "auto" }, shown(question))))] : []),
        h("p", {}, places.length ? "Nearest sections:" : "No section of the documents is near."),
        ...(places.length ? [h("ul", { class: "plain" }, ...places)] : []),
      ),
    );
  };
  return [title, h("p", { class: "quiet" }, "Similar questions that were not answered, or not with certainty, and where an answer could be added."), ...found.map(item)];
}

function top({ top_questions: found }) {
  if (!found.length) return [];
  const rows = found.map((one) => [one.question, one.count, VERDICTS[one.verdict] ?? one.verdict]);
  return [h("h2", {}, "Top questions"), table("Top questions", ["question", "count", "last verdict"], rows)];
}

function disliked({ disliked_documents: found }) {
  if (!found.length) return [];
  const rows = found.map((one) => [one.uri, one.useless, one.useful, one.questions]);
  return [h("h2", {}, "Documents with useless answers"), table("Documents with useless answers", ["document", "useless", "useful", "answers"], rows)];
}

function neverCited({ never_cited: found }) {
  if (!found?.count) return [];
  const more = found.count > found.uris.length ? ` The first ${number(found.uris.length)}:` : "";
  return [
    h("h2", {}, "Never cited"),
    h("p", { class: "quiet" }, `${number(found.count)} of ${counted(found.files, "file")} of the index: no answer of the period quotes them.${more}`),
    h("details", {}, h("summary", {}, h("span", {}, "Files")), h("ul", { class: "plain inside" }, ...found.uris.map((uri) => h("li", { dir: "auto" }, shown(uri))))),
  ];
}

function table(name, columns, rows) {
  const head = columns.map((column, place) => h("th", { scope: "col", class: typeof rows[0][place] === "number" ? "n" : null }, column));
  const body = rows.map(([first, ...rest]) =>
    h("tr", {}, h("th", { scope: "row", dir: "auto" }, shown(first)), ...rest.map((cell) => (typeof cell === "number" ? h("td", { class: "n" }, number(cell)) : h("td", {}, shown(cell))))),
  );
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": name }, h("table", {}, h("thead", {}, h("tr", {}, ...head)), h("tbody", {}, ...body)));
}
