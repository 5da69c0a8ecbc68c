/* Contrast of an accent colour, by the formula of WCAG 2. */

const LEAST = 4.5;
const SURFACES = { light: "#ffffff", dark: "#14171c" }; // of the widget, on which its links have the accent
const TEXTS = ["#ffffff", "#0b1220"];

function luminance(colour) {
  const parts = [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16) / 255);
  const [red, green, blue] = parts.map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

/** Return the contrast of two colours, each `#rrggbb`: 1 to 21. */
export function contrast(one, other) {
  const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (high + 0.05) / (low + 0.05);
}

/** Return the colour of text that is read best on an accent. */
export function textOn(accent) {
  return TEXTS.toSorted((one, other) => contrast(other, accent) - contrast(one, accent))[0];
}

/** Return a pair of colours as a CSS value. */
export function colours({ light, dark }) {
  return light === dark ? light : `light-dark(${light}, ${dark})`;
}

/** Return a warning if links in an accent are hard to read in a theme that is used, else "". */
export function fault(accent, theme) {
  const weak = Object.entries(SURFACES)
    .filter(([name]) => !theme || theme === "auto" || theme === name)
    .map(([name, surface]) => [name, contrast(accent[name], surface)])
    .filter(([, ratio]) => ratio < LEAST)
    .map(([name, ratio]) => `${(Math.floor(ratio * 10) / 10).toFixed(1)}:1 in the ${name} theme`);
  return weak.length ? `Links are hard to read: the accent has a contrast of ${weak.join(" and ")}. Choose a colour with at least ${LEAST}:1.` : "";
}
