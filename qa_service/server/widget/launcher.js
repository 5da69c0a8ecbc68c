/* The button of a launcher, dialog or sidebar, and the keys of a dialog, as DOM nodes. */

import { ariaShortcuts, shownShortcut } from "./shortcuts.js";
import { h, icon } from "./view.js";

/** Return the keys of a dialog, for those who see them; screen readers know them. */
export function keysOf(strings) {
  const keys = Object.entries({ Enter: strings.send, Esc: strings.close });
  return h("p", { class: "keys", "aria-hidden": "true" }, ...keys.map(([key, does]) => h("span", {}, h("kbd", {}, key), does)));
}

/** Return the button that opens and closes the panel, with the first shortcut on it. */
export function launcherOf(name, label, shortcuts, toggle) {
  const key = shortcuts.length ? h("kbd", { "aria-hidden": "true" }, shownShortcut(shortcuts[0])) : null;
  const about = { "aria-expanded": "false", "aria-haspopup": "dialog", "aria-keyshortcuts": ariaShortcuts(shortcuts) };
  return h(
    "button",
    { type: "button", class: "launch", part: "launcher", ...about, onclick: toggle },
    h("slot", { name: "icon" }, icon(name)),
    h("span", {}, label),
    key,
  );
}
