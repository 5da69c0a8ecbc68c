/* An answer as a card: its verdict, the quotes in their passages, their sources, and what one can do with it. */

import { safeLink } from "./client.js";
import { filled, percent, reasonOf } from "./strings.js";
import { h, iconButton, questions } from "./view.js";

const STRONG = 0.75;
const GOOD = 0.45;

/** Return an answer; `acts` are `{base, ask(question), asTyped(), link(), source(result), feedback(useful, note),
 * noFeedback}`. */
export function answerOf(answer, strings, acts) {
  const box = h("div", { class: "answer", part: "answer" }, h("h3", { class: "sr" }, strings.answer));
  const { verdict, reason, quoted, others } = answer;
  const found = verdict !== "not_found";
  if (answer.understood) box.append(understood(answer, strings, acts));
  if (verdict === "uncertain") box.append(h("p", { class: "verdict", part: "uncertain" }, strings.uncertain));
  if (!found) box.append(h("p", { class: "verdict", part: "not-found" }, strings.notFound));
  const says = reasonOf(answer, strings);
  if (says) box.append(h("p", { part: "reason", lang: says === reason ? "en" : null, dir: "auto" }, says));
  if (!found) box.append(h("p", { part: "hint" }, strings.notFoundHint));
  if (!found && answer.headings.length) {
    const links = answer.headings.map(({ text, url }) => h("li", {}, outside(safeLink(url, acts.base), text, strings)));
    box.append(h("p", {}, `${strings.sections}:`), h("ul", { class: "source", part: "headings" }, ...links));
  }
  for (const result of quoted) {
    box.append(h("blockquote", { part: "passage", dir: "auto", tabindex: "0" }, ...passage(result)), source(result, strings, acts));
  }
  box.append(tools(answer, quoted[0], strings, acts));
  if (answer.related.length) {
    box.append(h("p", { class: "source" }, `${strings.related}:`), questions(strings.related, answer.related, acts.ask, "related"));
  }
  if (others.length) {
    const label = filled(found ? strings.more : strings.nearest, others.length, strings.locale);
    box.append(
      h(
        "details",
        { part: "more" },
        h("summary", {}, label),
        h("ol", { class: "passages" }, ...others.map((one) => other(one, strings, acts))),
      ),
    );
  }
  return box;
}

function other(result, strings, acts) {
  return h("li", {}, h("div", { class: "text", part: "passage", dir: "auto", tabindex: "0" }, ...passage(result)), source(result, strings, acts));
}

function passage(result) {
  return result.parts.map((text, place) => (place % 2 && text ? h("mark", { part: "quote" }, text) : text));
}

function understood(answer, strings, acts) {
  const button = h("button", { type: "button", class: "as-typed", part: "as-typed", onclick: acts.asTyped }, strings.asTyped);
  return h("div", { class: "understood" }, h("p", { part: "understood" }, `${strings.understood}: `, h("bdi", {}, answer.understood)), button);
}

/** Return the page or the lines of a passage, in words. */
export function placeOf(result, strings) {
  if (result.page) return filled(strings.page, result.page, strings.locale);
  if (!result.lines) return "";
  const [first, last] = result.lines;
  return first === last ? filled(strings.line, first, strings.locale) : filled(strings.lines, `${first}–${last}`, strings.locale);
}

function source(result, strings, acts) {
  const href = safeLink(result.url, acts.base);
  const title = result.title || strings.source;
  const follow = () => acts.source(result, href);
  return h(
    "p",
    { class: "source", part: "source" },
    h("span", { class: "sr" }, `${strings.source}: `),
    outside(href, title, strings, { part: "source-link", onclick: follow, onauxclick: follow }),
    ...(result.section ? [" · ", h("span", { class: "sr" }, `${strings.section} `), h("bdi", {}, result.section)] : []),
    ...(placeOf(result, strings) ? [" · ", h("bdi", {}, placeOf(result, strings))] : []),
  );
}

/** Return a link that opens a new tab, or plain text without an address. */
function outside(href, text, strings, rest = {}) {
  if (!href) return h("span", { dir: "auto" }, text);
  const link = { href, target: "_blank", rel: "noopener noreferrer nofollow", dir: "auto", ...rest };
  return h("a", link, text, h("span", { class: "sr" }, ` ${strings.newTab}`));
}

function tools(answer, best, strings, acts) {
  const row = h("div", { class: "tools", part: "tools" });
  const said = h("span", { role: "status", class: "source" });
  if (best && answer.confidence !== null) {
    const sure = answer.verdict === "uncertain" ? 0 : answer.confidence;
    const word = sure >= STRONG ? "strong" : sure >= GOOD ? "good" : "weak";
    const label = `${strings[word]} · ${percent(answer.confidence, strings.locale)}`;
    row.append(h("span", { class: `confidence ${word}`, part: "confidence" }, label));
  }
  const put = (text) =>
    navigator.clipboard.writeText(text).then(
      () => (said.textContent = strings.copied),
      () => (said.textContent = strings.notCopied),
    );
  const clipboard = Boolean(navigator.clipboard);
  if (clipboard && best) row.append(iconButton("copy", strings.copy, "copy", () => put(quoteOf(best, strings, acts.base))));
  if (clipboard && acts.link()) row.append(iconButton("link", strings.share, "share", () => put(acts.link())));
  const box = h("div", {}, row);
  if (!acts.noFeedback) row.append(...thumbs(strings, acts, said, box));
  row.append(said);
  return box;
}

function quoteOf(result, strings, base) {
  const place = [result.title, result.section, placeOf(result, strings)].filter(Boolean).join(", ");
  const link = safeLink(result.permalink, base);
  const quote = result.parts.filter((text, at) => at % 2 && text).join(" […] ") || result.parts[0];
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
    h("label", { class: "words" }, strings.note, words),
    h("button", { type: "button", class: "plain", onclick: send }, strings.sendNote),
  );
  return fields;
}
