/** Client of a qa_service, with the types of its HTTP API, errors with their problem documents, and retries. */

import type { components } from "./openapi.js";
import { read, retried, ServiceError } from "./sending.js";

export { ServiceError };

type Schemas = components["schemas"];
export type Answer = Schemas["AskResponse"];
export type Batch = Schemas["BatchResponse"];
export type Cited = Schemas["CitedBody"];
export type Document = Schemas["ListedSource"];
export type DocumentText = Schemas["SourceBody"];
export type Evaluation = Schemas["Evaluation"];
export type Problem = Schemas["Problem"];
export type Question = Schemas["AskRequest"];
export type Result = Schemas["ResultBody"];
export type StoredDocument = Schemas["StoredDocument"];
export type Verdict = Schemas["VerdictBody"];

export interface ClientOptions {
  /** `sk_…` or `pk_…`. */
  key?: string;
  /** A named collection; the default one without it. */
  collection?: string;
  /** Seconds for which a request is tried again while the service is busy. Default: 30. */
  patience?: number;
  fetch?: typeof fetch;
}

/** Options of a question. `history` has earlier questions or answers, oldest first; the last ten are sent. */
export interface AskOptions extends Omit<Partial<Question>, "question" | "history"> {
  history?: readonly (string | Answer)[];
  explain?: boolean;
  blocks?: boolean;
}

export interface ChangeOptions {
  /** The sha256 that the file must have now. */
  replaces?: string;
  /** Whether a build of the index starts. Default: true. */
  build?: boolean;
}

interface Call {
  method?: string;
  json?: unknown;
  content?: Uint8Array | string;
  headers?: Record<string, string>;
}

const MAX_TURNS = 10;
const PAGE = 1000;

export class Client {
  readonly url: string;
  readonly #prefix: string;
  readonly #patience: number;
  readonly #headers: Record<string, string>;
  readonly #fetch: typeof fetch;

  constructor(url: string, options: ClientOptions = {}) {
    this.url = url.replace(/\/+$/, "");
    this.#prefix = options.collection ? `/collections/${encodeURIComponent(options.collection)}` : "";
    this.#patience = options.patience ?? 30;
    this.#headers = options.key ? { Authorization: `Bearer ${options.key}` } : {};
    this.#fetch = options.fetch ?? ((...request) => fetch(...request));
  }

  /** Returns the best passages for a question, with citations. */
  ask(question: string, options: AskOptions = {}): Promise<Answer> {
    const { history, explain, blocks, ...rest } = options;
    const flags = new URLSearchParams(Object.entries({ explain, blocks }).flatMap(([name, on]) => (on ? [[name, "true"]] : [])));
    const turns = history?.slice(-MAX_TURNS).map((one) => (typeof one === "string" ? one : { question: one.question, answer_id: one.id }));
    const json = { question, ...rest, ...(turns?.length ? { history: turns } : {}) };
    return this.#json(`/ask${flags.size ? `?${flags}` : ""}`, { json });
  }

  /** Asks many questions at once; each gets an answer or an error. */
  askBatch(questions: readonly (string | Question)[]): Promise<Batch> {
    return this.#json("/ask/batch", { json: { questions } });
  }

  /** Returns questions that the service has proved it can answer. */
  starters(limit = 8): Promise<Schemas["StartersBody"]> {
    return this.#json(`/starters?limit=${limit}`);
  }

  /** Records whether an answer was useful; `right_passage` is the permalink of the right citation. */
  feedback(answerId: string, useful: boolean, more: { right_passage?: string; note?: string } = {}): Promise<Schemas["FeedbackResponse"]> {
    return this.#json("/feedback", { json: { answer_id: answerId, useful, ...more } });
  }

  /** Yields all documents, without their texts. */
  async *sources(): AsyncGenerator<Document, void, undefined> {
    for (let after = ""; ; ) {
      const page: Schemas["SourcesBody"] = await this.#json(`/sources?${new URLSearchParams({ limit: `${PAGE}`, after })}`);
      yield* page.documents;
      const last = page.documents.at(-1);
      if (last === undefined) return;
      after = last.document_id;
    }
  }

  /** Returns the document at a path below the source folder. */
  async sourceAt(uri: string): Promise<Document | undefined> {
    const page: Schemas["SourcesBody"] = await this.#json(`/sources?${new URLSearchParams({ uri })}`);
    return page.documents[0];
  }

  /** Returns a document as it was indexed; all offsets refer to its text. */
  source(documentId: string): Promise<DocumentText> {
    return this.#json(`/sources/${encodeURIComponent(documentId)}`);
  }

  /** Returns the spans of a document's passages, in order. */
  passages(documentId: string): Promise<Schemas["PassagesBody"]> {
    return this.#json(`/sources/${encodeURIComponent(documentId)}/passages`);
  }

  /** Returns whether the quote of a permalink still stands. */
  async cite(permalink: string): Promise<Verdict> {
    return read(await this.#send(new URL(permalink, this.url).href, {}));
  }

  /** Returns whether the quotes of citations, as in answers, still stand. */
  verify(citations: readonly Cited[]): Promise<Schemas["VerifyResponse"]> {
    return this.#json("/verify", { json: { citations } });
  }

  /** Stores a file of the source folder. */
  putDocument(path: string, content: Uint8Array | string, options: ChangeOptions = {}): Promise<StoredDocument> {
    return this.#json(fileAddress(path, options), { method: "PUT", content, headers: ifMatch(options) });
  }

  /** Returns a file of the source folder. */
  async getDocument(path: string): Promise<Uint8Array> {
    const response = await this.#send(this.#address(fileAddress(path)), { headers: { Accept: "*/*" } });
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Deletes a file of the source folder. */
  async deleteDocument(path: string, options: ChangeOptions = {}): Promise<void> {
    await this.#send(this.#address(fileAddress(path, options)), { method: "DELETE", headers: ifMatch(options) });
  }

  /** Returns a description of the index. */
  index(): Promise<Schemas["IndexBody"]> {
    return this.#json("/index");
  }

  /** Returns the named collections. */
  async collections(): Promise<Schemas["CollectionsBody"]> {
    return read(await this.#send(`${this.url}/collections`, {}));
  }

  /** Returns the state of the service, as soon as it is ready. */
  async ready(): Promise<Schemas["Readiness"]> {
    return read(await this.#send(`${this.url}/readyz`, {}));
  }

  /** Starts an evaluation of the default collection with a question file; needs a key with the scope `admin`. */
  async evaluate(file: Uint8Array | string, options: { format?: string; top_k?: number } = {}): Promise<Evaluation> {
    const query = new URLSearchParams(Object.entries(options).map(([name, value]) => [name, `${value}`]));
    return read(await this.#send(`${this.url}/evaluate${query.size ? `?${query}` : ""}`, { method: "POST", content: file }));
  }

  /** Returns the state of an evaluation. */
  async evaluation(id: string): Promise<Evaluation> {
    return read(await this.#send(`${this.url}/evaluate/${encodeURIComponent(id)}`, {}));
  }

  #address(path: string): string {
    return `${this.url}${this.#prefix}${path}`;
  }

  async #json<Body>(path: string, call: Call = {}): Promise<Body> {
    return read<Body>(await this.#send(this.#address(path), call));
  }

  #send(address: string, { method, json, content, headers }: Call): Promise<Response> {
    const body = json === undefined ? content : JSON.stringify(json);
    const kind = json === undefined ? "application/octet-stream" : "application/json";
    return retried(this.#patience, () =>
      this.#fetch(address, {
        method: method ?? (body === undefined ? "GET" : "POST"),
        headers: { Accept: "application/json", ...this.#headers, ...(body === undefined ? {} : { "Content-Type": kind }), ...headers },
        signal: AbortSignal.timeout(1000 * Math.max(this.#patience, 1)),
        ...(body === undefined ? {} : { body: body as BodyInit }),
      }),
    );
  }
}

function fileAddress(path: string, { build = true }: ChangeOptions = {}): string {
  return `/documents/${path.split("/").map(encodeURIComponent).join("/")}${build ? "" : "?build=false"}`;
}

function ifMatch({ replaces }: ChangeOptions): Record<string, string> {
  return replaces === undefined ? {} : { "If-Match": `"${replaces}"` };
}
