/* The client of the service: sends requests, validates responses, maps errors. */

const fetch = globalThis.fetch.bind(globalThis); // the page may replace it later
const PATIENCE_MS = 15_000;
const TRIES = 3;
const MOST_CHARACTERS = 2_000_000;
const MOST_RESULTS = 50;
const MOST_HEADINGS = 3;
const CUT = 20_000;
const MOST_PIECES = 5_000;
const BLOCKS = ["heading", "paragraph", "item", "code", "table", "quote", "rule"];
const MARKS = ["strong", "emphasis", "code", "strike", "math", "image"];
const KINDS = {
  400: "invalid",
  401: "denied",
  403: "denied",
  404: "missing",
  413: "invalid",
  415: "invalid",
  422: "invalid",
  429: "limited",
  503: "busy",
  504: "slow",
};
// Controls, direction overrides and tag characters are invisible and can disguise text.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\u{e0000}-\u{e007f}]/gu;
const STACKED = /(\p{M}{4})\p{M}+/gu;

/** An error with its `kind`, a key of `errors` in strings.js, and the `seconds` until a retry makes sense. */
export class ServiceError extends Error {
  constructor(kind, seconds = 0) {
    super(kind);
    this.kind = kind;
    this.seconds = seconds;
  }
}

/** Return the URL of the service without trailing slashes. Throws an `Error` with the reason if it is invalid. */
export function checkedEndpoint(text, page = globalThis.location) {
  const fault = (reason) => new Error(`endpoint ${JSON.stringify(text)} ${reason}`);
  let url;
  try {
    url = new URL(text);
  } catch {
    throw fault("is not a complete URL such as https://qa.example.org");
  }
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (url.protocol !== "https:" && url.protocol !== "http:") throw fault("is neither https nor http");
  if (url.username || url.password) throw fault("contains a password, which is visible to everyone");
  if (url.protocol === "http:" && !local && url.origin !== page.origin) throw fault("uses http; use https");
  return url.origin + url.pathname.replace(/\/+$/, "");
}

const connected = new Set();

/** Open the connection to a service of another origin while the question is typed. */
export function preconnect(base) {
  const { origin } = new URL(base, globalThis.location);
  if (connected.has(origin) || origin === globalThis.location.origin) return;
  connected.add(origin);
  document.head.append(Object.assign(document.createElement("link"), { rel: "preconnect", href: origin, crossOrigin: "anonymous" }));
}

/** Ask; `waiting` gets the seconds until the next try. Returns the answer. Throws a {@link ServiceError}. */
export async function ask({ base, key, question, history, asTyped, topK, filters, signal, waiting }) {
  const body = { question };
  if (history.length) body.history = history;
  if (asTyped) body.as_typed = true;
  if (topK) body.top_k = topK;
  if (filters) body.filters = filters;
  for (let attempt = 1; ; attempt++) {
    const response = await send(`${base}/ask?blocks=true`, key, body, signal);
    if (response.ok) return readAnswer(await jsonOf(response));
    const seconds = secondsOf(response.headers.get("retry-after"));
    if (response.status !== 503 || attempt === TRIES) throw new ServiceError(KINDS[response.status] ?? "failed", seconds);
    const wait = seconds + Math.random() / 2;
    waiting(seconds);
    await pause(wait * 1000, signal);
  }
}

/** Return up to eight questions that the service can answer; none if it does not say. */
export async function starters({ base, key }) {
  try {
    const { questions } = await jsonOf(await send(`${base}/starters`, key));
    return questionsOf(questions, 8);
  } catch {
    return []; // the widget works without them
  }
}

function questionsOf(raw, most) {
  return (Array.isArray(raw) ? raw : []).filter((one) => typeof one === "string").slice(0, most);
}

/** Send feedback on an answer. Throws a {@link ServiceError}. */
export async function tell({ base, key, answerId, useful, note }) {
  const response = await send(`${base}/feedback`, key, { answer_id: answerId, useful, note: note.slice(0, 2000) });
  if (!response.ok) throw new ServiceError(KINDS[response.status] ?? "failed");
}

/** Read a URL of the service, as JSON or as a picture. Throws a {@link ServiceError}. */
export async function read({ key }, url, signal) {
  const response = await send(url, key, undefined, signal);
  if (!response.ok) throw new ServiceError(KINDS[response.status] ?? "failed", secondsOf(response.headers.get("retry-after")));
  return response.headers.get("content-type") === "image/png" ? response.blob() : jsonOf(response);
}

async function send(url, key, body, signal) {
  const late = AbortSignal.timeout(PATIENCE_MS);
  try {
    const response = await fetch(url, {
      method: body ? "POST" : "GET",
      mode: "cors",
      credentials: "omit",
      cache: "no-store",
      redirect: "error",
      referrerPolicy: "strict-origin-when-cross-origin",
      headers: { ...(body ? { "Content-Type": "application/json" } : {}), ...(key ? { Authorization: `Bearer ${key}` } : {}) },
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
    if ([401, 403, 404].includes(response.status)) explain({ url, key, response: response.clone() });
    return response;
  } catch (error) {
    if (signal?.aborted) throw error;
    if (!late.aborted && navigator.onLine !== false) explain({ url, key });
    throw new ServiceError(late.aborted ? "slow" : navigator.onLine === false ? "offline" : "unreachable");
  }
}

/** Tell developers what is wrong; the page works without. */
function explain(fault) {
  import("./diagnose.js").then(({ diagnose }) => diagnose(fault)).catch(() => {});
}

/** Return the seconds of a Retry-After header, limited to 1 to 30. */
export function secondsOf(header) {
  const seconds = /^\d+$/.test(header ?? "") ? Number(header) : 1;
  return Math.min(30, Math.max(1, seconds));
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds);
    signal?.addEventListener("abort", () => (clearTimeout(timer), reject(signal.reason)), { once: true });
  });
}

async function jsonOf(response) {
  if (!/^application\/json\b/.test(response.headers.get("content-type") ?? "")) throw new ServiceError("unreadable");
  try {
    const text = await response.text();
    if (text.length <= MOST_CHARACTERS) return JSON.parse(text);
  } catch (error) {
    if (error?.name === "AbortError") throw error;
  }
  throw new ServiceError("unreadable");
}

/** Return text without invisible characters and stacked accents, cut to `most` characters. */
export function visible(text, most = CUT) {
  const clean = String(text).replace(HIDDEN, "").replace(STACKED, "$1");
  return clean.length > most ? `${clean.slice(0, most)}…` : clean;
}

/**
 * Return the parts of an answer that the widget uses: `{id, understood, followUp, verdict, reason, kind, subject,
 * confidence, headings, related, quoted, others}`. `reason` is in English, `kind` and `subject` say what it is.
 * `headings` are the nearest sections, each `{title, section, url}`, `related` are questions. `quoted` are the results with
 * its quotes, best first, `others` all other results, each `{characters, blocks, quotes, words, title, section, page, lines,
 * url, permalink, documentId, start, end}`. `quotes`, and the exact `words` in them, are ranges of the characters, which are
 * code points; `blocks` is `null` for plain text; `start` and `end` are offsets in the document. Throws a
 * {@link ServiceError} if something is missing.
 */
export function readAnswer(raw) {
  if (!raw || typeof raw.id !== "string" || !Array.isArray(raw.results)) throw new ServiceError("unreadable");
  const quotes = Array.isArray(raw.answer?.quotes) ? raw.answer.quotes.filter(Boolean).slice(0, MOST_RESULTS) : [];
  const quotesOf = (place) => quotes.filter((quote) => quote.citation_index === place);
  const results = raw.results.slice(0, MOST_RESULTS).map((result, place) => readResult(result, quotesOf(place)));
  const quoted = [...new Set(quotes.map((quote) => results[quote.citation_index]))].filter(Boolean);
  return {
    id: raw.id,
    understood: readUnderstood(raw.understood),
    followUp: typeof raw.understood?.follow_up_of === "string",
    verdict: quoted.length ? raw.verdict : "not_found",
    reason: typeof raw.reason?.message === "string" ? visible(raw.reason.message, 1000) : "",
    kind: String(raw.reason?.kind ?? ""),
    subject: typeof raw.reason?.subject === "string" ? visible(raw.reason.subject, 200) : "",
    confidence: Number.isFinite(raw.confidence) ? raw.confidence : null,
    headings: (Array.isArray(raw.nearest_headings) ? raw.nearest_headings : []).slice(0, MOST_HEADINGS).map(readHeading),
    related: questionsOf(raw.related, 3),
    quoted,
    others: results.filter((result) => !quoted.includes(result)),
    raw,
  };
}

function readUnderstood(raw) {
  const changed = typeof raw?.follow_up_of === "string" || raw?.corrections?.length > 0;
  return changed && typeof raw.text === "string" ? visible(raw.text, 500) : "";
}

function readHeading(raw) {
  return { title: visible(raw?.title || raw?.uri || "", 200), section: sectionOf(raw), url: raw?.url };
}

function sectionOf(raw) {
  const sections = Array.isArray(raw?.section_path) ? raw.section_path : [];
  return visible(sections.filter((one) => typeof one === "string").join(" › "), 300);
}

function readResult(raw, quotes) {
  const citation = raw?.citation;
  if (typeof raw?.text !== "string" || !citation || typeof citation !== "object") throw new ServiceError("unreadable");
  const characters = Array.from(raw.text.slice(0, CUT)); // offsets count code points
  const bound = (value) => (Number.isInteger(value) ? Math.min(Math.max(value, 0), characters.length) : 0);
  const ranges = (some) => joined(some.map((one) => [bound(one?.start), bound(one?.end)]).filter(([start, end]) => start < end));
  const own = quotes.length ? quotes : [{ start: citation.quote_start, end: citation.quote_end }];
  const spans = quotes.flatMap((quote) => (Array.isArray(quote.spans) ? quote.spans.slice(0, MOST_RESULTS) : []));
  const marks = ranges(own);
  const blocks = readBlocks(raw.blocks, characters.length);
  const number = (value) => (Number.isInteger(value) && value > 0 ? value : null);
  const [first, last] = [number(citation.start_line), number(citation.end_line)];
  return {
    characters,
    blocks: blocks && marks.every((mark) => shows(blocks, mark)) ? blocks : null,
    quotes: marks,
    words: ranges(spans),
    documentId: typeof citation.document_id === "string" ? citation.document_id : "",
    start: number(citation.start_char) ?? 0,
    end: number(citation.end_char) ?? 0,
    title: visible(citation.title || citation.uri || "", 200),
    section: sectionOf(citation),
    page: number(citation.page),
    lines: first && last ? [first, last] : null,
    url: typeof citation.url === "string" ? citation.url : "",
    permalink: typeof citation.permalink === "string" ? citation.permalink : "",
    preview: typeof citation.preview === "string" ? citation.preview : "",
  };
}

/** Return sorted ranges; those that are at most `gap` apart are one. */
export function joined(ranges, gap = 0) {
  const found = [];
  for (const [start, end] of [...ranges].sort(([one], [other]) => one - other)) {
    const before = found.at(-1);
    if (before && start <= before[1] + gap) before[1] = Math.max(before[1], end);
    else found.push([start, end]);
  }
  return found;
}

function shows(blocks, [from, to]) {
  const runs = blocks.flatMap(({ runs, rows }) => [...runs, ...rows.flatMap(({ cells }) => cells.flat())]);
  return runs.some(({ start, end }) => start < to && from < end);
}

/** Return the blocks of a text of `length` code points, or `null` if they are malformed or too many to show. */
export function readBlocks(raw, length) {
  let left = MOST_PIECES;
  const fault = () => {
    throw new RangeError("malformed blocks");
  };
  const list = (some) => (Array.isArray(some) && (left -= some.length) >= 0 ? some : fault());
  const text = (one) => (typeof one === "string" ? visible(one, 20) : "");
  const range = (one, from = 0) => {
    const valid = Number.isInteger(one?.start) && Number.isInteger(one.end) && from <= one.start && one.start <= one.end;
    return valid && one.end <= length ? { start: one.start, end: one.end } : fault();
  };
  const runs = (some) => {
    let at = 0;
    return list(some).map((run) => {
      const marks = list(run?.marks ?? []);
      const { start, end } = range(run, at);
      at = end;
      return { start, end, marks: MARKS.filter((mark) => marks.includes(mark)) };
    });
  };
  const row = (one) => ({ header: one?.header === true, cells: list(one?.cells).map(runs) });
  const block = (one) => ({
    ...range(one),
    kind: BLOCKS.includes(one.kind) ? one.kind : fault(),
    level: Number.isInteger(one.level) ? Math.min(Math.max(one.level, 1), 6) : 1,
    marker: text(one.marker),
    language: text(one.language),
    runs: runs(one.runs ?? []),
    rows: list(one.rows ?? []).map(row),
  });
  try {
    return raw ? list(raw).map(block) : null;
  } catch {
    return null;
  }
}

/** Return a link of an answer as a complete http(s) URL, or "" if it is not one. */
export function safeLink(text, base) {
  if (!text || /[\s\\\u0000-\u001f]/.test(text) || text.startsWith("//")) return "";
  try {
    const origin = new URL(base).origin;
    const url = new URL(text.startsWith("/") ? origin + text : text);
    return ["https:", "http:"].includes(url.protocol) && !url.username && !url.password ? url.href : "";
  } catch {
    return "";
  }
}
