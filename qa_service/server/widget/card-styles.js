/* The styles of an answer; styles.js has the colours and the frame. */

export const CARD = `
.answer { display: grid; gap: .9em; min-width: 0; container: answer / inline-size; animation: arrive .18s ease-out; }
.answer > *, .card > *, .found > * { min-width: 0; }
@keyframes arrive { from { opacity: 0; transform: translateY(.35em); } }
.answer p, .answer h4, .answer ul, .answer ol { margin: 0; padding: 0; }
.aside { font-size: var(--_small); color: var(--_muted); }
.card {
  display: grid; gap: .8em; padding: 1em 1.1em .6em; border: 1px solid var(--_border); border-radius: var(--_radius);
  background: var(--_surface);
}
.card.uncertain { border-style: dashed; border-color: var(--_control); }
.card.not_found { background: var(--_raised); border-color: transparent; }
.head { display: flex; flex-wrap: wrap; align-items: center; gap: .2em .5em; }
.head svg { width: 1.25em; height: 1.25em; flex: none; color: var(--_muted); }
.verdict { font-weight: 600; }
.confidence { display: inline-flex; align-items: center; gap: .5em; font-size: var(--_small); color: var(--_muted); unicode-bidi: plaintext; }
.confidence::before { content: ""; width: .55em; height: .55em; border-radius: 50%; border: 1px solid currentColor; flex: none; }
.confidence.good::before { background: currentColor; }
.confidence.strong::before { background: var(--_accent); border-color: var(--_accent); }
.verdict + .confidence { margin-inline-start: auto; }

.found { display: grid; gap: .7em; }
.found + .found { padding-block-start: .9em; border-block-start: 1px solid var(--_border); }
.passage { display: grid; gap: .5em; margin: 0; color: var(--_muted); font-size: var(--_small); line-height: 1.55; }
.passage > *, .parts > * { min-width: 0; }
.passage p, .passage h4, .passage td, .passage th { unicode-bidi: plaintext; text-align: start; }
.passage .plain { white-space: pre-wrap; }
.passage .lead { color: var(--_text); }
.quoted .lead { font-size: 1.143em; line-height: 1.5; }
.quoted.medium p.lead, .quoted.medium h4:has(mark) { font-size: 1.23em; }
.quoted.short p.lead, .quoted.short h4:has(mark) { font-size: 1.44em; line-height: 1.4; letter-spacing: -.008em; text-wrap: pretty; }
mark {
  background: var(--_mark); color: var(--_mark-text); padding: .06em .1em; margin-inline: -.1em; border-radius: .2em;
  -webkit-box-decoration-break: clone; box-decoration-break: clone;
}
mark.exact { background: none; color: var(--_text); padding: 0; margin: 0; }
.words { background: var(--_mark); color: var(--_mark-text); font-weight: 650; padding: .06em .1em; margin-inline: -.1em; border-radius: .2em; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.uncertain mark:not(.exact), .uncertain .words {
  background: color-mix(in srgb, var(--_mark) 45%, transparent); color: var(--_text);
}
@container answer (max-width: 20em) {
  .quoted.medium p.lead { font-size: 1.143em; }
  .quoted.short p.lead { font-size: 1.2em; }
}
.parts { display: grid; gap: .5em; }
.passage h4 { font-size: 1em; line-height: 1.4; font-weight: 650; color: var(--_text); }
.passage hr { width: 100%; margin: .2em 0; border: 0; border-block-start: 1px solid var(--_border); }
.items { display: grid; gap: .25em; list-style: none; }
.items > li { display: grid; grid-template-columns: minmax(1.2em, auto) minmax(0, 1fr); gap: .45em; align-items: baseline; }
.marker { text-align: end; color: var(--_muted); }
.level-2 { --_deep: 1; } .level-3 { --_deep: 2; } .level-4 { --_deep: 3; } .level-5, .level-6 { --_deep: 4; }
.items > li, .cited { margin-inline-start: calc(1.4em * var(--_deep, 0)); }
.cited { padding-inline-start: .8em; border-inline-start: .2em solid var(--_border); }
.image { font-style: italic; }
.image::before { content: "▨ "; font-style: normal; }
.math, .passage code { font-family: ui-monospace, "SFMono-Regular", Consolas, monospace; font-size: var(--_small); }
.passage :not(pre) > code { padding: .1em .3em; border-radius: .3em; background: var(--_raised); }
.wide { overflow-x: auto; max-width: 100%; border: 1px solid var(--_border); border-radius: .5em; }
.code { position: relative; color: var(--_text); }
.code pre { margin: 0; padding: .7em .9em; background: var(--_raised); line-height: 1.5; tab-size: 4; }
.code pre code { overflow-wrap: normal; white-space: pre; background: none; padding: 0; }
.copy { position: absolute; inset-block-start: .25em; right: .25em; display: flex; align-items: center; gap: .25em; font-size: var(--_small); background: var(--_raised); border-radius: .5em; }
table { border-collapse: collapse; min-width: 100%; font-variant-numeric: tabular-nums; overflow-wrap: break-word; }
td, th { padding: .4em .75em; vertical-align: top; border-block-start: 1px solid var(--_border); }
tr:first-child > * { border-block-start: 0; }
th { background: var(--_raised); color: var(--_text); font-weight: 600; }
td > div, th > div { max-width: 26em; }
.quoted tr.lead { font-size: 1em; line-height: inherit; }

.source { font-size: var(--_small); }
.cut { color: var(--_muted); }
.chip {
  display: inline-flex; align-items: center; gap: .6em; max-width: 100%; min-height: 24px; padding: .4em .75em .4em .6em;
  border: 1px solid var(--_border); border-radius: .7em; color: var(--_text); text-decoration: none; line-height: 1.35;
  transition: background-color .12s, border-color .12s;
}
a.chip:hover { background: var(--_raised); border-color: var(--_control); }
.chip svg { width: 1.35em; height: 1.35em; flex: none; color: var(--_accent); }
.about { display: grid; min-width: 0; }
.title { font-weight: 600; text-align: match-parent; }
.place { color: var(--_muted); }
.toggle { justify-self: start; padding: .1em .4em; margin: -.25em -.4em; border: 0; background: none; color: var(--_accent); font-size: var(--_small); font-weight: 600; }
.toggle:hover, summary:hover { text-decoration: underline; }
.label { font-size: var(--_small); font-weight: 600; color: var(--_muted); }
.headings { display: grid; gap: .3em; list-style: none; }
.headings .chip { border-color: transparent; padding-inline: .35em; margin-inline: -.35em; font-size: var(--_small); }
.headings a .title { color: var(--_accent); }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: .15em; margin-inline: -.45em; }
.foot-of-card { border-block-start: 1px solid var(--_border); padding-block-start: .4em; }
summary { cursor: pointer; min-height: 24px; padding-block: .25em; color: var(--_accent); font-size: var(--_small); font-weight: 600; width: fit-content; }
.passages { display: grid; gap: 1.1em; padding-block-start: .8em; list-style: none; }
.passages > li { display: grid; gap: .5em; padding-inline-start: .9em; border-inline-start: .2em solid var(--_border); }
.passages mark { background: none; color: var(--_text); text-decoration: none; }
fieldset { border: 1px solid var(--_border); border-radius: .6em; margin: .5em 0; padding: .6em .8em; display: grid; gap: .4em; }
legend { font-weight: 600; padding-inline: .3em; }
fieldset label { display: flex; gap: .5em; align-items: center; min-height: 24px; }
fieldset input { width: 1.2em; height: 1.2em; accent-color: var(--_accent); flex: none; }
fieldset label.own { display: grid; }
@media (prefers-reduced-motion: reduce) { .answer { animation: none; } .chip { transition: none; } }
@media (forced-colors: active) {
  mark:not(.exact), .words { forced-color-adjust: none; background: Mark; color: MarkText; }
  .chip, .card { border-color: CanvasText; }
}
`;
