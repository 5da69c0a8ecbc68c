/* The playground: the widget, with the details of the answer beside it. */

import { visible } from "./client.js";
import "./qa-chat-define.js";
import { h } from "./view.js";

const BASE = new URL("..", import.meta.url); // the root of the service, with the path prefix of a proxy
const ENDPOINT = BASE.href.replace(/\/$/, "");
const $ = (id) => document.getElementById(id);
const PAGE = 200;
const MOST_TEXT = 200_000;
const STEPS = ["dense", "lexical", "rerank", "reading"];
const NAMES = { dense: "Meaning", lexical: "Words", rerank: "Token by token", reading: "Reading", score: "Score", confidence: "Confidence" };
const VERDICTS = { answered: "Answered", uncertain: "This may answer it", not_found: "Not found in these documents" };

const chat = h("qa-chat", {
  mode: "page",
  endpoint: ENDPOINT,
  history: "session",
  lang: "en",
});
$("ask").append(chat);

async function get(path, read = (response) => response.json()) {
  const key = $("key").value.trim();
  const response = await fetch(new URL(path, BASE), { headers: key ? { Authorization: `Bearer ${key}` } : {}, cache: "no-store" });
  if (response.status === 401) $("key-field").hidden = false;
  if (!response.ok) throw new Error((await response.json()).detail ?? `status ${response.status}`);
  return read(response);
}

const failed = (error) => h("p", { role: "alert" }, `Could not be loaded: ${error.message}`);

async function shown(panel, make) {
  try {
    panel.replaceChildren(...[await make()].flat());
  } catch (error) {
    panel.replaceChildren(failed(error));
  }
}

/* Tabs, switched by the arrow keys too. */

const tabs = [...document.querySelectorAll('[role="tab"]')];
const makers = { sources: documents, index: indexStatus, embed: embedding };

function select(tab, focus = false) {
  for (const one of tabs) {
    const chosen = one === tab;
    one.setAttribute("aria-selected", String(chosen));
    one.tabIndex = chosen ? 0 : -1;
    $(one.getAttribute("aria-controls")).hidden = !chosen;
  }
  if (focus) tab.focus();
  const name = tab.getAttribute("aria-controls");
  if (makers[name]) shown($(name), makers[name]);
}

for (const [place, tab] of tabs.entries()) {
  tab.addEventListener("click", () => select(tab));
  tab.addEventListener("keydown", ({ key }) => {
    const to = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[key];
    if (to !== undefined) select(tabs[(to + tabs.length) % tabs.length], true);
  });
}

/* The state of the service. */

async function state() {
  try {
    const response = await fetch(new URL("readyz", BASE), { cache: "no-store" });
    const ready = await response.json();
    if (!response.ok) $("state").textContent = ready.detail;
    else $("state").textContent = `Ready · index ${ready.index_version}${ready.degraded ? " · older index, the current one is damaged" : ""}`;
  } catch {
    $("state").textContent = "The service can't be reached.";
  }
}

state();
setInterval(() => document.hidden || state(), 15_000);
get("sources?limit=1").catch(() => {}); // shows the key field if a key is needed
$("key-field").addEventListener("submit", (event) => (event.preventDefault(), $("key").blur()));
$("key").addEventListener("change", () => {
  chat.trust($("key").value.trim());
  select(tabs.find((tab) => tab.getAttribute("aria-selected") === "true"));
});

/* The last answer. */

chat.addEventListener("qa-answer", ({ detail: { answer } }) => {
  $("json").replaceChildren(h("pre", { tabindex: "0" }, JSON.stringify(answer, null, 2)));
  $("explain").replaceChildren(...explained(answer));
});

function explained(answer) {
  const most = Object.fromEntries(
    STEPS.map((step) => [step, Math.max(...answer.results.map((result) => result.scores[step] ?? 0), 1e-9)]),
  );
  const verdict = VERDICTS[answer.verdict] ?? "No verdict, because the model has no calibration";
  return [
    h("p", {}, h("strong", {}, verdict), answer.reason ? `: ${visible(answer.reason.message, 1000)}` : ""),
    h("p", { class: "quiet" }, `${answer.took_ms} ms · index ${answer.index_version}`),
    h("ol", {}, ...answer.results.map((result) => explainedResult(result, most))),
  ];
}

function explainedResult(result, most) {
  const { title, section_path: sections, quote } = result.citation;
  return h(
    "li",
    { class: "result" },
    h("p", {}, h("strong", {}, `${result.rank}. `, visible(title, 200)), ` ${visible(sections.join(" › "), 300)}`),
    h("p", { class: "quiet" }, visible(quote, 300)),
    bar(NAMES.score, result.score, 1),
    bar(NAMES.confidence, result.confidence, 1),
    ...STEPS.map((step) => bar(NAMES[step], result.scores[step], most[step])),
  );
}

function bar(name, value, most) {
  const fill = h("i");
  fill.style.width = `${Math.min(100, Math.max(0, ((value ?? 0) / most) * 100))}%`;
  return h(
    "div",
    { class: "bar" },
    h("span", {}, name),
    h("span", { class: "track", "aria-hidden": "true" }, fill),
    h("span", {}, value === null || value === undefined ? "–" : value.toFixed(3)),
  );
}

/* The documents. */

async function documents() {
  const list = h("ul");
  const more = h("button", { class: "plain", type: "button" }, "More");
  let after = "";
  const load = async () => {
    const { documents: found } = await get(`sources?limit=${PAGE}${after ? `&after=${after}` : ""}`);
    list.append(...found.map(documentRow));
    after = found.at(-1)?.document_id ?? "";
    more.hidden = found.length < PAGE;
    return found;
  };
  const first = await load();
  more.addEventListener("click", () => load().catch((error) => more.after(failed(error))));
  return [h("h2", {}, "Documents"), first.length ? list : h("p", {}, "No documents."), more];
}

function documentRow(row) {
  const open = () => shown($("sources"), () => documentText(row));
  const title = h("span", { dir: "auto" }, visible(row.title || row.uri, 200));
  return h("li", {}, h("button", { class: "plain document", type: "button", onclick: open }, title, h("small", {}, visible(row.uri, 300))));
}

async function documentText(row) {
  const text = await get(`sources/${row.document_id}`, (response) => response.text());
  const { passages } = await get(`sources/${row.document_id}/passages`);
  const back = h("button", { class: "plain", type: "button", onclick: () => shown($("sources"), documents) }, "All documents");
  return [
    back,
    h("h2", { dir: "auto" }, visible(row.title || row.uri, 200)),
    h("p", { class: "quiet" }, `${row.uri} · ${row.media_type} · ${passages.length} passages · sha256 ${row.document_sha256.slice(0, 12)}…`),
    h("pre", { class: "text", dir: "auto" }, visible(text, MOST_TEXT)),
  ];
}

/* The index, and how to put the widget on a page. */

async function indexStatus() {
  const index = await get("index");
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

async function embedding() {
  const { version, files } = await get("widget");
  const element = files.filter((file) => !file.lazy && !file.path.endsWith("loader.js"));
  const [entry, ...parts] = element.map(({ path, integrity }) => ({
    src: `${ENDPOINT}/widget/${version}/${path.split("/").at(-1)}`,
    integrity,
  }));
  const pinned = [
    ...parts.map((file) => `<link rel="modulepreload" href="${file.src}" integrity="${file.integrity}" crossorigin>`),
    `<script type="module" src="${entry.src}" integrity="${entry.integrity}" crossorigin></script>`,
    `<qa-chat endpoint="${ENDPOINT}" key="pk_…" mode="launcher"></qa-chat>`,
  ].join("\n");
  const latest = [
    `<script type="module" src="${ENDPOINT}/widget/qa-chat-define.js"></script>`,
    `<qa-chat endpoint="${ENDPOINT}" key="pk_…" mode="launcher"></qa-chat>`,
  ].join("\n");
  return [
    h("p", { class: "quiet" }, `Version ${version}. Use a publishable key: qa-service keys create NAME --publishable --origin https://your.page`),
    ...snippet("Pinned to this version, verified by the browser", pinned),
    ...snippet("Always the latest version", latest),
    ...snippet("With a single script tag", `<script src="${ENDPOINT}/widget/qa-chat-loader.js" data-endpoint="${ENDPOINT}" data-key="pk_…" async></script>`),
  ];
}

function snippet(title, text) {
  const copied = h("span", { role: "status" });
  const copy = () => navigator.clipboard?.writeText(text).then(() => (copied.textContent = " Copied"), () => (copied.textContent = " Not allowed"));
  return [h("h2", {}, title), h("pre", { tabindex: "0" }, text), h("button", { class: "plain", type: "button", onclick: copy }, "Copy"), copied];
}
