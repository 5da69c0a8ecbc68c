/* The widget's styles, as a constructed sheet, which content security policies without inline styles allow. */

const TEXT = `
:host { display: block !important; visibility: visible !important; }
:host([hidden]) { display: none !important; }
:host([mode="page"]) { height: 100%; }
:host([mode="dialog"]) { display: inline-block !important; vertical-align: middle; }
:host([mode="dialog"]:not([no-button])) { width: max(17em, 240px); max-width: 100%; height: max(2.5em, 36px); }
*, *::before, *::after { box-sizing: border-box; }
.root {
  --_accent: var(--qa-accent, var(--_page-accent, light-dark(#1d4ed8, #93b4ff)));
  --_accent-text: var(--qa-accent-text, var(--_page-accent-text, light-dark(#fff, #0b1220)));
  --_surface: var(--qa-surface, light-dark(#fff, #14171c));
  --_raised: var(--qa-raised, light-dark(#f4f5f7, #1e232b));
  --_text: var(--qa-text, light-dark(#16191d, #eceef1));
  --_muted: var(--qa-muted, light-dark(#545b66, #a9b1bd));
  --_border: var(--qa-border, light-dark(#dfe2e8, #323843));
  --_control: var(--qa-control, light-dark(#767d89, #8a93a1));
  --_mark: var(--qa-mark, light-dark(#ffe9a3, #5b4a0c));
  --_mark-text: var(--qa-mark-text, light-dark(#16191d, #fff3cf));
  --_bad: light-dark(#b42318, #ff9d92);
  --_radius: var(--qa-radius, var(--_page-radius, 12px));
  --_small: min(1em, max(14px, .875em));
  font: 400 var(--qa-font-size, var(--_page-size, max(14px, 1em)))/1.5 var(--qa-font, var(--_page-font, system-ui, sans-serif));
  color: var(--_text); text-align: start; letter-spacing: normal; word-spacing: normal; text-transform: none;
  overflow-wrap: anywhere; height: 100%; color-scheme: light dark; -webkit-text-size-adjust: 100%;
}
.root.light { color-scheme: light; }
.root.dark { color-scheme: dark; }
.root[hidden] { display: none; }
button, textarea { font: inherit; color: inherit; margin: 0; letter-spacing: inherit; }
button { cursor: pointer; min-width: 24px; min-height: 24px; border-radius: min(.5em, var(--_radius)); }
button:disabled { cursor: not-allowed; opacity: .65; }
:focus-visible { outline: 3px solid var(--_accent); outline-offset: 2px; }
.sr {
  position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%);
  white-space: nowrap;
}

.panel {
  display: flex; flex-direction: column; background: var(--_surface); color: inherit; border: 1px solid var(--_border);
  border-radius: var(--_radius); overflow: clip; min-width: 0; width: 100%; height: var(--qa-height, 34em);
}
.page .panel { height: 100%; border: 0; border-radius: 0; }
header {
  display: flex; align-items: center; gap: .25em; padding-block: .6em; padding-inline: 1.1em .6em;
  border-block-end: 1px solid var(--_border);
}
h2 { font-size: 1.05em; line-height: 1.3; margin: 0; flex: 1; min-width: 0; font-weight: 650; }
.icon {
  display: inline-flex; align-items: center; justify-content: center; gap: .35em; padding: .45em; border: 1px solid
  transparent; background: none; color: var(--_muted); min-width: 2.25em; min-height: 2.25em;
}
.icon svg { width: 1.15em; height: 1.15em; display: block; flex: none; }
.icon:hover, .icon[aria-pressed="true"] { background: var(--_raised); color: var(--_text); }
.icon[aria-pressed="true"] { border-color: var(--_control); }
.log { flex: 1; min-height: 0; overflow-y: auto; padding: 1.1em; overscroll-behavior: contain; scrollbar-width: thin; }
.log:focus-visible { outline-offset: -3px; }
.page .log > * { max-width: 46em; margin-inline: auto; }
.page .log > .entry { max-width: calc(46em + 12px); }
.page form, .page .foot { max-width: 48.2em; margin-inline: auto; width: 100%; } /* with their padding */
.greeting { color: var(--_muted); margin: 0 0 1em; }
.suggestions { list-style: none; padding: 0; margin: 0 0 1em; display: flex; flex-wrap: wrap; gap: .5em; }
.suggestions li { max-width: 100%; }
.suggestions button {
  padding: .4em .85em; border: 1px solid var(--_control); border-radius: 1.2em; background: none; 
  text-align: start; max-width: 100%;
}
.suggestions button:hover { background: var(--_raised); border-color: var(--_text); }
/* Entries out of view are not laid out, however long the conversation is; the padding is for focus rings, which that cuts. */
.entry { margin: 0 -6px 1.75em; padding-inline: 6px; contain-intrinsic-block-size: auto 24em; }
.entry:not(:last-child) { content-visibility: auto; }
.question {
  margin-block: 0 .75em; margin-inline: auto 0; width: fit-content; max-width: 88%; padding: .5em .85em; border-radius: 1em; border-end-end-radius: .2em;
  background: var(--_raised); white-space: pre-wrap; unicode-bidi: plaintext;
}
.error { padding: .75em .9em; border: 1px solid var(--_control); border-inline-start: 4px solid var(--_bad); border-radius: min(.5em, var(--_radius)); }
.error p { margin: 0 0 .5em; }
.error p:only-child { margin: 0; }
.understood { display: flex; flex-wrap: wrap; gap: 0 .75em; margin-block-end: .6em; font-size: var(--_small); color: var(--_muted); }
.understood p { margin: 0; }
.as-typed { padding: 0; border: 0; background: none; color: var(--_accent); text-decoration: underline; }
.plain { padding: .35em .85em; border: 1px solid var(--_control); background: none; }
.plain:hover:enabled { background: var(--_raised); }
.skeleton { display: grid; gap: .6em; margin-block: .5em .75em; }
.skeleton i { display: block; height: .8em; border-radius: .4em; background: var(--_raised); animation: breathe 1.2s infinite alternate; }
.skeleton i:nth-child(2) { width: 92%; } .skeleton i:nth-child(3) { width: 60%; }
@keyframes breathe { to { opacity: .45; } }
form { display: flex; gap: .5em; align-items: flex-end; padding: .8em 1.1em; border-block-start: 1px solid var(--_border); }
textarea {
  flex: 1; min-width: 0; resize: none; padding: .55em .8em; background: var(--_surface); border: 1px solid
  var(--_control); border-radius: min(.65em, var(--_radius)); field-sizing: content; min-height: 2.7em; max-height: 9em;
}
textarea:focus-visible { outline-width: 2px; outline-offset: -1px; border-color: var(--_accent); }
textarea::placeholder { color: var(--_muted); opacity: 1; }
textarea[aria-invalid="true"] { border-color: var(--_bad); }
.send {
  padding: .55em 1.15em; min-height: 2.7em; border: 1px solid transparent; border-radius: min(.65em, var(--_radius));
  background: var(--_accent); color: var(--_accent-text); font-weight: 600;
}
.send:hover:enabled { filter: brightness(1.08); }
.foot { display: flex; flex-wrap: wrap; gap: .25em 1em; padding: 0 1.1em .6em; color: var(--_muted); }
.foot > * { margin: 0; font-size: var(--_small); }
.foot p:empty { display: none; }
.foot:not(:has(p:not(:empty))) { padding-block-end: 0; }
::slotted(*) { margin: 0; }

@media (max-width: 600px), (pointer: coarse) { textarea { font-size: max(16px, 1em); } /* iOS zooms into smaller text */ }
@media (max-height: 420px) { /* as at 200 % zoom: the answer gets the room */
  .panel { height: min(var(--qa-height, 34em), 100dvh); }
  header { padding-block: 0; }
  .log { padding-block: .6em; }
  form { padding-block: .35em; }
  textarea { max-height: 5em; }
}
@media (prefers-reduced-motion: no-preference) { button { transition: background-color .12s, border-color .12s, color .12s, filter .12s; } }
@media (prefers-reduced-motion: reduce) { .skeleton i { animation: none; } * { scroll-behavior: auto !important; } }
@media (forced-colors: active) {
  button, .launch, .send { border-color: ButtonBorder; }
  .icon[aria-pressed="true"] { background: Highlight; color: HighlightText; forced-color-adjust: none; }
  .skeleton i { background: GrayText; }
}
@media print { form, .tools, header button { display: none; } .panel { height: auto; } }
`;

let sheet;

/** Return styles as a sheet. */
export function sheetOf(text) {
  const made = new CSSStyleSheet();
  made.replaceSync(text);
  return made;
}

/** Return the style sheet that all widgets of a page share. */
export const styleSheet = () => (sheet ??= sheetOf(TEXT));
