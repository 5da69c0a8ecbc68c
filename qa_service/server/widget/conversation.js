/* A conversation: questions and their answers as entries of the log, its history, and its session storage. */

import { ask, preconnect, readAnswer, ServiceError, tell, visible } from "./client.js";
import { reveal } from "./reveal.js";
import { filled } from "./strings.js";
import { entryOf, fill, h, skeleton } from "./view.js";

const MOST_ENTRIES = 100;
const MOST_TURNS = 10;
const MOST_TURN_CHARACTERS = 300;
const SKELETON_MS = 300;
/** The length of a question in a link. */
export const MOST_LINKED_CHARACTERS = 500;
const taken = new Set();
const card = () => import("./card.js");

export class Conversation {
  #asked = []; // {question, raw}, kept in session storage
  #typed = []; // questions as they were asked, for the arrow keys
  #back = 0; // which of them is in the field: 1 is the last
  #running = null; // {controller, entry, slow, again}
  #source = null; // the document that is shown
  #context;
  #send;

  /**
   * `context()` returns `{strings, parts, base, connection, topK, noFeedback, storage, shareParam, ask}` as they are
   * now; `storage` is a key of the session storage, or "", `ask(question)` asks as the user does. `send(name, detail)`
   * dispatches an event.
   */
  constructor(context, send) {
    this.#context = context;
    this.#send = send;
  }

  /** Ask in a new entry. Returns the service's answer, or `null` if there is none. */
  ask(question) {
    this.stop();
    this.#back = 0;
    if (this.#typed.at(-1) !== question) this.#typed = [...this.#typed.slice(1 - MOST_ENTRIES), question];
    return this.#answer(question, this.#append(entryOf(question, this.#context().strings)));
  }

  /** Abort the running request and say so in its entry; `byUser` offers to try again. */
  stop(byUser = false) {
    if (!this.#running) return;
    const { strings } = this.#context();
    const { controller, entry, slow, again } = this.#running;
    this.#running = null;
    clearTimeout(slow);
    controller.abort();
    const says = h("p", { class: "aside" }, byUser ? strings.halted : strings.stopped);
    fill(entry, says, ...(byUser ? [this.#retry(again)] : []));
  }

  /** Get ready for an answer while the question is typed. */
  expect() {
    card().catch(() => {});
    preconnect(this.#context().base);
  }

  /** Stop the question that waits, else close the document that is shown. Returns whether there was one. */
  dismiss() {
    const found = this.#running ?? this.#source;
    if (this.#running) this.stop(true);
    else this.closeSource();
    return Boolean(found);
  }

  /** The question before the next one, if there is one. */
  get last() {
    return this.#asked.at(-1)?.question;
  }

  /** Return the question `step` places further back than the one in the field, or `null` if the field has other words. */
  recall(step, shown) {
    if (!shown) this.#back = 0;
    const back = this.#back + step;
    const own = this.#back ? this.#typed.at(-this.#back) : "";
    if (shown !== own || back < 0 || back > this.#typed.length) return null;
    this.#back = back;
    return back ? this.#typed.at(-back) : "";
  }

  /** Remove all entries and the history. */
  clear() {
    this.stop();
    this.closeSource();
    this.#asked = [];
    this.#typed = [];
    this.#keep();
    const { parts } = this.#context();
    parts?.log.querySelectorAll(".entry").forEach((entry) => entry.remove());
  }

  /** Show the answers again, in a log that is empty. */
  redraw() {
    for (const turn of this.#asked) {
      try {
        const entry = entryOf(turn.question, this.#context().strings);
        const view = this.#view(readAnswer(turn.raw), turn, entry);
        this.#append(entry);
        view.then((shown) => entry.append(shown)).catch((error) => console.error("qa-chat:", error));
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
      this.#typed = this.#asked.map(({ question }) => question);
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

  /** Ask for an entry. `asTyped` is the turn whose question is to be asked word for word; its answer is replaced. */
  async #answer(question, entry, asTyped = null) {
    const { base, strings, parts, connection, topK } = this.#context();
    const controller = new AbortController();
    const again = () => this.#again(question, entry, asTyped);
    const stop = () => h("button", { type: "button", class: "plain", part: "stop", onclick: () => (parts.input.focus(), this.stop(true)) }, strings.stop);
    const slow = setTimeout(() => {
      entry.append(h("p", { class: "sr" }, strings.searching), skeleton(), stop());
      reveal(parts.log, entry);
    }, SKELETON_MS);
    this.#running = { controller, entry, slow, again };
    const settle = (...nodes) => {
      clearTimeout(slow);
      if (entry.contains(entry.getRootNode().activeElement)) parts.input.focus();
      fill(entry, ...nodes);
    };
    const waiting = (seconds) => settle(h("p", {}, filled(strings.waiting, seconds, strings.locale)), stop());
    try {
      if (!base) throw new ServiceError("setup");
      card().catch(() => {}); // loads while the service answers
      const history = asTyped ? [] : this.#history;
      const answer = await ask({ ...connection, question, history, asTyped, topK, signal: controller.signal, waiting });
      const turn = { question, raw: answer.raw };
      const view = await this.#view(answer, turn, entry);
      if (controller.signal.aborted) return null;
      settle(view);
      this.#remember(turn, asTyped);
      this.#send("qa-answer", { question, answer: answer.raw });
      return answer.raw;
    } catch (error) {
      if (controller.signal.aborted) return null;
      const fault = error instanceof ServiceError ? error : new ServiceError("failed");
      if (!(error instanceof ServiceError)) console.error("qa-chat:", error);
      settle(this.#fault(fault, again));
      this.#send("qa-error", { question, kind: fault.kind, seconds: fault.seconds });
      return null;
    } finally {
      if (this.#running?.controller === controller) this.#running = null;
      if (entry.isConnected) reveal(this.#context().parts.log, entry, entry.getRootNode().activeElement !== null);
    }
  }

  /** The last questions with the ids of their answers, as the service takes them. */
  get #history() {
    const short = (text) => visible(text, MOST_TURN_CHARACTERS).toWellFormed();
    const turns = this.#asked.map(({ question, raw }) => ({ question: short(question), answer_id: short(raw.id) }));
    return turns.filter(({ question }) => question.trim()).slice(-MOST_TURNS);
  }

  #remember(turn, before) {
    const place = this.#asked.indexOf(before);
    if (place >= 0) this.#asked[place] = turn;
    else this.#asked = [...this.#asked, turn].slice(-MOST_ENTRIES);
    this.#keep();
  }

  async #view(answer, turn, entry) {
    const { answerOf, dress, linkTo } = await card();
    const { base, strings, parts, connection, noFeedback, shareParam, ask } = this.#context();
    dress(parts.root.getRootNode());
    return answerOf(answer, strings, {
      base,
      ask,
      noFeedback,
      preview: (result, link) => this.#preview(answer, result, link),
      // A follow-up has no meaning on its own; what it was understood as has.
      link: () => linkTo(answer.followUp ? answer.understood : turn.question, shareParam),
      asTyped: () => this.#again(turn.question, entry, turn),
      source: (result, url) => this.#send("qa-source-click", { url, title: result.title }),
      feedback: async (useful, note) => {
        await tell({ ...connection, answerId: answer.id, useful, note });
        this.#send("qa-feedback", { answerId: answer.id, useful, note });
      },
    });
  }

  /** Ask again in the same entry. */
  #again(question, entry, asTyped) {
    this.stop();
    this.#context().parts.input.focus();
    fill(entry);
    this.#answer(question, entry, asTyped);
  }

  #retry(again) {
    return h("button", { type: "button", class: "plain", part: "retry", onclick: again }, this.#context().strings.retry);
  }

  /** Show a result in its document. */
  async #preview(answer, result, link) {
    const { strings, connection, parts } = this.#context();
    try {
      const { openSource } = await import("./preview.js");
      this.closeSource();
      const onclose = () => (this.#source = null);
      this.#source = openSource({ host: parts.root, strings, connection, onclose }, answer, result);
    } catch (error) {
      console.error("qa-chat: the preview could not be loaded", error);
      if (link) window.open(link, "_blank", "noopener,noreferrer");
    }
  }

  /** Close the document that is shown, if there is one. */
  closeSource() {
    this.#source?.close();
  }

  #fault({ kind, seconds }, again) {
    const { strings } = this.#context();
    const text = strings.errors[kind] ?? strings.errors.failed;
    const says = h("p", {}, filled(text, seconds, strings.locale));
    const box = h("div", { class: "error", part: "error" }, says);
    if (["denied", "setup", "invalid", "missing"].includes(kind)) return box;
    const retry = this.#retry(again);
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
    reveal(log, entry);
    return entry;
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

/** Return the question that the page was opened with, to the first that asks for it; else "". */
export function takeQuestion(name, page = globalThis.location) {
  if (!name || taken.has(name)) return "";
  taken.add(name);
  const question = visible(new URLSearchParams(page.search).get(name) ?? "").trim();
  return Array.from(question).length <= MOST_LINKED_CHARACTERS ? question : "";
}
