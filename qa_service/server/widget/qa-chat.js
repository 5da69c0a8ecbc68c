/*
 * <qa-chat>: a question box with cited answers. Importing this file does nothing; qa-chat-define.js registers the
 * element. See docs/widget.md for attributes, properties, parts, slots, events and methods.
 */

import { checkedEndpoint, starters } from "./client.js";
import { Conversation, takeQuestion } from "./conversation.js";
import { formOf, headerOf, logOf, panelOf, welcomeOf } from "./panel.js";
import { filled, load, stringsOf } from "./strings.js";
import { styleSheet } from "./styles.js";
import { choose, dress, watchPage } from "./theme.js";
import { h, questions } from "./view.js";

const OVERLAYS = ["launcher", "dialog", "sidebar"];
const MODES = ["inline", "page", ...OVERLAYS];
const CORNERS = ["bottom-right", "bottom-left", "top-right", "top-left"];
const MOST_CHARACTERS = 2000;
const MOST_LABEL = 200;
const ATTRIBUTES = [
  "publishable-key",
  ...["endpoint", "key", "collection", "mode", "corner", "lang", "heading", "placeholder", "greeting"],
  ...["suggestions", "top-k", "history", "no-feedback", "strings", "shortcut", "no-button"],
];
const LOOKS = ["theme", "theme-selector", "preset"];
let overlays = null; // the promise of the module: those who wait for it go on in the order of the page

export class QaChat extends HTMLElement {
  static observedAttributes = [...ATTRIBUTES, ...LOOKS];

  /** Which passages may be results, as `filters` of POST /ask; `null` for all. */
  filters = null;

  #root = this.attachShadow({ mode: "open" });
  #parts = null;
  #overlay = null;
  #early = false; // whether it was opened before the code of overlays had come
  #connected = null; // an AbortController
  #conversation = new Conversation(() => this.#context, (name, detail) => this.#send(name, detail));
  #starters = null; // {name, texts}, of a connection
  #overrides = null;
  #strings = stringsOf("en");
  #draws = 0;
  #linked = ""; // the question that the page was opened with
  #base = "";
  #trusted = "";

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [styleSheet()];
  }

  /** Overrides of single strings, as an object of the same shape as in strings.js. */
  get strings() {
    return this.#overrides;
  }

  set strings(value) {
    this.#overrides = value;
    if (this.#parts) this.#prepare();
  }

  /** Whether the panel is visible; always so in the modes inline and page. */
  get isOpen() {
    return !OVERLAYS.includes(this.#mode) || Boolean(this.#overlay?.isOpen);
  }

  connectedCallback() {
    this.#linked ||= takeQuestion(this.#shareParam);
    if (this.#connected) return this.#overlay?.moved();
    this.#connected = new AbortController();
    if (this.#parts) this.#dress();
    else this.#prepare();
    watchPage(() => this.#dress(), this.#connected.signal);
    this.#overlay?.join(this.#connected.signal);
  }

  disconnectedCallback() {
    // An element that moves is removed and inserted within one task.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#conversation.stop();
      this.#overlay?.leave();
      this.#connected?.abort();
      this.#connected = null;
    });
  }

  attributeChangedCallback(name, before, now) {
    if (!this.#draws || before === now) return;
    if (LOOKS.includes(name)) this.#dress();
    else this.#prepare();
  }

  /** Ask a question as if it had been typed. Returns the service's answer, or `null` if there is none. */
  async ask(text) {
    while (!this.#parts) await this.#prepare();
    const question = String(text).trim();
    const length = Array.from(question).length;
    const fault = !question ? this.#strings.empty : length > MOST_CHARACTERS ? filled(this.#strings.tooLong, length, this.#strings.locale) : "";
    this.#note(fault);
    this.#parts.input.setAttribute("aria-invalid", String(Boolean(fault)));
    if (fault) return null;
    if (!this.#send("qa-ask", { question }, true)) return null;
    this.open();
    return this.#conversation.ask(question);
  }

  /** Use a key that the user has typed, even a secret one: it stays in memory, outside the DOM. */
  trust(key) {
    this.#trusted = String(key);
    if (this.#parts && this.isOpen) this.#suggest();
  }

  /** Show the panel. */
  open() {
    if (!this.#parts) return void this.#prepare().then(() => this.open());
    if (this.isOpen) return;
    this.#early = !this.#overlay;
    this.#overlay?.open();
  }

  /** Hide the panel and return the focus to where it came from. */
  close() {
    this.#early = false;
    this.#overlay?.close();
  }

  /** Clear the history. */
  clear() {
    this.#conversation.clear();
    if (!this.#parts) return;
    const { welcome, input } = this.#parts;
    welcome.hidden = false;
    this.#suggest();
    input.focus();
  }

  get #mode() {
    return choose(this, "mode", MODES);
  }

  #label(name, fallback) {
    return (this.getAttribute(name) ?? fallback).slice(0, MOST_LABEL);
  }

  get #topK() {
    const number = Number.parseInt(this.getAttribute("top-k") ?? "", 10);
    return Number.isNaN(number) ? 0 : Math.min(50, Math.max(1, number));
  }

  get #publicKey() {
    return this.getAttribute("key") ?? this.getAttribute("publishable-key") ?? "";
  }

  get #connection() {
    const collection = this.getAttribute("collection");
    return {
      base: this.#base + (collection ? `/collections/${encodeURIComponent(collection)}` : ""),
      key: this.#trusted || this.#publicKey,
      filters: this.filters,
    };
  }

  get #context() {
    const connection = this.#connection;
    return {
      strings: this.#strings,
      parts: this.#parts,
      base: this.#base,
      connection,
      topK: this.#topK,
      noFeedback: this.hasAttribute("no-feedback"),
      shareParam: this.#shareParam,
      storage: this.getAttribute("history") === "session" ? `qa-chat:${connection.base}:${this.id}` : "",
      ask: (question) => this.ask(question),
    };
  }

  get #shareParam() {
    return this.getAttribute("share-param") ?? "q";
  }

  get #language() {
    return this.closest("[lang]")?.getAttribute("lang") || navigator.language;
  }

  #configure() {
    let overrides = this.#overrides;
    try {
      overrides ??= JSON.parse(this.getAttribute("strings") ?? "null");
    } catch {
      console.warn("qa-chat: the attribute strings is not JSON");
    }
    this.#strings = stringsOf(this.#language, overrides);
    this.#base = "";
    try {
      const base = checkedEndpoint(this.getAttribute("endpoint") ?? "");
      if (/^sk_/.test(this.#publicKey)) {
        throw new Error("key is secret, but visible to everyone on this page; use a publishable one (pk_…)");
      }
      this.#base = base;
    } catch (error) {
      console.error(`qa-chat: ${error.message}`);
    }
  }

  /** Draw once the strings of the language are there, so that the panel never changes from one language to another. */
  async #prepare() {
    const draw = ++this.#draws;
    const loading = load(this.#language);
    if (loading) await loading;
    if (draw !== this.#draws) return;
    this.#draw();
    this.#answerLink();
  }

  /** Ask the question that the page was opened with, unless its answer is there already. */
  #answerLink() {
    const question = this.#linked;
    this.#linked = "";
    if (!question || !this.#base) return;
    if (question === this.#conversation.last) this.open();
    else this.ask(question);
    if (!location.hash) this.scrollIntoView({ block: "nearest" });
  }

  /** Render the panel again; the history stays. */
  #draw() {
    const typed = this.#parts?.input.value ?? "";
    if (this.#parts) this.#conversation.stop();
    this.#configure();
    const t = this.#strings;
    const mode = this.#mode;
    const overlay = OVERLAYS.includes(mode);
    const { form, input, send } = formOf(this.#label("placeholder", t.placeholder), t, {
      submit: () => this.#submit(),
      recall: (step, shown) => this.#conversation.recall(step, shown),
    });
    input.value = typed;
    const suggestions = (this.getAttribute("suggestions") ?? "").split("|").map((one) => one.trim()).filter(Boolean).slice(0, 8);
    const welcome = welcomeOf(this.#label("greeting", t.greeting), suggestions, t, (text) => this.ask(text));
    const log = logOf(welcome, t);
    const note = h("p", { id: "note", role: "status" });
    const close = overlay ? () => this.close() : null;
    const header = headerOf(this.#label("heading", t.heading), t, { clear: () => this.clear(), close });
    const panel = panelOf(overlay ? "dialog" : "section", header, log, form, note);
    const corner = overlay ? choose(this, "corner", CORNERS) : "";
    const root = h("div", { class: `root ${mode} ${corner}`, lang: t.locale, dir: t.direction, hidden: overlay }, panel);
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing || !this.#conversation.dismiss()) return;
      event.preventDefault();
      event.stopImmediatePropagation(); // the panel stays open
    });
    const first = !this.#parts;
    this.#parts = { root, panel, log, input, send, note, welcome };
    this.#root.replaceChildren(root);
    if (this.#connected) this.#dress();
    if (overlay) this.#frame(mode);
    else this.#overlay?.drop();
    if (first) this.#conversation.restore();
    this.#conversation.redraw();
    if (this.isOpen) this.#suggest();
    if (!this.#base) this.#note(t.errors.setup);
    input.disabled = send.disabled = !this.#base;
    input.addEventListener("focus", () => this.#conversation.expect(), { once: true });
  }

  #dress() {
    if (this.#parts) dress(this, this.#parts.root);
  }

  /** Make the panel a launcher, dialog or sidebar; their code is loaded for the first one. */
  async #frame(mode) {
    const parts = this.#parts;
    overlays ??= import("./overlay.js");
    const { Overlay } = await overlays;
    if (parts !== this.#parts) return; // drawn again meanwhile
    const first = !this.#overlay;
    this.#overlay ??= new Overlay(this, { opened: () => this.#suggest(), closed: () => this.#conversation.closeSource() });
    this.#overlay.use(mode, parts, this.#label("heading", this.#strings.launch), this.#strings);
    if (first && this.#connected) this.#overlay.join(this.#connected.signal);
    if (this.#early) this.open();
  }

  /** Offer questions that the service can answer, unless the page names some. */
  async #suggest() {
    const { welcome } = this.#parts;
    if (!this.#base || this.hasAttribute("suggestions") || welcome.hidden || welcome.querySelector("ul")) return;
    const name = JSON.stringify(this.#connection);
    if (this.#starters?.name !== name) this.#starters = { name, texts: starters(this.#connection) };
    const texts = await this.#starters.texts;
    if (texts.length && !welcome.querySelector("ul")) {
      welcome.append(questions(this.#strings.suggestions, texts, (text) => this.ask(text)));
    }
  }

  #submit() {
    const { input } = this.#parts;
    const asked = this.ask(input.value);
    if (input.getAttribute("aria-invalid") !== "true") input.value = "";
    return asked;
  }

  #note(text) {
    this.#parts.note.textContent = text;
  }

  #send(name, detail, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable }));
  }
}
