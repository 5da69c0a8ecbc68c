/* Key combinations that open the panel, as "ctrl+k /"; Ctrl is Command on Apple's keyboards. */

const APPLE = /mac|iphone|ipad/i.test(navigator.userAgentData?.platform ?? navigator.platform);
const TYPED_INTO = "input, textarea, select, [contenteditable]:not([contenteditable=false])";

/** Return the combinations of an attribute, each `{key, ctrl, alt, shift}`; none for "none". */
export function shortcutsOf(text) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word && word !== "none");
  return words.slice(0, 5).map((word) => {
    const parts = word.split("+");
    const key = parts.pop();
    return { key, ctrl: parts.includes("ctrl"), alt: parts.includes("alt"), shift: parts.includes("shift") };
  });
}

/** Return whether an event of the page is one of the combinations; without Ctrl or Alt, not where text is typed. */
export function isShortcut(event, shortcuts) {
  if (event.defaultPrevented || event.isComposing || event.repeat) return false;
  const typing = event.composedPath()[0]?.closest?.(TYPED_INTO);
  // Other alphabets have another key in the same place.
  const key = /^[ -~]/.test(event.key) ? event.key.toLowerCase() : event.code.replace("Key", "").toLowerCase();
  return shortcuts.some(
    (one) =>
      one.key === key &&
      one.ctrl === (APPLE ? event.metaKey : event.ctrlKey) &&
      one.alt === event.altKey &&
      (!one.shift || event.shiftKey) &&
      (one.ctrl || one.alt || !typing),
  );
}

const named = (key) => key[0].toUpperCase() + key.slice(1);

/** Return a combination as it is printed on keys. */
export function shownShortcut({ key, ctrl, alt, shift }) {
  const names = APPLE ? [ctrl && "⌘", alt && "⌥", shift && "⇧"] : [ctrl && "Ctrl", alt && "Alt", shift && "Shift"];
  return [...names.filter(Boolean), named(key)].join(APPLE ? "" : " ");
}

/** Return combinations as the value of `aria-keyshortcuts`. */
export function ariaShortcuts(shortcuts) {
  const one = ({ key, ctrl, alt, shift }) =>
    [ctrl && (APPLE ? "Meta" : "Control"), alt && "Alt", shift && "Shift", named(key)].filter(Boolean).join("+");
  return shortcuts.map(one).join(" ") || null;
}
