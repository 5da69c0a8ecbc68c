/* How to put the widget on a page: two lines, the options with a live preview, and pinned versions. */

import { colours, fault, textOn } from "./playground-colours.js";
import { ENDPOINT, get, snippet } from "./playground-service.js";
import { languages } from "./strings.js";
import { h } from "./view.js";

const DEFAULTS = { mode: "launcher", corner: "bottom-right", theme: "", lang: "" };
const CHOICES = {
  mode: { launcher: "Corner button", dialog: "Dialog", sidebar: "Sidebar", inline: "Within the text", page: "Whole container" },
  corner: { "bottom-right": "Bottom right", "bottom-left": "Bottom left", "top-right": "Top right", "top-left": "Top left" },
  theme: { "": "As the page", light: "Light", dark: "Dark" },
  lang: { "": "As the page", ...Object.fromEntries(languages.map((code) => [code, new Intl.DisplayNames(code, { type: "language" }).of(code)])) },
};
const LABELS = { mode: "Mode", corner: "Corner", theme: "Theme", lang: "Language" };
const FONTS = { "": "System", inherit: "As the page", "Georgia, serif": "Serif", "ui-monospace, monospace": "Monospace" };
const ACCENT = { light: "#1d4ed8", dark: "#93b4ff" };
const RADIUS = 12;
const SCRIPT = `<script type="module" src="${ENDPOINT}/widget/qa-chat-define.js"></script>`;

/** Return the tab. */
export async function embedding() {
  const { version, files } = await get("widget");
  const [title, lines] = snippet("Two lines for any page", `${SCRIPT}\n${tag(DEFAULTS)}`);
  return [
    title,
    lines,
    h("p", { class: "quiet" }, "A page of another origin needs a publishable key, which can only ask and give feedback:"),
    ...snippet("", "qa-service keys create NAME --publishable --origin https://your.page"),
    h("h2", {}, "Options"),
    ...editor(lines.firstElementChild),
    h("details", {}, h("summary", {}, "Pinned to this version, verified by the browser"), ...snippet("", pinned(version, files))),
    h("details", {}, h("summary", {}, "With a single script tag"), ...snippet("", loader())),
  ];
}

function tag(options) {
  const given = Object.entries(options).filter(([name, value]) => value && (name !== "corner" || (options.mode === "launcher" && value !== DEFAULTS.corner)));
  return `<qa-chat endpoint="${ENDPOINT}" key="pk_…"${given.map(([name, value]) => ` ${name}="${value}"`).join("")}></qa-chat>`;
}

/** Return the fields and the preview; each change goes to the preview and into `code`. */
function editor(code) {
  const fields = Object.fromEntries(Object.entries(CHOICES).map(([name, values]) => [name, choice(values, DEFAULTS[name])]));
  const light = h("input", { type: "color", value: ACCENT.light });
  const dark = h("input", { type: "color", value: ACCENT.dark });
  const radius = h("input", { type: "range", min: "0", max: "24", value: String(RADIUS) });
  const font = choice(FONTS, "");
  const warning = h("p", { role: "status", class: "warning" });
  const stage = h("div", { class: "stage" });
  const preview = h("qa-chat", { endpoint: ENDPOINT, id: "preview" });
  stage.append(h("p", { class: "quiet" }, "Preview"), preview);

  const draw = () => {
    const options = Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, field.value]));
    for (const [name, value] of Object.entries(options)) {
      if (preview.getAttribute(name) === (value || null)) continue;
      if (value) preview.setAttribute(name, value);
      else preview.removeAttribute(name);
    }
    const own = propertiesOf({ light: light.value, dark: dark.value }, radius.valueAsNumber, font.value);
    preview.style.cssText = "";
    for (const [name, value] of own) preview.style.setProperty(name, value);
    const style = own.length ? `<style>\n  qa-chat {\n${own.map(([name, value]) => `    ${name}: ${value};\n`).join("")}  }\n</style>\n` : "";
    code.textContent = `${style}${SCRIPT}\n${tag(options)}`;
    warning.textContent = fault({ light: light.value, dark: dark.value }, options.theme);
    fields.corner.closest("label").hidden = options.mode !== "launcher";
    show(preview, opens(fields));
  };
  const rows = [
    ...Object.entries(fields).map(([name, field]) => h("label", {}, LABELS[name], field)),
    ...[h("label", {}, "Accent, light", light), h("label", {}, "Accent, dark", dark), h("label", {}, "Roundness", radius), h("label", {}, "Font", font)],
  ];
  const form = h("form", { class: "options", onsubmit: (event) => event.preventDefault(), oninput: draw }, ...rows);
  draw();
  requestAnimationFrame(() => show(preview, opens(fields))); // once the tab has it
  return [form, stage, warning];
}

const small = matchMedia("(max-width: 600px), (max-height: 420px)"); // there a panel covers the page

const opens = ({ mode }) => mode.value === "launcher" && !small.matches;

/** Open or close the panel of the preview; it is inert meanwhile, and the focus stays where it is. */
function show(preview, open) {
  const stage = preview.parentElement;
  if (!stage.isConnected) return;
  if (!open || matchMedia("(max-width: 600px), (max-height: 420px)").matches) { // there it would cover the options
    stage.inert = false;
    preview.close();
    return;
  }
  if (preview.isOpen) return;
  const focused = document.activeElement;
  stage.inert = true;
  preview.open();
  const settle = () => {
    if (!stage.isConnected || !stage.inert) return;
    if (!preview.isOpen) return void requestAnimationFrame(settle);
    if (document.activeElement === document.body) focused.focus({ preventScroll: true });
    stage.inert = false;
  };
  requestAnimationFrame(settle);
}

function propertiesOf(accent, radius, font) {
  const own = [];
  if (accent.light !== ACCENT.light || accent.dark !== ACCENT.dark) {
    own.push(["--qa-accent", colours(accent)], ["--qa-accent-text", colours({ light: textOn(accent.light), dark: textOn(accent.dark) })]);
  }
  if (radius !== RADIUS) own.push(["--qa-radius", `${radius}px`]);
  if (font) own.push(["--qa-font", font]);
  return own;
}

function choice(values, chosen) {
  const field = h("select", {}, ...Object.entries(values).map(([value, text]) => h("option", { value }, text)));
  field.value = chosen;
  return field;
}

/** Return the lines for this version: hashes of what is loaded at once as attributes, of what is imported later as a map. */
function pinned(version, files) {
  const all = files
    .filter((file) => !file.path.endsWith("loader.js"))
    .map(({ path, ...rest }) => ({ src: `${ENDPOINT}/widget/${version}/${path.split("/").at(-1)}`, ...rest }));
  const [entry, ...parts] = all.filter((file) => !file.lazy);
  const integrity = Object.fromEntries(all.filter((file) => file.lazy).map((file) => [file.src, file.integrity]));
  return [
    `<script type="importmap">${JSON.stringify({ integrity }, null, 1)}</script>`,
    ...parts.map((file) => `<link rel="modulepreload" href="${file.src}" integrity="${file.integrity}" crossorigin>`),
    `<script type="module" src="${entry.src}" integrity="${entry.integrity}" crossorigin></script>`,
    tag(DEFAULTS),
  ].join("\n");
}

const loader = () => `<script src="${ENDPOINT}/widget/qa-chat-loader.js" data-endpoint="${ENDPOINT}" data-key="pk_…" async></script>`;
