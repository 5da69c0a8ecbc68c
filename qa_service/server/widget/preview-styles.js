/* The styles of the preview; styles.js has the colours, card-styles.js how blocks look. */

export const PREVIEW = `
dialog.preview {
  position: fixed; inset: 0 0 0 auto; z-index: var(--qa-z-index, 2147483000); margin: 0; padding: 0; overflow: clip;
  display: flex; flex-direction: column; width: min(44em, 100vw); max-width: none; height: auto; max-height: none;
  border: 0 solid var(--_border); background: var(--_surface); color: var(--_text); box-shadow: 0 0 3em #0004;
  font: inherit; text-align: start; overflow-wrap: anywhere;
}
.preview.beside { width: clamp(26em, calc(var(--_room) - 1.5em), 46em); max-width: 100vw; animation: from-right .2s ease-out; }
.preview.right { border-left-width: 1px; }
.preview.left { inset: 0 auto 0 0; border-right-width: 1px; animation-name: from-left; }
.preview:modal {
  inset: auto 0 0; width: 100%; height: calc(100dvh - 2.5em); border-radius: 1.1em 1.1em 0 0; animation: from-below .25s ease-out;
}
.preview::backdrop { background: #0006; }
.preview:popover-open::backdrop { background: none; }
@keyframes from-right { from { opacity: 0; transform: translateX(1.5em); } }
@keyframes from-left { from { opacity: 0; transform: translateX(-1.5em); } }
@keyframes from-below { from { opacity: .4; transform: translateY(3em); } }
.preview > * { flex: none; }
.preview [hidden] { display: none !important; }
.preview .top { display: flex; align-items: flex-start; gap: .5em; padding-block: .9em .5em; padding-inline: 1.25em .8em; }
.preview .of { flex: 1; min-width: 0; }
.preview h3 { font-size: 1.1em; line-height: 1.3; margin: 0; }
.preview .about-source { margin: .15em 0 0; font-size: var(--_small); color: var(--_muted); }
.preview .bar { display: flex; flex-wrap: wrap; align-items: center; gap: .25em; padding: 0 1em .6em; }
.preview .bar .plain { padding: .25em .75em; min-height: 2em; font-size: var(--_small); border: 1px solid var(--_border); border-radius: .6em; background: none; }
.preview .bar .plain:hover { background: var(--_raised); }
.preview .where { font-variant-numeric: tabular-nums; }
.preview .kinds { display: flex; margin-inline-start: auto; }
.preview .kinds .plain { border-radius: .6em 0 0 .6em; }
.preview .kinds .plain + .plain { border-radius: 0 .6em .6em 0; margin-inline-start: -1px; }
.preview .kinds:dir(rtl) .plain { border-radius: 0 .6em .6em 0; }
.preview .kinds:dir(rtl) .plain + .plain { border-radius: .6em 0 0 .6em; }
.preview .kinds [aria-pressed="true"] { background: var(--_raised); border-color: var(--_control); font-weight: 600; }
.preview .zoom { display: flex; }
.preview .sections { position: relative; z-index: 1; margin: 0 1em .6em; font-size: var(--_small); }
.preview summary {
  display: flex; align-items: center; gap: .5em; width: 100%; min-height: 2.2em; padding: .3em .75em; cursor: pointer;
  border: 1px solid var(--_border); border-radius: .6em; color: var(--_text); font: inherit; font-weight: 400; list-style: none;
}
.preview summary::-webkit-details-marker { display: none; }
.preview summary::after { content: ""; margin-inline-start: auto; width: .5em; height: .5em; border: solid currentColor; border-width: 0 .13em .13em 0; transform: rotate(45deg) translate(-.1em, -.1em); flex: none; }
.preview summary:hover { background: var(--_raised); text-decoration: none; }
.preview .sections ul {
  position: absolute; inset: calc(100% + .25em) 0 auto; max-height: 50vh; overflow-y: auto; margin: 0; padding: .35em; list-style: none;
  background: var(--_surface); border: 1px solid var(--_control); border-radius: .6em; box-shadow: 0 .7em 2em #0003;
}
.preview .sections button { display: block; width: 100%; padding: .35em .6em; border: 0; background: none; text-align: start; border-radius: .4em; }
.preview .sections button:hover { background: var(--_raised); }
.preview .sections [aria-current] { font-weight: 600; color: var(--_accent); }
.preview .sections li { margin-inline-start: calc(1.1em * var(--_deep, 0)); }
.preview .body { position: relative; flex: 1; min-height: 0; overflow: auto; overscroll-behavior: contain; padding: .9em 1.25em 2em; border-block-start: 1px solid var(--_border); }
.preview .body:focus-visible { outline-offset: -3px; }
.preview .document { font-size: 1em; line-height: 1.65; gap: .8em; color: var(--_text); max-width: 44em; margin-inline: auto; }
.preview .document .lead, .preview .document .near { color: inherit; font-size: 1em; }
.preview .document h4 { font-size: 1.12em; margin: .6em 0 0; }
.preview .document .level-1.heading { font-size: 1.3em; }
.preview .document p { margin: 0; }
.preview .pages { display: grid; gap: 1em; min-width: 100%; }
.preview canvas { display: block; width: 100%; height: auto; background: #fff; border: 1px solid var(--_border); border-radius: .3em; }
.preview .body:has(.pages) { padding: .6em; background: var(--_raised); }
.preview .fault { color: var(--_muted); }
.preview .links { display: flex; flex-wrap: wrap; gap: .3em 1.2em; padding: .7em 1.25em; border-block-start: 1px solid var(--_border); font-size: var(--_small); }
.preview .links:empty { display: none; }
.preview .links a { color: var(--_accent); font-weight: 600; min-height: 24px; display: inline-block; }
@media (max-height: 420px) { /* as at 200 % zoom: the document gets the room */
  .preview:modal { height: 100dvh; border-radius: 0; }
  .preview .top { padding-block: .3em .2em; }
  .preview .bar, .preview .sections { padding-block-end: 0; margin-block-end: .3em; }
  .preview .links { padding-block: .2em; }
}
@media (prefers-reduced-motion: reduce) { dialog.preview { animation: none !important; } }
@media print { dialog.preview { display: none; } }
@media (forced-colors: active) { dialog.preview { border-width: 1px; } .preview .kinds [aria-pressed="true"] { border-width: 3px; } }
`;
