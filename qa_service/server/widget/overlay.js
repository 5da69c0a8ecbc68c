/* The behaviour of a launcher, dialog or sidebar: opening and closing, focus, Escape, Back, and the page behind it. */

import { pushLayer } from "./back.js";
import { keysOf, launcherOf } from "./launcher.js";
import { OVERLAY } from "./overlay-styles.js";
import { isShortcut, shortcutsOf } from "./shortcuts.js";
import { sheetOf } from "./styles.js";

const small = matchMedia("(max-width: 600px), (max-height: 420px)"); // as in overlay-styles.js
const claims = new Map(); // how the overlay of each host is placed; the first one is shown

/** Apply styles to the page; returns a function that removes them. */
export function stylePage(text) {
  const sheet = sheetOf(text);
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
  return () => (document.adoptedStyleSheets = document.adoptedStyleSheets.filter((one) => one !== sheet));
}

/** The overlay of a host; its panel is drawn again whenever an attribute changes. */
export class Overlay {
  #host;
  #opened;
  #closed;
  #mode = ""; // none while the host is in another mode
  #shortcuts = [];
  #parts = null; // {root, panel, input, launch}
  #opener = null;
  #leave = null;
  #told = false; // of another host, in the console
  #restore = () => {}; // gives the page back

  /** `opened` is called when the panel opens, `closed` when it closes. */
  constructor(host, { opened, closed }) {
    this.#host = host;
    this.#opened = opened;
    this.#closed = closed;
    const { shadowRoot } = host;
    shadowRoot.adoptedStyleSheets = [...shadowRoot.adoptedStyleSheets, sheetOf(OVERLAY)];
  }

  get isOpen() {
    return Boolean(this.#mode && this.#parts.panel.open);
  }

  /** Use new parts in a mode; `label` is that of the button. An open panel stays open. */
  use(mode, parts, label, strings) {
    const open = this.isOpen;
    this.#giveBack();
    const { root, panel } = parts;
    const toggle = () => (this.isOpen ? this.close() : this.open());
    this.#mode = mode;
    this.#shortcuts = shortcutsOf(this.#host.getAttribute("shortcut") ?? (mode === "dialog" ? "ctrl+k /" : ""));
    const look = mode === "dialog" ? "search" : "chat";
    const launch = this.#host.hasAttribute("no-button") ? null : launcherOf(look, label, this.#shortcuts, toggle);
    this.#parts = { ...parts, launch };
    if (launch) root.prepend(launch);
    if (mode === "dialog") panel.querySelector(".foot").append(keysOf(strings));
    panel.addEventListener("cancel", (event) => (event.preventDefault(), this.close()));
    panel.addEventListener("click", (event) => isBeside(event, panel) && this.close());
    root.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || event.isComposing || !this.isOpen) return;
      event.stopPropagation();
      this.close();
    });
    if (this.#host.isConnected) this.#place();
    if (open) this.#show();
  }

  /** Leave the overlay modes. */
  drop() {
    this.leave();
    this.#mode = "";
  }

  /** Leave the page. */
  leave() {
    this.close();
    if (claims.delete(this.#host)) claims.values().next().value?.();
  }

  /** Open on the page's shortcuts and on its elements with `data-qa-open`, until the signal. */
  join(signal) {
    if (this.#mode) this.#place();
    const on = (name, handle) => document.addEventListener(name, (event) => this.#isShown && handle(event), { signal });
    on("keydown", (event) => {
      if (!isShortcut(event, this.#shortcuts)) return;
      event.preventDefault();
      if (this.isOpen) this.close();
      else this.open();
    });
    on("click", (event) => {
      const opener = event.composedPath().find((one) => one.matches?.("[data-qa-open]"));
      if (!opener) return;
      event.preventDefault();
      this.open(opener);
    });
  }

  /** Show the panel; the focus returns to `opener`. */
  open(opener = document.activeElement) {
    if (this.isOpen || !this.#isShown) return;
    this.#opener = [document.body, this.#host].includes(opener) ? null : opener;
    this.#show();
    if (small.matches) this.#leave = pushLayer(() => this.#hide());
    this.#opened();
  }

  close() {
    if (!this.isOpen) return;
    this.#hide();
    this.#leave?.();
    this.#leave = null;
  }

  /** Show an open panel again, where the host has moved. */
  moved() {
    if (!this.isOpen) return;
    this.#giveBack();
    this.#parts.panel.close();
    this.#show();
  }

  get #isShown() {
    return Boolean(this.#mode && this.#parts.panel.isConnected && !this.#parts.root.hidden);
  }

  /** Show the button, unless another host of the page has an overlay. */
  #place() {
    const { root } = this.#parts;
    claims.set(this.#host, () => this.#place());
    root.hidden = claims.keys().next().value !== this.#host;
    if (!root.hidden) return;
    // A page may insert the next one before it removes this one.
    setTimeout(() => {
      const line = "qa-chat: a page has one launcher, dialog or sidebar; this one is not shown, because it is not the first:";
      if (!root.hidden || !root.isConnected || this.#told) return;
      this.#told = true;
      console.error(line, this.#host);
    });
  }

  #show() {
    const { root, panel, launch, input } = this.#parts;
    const modal = this.#mode === "dialog" || small.matches;
    if (modal) panel.showModal();
    else panel.show();
    root.classList.add("open");
    launch?.setAttribute("aria-expanded", "true");
    input.focus();
    if (modal) {
      const gutter = innerWidth > document.documentElement.clientWidth ? "stable" : "auto"; // nothing shifts
      this.#restore = stylePage(`html { overflow: hidden !important; scrollbar-gutter: ${gutter}; }`);
    } else if (this.#mode === "sidebar") this.#dock();
  }

  #hide() {
    const { root, panel, launch } = this.#parts;
    const focused = this.#host.shadowRoot.activeElement;
    this.#closed();
    panel.close();
    this.#giveBack();
    root.classList.remove("open");
    launch?.setAttribute("aria-expanded", "false");
    if (focused) (this.#opener ?? launch)?.focus();
  }

  #giveBack() {
    this.#restore();
    this.#restore = () => {};
  }

  async #dock() {
    const { root, panel } = this.#parts;
    const { dock } = await import("./sidebar.js");
    if (panel.open && panel === this.#parts.panel) this.#restore = dock(root, panel);
  }
}

function isBeside({ target, clientX, clientY }, panel) {
  const { left, right, top, bottom } = panel.getBoundingClientRect();
  return target === panel && (clientX < left || clientX > right || clientY < top || clientY > bottom);
}
