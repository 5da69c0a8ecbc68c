/*
 * The preview of a source: a panel beside the widget, or a sheet on a phone, with the document around a quote. It is
 * loaded when it is first opened. Text of documents only ever becomes text nodes, pictures are drawn on a canvas.
 */

import { pushLayer } from "./back.js";
import { nodesOf } from "./blocks.js";
import { read, safeLink, ServiceError } from "./client.js";
import { canvasOf, readPreview } from "./preview-parts.js";
import { textsOf } from "./preview-strings.js";
import { PREVIEW } from "./preview-styles.js";
import { filled, merged } from "./strings.js";
import { h, iconButton, skeleton } from "./view.js";

const PHONE = "(max-width: 700px), (max-height: 420px)"; // a panel beside the widget needs room
const ZOOMS = [1, 1.5, 2, 3];

/**
 * Show the document around a quote. `host` is an element of the shadow root, `quotes` are `{result, start, end}` with
 * offsets in the result's document, `at` is the index of the first to show, `onclose` is called after it is closed.
 * Returns `{close}`.
 */
export function openPreview({ host, strings, connection, quotes, at = 0, onclose }) {
  const root = host.getRootNode();
  adopt(root);
  const preview = new Preview(strings, connection, quotes);
  const opener = root.activeElement;
  let leave = null; // removes the sheet's entry from the history
  const hide = () => {
    if (!preview.panel.isConnected) return;
    preview.stop();
    preview.panel.remove();
    if (opener?.isConnected) opener.focus();
    onclose?.();
  };
  const close = () => {
    hide();
    leave?.();
    leave = null;
  };
  preview.close = close;
  // Everything outside a modal dialog is inert.
  (host.querySelector("dialog:modal") ?? host).append(preview.panel);
  place(preview.panel, host);
  if (matchMedia(PHONE).matches) leave = pushLayer(hide);
  preview.show(at);
  return { close };
}

/** Show a result in its document; the other quotes of its answer are the next ones. Returns `{close}`. */
export function openSource(place, answer, result) {
  const results = answer.quoted.includes(result) ? answer.quoted : [...answer.quoted, result];
  const quotes = results.flatMap((one) => one.quotes.map(([start, end]) => ({ result: one, start: one.start + start, end: one.start + end })));
  return openPreview({ ...place, quotes, at: quotes.findIndex((quote) => quote.result === result) });
}

let sheet;

function adopt(root) {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(PREVIEW);
  }
  if (!root.adoptedStyleSheets.includes(sheet)) root.adoptedStyleSheets.push(sheet);
}

/** Open a panel on the side of the window that the widget leaves free, or a modal sheet on a phone. */
function place(panel, host) {
  if (matchMedia(PHONE).matches) return panel.showModal();
  const own = (host.querySelector("[part=panel]") ?? host).getBoundingClientRect();
  const left = own.left > innerWidth - own.right;
  panel.classList.add("beside", left ? "left" : "right");
  panel.style.setProperty("--_room", `${Math.max(own.left, innerWidth - own.right)}px`);
  if (panel.showPopover) {
    panel.popover = "manual"; // above everything of the page, yet not modal
    panel.showPopover();
  } else panel.show();
}

class Preview {
  #strings;
  #t; // the strings of the preview
  #connection;
  #quotes;
  #at = 0;
  #running = null;
  #shown = ""; // the address of the part that is shown
  #known = new Map(); // responses by address
  #parts;
  #picture = true; // whether the picture of a page is preferred to its text
  #zoom = 0;
  close = () => {};

  constructor(strings, connection, quotes) {
    this.#strings = strings;
    this.#t = merged(textsOf(strings.locale), strings.preview);
    this.#connection = connection;
    this.#quotes = quotes;
    this.#parts = this.#draw();
  }

  get panel() {
    return this.#parts.panel;
  }

  /** Abort what is being loaded. */
  stop() {
    this.#running?.abort();
  }

  /** Show a quote, by its index. */
  show(at) {
    this.#at = at;
    const { previous, next, where } = this.#parts;
    const count = this.#quotes.length;
    where.textContent = filled(this.#t.quote, count > 1 ? `${at + 1}/${count}` : "").trim();
    previous.hidden = next.hidden = count < 2;
    previous.disabled = at === 0;
    next.disabled = at === count - 1;
    const { start, end } = this.#quotes[at];
    return this.#load(this.#address(), [start, end], start);
  }

  /** Return the address of a preview of this quote, or of another place in its document. */
  #address(place = null) {
    const { result, start, end } = this.#quotes[this.#at];
    const link = result.preview.startsWith("/") ? safeLink(result.preview, this.#connection.base) : "";
    if (!link) return "";
    const url = new URL(link);
    if (place === null && url.searchParams.has("sig")) return url.href; // a signed link opens as it is
    return `${url.origin}${url.pathname}?start_char=${place ?? start}&end_char=${place ?? end}`;
  }

  #draw() {
    const t = this.#t;
    const title = h("h3", { id: "preview-title", dir: "auto" }, "");
    const about = h("p", { class: "about-source", dir: "auto" });
    const close = iconButton("close", t.close, "preview-close", () => this.close());
    const previous = glyph("↑", t.previous, "preview-previous", () => this.#step(-1));
    const next = glyph("↓", t.next, "preview-next", () => this.#step(1));
    const where = h("button", { type: "button", class: "plain where", part: "preview-quote", onclick: () => this.show(this.#at) });
    const kinds = h("div", { class: "kinds", role: "group", "aria-label": t.kind, hidden: true }, ...["page", "text"].map((name) => this.#kind(name)));
    const smaller = glyph("−", t.smaller, "preview-smaller", () => this.#scale(-1));
    const larger = glyph("+", t.larger, "preview-larger", () => this.#scale(1));
    const zoom = h("div", { class: "zoom", role: "group", "aria-label": t.zoom, hidden: true }, smaller, larger);
    const sections = h("details", { class: "sections", part: "preview-sections", hidden: true, ontoggle: () => this.#toCurrent() });
    const bar = h("div", { class: "bar" }, previous, where, next, kinds, zoom);
    const body = h("div", { class: "body", part: "preview-body", tabindex: "0", role: "region", "aria-labelledby": "preview-title" });
    const links = h("div", { class: "links", part: "preview-links" });
    const said = h("p", { class: "sr", role: "status" });
    const panel = h(
      "dialog",
      {
        class: "preview",
        part: "preview",
        "aria-labelledby": "preview-title",
        onkeydown: (event) => this.#key(event),
        oncancel: (event) => (event.preventDefault(), this.close()),
      },
      h("div", { class: "top" }, h("div", { class: "of" }, title, about), close),
      bar,
      sections,
      body,
      links,
      said,
    );
    return { panel, title, about, previous, next, where, kinds, zoom, smaller, larger, sections, body, links, said };
  }

  #kind(name) {
    const press = () => {
      this.#picture = name === "page";
      this.show(this.#at);
    };
    return h("button", { type: "button", class: "plain", part: "preview-kind", "data-kind": name, onclick: press }, this.#t[name]);
  }

  #key(event) {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.stopPropagation();
    const { sections } = this.#parts;
    if (!sections.open) return this.close();
    sections.open = false;
    sections.firstChild.focus();
  }

  #step(by) {
    const at = this.#at + by;
    if (at >= 0 && at < this.#quotes.length) this.show(at);
    // A disabled button would lose the focus.
    const { previous, next, where } = this.#parts;
    if ((by < 0 ? previous : next).disabled) where.focus();
  }

  /** Load a part of the document; mark a range, and scroll to an offset. `asText` even if there is a picture. */
  async #load(address, range, target, asText = false) {
    this.stop();
    const running = (this.#running = new AbortController());
    const { result } = this.#quotes[this.#at];
    const { title, about, body } = this.#parts;
    title.textContent = result.title;
    about.textContent = [result.section, result.page && filled(this.#strings.page, result.page)].filter(Boolean).join(" · ");
    const first = !body.childElementCount;
    if (!this.#known.has(address)) body.replaceChildren(skeleton());
    if (first) body.focus({ preventScroll: true });
    try {
      if (!address) throw new ServiceError("missing");
      if (!this.#known.has(address)) this.#known.set(address, readPreview(await read(this.#connection, address, running.signal)));
      if (running.signal.aborted) return;
      this.#shown = address;
      await this.#fill(this.#known.get(address), range, target, asText, running.signal);
    } catch (error) {
      if (running.signal.aborted) return;
      if (!(error instanceof ServiceError)) console.error("qa-chat:", error);
      const text = this.#strings.errors[error.kind] ?? this.#strings.errors.failed;
      body.replaceChildren(h("p", { class: "fault" }, filled(error.kind === "missing" ? this.#t.gone : text, error.seconds ?? 0)));
      this.#links({ url: result.url, view: "" });
    }
  }

  async #fill(found, range, target, asText, signal) {
    const { kinds, zoom, said, where, title } = this.#parts;
    this.#links(found);
    this.#sections(found, target);
    const drawn = found.pictures.length > 0;
    const picture = drawn && this.#picture && !asText;
    kinds.hidden = !drawn;
    for (const button of kinds.children) button.setAttribute("aria-pressed", String((button.dataset.kind === "page") === picture));
    zoom.hidden = true;
    said.textContent = range ? `${where.textContent}: ${title.textContent}` : "";
    if (!picture || !(await this.#pages(found, signal))) this.#text(found, range, target);
  }

  #text({ characters, blocks, start }, range, target) {
    const { body } = this.#parts;
    const quotes = range ? [range.map((at) => Math.min(Math.max(at - start, 0), characters.length))] : [];
    const nodes = nodesOf({ characters, blocks, quotes, words: [], intact: true }, null, this.#strings);
    const text = h("div", { class: "passage document", part: "preview-text", dir: "auto" }, ...nodes);
    body.replaceChildren(text);
    const blocksBefore = [...text.querySelectorAll("[data-start]")].filter((one) => Number(one.dataset.start) <= target - start);
    reveal(body, text.querySelector("mark") ?? blocksBefore.at(-1) ?? text, range ? 0.3 : 0.02);
  }

  /** Draw the pages with the quote; return whether that was possible. */
  async #pages({ pictures, pages }, signal) {
    const { body, zoom } = this.#parts;
    body.replaceChildren(skeleton());
    const canvases = [];
    try {
      for (const [place, link] of pictures.entries()) {
        const address = link.startsWith("/") ? safeLink(link, this.#connection.base) : "";
        if (!address) return false;
        const label = filled(this.#t.picture, pages.first + place);
        canvases.push(canvasOf(await createImageBitmap(await read(this.#connection, address, signal)), label));
      }
    } catch (error) {
      if (signal.aborted) throw error;
      return false; // the file may have changed; its text is there
    }
    if (signal.aborted) return true;
    const sheets = h("div", { class: "pages", part: "preview-pages" }, ...canvases.map(({ canvas }) => canvas));
    body.replaceChildren(sheets);
    zoom.hidden = false;
    this.#scale(0);
    const marked = canvases.find(({ mark }) => mark !== null);
    if (marked) {
      const { canvas, mark } = marked;
      body.scrollTop = canvas.offsetTop + canvas.clientHeight * mark - body.clientHeight * 0.3;
    }
    return true;
  }

  #scale(by) {
    const { body, smaller, larger } = this.#parts;
    this.#zoom = Math.min(Math.max(this.#zoom + by, 0), ZOOMS.length - 1);
    smaller.disabled = this.#zoom === 0;
    larger.disabled = this.#zoom === ZOOMS.length - 1;
    const sheets = body.querySelector(".pages");
    if (!sheets) return;
    const [x, y] = [body.scrollLeft + body.clientWidth / 2, body.scrollTop + body.clientHeight / 2];
    const before = sheets.clientWidth;
    sheets.style.width = `${100 * ZOOMS[this.#zoom]}%`;
    const factor = sheets.clientWidth / before;
    body.scrollTo(x * factor - body.clientWidth / 2, y * factor - body.clientHeight / 2);
  }

  /** List the sections of the document, as buttons that lead to them. */
  #sections({ outline, start, end }, target) {
    const { sections } = this.#parts;
    sections.hidden = outline.length < 2;
    if (sections.hidden) return;
    const current = outline.findLast((one) => one.start <= target) ?? outline[0];
    const buttons = outline.map((one) => {
      const go = () => {
        sections.open = false;
        this.#parts.body.focus({ preventScroll: true });
        this.#jump(one.start, start <= one.start && one.start < end);
      };
      const button = { type: "button", dir: "auto", "aria-current": one === current ? "location" : null, onclick: go };
      return h("li", { class: `level-${one.level}` }, h("button", button, one.text));
    });
    sections.replaceChildren(h("summary", {}, h("bdi", {}, current.text)), h("ul", { "aria-label": this.#t.sections }, ...buttons));
    sections.firstChild.prepend(h("span", { class: "sr" }, `${this.#t.sections}: `));
  }

  /** Scroll the list of sections to the current one. */
  #toCurrent() {
    const list = this.#parts.sections.querySelector("ul");
    const current = list?.querySelector("[aria-current]");
    if (current && this.#parts.sections.open) reveal(list, current, 0.4);
  }

  #jump(place, near) {
    return this.#load(near ? this.#shown : this.#address(place), null, place, near);
  }

  #links({ url, view }) {
    const { links } = this.#parts;
    const { base } = this.#connection;
    const published = url && !url.startsWith("/") ? safeLink(url, base) : "";
    const link = (href, text) =>
      h("a", { href, target: "_blank", rel: "noopener noreferrer nofollow", part: "preview-link" }, text, h("span", { class: "sr" }, ` ${this.#strings.newTab}`));
    const own = safeLink(view || (url ?? ""), base);
    links.replaceChildren(
      ...[published && link(published, this.#t.published), own && own !== published && link(own, this.#t.view)].filter(Boolean),
    );
  }
}

/** Return a button with a sign; `label` is its tooltip and its name for screen readers. */
function glyph(sign, label, part, onclick) {
  return h("button", { type: "button", class: "icon", part, title: label, "aria-label": label, onclick }, h("span", { "aria-hidden": "true" }, sign));
}

/** Scroll an element to a share of the height of the area that scrolls. */
function reveal(area, element, share) {
  const offset = element.getBoundingClientRect().top - area.getBoundingClientRect().top;
  area.scrollTop += offset - area.clientHeight * share;
}
