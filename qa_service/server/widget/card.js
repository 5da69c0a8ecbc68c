/* An answer as a card: its verdict, its quotes with their neighbours, their sources, and what one can do with it. */

import { excerptOf, nodesOf } from "./blocks.js";
import { CARD } from "./card-styles.js";
import { safeLink, visible } from "./client.js";
import { filled, percent, reasonOf } from "./strings.js";
import { sheetOf } from "./styles.js";
import { h, icon, iconButton, questions } from "./view.js";

const STRONG = 0.75;
const GOOD = 0.45;
const SHORT = 140; // characters of a quote in the largest type
const MEDIUM = 300;

export { linkTo } from "./share-link.js";

let sheet;

/** Give a shadow root the styles of answers. */
export function dress(root) {
  sheet ??= sheetOf(CARD);
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
}

/**
 * Return an answer; `acts` are `{base, ask(question), asTyped(), link(), source(result, link), preview(result, link),
 * feedback(useful, note), noFeedback}`. Without `preview`, a source opens in a new tab.
 */
export function answerOf(answer, strings, acts) {
  const box = h("div", { class: "answer", part: "answer" }, h("h3", { class: "sr" }, strings.answer));
  const { verdict, others } = answer;
  const found = verdict !== "not_found";
  if (answer.understood) box.append(understood(answer, strings, acts));
  box.append(cardOf(answer, strings, acts));
  if (answer.related.length) {
    box.append(h("p", { class: "aside" }, `${strings.related}:`), questions(strings.related, answer.related, acts.ask, "related"));
  }
  if (others.length) {
    const passages = others.map((one) => h("li", {}, ...passageOf(one, "text", strings, acts)));
    const label = h("summary", {}, filled(found ? strings.more : strings.nearest, others.length, strings.locale));
    box.append(h("details", { part: "more" }, label, h("ol", { class: "passages" }, ...passages)));
  }
  return box;
}

function cardOf(answer, strings, acts) {
  const { verdict, reason, quoted } = answer;
  const says = reasonOf(answer, strings);
  const known = ["uncertain", "not_found"].includes(verdict);
  const card = h("div", { class: `card ${known ? verdict : "answered"}`, part: "card" }, ...verdictOf(answer, strings));
  if (says) card.append(h("p", { class: "aside", part: "reason", lang: says === reason ? "en" : null, dir: "auto" }, says));
  if (verdict === "not_found") card.append(...nearest(answer, strings, acts));
  for (const result of quoted) card.append(h("div", { class: "found" }, ...passageOf(result, "quoted", strings, acts)));
  card.append(tools(answer, quoted[0], strings, acts));
  return card;
}

function verdictOf({ verdict, confidence, quoted }, strings) {
  const head = h("div", { class: "head" });
  if (verdict === "uncertain") head.append(icon("doubt"), h("p", { class: "verdict", part: "uncertain" }, strings.uncertain));
  if (verdict === "not_found") head.append(icon("none"), h("p", { class: "verdict", part: "not-found" }, strings.notFound));
  if (quoted.length && confidence !== null) {
    const sure = verdict === "uncertain" ? 0 : confidence;
    const word = sure >= STRONG ? "strong" : sure >= GOOD ? "good" : "weak";
    const title = percent(confidence, strings.locale);
    head.append(h("span", { class: `confidence ${word}`, part: "confidence", title }, strings[word]));
  }
  return head.childElementCount ? [head] : [];
}

function nearest({ headings }, strings, acts) {
  const hint = h("p", { class: "aside", part: "hint" }, strings.notFoundHint);
  if (!headings.length) return [hint];
  const links = headings.map(({ title, section, url }) => h("li", {}, chip(safeLink(url, acts.base), section || title, section ? [title] : [], strings)));
  return [hint, h("p", { class: "label" }, strings.sections), h("ul", { class: "headings", part: "headings" }, ...links)];
}

/** Return a passage and its source: its quotes and what follows them, and all of it after a press on a button. */
function passageOf(result, name, strings, acts) {
  const length = result.quotes.reduce((sum, [start, end]) => sum + end - start, 0);
  const size = length <= SHORT ? "short" : length <= MEDIUM ? "medium" : "long";
  const box = h(name === "text" ? "div" : "blockquote", { class: `passage ${name} ${size}`, part: "passage", dir: "auto" });
  const excerpt = excerptOf(result);
  const draw = (shown) => box.replaceChildren(...nodesOf(result, shown, strings));
  draw(excerpt);
  return [box, excerpt && wholeButton(box, excerpt, draw, strings), h("div", { class: "source", part: "source" }, source(result, strings, acts))];
}

function wholeButton(box, excerpt, draw, strings) {
  let whole = false;
  const press = () => {
    whole = !whole;
    const top = (box.querySelector("mark") ?? box).getBoundingClientRect().top;
    draw(whole ? null : excerpt);
    button.textContent = whole ? strings.less : strings.whole;
    button.setAttribute("aria-expanded", String(whole));
    // The quote stays where it was on the screen.
    const log = box.closest(".log");
    if (log) log.scrollTop += (box.querySelector("mark") ?? box).getBoundingClientRect().top - top;
  };
  const button = h("button", { type: "button", class: "toggle", part: "whole", "aria-expanded": "false", onclick: press }, strings.whole);
  return button;
}

function understood(answer, strings, acts) {
  const button = h("button", { type: "button", class: "as-typed", part: "as-typed", onclick: acts.asTyped }, strings.asTyped);
  return h("div", { class: "understood" }, h("p", { part: "understood" }, `${strings.understood}: `, h("bdi", {}, answer.understood)), button);
}

/** Return the page or the lines of a passage, in words. */
function placeOf(result, strings) {
  if (result.page) return filled(strings.page, result.page, strings.locale);
  if (!result.lines) return "";
  const [first, last] = result.lines;
  return first === last ? filled(strings.line, first, strings.locale) : filled(strings.lines, `${first}–${last}`, strings.locale);
}

/** Return the source of a passage as a chip, which opens it. */
function source(result, strings, acts) {
  const href = safeLink(result.url, acts.base);
  const follow = (event) => {
    acts.source(result, href);
    if (!acts.preview || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    acts.preview(result, href);
  };
  const place = [result.section, placeOf(result, strings)].filter(Boolean);
  const rest = { part: "source-link", onclick: follow, onauxclick: follow };
  return [h("span", { class: "sr" }, `${strings.source}: `), chip(href, result.title || strings.source, place, acts.preview ? null : strings, rest)];
}

/** Return a link with a second line; `strings` of `null` do not say that it opens a tab. Without an address it is text. */
function chip(href, title, place, strings, rest = {}) {
  const second = place.flatMap((one, at) => [at ? " · " : "", h("bdi", {}, one)]);
  const about = h("span", { class: "about" }, h("bdi", { class: "title" }, title), second.length ? h("span", { class: "place" }, ...second) : null);
  const content = [icon("document"), about];
  if (!href) return h("span", { class: "chip" }, ...content);
  const link = { class: "chip", href, target: "_blank", rel: "noopener noreferrer nofollow", ...rest };
  return h("a", link, ...content, strings && h("span", { class: "sr" }, ` ${strings.newTab}`));
}

function tools(answer, best, strings, acts) {
  const row = h("div", { class: "tools", part: "tools" });
  const said = h("span", { role: "status", class: "aside" });
  const put = (text) =>
    navigator.clipboard.writeText(text).then(
      () => (said.textContent = strings.copied),
      () => (said.textContent = strings.notCopied),
    );
  const clipboard = Boolean(navigator.clipboard);
  if (clipboard && best) row.append(iconButton("copy", strings.copy, "copy", () => put(quoteOf(best, strings, acts.base))));
  if (clipboard && acts.link()) row.append(iconButton("link", strings.share, "share", () => put(acts.link())));
  const box = h("div", { class: "foot-of-card" }, row);
  if (!acts.noFeedback) row.append(...thumbs(strings, acts, said, box));
  row.append(said);
  return box;
}

function quoteOf(result, strings, base) {
  const place = [result.title, result.section, placeOf(result, strings)].filter(Boolean).join(", ");
  const link = safeLink(result.permalink, base);
  const ranges = result.quotes.length ? result.quotes : [[0, result.characters.length]];
  const quote = ranges.map(([start, end]) => visible(result.characters.slice(start, end).join(""))).join(" […] ");
  return `“${quote.trim()}” — ${place}${link ? ` (${link})` : ""}`;
}

function thumbs(strings, acts, said, box) {
  let form = null;
  const press = (useful) => {
    up.setAttribute("aria-pressed", String(useful));
    down.setAttribute("aria-pressed", String(!useful));
  };
  const send = async (useful, note) => {
    form?.remove();
    form = null;
    press(useful);
    try {
      await acts.feedback(useful, note);
      said.textContent = strings.thanks;
    } catch {
      up.removeAttribute("aria-pressed");
      down.removeAttribute("aria-pressed");
      said.textContent = strings.notTaken;
    }
  };
  const up = iconButton("up", strings.useful, "useful", () => send(true, ""));
  const down = iconButton("down", strings.notUseful, "not-useful", () => {
    if (form) return;
    form = reasons(strings, (note) => (send(false, note), down.focus()));
    box.append(form);
    form.querySelector("input").focus();
  });
  return [up, down];
}

function reasons(strings, done) {
  const name = `why-${crypto.getRandomValues(new Uint32Array(1))[0]}`;
  const words = h("textarea", { rows: "2", maxlength: "1500" });
  const choices = strings.reasons.map((reason) => h("label", {}, h("input", { type: "radio", name, value: reason }), reason));
  const fields = h("fieldset", { part: "reasons" }, h("legend", {}, strings.why), ...choices);
  const send = () => {
    const chosen = fields.querySelector("input:checked")?.value ?? "";
    done([chosen, words.value.trim()].filter(Boolean).join(": "));
  };
  fields.append(
    h("label", { class: "own" }, strings.note, words),
    h("button", { type: "button", class: "plain", onclick: send }, strings.sendNote),
  );
  return fields;
}
