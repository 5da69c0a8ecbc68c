/* The visible parts as DOM nodes. Text is inserted as text nodes only, so it can never become markup. */

import { visible } from "./client.js";

const SVG = "http://www.w3.org/2000/svg";
const ICONS = {
  chat: "M4 4h16v12H9l-5 4V4z",
  close: "M6 6l12 12M18 6L6 18",
  search: "M16 16l5 5M10.5 17.5a7 7 0 1 0 0-14 7 7 0 0 0 0 14",
  clear: "M4 7h16M9 7V4h6v3M6 7l1 13h10l1-13",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  link: "M10 14a4 4 0 006 0l3-3a4 4 0 00-6-6l-1 1M14 10a4 4 0 00-6 0l-3 3a4 4 0 006 6l1-1",
  document: "M6 3h8l5 5v13H6zM14 3v5h5M9 13h7M9 17h5",
  doubt: "M12 3a9 9 0 100 18 9 9 0 000-18zM9.5 9.5a2.5 2.5 0 114 2c-1 .7-1.5 1.2-1.5 2.5M12 17v.2",
  none: "M10.5 4a6.5 6.5 0 100 13 6.5 6.5 0 000-13zM15.5 15.5L21 21M8 8l5 5M13 8l-5 5",
  up: "M7 11v9H4v-9zM7 11l4-8c2 0 3 1 2 4l-1 3h7l-2 10H7",
  down: "M7 13V4H4v9zM7 13l4 8c2 0 3-1 2-4l-1-3h7L17 4H7",
};

/** Return an element with attributes and children; `on…` are listeners, `null`s are skipped. */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== ""));
  return element;
}

/** Return an icon, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  const looks = { viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "1.8" };
  for (const [key, value] of Object.entries({ ...looks, "aria-hidden": "true", "stroke-linejoin": "round" })) {
    svg.setAttribute(key, value);
  }
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Return a button with an icon; `label` is its tooltip and its name for screen readers. */
export function iconButton(name, label, part, onclick, rest = {}) {
  return h("button", { type: "button", class: "icon", part, title: label, "aria-label": label, onclick, ...rest }, icon(name));
}

/** Return the entry of a question, to which its answer is added. */
export function entryOf(question, strings) {
  return h(
    "article",
    { class: "entry", part: "entry" },
    h("p", { class: "question", part: "question" }, h("span", { class: "sr" }, `${strings.you} `), visible(question, 2000)),
  );
}

/** Replace everything below the question of an entry. */
export function fill(entry, ...nodes) {
  entry.replaceChildren(entry.firstElementChild, ...nodes);
}

/** Return the placeholder of an answer that is loading. */
export function skeleton() {
  return h("div", { class: "skeleton", part: "skeleton", "aria-hidden": "true" }, h("i"), h("i"), h("i"));
}

/** Return questions as buttons under a label. */
export function questions(label, texts, ask, part = "suggestions") {
  const buttons = texts.map((text) =>
    h("li", {}, h("button", { type: "button", dir: "auto", onclick: () => ask(text) }, visible(text, 200))),
  );
  return h("ul", { class: "suggestions", part, "aria-label": label }, ...buttons);
}
