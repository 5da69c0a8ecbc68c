/* A conversation: questions and their answers as entries of the log, its history, and its session storage. */

import { answerOf } from "./card.js";
import { ask, readAnswer, ServiceError, tell, visible } from "./client.js";
import { filled } from "./strings.js";
import { entryOf, fill, h, skeleton } from "./view.js";

const MOST_ENTRIES = 100;
const MOST_TURNS = 10;
const MOST_TURN_CHARACTERS = 300;
const SKELETON_MS = 300;

export class Conversation {
  #asked = []; // {question, raw}, kept in session storage
  #running = null; // {controller, entry, slow}
  #context;
  #send;

  /**
   * `context()` returns `{strings, parts, base, connection, topK, noFeedback, storage, ask}` as they are now; `storage` is
   * a key of the session storage, or "", `ask(question)` asks as the user does. `send(name, detail)` dispatches an event.
   */
  constructor(context, send) {
    this.#context = context;
    this.#send = send;
  }

  /** Ask in a new entry. Returns the service's answer, or `null` if there is none. */
  ask(question) {
    this.stop();
    return this.#answer(question, this.#append(entryOf(question, this.#context().strings)));
  }

  /** Abort the running request and say so in its entry. */
  stop() {
    if (!this.#running) return;
    const { controller, entry, slow } = this.#running;
    this.#running = null;
    clearTimeout(slow);
    controller.abort();
    fill(entry, h("p", { class: "source" }, this.#context().strings.stopped));
  }

  /** Remove all entries and the history. */
  clear() {
    this.stop();
    this.#asked = [];
    this.#keep();
    const { parts } = this.#context();
    parts?.log.querySelectorAll(".entry").forEach((entry) => entry.remove());
  }

  /** Show the answers again, in a log that is empty. */
  redraw() {
    for (const { question, raw } of this.#asked) {
      try {
        const view = this.#view(readAnswer(raw));
        this.#append(entryOf(question, this.#context().strings)).append(view);
      } catch {
        // A page may have stored something that is not an answer.
      }
    }
  }

  /** Read the history from the session storage. */
  restore() {
    const { storage } = this.#context();
    if (!storage) return;
    try {
      const kept = JSON.parse(sessionStorage.getItem(storage) ?? "[]");
      const valid = (one) => typeof one?.question === "string" && one.question.trim() && typeof one.raw?.id === "string";
      this.#asked = kept.filter(valid).slice(-MOST_ENTRIES);
    } catch {
      this.#asked = [];
    }
  }

  #keep() {
    const { storage } = this.#context();
    if (!storage) return;
    try {
      sessionStorage.setItem(storage, JSON.stringify(this.#asked));
    } catch {
      // Storage is blocked or full: the history ends with the page.
    }
  }

  async #answer(question, entry) {
    const { base, strings, connection, topK } = this.#context();
    const controller = new AbortController();
    const status = h("p", { class: "sr" }, strings.searching);
    const slow = setTimeout(() => entry.append(status, skeleton()), SKELETON_MS);
    this.#running = { controller, entry, slow };
    const settle = (...nodes) => {
      clearTimeout(slow);
      fill(entry, ...nodes);
    };
    const waiting = (seconds) => settle(h("p", {}, filled(strings.waiting, seconds, strings.locale)));
    try {
      if (!base) throw new ServiceError("setup");
      const answer = await ask({ ...connection, question, history: this.#history, topK, signal: controller.signal, waiting });
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
    const { base, strings, connection, noFeedback, ask: again } = this.#context();
    return answerOf(answer, strings, {
      base,
      ask: again,
      noFeedback,
      source: (result, url) => this.#send("qa-source-click", { url, title: result.title }),
      feedback: async (useful, note) => {
        await tell({ ...connection, answerId: answer.id, useful, note });
        this.#send("qa-feedback", { answerId: answer.id, useful, note });
      },
    });
  }

  #fault({ kind, seconds }, question, entry) {
    const { strings, parts } = this.#context();
    const text = strings.errors[kind] ?? strings.errors.failed;
    const says = h("p", {}, filled(text, seconds, strings.locale));
    const box = h("div", { class: "error", part: "error" }, says);
    if (["denied", "setup", "invalid", "missing"].includes(kind)) return box;
    const again = () => {
      this.stop();
      box.remove();
      parts.input.focus();
      this.#answer(question, entry);
    };
    const retry = h("button", { type: "button", class: "plain", part: "retry", onclick: again }, strings.retry);
    box.append(retry);
    if (seconds && /\{(n|seconds)\}/.test(text)) countDown(retry, says, (left) => filled(text, left, strings.locale), seconds);
    return box;
  }

  #append(entry) {
    const { log, welcome } = this.#context().parts;
    welcome.hidden = true;
    log.append(entry);
    const entries = log.querySelectorAll(".entry");
    if (entries.length > MOST_ENTRIES) entries[0].remove();
    this.#scrollTo(entry);
    return entry;
  }

  /** Scroll a question to the top of the log, without scrolling the page. */
  #scrollTo(entry) {
    const { log } = this.#context().parts;
    log.scrollTop += entry.getBoundingClientRect().top - log.getBoundingClientRect().top - 16;
  }
}

function countDown(retry, says, textAt, seconds) {
  retry.disabled = true;
  // Screen readers would read every change of the number; they read the seconds once.
  const shown = h("span", { "aria-hidden": "true" });
  retry.append(shown);
  const tick = (left) => {
    shown.textContent = left > 0 ? ` (${left})` : "";
    retry.disabled = left > 0;
    if (left > 0) setTimeout(() => retry.isConnected && tick(left - 1), 1000);
    else says.textContent = textAt(0);
  };
  tick(seconds);
}
