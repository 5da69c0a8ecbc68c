/* The look of the page around the widget: light or dark, and the accent, text size and radius of its generator. */

const THEMES = ["auto", "light", "dark"];
// The attributes in which generators and frameworks keep the reader's choice, on <html> or <body>.
const TOGGLES = ["data-md-color-scheme", "data-theme", "data-bs-theme", "data-color-mode", "data-color-scheme", "class"];
const MATERIAL = { default: "light", slate: "dark" };
const [LIGHT, DARK] = ["light", "dark"].map((word) => new RegExp(`(^|\\s)(theme-)?${word}(-(theme|mode))?($|\\s)`));
// A custom property with the accent is the sign of a generator. The <body> of Material has half the size of its text.
const PRESETS = {
  material: { accent: "--md-primary-fg-color", size: "max(14px, .8rem)", radius: ".25em" },
  docusaurus: { accent: "--ifm-color-primary", radius: "var(--ifm-global-radius)" },
  furo: { accent: "--color-brand-primary", radius: ".25em" },
  starlight: { accent: "--sl-color-accent", radius: ".5em" },
};
const TEXT_CONTRAST = 4.5;
const STEP = 0.1;
const warned = new Set();
const system = matchMedia("(prefers-color-scheme: dark)");

/** Call `update` whenever the theme of the page may have changed, until the signal. */
export function watchPage(update, signal) {
  const observer = new MutationObserver(update);
  for (const element of pageElements()) observer.observe(element, { attributes: true });
  signal.addEventListener("abort", () => observer.disconnect());
  system.addEventListener("change", update, { signal });
  addEventListener("load", update, { signal }); // style sheets may come late
  document.addEventListener("transitionend", ({ target }) => pageElements().includes(target) && update(), { signal });
}

/** Return the value of an attribute that has a few; the first one is the default. */
export function choose(host, name, choices) {
  const value = host.getAttribute(name);
  if (value === null || choices.includes(value)) return value ?? choices[0];
  warn(`${name}=${JSON.stringify(value.slice(0, 50))} is not one of ${choices.join(", ")}`);
  return choices[0];
}

/** Say something in the console, once. */
function warn(line) {
  if (!warned.has(line)) console.warn(`qa-chat: ${line}`);
  warned.add(line);
}

/** Give the widget's root the look of the page; attributes of the host come first, then what the page says. */
export function dress(host, root) {
  const theme = choose(host, "theme", THEMES);
  const dark = theme === "auto" ? isDark(host, root) : theme === "dark";
  root.classList.toggle("dark", dark);
  root.classList.toggle("light", !dark);
  const name = choose(host, "preset", ["auto", "none", ...Object.keys(PRESETS)]);
  const styles = getComputedStyle(host);
  const has = (preset) => styles.getPropertyValue(PRESETS[preset].accent).trim();
  const preset = PRESETS[name === "auto" ? Object.keys(PRESETS).find(has) : name];
  const looks = preset ? looksOf(preset, styles, root) : {};
  for (const part of ["accent", "accent-text", "size", "radius", "font"]) {
    if (looks[part]) root.style.setProperty(`--_page-${part}`, looks[part]);
    else root.style.removeProperty(`--_page-${part}`);
  }
}

const pageElements = () => [document.documentElement, document.body].filter(Boolean);

/** Return whether the page is dark: by `theme-selector`, else its toggle, its background or its `color-scheme`. */
function isDark(host, root) {
  const selector = host.getAttribute("theme-selector");
  if (selector) return matches(selector);
  for (const name of TOGGLES) {
    for (const element of pageElements()) {
      const given = element.getAttribute(name) ?? "";
      const value = (name === TOGGLES[0] && MATERIAL[given]) || given;
      if (DARK.test(value)) return true;
      if (LIGHT.test(value)) return false;
    }
  }
  const scheme = getComputedStyle(host).colorScheme;
  const [light, dark] = ["light", "dark"].map((word) => scheme.split(" ").includes(word));
  if (light !== dark) return dark;
  // A page that names both schemes, or none, is as its background is. It is known only if it is opaque.
  for (const element of pageElements().reverse()) {
    const background = channels(getComputedStyle(element).backgroundColor, root);
    if (background?.[3] === 1) return luminance(background) < 0.18;
  }
  return dark && system.matches;
}

function matches(selector) {
  try {
    return Boolean(document.querySelector(selector));
  } catch {
    warn(`theme-selector=${JSON.stringify(selector.slice(0, 50))} is not a CSS selector`);
    return false;
  }
}

/** Return an accent that is legible on the widget's surfaces, the text on it, and the page's size, radius and font. */
function looksOf(preset, styles, root) {
  const raised = channels("var(--_raised)", root);
  let accent = channels(styles.getPropertyValue(preset.accent), root)?.slice(0, 3);
  const looks = { size: preset.size, radius: preset.radius, font: styles.fontFamily };
  if (!accent || !raised || styles.getPropertyValue("--qa-accent").trim()) return looks;
  const target = luminance(raised) < 0.18 ? 1 : 0;
  for (let step = 0; step < 1 / STEP && contrast(accent, raised) < TEXT_CONTRAST; step++) {
    accent = accent.map((channel) => channel + (target - channel) * STEP);
  }
  const text = contrast(accent, [1, 1, 1]) >= TEXT_CONTRAST ? "#fff" : "#000";
  return { ...looks, accent: `color(srgb ${accent.map((channel) => channel.toFixed(4)).join(" ")})`, "accent-text": text };
}

/** Return red, green, blue and alpha, 0 to 1, of any CSS colour; `null` if it is not one. The root is the probe. */
function channels(colour, root) {
  root.style.color = `color-mix(in srgb, ${colour}, ${colour})`;
  const [, numbers] = /^color\(srgb ([^)]*)\)$/.exec(root.style.color ? getComputedStyle(root).color : "") ?? [];
  root.style.color = "";
  if (!numbers) return null;
  const [red, green, blue, alpha = 1] = numbers.split(/[\s/]+/).map(Number);
  return [red, green, blue, alpha];
}

function luminance([red, green, blue]) {
  const linear = (channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
  return 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
}

function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}
