/*
 * <qa-chat>: a question box with cited answers. Importing this file does nothing; qa-chat-define.js registers the
 * element. See docs/widget.md for attributes, properties, parts, slots, events and methods.
 */

import { answerOf } from "./card.js";
import { ask, checkedEndpoint, readAnswer, ServiceError, starters, tell, visible } from "./client.js";
import { formOf, headerOf, launcherOf, logOf, panelOf, welcomeOf } from "./panel.js";
import { filled, stringsOf } from "./strings.js";
import { styleSheet } from "./styles.js";
import { entryOf, fill, h, questions, skeleton } from "./view.js";

const MODES = ["inline", "launcher", "page"];
const CORNERS = ["bottom-right", "bottom-left", "top-right", "top-left"];
const MOST_ENTRIES = 100;
const MOST_CHARACTERS = 2000;
const MOST_TURNS = 10;
const MOST_TURN_CHARACTERS = 300;
const MOST_LABEL = 200;
const SKELETON_MS = 300;
const ATTRIBUTES = [
  ...["endpoint", "key", "collection", "mode", "corner", "lang", "heading", "placeholder", "greeting"],
  ...["suggestions", "top-k", "history", "no-feedback", "strings"],
];

export class QaChat extends HTMLElement {
  static observedAttributes = ATTRIBUTES;

  #root = this.attachShadow({ mode: "open" });
  #parts = null;
  #asked = []; // {question, raw}, kept in session storage
  #running = null; // {controller, entry}
  #starters = null; // {name, texts}, of a connection
  #overrides = null;
  #strings = stringsOf("en");
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
    if (this.#parts) this.#draw();
  }

  /** Whether the panel is visible; always so without a launcher. */
  get isOpen() {
    return this.#mode !== "launcher" || Boolean(this.#parts && !this.#parts.panel.hidden);
  }

  connectedCallback() {
    if (!this.#parts) this.#draw();
  }

  disconnectedCallback() {
    // An element that moves is removed and inserted within one task.
    queueMicrotask(() => this.isConnected || this.#stop());
  }

  attributeChangedCallback(_, before, now) {
    if (this.#parts && before !== now) this.#draw();
  }

  /** Ask a question as if it had been typed. Returns the service's answer, or `null` if there is none. */
  async ask(text) {
    if (!this.#parts) this.#draw();
    const question = String(text).trim();
    const length = Array.from(question).length;
    const fault = !question ? this.#strings.empty : length > MOST_CHARACTERS ? filled(this.#strings.tooLong, length) : "";
    this.#note(fault);
    this.#parts.input.setAttribute("aria-invalid", String(Boolean(fault)));
    if (fault) return null;
    if (!this.#send("qa-ask", { question }, true)) return null;
    this.open();
    this.#stop();
    const entry = this.#append(entryOf(question, this.#strings));
    return this.#answer(question, entry);
  }

  /** Use a key that the user has typed, even a secret one: it stays in memory, outside the DOM. */
  trust(key) {
    this.#trusted = String(key);
    if (this.#parts && this.isOpen) this.#suggest();
  }

  /** Show the panel. */
  open() {
    if (!this.#parts || this.isOpen) return;
    this.#parts.panel.hidden = false;
    this.#parts.root.classList.add("open");
    this.#parts.launch.setAttribute("aria-expanded", "true");
    this.#parts.input.focus();
    this.#suggest();
  }

  /** Hide the panel and return the focus to the launcher. */
  close() {
    if (this.#mode !== "launcher" || !this.isOpen) return;
    const focused = this.#root.activeElement;
    this.#parts.panel.hidden = true;
    this.#parts.root.classList.remove("open");
    this.#parts.launch.setAttribute("aria-expanded", "false");
    if (focused) this.#parts.launch.focus();
  }

  /** Clear the history. */
  clear() {
    this.#stop();
    this.#asked = [];
    this.#keep();
    if (!this.#parts) return;
    const { log, welcome, input } = this.#parts;
    log.querySelectorAll(".entry").forEach((entry) => entry.remove());
    welcome.hidden = false;
    this.#suggest();
    input.focus();
  }

  get #mode() {
    return this.#choice("mode", MODES);
  }

  #choice(name, choices) {
    const value = this.getAttribute(name);
    if (value === null || choices.includes(value)) return value ?? choices[0];
    console.warn(`qa-chat: ${name}=${JSON.stringify(value.slice(0, 50))} is not one of ${choices.join(", ")}`);
    return choices[0];
  }

  #label(name, fallback) {
    return (this.getAttribute(name) ?? fallback).slice(0, MOST_LABEL);
  }

  get #topK() {
    const number = Number.parseInt(this.getAttribute("top-k") ?? "", 10);
    return Number.isNaN(number) ? 0 : Math.min(50, Math.max(1, number));
  }

  get #connection() {
    const collection = this.getAttribute("collection");
    return {
      base: this.#base + (collection ? `/collections/${encodeURIComponent(collection)}` : ""),
      key: this.#trusted || (this.getAttribute("key") ?? ""),
    };
  }

  #configure() {
    const language = this.closest("[lang]")?.getAttribute("lang") || navigator.language;
    let overrides = this.#overrides;
    try {
      overrides ??= JSON.parse(this.getAttribute("strings") ?? "null");
    } catch {
      console.warn("qa-chat: the attribute strings is not JSON");
    }
    this.#strings = stringsOf(language, overrides);
    this.#base = "";
    try {
      const base = checkedEndpoint(this.getAttribute("endpoint") ?? "");
      if (/^sk_/.test(this.getAttribute("key") ?? "")) {
        throw new Error("key is secret, but visible to everyone on this page; use a publishable one (pk_…)");
      }
      this.#base = base;
    } catch (error) {
      console.error(`qa-chat: ${error.message}`);
    }
  }

  /** Render the panel again; the history stays. */
  #draw() {
    const open = Boolean(this.#parts && this.isOpen && this.#mode === "launcher");
    const typed = this.#parts?.input.value ?? "";
    if (this.#parts) this.#stop();
    this.#configure();
    const t = this.#strings;
    const mode = this.#mode;
    const hidden = mode === "launcher" && !open;
    const { form, input, send } = formOf(this.#label("placeholder", t.placeholder), t, {
      submit: () => this.#submit(),
      key: (event) => this.#key(event),
    });
    input.value = typed;
    const suggestions = (this.getAttribute("suggestions") ?? "").split("|").map((one) => one.trim()).filter(Boolean).slice(0, 8);
    const welcome = welcomeOf(this.#label("greeting", t.greeting), suggestions, t, (text) => this.ask(text));
    const log = logOf(welcome, t);
    const note = h("p", { id: "note", role: "status" });
    const close = mode === "launcher" ? () => this.close() : null;
    const header = headerOf(this.#label("heading", t.heading), t, { clear: () => this.clear(), close });
    const panel = panelOf({ role: mode === "launcher" ? "dialog" : "region", hidden }, header, log, form, note);
    const launch = launcherOf(this.#label("heading", t.launch), !hidden, () => (this.isOpen ? this.close() : this.open()));
    const root = h(
      "div",
      { class: `root ${mode} ${mode === "launcher" ? this.#choice("corner", CORNERS) : ""} ${open ? "open" : ""}`, lang: this.closest("[lang]")?.lang || null },
      panel,
      mode === "launcher" ? launch : null,
    );
    root.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && mode === "launcher" && this.isOpen) {
        event.stopPropagation();
        this.close();
      }
    });
    const first = !this.#parts;
    this.#parts = { root, panel, launch, log, input, send, note, welcome };
    this.#root.replaceChildren(root);
    if (first) this.#restore();
    for (const { question, raw } of this.#asked) this.#showAgain(question, raw);
    if (this.isOpen) this.#suggest();
    if (!this.#base) this.#note(t.errors.setup);
    input.disabled = send.disabled = !this.#base;
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

  #key(event) {
    // Enter may end the composition of a character, as in Korean.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    if (!event.repeat) this.#submit();
  }

  #submit() {
    const { input } = this.#parts;
    const asked = this.ask(input.value);
    if (input.getAttribute("aria-invalid") !== "true") input.value = "";
    return asked;
  }

  async #answer(question, entry) {
    const controller = new AbortController();
    const status = h("p", { class: "sr" }, this.#strings.searching);
    const slow = setTimeout(() => entry.append(status, skeleton()), SKELETON_MS);
    this.#running = { controller, entry, slow };
    const settle = (...nodes) => {
      clearTimeout(slow);
      fill(entry, ...nodes);
    };
    const waiting = (seconds) => settle(h("p", {}, filled(this.#strings.waiting, seconds)));
    try {
      if (!this.#base) throw new ServiceError("setup");
      const answer = await ask({ ...this.#connection, question, history: this.#history, topK: this.#topK, signal: controller.signal, waiting });
      if (controller.signal.aborted) return null;
      settle(this.#view(answer));
      this.#asked.push({ question, raw: answer.raw });
      this.#asked = this.#asked.slice(-MOST_ENTRIES);
      this.#keep();
      this.#send("qa-answer", { question, answer: answer.raw });
      return answer.raw;
    } catch (error) {
      if (controller.signal.aborted) return null;
      const fault = error instanceof ServiceError ? error : new ServiceError("failed");
      if (!(error instanceof ServiceError)) console.error("qa-chat:", error);
      settle(this.#fault(fault, question, entry));
      this.#send("qa-error", { question, kind: fault.kind, seconds: fault.seconds });
      return null;
    } finally {
      if (this.#running?.controller === controller) this.#running = null;
      if (entry.isConnected) this.#scrollTo(entry);
    }
  }

  /** The last questions with the ids of their answers, as the service takes them. */
  get #history() {
    const short = (text) => visible(text, MOST_TURN_CHARACTERS).toWellFormed();
    const turns = this.#asked.map(({ question, raw }) => ({ question: short(question), answer_id: short(raw.id) }));
    return turns.filter(({ question }) => question.trim()).slice(-MOST_TURNS);
  }

  #view(answer) {
    return answerOf(answer, this.#strings, {
      base: this.#base,
      ask: (question) => this.ask(question),
      noFeedback: this.hasAttribute("no-feedback"),
      source: (result, url) => this.#send("qa-source-click", { url, title: result.title }),
      feedback: async (useful, note) => {
        await tell({ ...this.#connection, answerId: answer.id, useful, note });
        this.#send("qa-feedback", { answerId: answer.id, useful, note });
      },
    });
  }

  #fault({ kind, seconds }, question, entry) {
    const t = this.#strings;
    const text = t.errors[kind] ?? t.errors.failed;
    const says = h("p", {}, filled(text, seconds));
    const box = h("div", { class: "error", part: "error" }, says);
    if (["denied", "setup", "invalid", "missing"].includes(kind)) return box;
    const again = () => {
      this.#stop();
      box.remove();
      this.#parts.input.focus();
      this.#answer(question, entry);
    };
    const retry = h("button", { type: "button", class: "plain", part: "retry", onclick: again }, t.retry);
    box.append(retry);
    if (seconds && text.includes("{n}")) this.#countDown(retry, says, text, seconds);
    return box;
  }

  #countDown(retry, says, text, seconds) {
    retry.disabled = true;
    // Screen readers would read every change of the number; they read the seconds once.
    const shown = h("span", { "aria-hidden": "true" });
    retry.append(shown);
    const tick = (left) => {
      shown.textContent = left > 0 ? ` (${left})` : "";
      retry.disabled = left > 0;
      if (left > 0) setTimeout(() => retry.isConnected && tick(left - 1), 1000);
      else says.textContent = filled(text, 0);
    };
    tick(seconds);
  }

  #append(entry) {
    const { log, welcome } = this.#parts;
    welcome.hidden = true;
    log.append(entry);
    const entries = log.querySelectorAll(".entry");
    if (entries.length > MOST_ENTRIES) entries[0].remove();
    this.#scrollTo(entry);
    return entry;
  }

  /** Scroll a question to the top of the log, without scrolling the page. */
  #scrollTo(entry) {
    const { log } = this.#parts;
    log.scrollTop += entry.getBoundingClientRect().top - log.getBoundingClientRect().top - 16;
  }

  #showAgain(question, raw) {
    try {
      const view = this.#view(readAnswer(raw));
      this.#append(entryOf(question, this.#strings)).append(view);
    } catch {
      // A page may have stored something that is not an answer.
    }
  }

  /** Abort the running request and say so in its entry. */
  #stop() {
    if (!this.#running) return;
    const { controller, entry, slow } = this.#running;
    this.#running = null;
    clearTimeout(slow);
    controller.abort();
    fill(entry, h("p", { class: "source" }, this.#strings.stopped));
  }

  #note(text) {
    this.#parts.note.textContent = text;
  }

  #send(name, detail, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(name, { detail, bubbles: true, composed: true, cancelable }));
  }

  get #place() {
    return `qa-chat:${this.#connection.base}:${this.id}`;
  }

  #keep() {
    if (this.getAttribute("history") !== "session") return;
    try {
      sessionStorage.setItem(this.#place, JSON.stringify(this.#asked));
    } catch {
      // Storage is blocked or full: the history ends with the page.
    }
  }

  #restore() {
    if (this.getAttribute("history") !== "session") return;
    try {
      const kept = JSON.parse(sessionStorage.getItem(this.#place) ?? "[]");
      const valid = (one) => typeof one?.question === "string" && one.question.trim() && typeof one.raw?.id === "string";
      this.#asked = kept.filter(valid).slice(-MOST_ENTRIES);
    } catch {
      this.#asked = [];
    }
  }
}
