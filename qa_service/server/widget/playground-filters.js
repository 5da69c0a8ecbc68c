/* Below the question: the collection, the filters and the number of passages, as the service takes them. */

import { visible } from "./client.js";
import { get, inCollection } from "./playground-service.js";
import { h } from "./view.js";

const PAGE = 100;
const MOST_DOCUMENTS = 500;
const MOST_VALUES = 30; // of a key of front matter; one with more is no choice
const TOP_K = [1, 3, 5, 8, 12, 20];

/** Return the controls for the widget's footer; `changed` is called when another collection is chosen. */
export function controls(chat, changed) {
  const topK = select("Passages", TOP_K.map((n) => [String(n), `${n} passage${n === 1 ? "" : "s"}`]), chat.getAttribute("top-k"));
  const documents = select("Document", [["", "All documents"]]);
  const more = h("span", { class: "more" });
  const filters = h("details", { hidden: true }, h("summary", {}, "Filters"), more);
  const collections = h("span");
  const box = h("div", { slot: "footer", class: "controls", role: "group", "aria-label": "Where to search" }, documents, topK, collections, filters);
  const collection = () => chat.getAttribute("collection") ?? "";
  const apply = () => (chat.filters = filtersOf(documents, more));
  topK.addEventListener("change", () => chat.setAttribute("top-k", topK.value));
  box.addEventListener("change", apply);

  const fill = async () => {
    const rows = await listed(collection());
    documents.replaceChildren(...options([["", "All documents"], ...rows.map((row) => [row.id, row.attributes.title || row.attributes.uri])]));
    more.replaceChildren(...choices(rows).map(([key, label, values]) => select(label, values, "", key)));
    filters.hidden = !more.childElementCount;
    apply();
  };
  const list = async () => {
    const { collections: named } = await get("collections");
    if (!named.length) return;
    const one = select("Collection", [["", "Default collection"], ...named.map(({ name }) => [name, name])], collection());
    one.addEventListener("change", () => {
      if (one.value) chat.setAttribute("collection", one.value);
      else chat.removeAttribute("collection");
      changed();
      fill().catch(() => {});
    });
    collections.replaceChildren(one);
  };
  const load = () => Promise.all([fill(), list()]).catch(() => {}); // without a key there are no choices
  chat.addEventListener("key", load);
  load();
  return box;
}

/** Return the documents with their front matter, as many as a person would choose from. */
async function listed(collection) {
  const rows = [];
  for (let after = ""; rows.length < MOST_DOCUMENTS; ) {
    const page = await get(`v1/vector_stores/${encodeURIComponent(collection || "default")}/files?limit=${PAGE}${after ? `&after=${after}` : ""}`);
    rows.push(...page.data);
    if (!page.has_more) break;
    after = page.last_id;
  }
  return rows;
}

/** Return what else can be chosen: folders, and keys of front matter that several documents share. */
function choices(rows) {
  const valuesOf = (read) => [...new Set(rows.map(({ attributes }) => read(attributes)).filter((value) => value !== undefined && value !== ""))].sort();
  const folders = valuesOf(({ uri }) => (uri.includes("/") ? uri.slice(0, uri.lastIndexOf("/") + 1) : ""));
  const keys = [...new Set(rows.flatMap(({ attributes }) => Object.keys(attributes)))].filter((key) => !["title", "uri"].includes(key));
  const found = keys.map((key) => [`metadata:${key}`, key, valuesOf((attributes) => attributes[key]).map(String)]);
  return [["path_prefix", "folder", folders], ...found]
    .filter(([key, , values]) => values.length >= (key === "path_prefix" ? 1 : 2) && values.length <= MOST_VALUES)
    .map(([key, label, values]) => [key, label, [["", `Any ${label}`], ...values.map((value) => [value, `${label}: ${value}`])]]);
}

function filtersOf(documents, more) {
  const filters = documents.value ? { document_id: documents.value } : {};
  for (const { value, dataset } of more.querySelectorAll("select")) {
    if (!value) continue;
    if (dataset.key.startsWith("metadata:")) (filters.metadata ??= {})[dataset.key.slice("metadata:".length)] = value;
    else filters[dataset.key] = value;
  }
  return Object.keys(filters).length ? filters : null;
}

const options = (values) => values.map(([value, text]) => h("option", { value }, visible(text, 80)));

function select(label, values, chosen = "", key = null) {
  const element = h("select", { "aria-label": label, "data-key": key }, ...options(values));
  element.value = chosen;
  return element;
}
