/* The styles of an answer; styles.js has the colours and the frame. */

export const CARD = `
.answer > p { margin: 0 0 .6rem; }
.verdict { font-weight: 600; }
blockquote, .text {
  margin: 0 0 .5rem; padding: .1rem 0 .1rem .85rem; border-inline-start: 3px solid var(--_border);
  white-space: pre-wrap; unicode-bidi: plaintext; max-height: 22rem; overflow-y: auto; color: var(--_muted);
}
mark { background: var(--_mark); color: var(--_mark-text); padding: .1em .15em; border-radius: 3px; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.source { font-size: .9em; margin: 0 0 .5rem; color: var(--_muted); }
.source a { color: var(--_accent); font-weight: 600; display: inline-block; min-height: 24px; unicode-bidi: plaintext; }
ul.source { list-style: none; padding: 0; }
.tools { display: flex; flex-wrap: wrap; align-items: center; gap: .15rem; margin-block: .35rem .6rem; }
.confidence {
  font-size: .8em; padding: .1rem .6rem; border: 1px solid var(--_control); border-radius: 999px; margin-inline-end: auto;
  unicode-bidi: plaintext;
}
.strong { background: var(--_accent); color: var(--_accent-text); border-color: transparent; }
summary { cursor: pointer; min-height: 2rem; padding-block: .25rem; color: var(--_accent); font-weight: 600; width: fit-content; }
.passages { margin: .5rem 0 0; padding: 0; list-style: none; }
.passages > li { margin-block-end: 1.1rem; }
fieldset { border: 1px solid var(--_border); border-radius: 8px; margin: .5rem 0; padding: .6rem .8rem; display: grid; gap: .4rem; }
legend { font-weight: 600; padding-inline: .3rem; }
fieldset label { display: flex; gap: .5rem; align-items: center; min-height: 24px; }
fieldset input { width: 1.2em; height: 1.2em; accent-color: var(--_accent); flex: none; }
fieldset label.words { display: grid; }
@media (forced-colors: active) {
  mark { forced-color-adjust: none; background: Mark; color: MarkText; }
  .strong { border-color: CanvasText; }
}
`;
