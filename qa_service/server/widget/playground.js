/* The playground: the widget, with its documents and the details of its answers beside it. */

import { visible } from "./client.js";
import { takeQuestion } from "./conversation.js";
import { showDocuments, openDocument } from "./playground-documents.js";
import { embedding } from "./playground-embed.js";
import { evaluation } from "./playground-evaluation.js";
import { controls } from "./playground-filters.js";
import { ranking } from "./playground-ranking.js";
import { $, count, ENDPOINT, get, inCollection, shown, snippet } from "./playground-service.js";
import "./qa-chat-define.js";
import { h } from "./view.js";

const POLL_MS = 15_000;
const MOST_TITLES = 3;

let linked = takeQuestion("q"); // the question of the address; it is asked once the service needs no key, or has one
const titles = h("p", { class: "titles" });
const hello = h(
  "div",
  { slot: "greeting", class: "hello" },
  h("p", { class: "lead" }, "Ask your documents"),
  h("p", {}, "Every answer is a sentence of a document, word for word, with its place."),
  titles,
);
const chat = h("qa-chat", { mode: "page", endpoint: ENDPOINT, history: "session", lang: "en", "top-k": "8" }, hello);
chat.append(controls(chat, () => refresh()));
$("ask").append(chat);

let last = null; // {question, answer}
let chosen = false; // whether a tab was chosen by hand
const collection = () => chat.getAttribute("collection") ?? "";

/* Tabs, switched by the arrow keys too. */

const tabs = [...document.querySelectorAll('[role="tab"]')];
const makers = {
  documents: () => showDocuments($("documents"), collection()),
  ranking: () => last && shown($("ranking"), () => ranking(last, chat, openSource)),
  evaluation: () => shown($("evaluation"), () => evaluation(chat, () => makers.evaluation())),
  embed: () => shown($("embed"), embedding),
  json: () => last && $("json").replaceChildren(...asJson(last)),
  index: () => shown($("index"), indexStatus),
};
const current = () => tabs.find((tab) => tab.getAttribute("aria-selected") === "true");
const folded = () => getComputedStyle($("tools")).display === "none";

function draw(tab = current()) {
  if (!folded()) makers[tab.getAttribute("aria-controls")]();
}

function select(tab, focus = false) {
  for (const one of tabs) {
    const selected = one === tab;
    one.setAttribute("aria-selected", String(selected));
    one.tabIndex = selected ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !selected;
  }
  if (focus) tab.focus();
  draw(tab);
}

for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => ((chosen = true), select(tab)));
  tab.addEventListener("keydown", ({ key }) => {
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[key];
    if (to !== undefined) select(tabs[(to + tabs.length) % tabs.length], true);
  });
}

/* On a phone the details are folded away behind one button. */

function unfold(open) {
  document.body.classList.toggle("unfolded", open);
  $("unfold").setAttribute("aria-expanded", String(open));
  $("unfold").textContent = open ? "Back" : "Details";
  if (open) draw();
}

$("clear").hidden = !chat.shadowRoot.querySelector('[part~="entry"]'); // a session that goes on
chat.addEventListener("qa-ask", () => {
  unfold(false);
  $("clear").hidden = false;
});
$("clear").addEventListener("click", () => {
  unfold(false);
  chat.clear();
  $("clear").hidden = true;
});
$("unfold").addEventListener("click", () => unfold(!document.body.classList.contains("unfolded")));
matchMedia("(max-width: 760px)").addEventListener("change", () => draw());

/* The state of the service, and its documents. */

async function state() {
  try {
    const ready = await get("readyz");
    $("state").dataset.state = ready.degraded ? "degraded" : "ready";
    $("state").textContent = ready.degraded ? "Ready with an older index: the current one is damaged" : "Ready";
  } catch (error) {
    $("state").dataset.state = "away";
    $("state").textContent = error.status ? error.message : "The service can't be reached.";
  }
}

/** Open a document in its tab: one of the list, or that of a citation. */
function openSource(row) {
  ((chosen = true), unfold(true));
  select($("tab-documents"), true);
  openDocument($("documents"), collection(), row);
}

async function greet() {
  const [index, { documents }] = await Promise.all([
    get(inCollection(collection(), "index")),
    get(inCollection(collection(), `sources?limit=${MOST_TITLES}`)),
  ]);
  const rest = index.documents - documents.length;
  const all = () => ((chosen = true), unfold(true), select($("tab-documents"), true));
  titles.replaceChildren(
    h("span", { class: "count" }, count(index.documents, "document")),
    ...documents.map((row) => h("button", { class: "plain title", type: "button", dir: "auto", onclick: () => openSource(row) }, visible(row.title || row.uri, 200))),
    ...(rest > 0 ? [h("button", { class: "plain", type: "button", onclick: all }, "All")] : []),
  );
}

/** Ask the question of the address, unless its answer is there already. */
function answerLink() {
  const asked = [...chat.shadowRoot.querySelectorAll('[part~="question"]')].at(-1)?.lastChild.textContent;
  if (linked && linked !== asked) chat.ask(linked);
  linked = "";
}

function refresh() {
  greet().then(answerLink, ({ status }) => {
    titles.replaceChildren(); // without a key there is nothing to list; the key field says so
    if (status !== 401) answerLink();
  });
  draw();
}

state();
setInterval(() => document.hidden || state(), POLL_MS);
refresh();
if (matchMedia("(hover: hover) and (pointer: fine)").matches) chat.shadowRoot.querySelector('[part~="input"]').focus();
$("key-field").addEventListener("submit", (event) => (event.preventDefault(), $("key").blur()));
$("key").addEventListener("change", () => {
  chat.trust($("key").value.trim());
  chat.dispatchEvent(new Event("key"));
  refresh();
});

/* The last answer. */

chat.addEventListener("qa-answer", ({ detail }) => {
  last = detail;
  if (chosen) draw();
  else select($("tab-ranking"));
});

function asJson({ question, answer }) {
  const body = JSON.stringify({ question, top_k: Number(chat.getAttribute("top-k")), ...(chat.filters ? { filters: chat.filters } : {}) });
  const command = `curl -s ${ENDPOINT}/${inCollection(collection(), "ask")} -H 'Content-Type: application/json' -d '${body.replaceAll("'", "'\\''")}'`;
  return [...snippet("The request", command), ...snippet("The last answer, as POST /ask returned it", JSON.stringify(answer, null, 2))];
}

/* The index. */

async function indexStatus() {
  const index = await get(inCollection(collection(), "index"));
  const rows = {
    Version: index.index_version,
    Built: new Date(index.built_at).toLocaleString(),
    Documents: `${index.documents} of ${index.files} files`,
    Passages: index.passages,
    Model: index.model,
    Vectors: index.vector_index,
  };
  const list = (title, lines) => (lines.length ? [h("h2", {}, title), h("ul", {}, ...lines.map((line) => h("li", {}, visible(line, 500))))] : []);
  return [
    h("dl", {}, ...Object.entries(rows).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, String(value))])),
    ...list("Skipped", index.skipped.map((file) => `${file.uri}: ${file.reason}`)),
    ...list("Warnings", index.warnings),
  ];
}
