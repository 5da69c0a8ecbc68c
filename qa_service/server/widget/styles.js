/* The widget's styles, as a constructed sheet, which content security policies without inline styles allow. */

import { CARD } from "./card-styles.js";

const TEXT = `
:host {
  --_accent: var(--qa-accent, light-dark(#1d4ed8, #93b4ff));
  --_accent-text: var(--qa-accent-text, light-dark(#fff, #0b1220));
  --_surface: var(--qa-surface, light-dark(#fff, #14171c));
  --_raised: var(--qa-raised, light-dark(#f4f5f7, #1e232b));
  --_text: var(--qa-text, light-dark(#16191d, #eceef1));
  --_muted: var(--qa-muted, light-dark(#545b66, #a9b1bd));
  --_border: var(--qa-border, light-dark(#d5d9e0, #39404b));
  --_control: var(--qa-control, light-dark(#767d89, #8a93a1));
  --_mark: var(--qa-mark, light-dark(#ffe9a3, #5b4a0c));
  --_mark-text: var(--qa-mark-text, light-dark(#16191d, #fff3cf));
  --_radius: var(--qa-radius, 12px);
  color-scheme: light dark;
  display: block !important;
  visibility: visible !important;
}
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
:host([hidden]) { display: none !important; }
:host([mode="page"]) { height: 100%; }
*, *::before, *::after { box-sizing: border-box; }
.root {
  font: 400 var(--qa-font-size, 16px)/1.5 var(--qa-font, system-ui, sans-serif);
  color: var(--_text); text-align: start; letter-spacing: normal; word-spacing: normal; text-transform: none;
  overflow-wrap: anywhere; height: 100%;
}
.root.launcher { position: fixed; z-index: var(--qa-z-index, 2147483000); inset: auto; height: auto; }
.bottom-right { inset-block-end: 1rem !important; right: 1rem !important; }
.bottom-left { inset-block-end: 1rem !important; left: 1rem !important; }
.top-right { inset-block-start: 1rem !important; right: 1rem !important; }
.top-left { inset-block-start: 1rem !important; left: 1rem !important; }
button, textarea { font: inherit; color: inherit; margin: 0; }
button { cursor: pointer; min-width: 24px; min-height: 24px; border-radius: 8px; }
button:disabled { cursor: not-allowed; opacity: .65; }
:focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px; }
.sr {
  position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap;
}
.launch {
  display: flex; align-items: center; gap: .5rem; min-height: 3rem; padding: .6rem 1.1rem; border: 1px solid transparent;
  border-radius: 999px; background: var(--_accent); color: var(--_accent-text); font-weight: 600;
  box-shadow: 0 4px 16px #0004;
}
.launch svg, .icon svg { width: 1.25em; height: 1.25em; display: block; flex: none; }
.panel {
  display: flex; flex-direction: column; background: var(--_surface); border: 1px solid var(--_border);
  border-radius: var(--_radius); overflow: clip; min-width: 0; width: 100%; height: var(--qa-height, 34rem);
}
.page .panel { height: 100%; border: 0; border-radius: 0; }
.launcher .panel {
  position: absolute; width: min(var(--qa-width, 26rem), calc(100vw - 2rem));
  height: min(var(--qa-height, 40rem), calc(100dvh - 6.5rem)); box-shadow: 0 12px 48px #0005;
}
.bottom-right .panel, .bottom-left .panel { bottom: calc(100% + .75rem); }
.top-right .panel, .top-left .panel { top: calc(100% + .75rem); }
.bottom-right .panel, .top-right .panel { right: 0; }
.bottom-left .panel, .top-left .panel { left: 0; }
.panel[hidden] { display: none; }
header {
  display: flex; align-items: center; gap: .25rem; padding-block: .6rem; padding-inline: 1rem .6rem;
  border-block-end: 1px solid var(--_border);
}
h2 { font-size: 1.05em; line-height: 1.3; margin: 0; flex: 1; min-width: 0; }
.icon {
  display: inline-flex; align-items: center; justify-content: center; gap: .35rem; padding: .4rem; border: 1px solid
  transparent; background: none; color: var(--_muted); min-width: 2rem; min-height: 2rem; font-size: .85em;
}
.icon:hover, .icon[aria-pressed="true"] { background: var(--_raised); color: var(--_text); }
.icon[aria-pressed="true"] { border-color: var(--_control); }
.log { flex: 1; min-height: 0; overflow-y: auto; padding: 1rem; overscroll-behavior: contain; }
.log:focus-visible { outline-offset: -3px; }
.page .log > *, .page form, .page .foot { max-width: 46rem; margin-inline: auto; width: 100%; }
.greeting { color: var(--_muted); margin: 0 0 1rem; }
.suggestions { list-style: none; padding: 0; margin: 0 0 1rem; display: flex; flex-wrap: wrap; gap: .5rem; }
.suggestions li { max-width: 100%; }
.suggestions button {
  padding: .4rem .85rem; border: 1px solid var(--_control); border-radius: 1.2rem; background: none; font-size: .95em;
  text-align: start; max-width: 100%;
}
.suggestions button:hover { background: var(--_raised); }
/* Entries out of view are not laid out, however long the conversation is; the padding is for focus rings, which that cuts. */
.entry { margin: 0 -6px 1.75em; padding-inline: 6px; contain-intrinsic-block-size: auto 24em; }
.entry:not(:last-child) { content-visibility: auto; }
.question {
  margin-block: 0 .75rem; margin-inline: auto 0; width: fit-content; max-width: 88%; padding: .5rem .85rem; border-radius: 14px; border-end-end-radius: 3px;
  background: var(--_raised); white-space: pre-wrap; unicode-bidi: plaintext; max-height: 12rem; overflow-y: auto;
}
.error { padding: .75rem .9rem; border: 1px solid var(--_control); border-inline-start: 4px solid light-dark(#b42318, #ff9d92); border-radius: 8px; }
.error p { margin: 0 0 .5rem; }
.understood { display: flex; flex-wrap: wrap; gap: 0 .75rem; margin-block-end: .6rem; font-size: .9em; color: var(--_muted); }
.understood p { margin: 0; }
.as-typed { padding: 0; border: 0; background: none; color: var(--_accent); text-decoration: underline; }
.plain { padding: .35rem .85rem; border: 1px solid var(--_control); background: none; }
.plain:hover:enabled { background: var(--_raised); }
.skeleton { display: grid; gap: .6rem; margin-block: .5rem .75rem; }
.skeleton i { display: block; height: .8rem; border-radius: 6px; background: var(--_raised); animation: breathe 1.2s infinite alternate; }
.skeleton i:nth-child(2) { width: 92%; } .skeleton i:nth-child(3) { width: 60%; }
@keyframes breathe { to { opacity: .45; } }
form { display: flex; gap: .5rem; align-items: flex-end; padding: .75rem 1rem; border-block-start: 1px solid var(--_border); }
textarea {
  flex: 1; min-width: 0; resize: none; padding: .55rem .75rem; background: var(--_surface); border: 1px solid
  var(--_control); border-radius: 10px; field-sizing: content; min-height: 2.75rem; max-height: 9rem;
}
textarea::placeholder { color: var(--_muted); opacity: 1; }
textarea[aria-invalid="true"] { border-color: light-dark(#b42318, #ff9d92); }
.send { padding: .55rem 1.1rem; min-height: 2.75rem; border: 1px solid transparent; border-radius: 10px; background: var(--_accent); color: var(--_accent-text); font-weight: 600; }
.foot { padding: 0 1rem .6rem; font-size: .85em; color: var(--_muted); }
.foot:empty, .foot p:empty { display: none; }
.foot p { margin: 0; }
::slotted(*) { margin: 0; }
@media (max-width: 480px) {
  .launcher .panel { position: fixed; inset: 0 !important; width: auto; height: auto; border-radius: 0; border: 0; }
  .launcher.open .launch { display: none; }
}
@media (max-height: 420px) { .launcher .panel { height: calc(100dvh - 6rem); } .log { min-height: 6rem; } .panel { overflow-y: auto; } }
@media (prefers-reduced-motion: reduce) { .skeleton i { animation: none; } * { scroll-behavior: auto !important; } }
@media (forced-colors: active) {
  button, .launch, .send { border-color: ButtonBorder; }
  .icon[aria-pressed="true"] { background: Highlight; color: HighlightText; forced-color-adjust: none; }
  .skeleton i { background: GrayText; }
}
@media print { .root.launcher { display: none; } form, .tools, header button { display: none; } .panel { height: auto; } }
`;

let sheet;

/** Return the style sheet that all widgets of a page share. */
export function styleSheet() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(TEXT + CARD);
  }
  return sheet;
}
