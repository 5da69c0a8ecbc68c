/* The frame of the widget as DOM nodes: the panel with its header, log and form. */

import { h, iconButton, questions } from "./view.js";

/** Return the header; without `close` it has no button for it. */
export function headerOf(heading, strings, { clear, close }) {
  return h(
    "header",
    { part: "header" },
    h("h2", { id: "title", part: "title", dir: "auto" }, h("slot", { name: "title" }, heading)),
    iconButton("clear", strings.clear, "clear", clear),
    close ? iconButton("close", strings.close, "close", close) : null,
  );
}

/** Return the part of the log that the first question hides: the greeting, and suggestions if there are some. */
export function welcomeOf(greeting, suggestions, strings, ask) {
  const words = h("p", { class: "greeting", part: "greeting", dir: "auto" }, h("slot", { name: "greeting" }, greeting));
  const welcome = h("div", { class: "welcome" }, words);
  if (suggestions.length) welcome.append(questions(strings.suggestions, suggestions, ask));
  return welcome;
}

/** Return the log of questions and answers. */
export function logOf(welcome, strings) {
  return h("div", { class: "log", part: "log", role: "log", "aria-live": "polite", "aria-label": strings.log, tabindex: "0" }, welcome);
}

/** Send by Enter, and bring earlier questions back by arrows; in words that are being typed, these move the cursor. */
function onKey(event, submit, recall) {
  // Enter may end the composition of a character, as in Korean.
  if (event.shiftKey || event.isComposing || event.keyCode === 229) return;
  if (event.key === "Enter") {
    event.preventDefault();
    if (!event.repeat) submit();
  }
  const step = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (!step || event.ctrlKey || event.altKey || event.metaKey) return;
  const { target } = event;
  const question = recall(step, target.value);
  if (question === null) return;
  event.preventDefault();
  target.value = question;
  target.setSelectionRange(question.length, question.length);
}

/** Return `{form, input, send}`; `submit()` sends, `recall(step, shown)` returns an earlier question, or `null`. */
export function formOf(placeholder, strings, { submit, recall }) {
  const input = h("textarea", {
    id: "input",
    part: "input",
    rows: "1",
    placeholder,
    "aria-describedby": "note",
    dir: "auto",
    enterkeyhint: "send",
    autocomplete: "off",
    onkeydown: (event) => onKey(event, submit, recall),
  });
  const send = h("button", { class: "send", part: "send", type: "submit" }, strings.send);
  const label = h("label", { class: "sr", for: "input" }, strings.label);
  const form = h("form", { part: "form", onsubmit: (event) => (event.preventDefault(), submit()) }, label, input, send);
  return { form, input, send };
}

/** Return the panel around its parts, a `dialog` or a `section`; `note` says what is wrong with a question. */
export function panelOf(name, header, log, form, note) {
  const foot = h("div", { class: "foot", part: "footer" }, note, h("slot", { name: "footer" }));
  return h(name, { class: "panel", part: "panel", "aria-labelledby": "title" }, header, log, form, foot);
}
