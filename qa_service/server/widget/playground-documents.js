/* The documents by title; one of them as it is read, with the bounds of its passages on demand. */

import { nodesOf } from "./blocks.js";
import { readBlocks, visible } from "./client.js";
import { count, get, inCollection, shown } from "./playground-service.js";
import { stringsOf } from "./strings.js";
import { h } from "./view.js";

const PAGE = 200;
const MOST_DOCUMENTS = 2000;
const MOST_SHOWN = 100;
const SPAN = 8000; // characters that are asked for at once; the service adds the blocks around them
const TEXTS = stringsOf("en");
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
  panel.querySelector("mark")?.scrollIntoView({ block: "center" });
}

async function documentOf(collection, row) {
  const path = inCollection(collection, `sources/${row.document_id}`);
  const quote = row.quote_end ? [row.start_char + row.quote_start, row.start_char + row.quote_end] : [0, 0];
  const [first, { passages }] = await Promise.all([partOf(path, quote[0], quote[1] || SPAN), get(`${path}/passages`)]);
  const text = { path, quote, passages, from: first.start, parts: [first] };
  const body = h("div", { class: "body", dir: "auto" });
  const bounds = h("input", { type: "checkbox" });
  const draw = () => {
    body.replaceChildren(...(bounds.checked ? pieces(text) : nodesIn(text, [text.from, text.parts.at(-1).end])));
    more.hidden = text.parts.at(-1).end >= first.length;
    above.hidden = text.from === 0;
  };
  const open = async (start) => {
    const part = await partOf(path, start, start + SPAN);
    Object.assign(text, { parts: [part], from: start && beginning(part, start) });
    draw();
  };
  const extend = async () => {
    const { end } = text.parts.at(-1);
    text.parts.push(await partOf(path, end, end + SPAN));
    draw();
  };
  const more = h("button", { class: "plain", type: "button", onclick: extend }, "Show more");
  const above = h("button", { class: "plain", type: "button", onclick: () => open(0) }, "From the beginning");
  bounds.addEventListener("change", draw);
  draw();
  return [
    h("h2", { dir: "auto" }, titleOf(row)),
    h("p", { class: "quiet" }, `${kindOf(first)} · ${visible(row.uri, 300)} · ${count(passages.length, "passage")}`),
    h("div", { class: "choices" }, sections(first.outline, open), h("label", { class: "choice" }, bounds, "Show passages")),
    h("h3", { class: "sr" }, "Text"),
    ...[above, body, more],
  ];
}

/** Return the part of a document around a range, with the document's sections. */
async function partOf(path, start, end) {
  const raw = await get(`${path}/preview?start_char=${start}&end_char=${end}`);
  const characters = Array.from(raw.text); // offsets count code points
  const { start_char: from, end_char: to, length, outline, media_type, uri } = raw;
  return { start: from, end: to, length, outline, media_type, uri, characters, blocks: readBlocks(raw.blocks, characters.length) };
}

/** Return the place of the headings above the start of a section. */
function beginning({ start, blocks }, at) {
  let place = blocks?.findIndex((block) => start + block.start >= at) ?? -1;
  if (place < 0) return at;
  while (blocks[place - 1]?.kind === "heading") place--;
  return start + blocks[place].start;
}

/** Return the nodes of a range of the parts that are loaded, each part from where the one before it ends. */
function nodesIn({ parts, quote }, [from, to]) {
  return parts.flatMap(({ start, end, characters, blocks }, place) => {
    const least = Math.max(start, place ? parts[place - 1].end : start);
    const within = ([one, other]) => [Math.max(one, least) - start, Math.min(other, end) - start];
    const [shown, mark] = [within([from, to]), within(quote)];
    if (shown[0] >= shown[1]) return [];
    const all = shown[0] === 0 && shown[1] === characters.length;
    return nodesOf({ characters, blocks, quotes: mark[0] < mark[1] ? [mark] : [], words: [], intact: true }, all ? null : [shown], TEXTS);
  });
}

function pieces(text) {
  const end = text.parts.at(-1).end;
  return text.passages.flatMap(({ start_char: first, end_char: last }, place) => {
    if (last <= text.from || first >= end) return [];
    const where = `Passage ${place + 1} · characters ${first.toLocaleString("en")}–${last.toLocaleString("en")}`;
    const nodes = nodesIn(text, [Math.max(first, text.from), Math.min(last, end)]);
    return h("section", { class: "piece", "aria-label": `Passage ${place + 1}` }, h("p", { class: "bound" }, where), ...nodes);
  });
}

function sections(outline, open) {
  if (!outline.length) return "";
  const options = outline.map(({ text, level, start_char }) => h("option", { value: String(start_char) }, `${"\u2003".repeat(level - 1)}${visible(text, 100)}`));
  const field = h("select", { "aria-label": "Section" }, h("option", { value: "0" }, "All sections"), ...options);
  field.addEventListener("change", () => open(Number(field.value)));
  return field;
}
