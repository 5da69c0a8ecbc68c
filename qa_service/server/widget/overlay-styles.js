/* The styles of a launcher, dialog and sidebar; styles.js has the colours and the panel. */

export const OVERLAY = `
kbd {
  font: inherit; font-size: var(--_small); line-height: 1.2; padding: .1em .4em; border: 1px solid var(--_border);
  border-radius: .35em; background: var(--_surface); color: var(--_muted); white-space: nowrap;
}
/* The button. */
.launch { display: flex; align-items: center; gap: .55em; border: 1px solid transparent; }
.launch svg { width: 1.25em; height: 1.25em; flex: none; }
.launcher .launch, .sidebar .launch {
  position: fixed; z-index: var(--qa-z-index, 2147483000); min-height: 3em; padding: .6em 1.15em; border-radius: 999px;
  background: var(--_accent); color: var(--_accent-text); font-weight: 600; box-shadow: 0 .15em .5em #0b122029, 0 .4em 1.5em #0b12203d;
}
.bottom-right .launch, .bottom-left .launch { bottom: calc(1em + env(safe-area-inset-bottom, 0px)); }
.top-right .launch, .top-left .launch { top: 1em; }
.bottom-right .launch, .top-right .launch { right: 1em; }
.bottom-left .launch, .top-left .launch { left: 1em; }
.launch:not(.dialog *) kbd { background: none; border-color: currentColor; color: inherit; }
.dialog .launch {
  width: 100%; height: 100%; padding: 0 .5em 0 .75em; border-color: var(--_control);
  border-radius: min(.6em, var(--_radius)); background: var(--_surface); color: var(--_muted); text-align: start;
}
.dialog .launch:hover { border-color: var(--_text); color: var(--_text); }
.dialog .launch span { flex: 1; min-width: 0; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.sidebar.open .launch { display: none; }
.launcher .launch:hover, .sidebar .launch:hover { filter: brightness(1.08); }
dialog.panel {
  position: fixed; inset: auto; z-index: var(--qa-z-index, 2147483000); margin: 0; padding: 0; max-width: none; max-height: none;
  border: 0; box-shadow: 0 0 0 1px light-dark(#0b122014, #fff1), 0 .25em .75em #0b12201f, 0 1em 3em #0b122038;
}
dialog.panel:not([open]) { display: none; }
dialog.panel::backdrop { background: #0b122080; }
.launcher .panel { width: min(var(--qa-width, 27em), 100vw - 2em); height: min(var(--qa-height, 40em), 100dvh - 6em); }
.launcher.bottom-right .panel, .launcher.bottom-left .panel { bottom: calc(4.75em + env(safe-area-inset-bottom, 0px)); }
.launcher.top-right .panel, .launcher.top-left .panel { top: 4.75em; }
.launcher.bottom-right .panel, .launcher.top-right .panel { right: 1em; }
.launcher.bottom-left .panel, .launcher.top-left .panel { left: 1em; }
.dialog .panel {
  inset: max(2em, 10vh) 0 auto; margin-inline: auto; width: min(var(--qa-width, 46em), 100vw - 2em);
  height: min(var(--qa-height, 42em), 80dvh);
}
.sidebar .panel {
  inset-block: 0; inset-inline-end: 0; width: min(var(--_width, var(--qa-width, 27em)), 100vw); height: 100dvh; border-radius: 0;
}
.edge {
  position: absolute; inset-block: 0; inset-inline-start: 0; width: .75em; cursor: ew-resize; touch-action: none;
  border-inline-start: 3px solid transparent;
}
.edge:hover, .edge:focus-visible { border-color: var(--_accent); outline: none; }
.keys { display: flex; gap: 1em; margin-inline-start: auto !important; }
.keys span { display: inline-flex; align-items: center; gap: .4em; }
/* A sheet on phones: as in overlay.js. */
@media (max-width: 600px), (max-height: 420px) {
  .root.root dialog.panel {
    inset: auto 0 0; width: 100%; height: calc(100dvh - 1.5em); margin: 0; border-radius: max(1em, var(--_radius)) max(1em, var(--_radius)) 0 0;
    padding-block-end: env(safe-area-inset-bottom, 0px);
  }
  .open .launch:not(.dialog *) { display: none; }
  .edge, .keys, .launch kbd { display: none; }
}
@media (max-height: 420px) { .root.root dialog.panel { height: 100dvh; border-radius: 0; } }
@media (prefers-reduced-motion: no-preference) {
  dialog.panel { opacity: 0; translate: 0 .75em; transition: opacity .16s ease-out, translate .16s ease-out, overlay .16s allow-discrete, display .16s allow-discrete; }
  dialog.panel[open] { opacity: 1; translate: 0; }
  @starting-style { dialog.panel[open] { opacity: 0; translate: 0 .75em; } }
  dialog.panel::backdrop { opacity: 0; transition: opacity .16s ease-out, overlay .16s allow-discrete, display .16s allow-discrete; }
  dialog.panel[open]::backdrop { opacity: 1; }
  @starting-style { dialog.panel[open]::backdrop { opacity: 0; } }
}
@media (forced-colors: active) {
  dialog.panel { border: 1px solid CanvasText; }
  .edge:hover, .edge:focus-visible { border-color: Highlight; }
}
@media print { .launch, dialog.panel { display: none; } }
`;
