/* The documents by title; one of them as it is read, with the bounds of its passages on demand. */

import { visible } from "./client.js";
import { count, get, inCollection, shown } from "./playground-service.js";
import { h } from "./view.js";

const PAGE = 200;
const MOST_DOCUMENTS = 2000;
const MOST_SHOWN = 100;
const MOST_TEXT = 200_000;
const KINDS = { "text/markdown": "Markdown", "text/plain": "Text", "text/html": "HTML", "application/pdf": "PDF", "text/csv": "CSV", "application/json": "JSON" };

const kindOf = ({ media_type: type, uri }) => KINDS[type] ?? uri.match(/\.(\w{1,6})(?:$|#)/)?.[1].toUpperCase() ?? "Document";
const titleOf = (row) => visible(row.title || row.uri, 200);

/** Show the list of documents in a panel. */
export function showDocuments(panel, collection) {
  return shown(panel, async () => {
    const rows = await listed(collection);
    if (rows.length === 1) return documentOf(collection, rows[0]);
    const said = h("p", { class: "quiet", role: "status" });
    const list = h("ul", { class: "documents" });
    const field = h("input", { type: "search", placeholder: "Search titles and paths", "aria-label": "Search titles and paths" });
    const draw = () => {
      const words = field.value.toLowerCase().split(/\s+/);
      const found = rows.filter((row) => words.every((word) => `${row.title} ${row.uri}`.toLowerCase().includes(word)));
      const open = (row) => () => openDocument(panel, collection, row);
      list.replaceChildren(...found.slice(0, MOST_SHOWN).map((row) => rowOf(row, open(row))));
      const beyond = found.length > MOST_SHOWN ? `, the first ${MOST_SHOWN} shown` : "";
      said.textContent = `${count(found.length, "document")}${beyond}`;
    };
    field.addEventListener("input", draw);
    draw();
    return [field, said, list];
  });
}

async function listed(collection) {
  const rows = [];
  for (let after = ""; rows.length < MOST_DOCUMENTS; after = rows.at(-1).document_id) {
    const { documents } = await get(inCollection(collection, `sources?limit=${PAGE}${after ? `&after=${after}` : ""}`));
    rows.push(...documents);
    if (documents.length < PAGE) break;
  }
  return rows.sort((one, other) => titleOf(one).localeCompare(titleOf(other)));
}

function rowOf(row, onclick) {
  return h("li", {}, h("button", { class: "document", type: "button", onclick }, h("span", { dir: "auto" }, titleOf(row)), h("small", {}, `${kindOf(row)} · ${visible(row.uri, 300)}`)));
}

/** Show one document in a panel; of a citation, at its quote. */
export async function openDocument(panel, collection, row) {
  await shown(panel, async () => {
    const back = h("button", { class: "plain", type: "button", onclick: () => showDocuments(panel, collection) }, "‹ All documents");
    return [back, ...(await documentOf(collection, row))];
  });
  panel.querySelector("#quote")?.scrollIntoView({ block: "center" });
}

async function documentOf(collection, row) {
  const path = inCollection(collection, `sources/${row.document_id}`);
  const [text, { passages }] = await Promise.all([get(path, { read: (response) => response.text() }), get(`${path}/passages`)]);
  const characters = Array.from(text.slice(0, MOST_TEXT)); // offsets count code points
  const body = h("div", { class: "body" });
  const bounds = h("input", { type: "checkbox" });
  const quote = row.quote_end ? [row.start_char + row.quote_start, row.start_char + row.quote_end] : [0, 0];
  const all = { start_char: 0, end_char: characters.length };
  const draw = () => {
    if (bounds.checked) body.replaceChildren(...passages.map((passage, place) => pieceOf(characters, passage, place)));
    else body.replaceChildren(textOf(characters, all, quote));
  };
  bounds.addEventListener("change", draw);
  draw();
  return [
    h("h2", { dir: "auto" }, titleOf(row)),
    h("p", { class: "quiet" }, `${kindOf(row)} · ${visible(row.uri, 300)} · ${count(passages.length, "passage")}`),
    h("label", { class: "choice" }, bounds, "Show where passages begin and end"),
    body,
  ];
}

function pieceOf(characters, passage, place) {
  const { start_char: start, end_char: end } = passage;
  return h(
    "section",
    { class: "piece", "aria-label": `Passage ${place + 1}` },
    h("p", { class: "bound" }, `Passage ${place + 1} · characters ${start.toLocaleString("en")}–${end.toLocaleString("en")}`),
    textOf(characters, passage, [0, 0]),
  );
}

function textOf(characters, { start_char: start, end_char: end }, [from, to]) {
  const part = (first, last) => visible(characters.slice(first, last).join(""), MOST_TEXT);
  const parts = from < to ? [part(start, from), h("mark", { id: "quote" }, part(from, to)), part(to, end)] : [part(start, end)];
  return h("pre", { class: "text", dir: "auto" }, ...parts);
}
