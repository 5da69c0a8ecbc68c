/* What was measured: the proved example questions, and the latest evaluation of a question file. */

import { visible } from "./client.js";
import { $, BASE, count, get, inCollection, snippet } from "./playground-service.js";
import { percent } from "./strings.js";
import { h } from "./view.js";

const POLL_MS = 1000;
const MOST_STARTERS = 200;
const COMMAND = "qa-service evaluate questions.jsonl --output runs/first";
const ADMIN = "qa-service keys create me --scope ask --scope admin";
const MEASURES = {
  "Success@1": "the first result has the expected text",
  "Success@5": "one of the first five has it",
  "nDCG@10": "quality of the order (nDCG@10)",
};

/** Return the tab; `redraw` makes it again. */
export async function evaluation(chat, redraw) {
  const [proved, measured] = await Promise.all([starters(chat), latest(redraw)]);
  return [...proved, ...measured];
}

async function starters(chat) {
  const { questions, complete } = await get(inCollection(chat.getAttribute("collection") ?? "", `starters?limit=${MOST_STARTERS}`));
  const item = (question) => h("li", {}, h("button", { class: "plain ask", type: "button", dir: "auto", onclick: () => chat.ask(question) }, visible(question, 200)));
  const says = questions.length
    ? "This index answers each of these with the quote that its author expects; that was checked when it was opened."
    : "None is proved. QA_STARTERS names a file of questions; the service asks each one, and offers those that it answers.";
  return [
    h("h2", {}, questions.length ? `${count(questions.length, "example question")}, proved` : "Example questions"),
    h("p", { class: "quiet" }, says, complete ? "" : " Others are still being checked."),
    questions.length > 6 ? h("details", {}, h("summary", {}, "All questions"), h("ul", {}, ...questions.map(item))) : h("ul", {}, ...questions.map(item)),
  ];
}

async function latest(redraw) {
  const title = h("h2", {}, "Evaluation of a question file");
  if (!$("key").value.trim()) return [title, ...withoutKey()];
  let runs;
  try {
    ({ evaluations: runs } = await get("evaluate"));
  } catch (error) {
    if (![401, 403].includes(error.status)) throw error;
    return [title, ...withoutKey()];
  }
  const [newest] = runs;
  if (newest?.status === "running") setTimeout(() => title.isConnected && title.checkVisibility() && redraw(), POLL_MS);
  return [title, ...(newest ? outcome(newest) : [h("p", { class: "quiet" }, "None was run yet.")]), starter(redraw)];
}

function withoutKey() {
  const show = () => {
    $("key-field").hidden = false;
    $("key").focus();
  };
  return [
    h("p", { class: "quiet" }, "A question file has questions with the text that is expected for each. An evaluation asks them all, and reports measures with intervals."),
    ...snippet("In a terminal", COMMAND, "h3"),
    ...snippet("On this page, with a key that may administrate", ADMIN, "h3"),
    h("button", { class: "plain", type: "button", onclick: show }, "Enter a key"),
  ];
}

function outcome(run) {
  if (run.status === "running") {
    const progress = h("progress", { "aria-label": "Questions asked", max: run.of ?? 1, value: run.of ? run.asked : null });
    return [h("p", { role: "status" }, run.of ? `Asked ${run.asked} of ${run.of}` : "Starting…"), progress];
  }
  if (run.status !== "done") return [h("p", { class: "fault" }, `The last evaluation ${run.status === "failed" ? `failed: ${visible(run.error ?? "", 500)}` : "was stopped"}`)];
  const { about, questions, measures, answerability: verdicts, latency_ms: latency } = run.summary;
  const tiles = [
    ...Object.entries(MEASURES).map(([name, says]) => (measures[name] ? tile(ofMean(measures[name], name), says) : null)),
    verdicts.answered ? tile(share(verdicts.verdicts.answered.right, verdicts.verdicts.answered.judged), "answered, and rightly") : null,
    verdicts.answerable ? tile(share(verdicts.answered, verdicts.answerable), "of the answerable questions answered") : null,
    verdicts.answerable ? tile(share(verdicts.verdicts.uncertain.answerable, verdicts.answerable), "of them called uncertain") : null,
    verdicts.unanswerable ? tile(share(verdicts.refused, verdicts.unanswerable), "of the unanswerable questions refused") : null,
    latency?.n ? tile({ value: `${latency.p50.toFixed(1)} ms`, base: count(latency.n, "question") }, "median time") : null,
  ];
  const report = run.report ? h("p", {}, h("a", { href: new URL(run.report, BASE).href, target: "_blank", rel: "noopener" }, "Open the report")) : "";
  const started = new Date(about.started).toLocaleString();
  return [
    h("p", { class: "quiet" }, `${count(questions, "question")} of ${visible(about.questions, 200)} · ${started} · index ${visible(about.index_version ?? "", 40)}`),
    h("ul", { class: "tiles" }, ...tiles.filter(Boolean)),
    report,
  ];
}

const share = (part, all) => ({ value: all ? percent(part / all, "en") : "–", base: `${part} of ${all}` });

/** A success is yes or no, so that its mean is a share of the questions; other measures have an interval. */
function ofMean({ mean, low, high, n }, name) {
  if (name.startsWith("Success")) return share(Math.round(mean * n), n);
  return { value: mean.toFixed(3), base: `${low.toFixed(3)}–${high.toFixed(3)}, ${count(n, "question")}` };
}

function tile({ value, base }, says) {
  return h("li", {}, h("strong", {}, value), h("span", {}, base), h("span", { class: "quiet" }, says));
}

function starter(redraw) {
  const file = h("input", { type: "file", accept: ".jsonl,.csv,.json", required: true });
  const said = h("p", { role: "status", class: "fault" });
  const send = async (event) => {
    event.preventDefault();
    const [chosen] = file.files;
    const format = { csv: "csv", json: "squad" }[chosen.name.split(".").at(-1).toLowerCase()] ?? "jsonl";
    try {
      await get(`evaluate?format=${format}`, { method: "POST", body: chosen, headers: { "Content-Type": "application/octet-stream" } });
      redraw();
    } catch (error) {
      said.textContent = error.message;
    }
  };
  const label = h("label", {}, "Question file (JSON Lines, CSV, or SQuAD)", file);
  return h("form", { class: "evaluate", onsubmit: send }, label, h("button", { class: "main", type: "submit" }, "Evaluate"), said);
}
