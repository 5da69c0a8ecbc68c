/* The playground's requests to its service, and nodes that several tabs show. */

import { h } from "./view.js";

export const BASE = new URL("..", import.meta.url); // the root of the service, with the path prefix of a proxy
export const ENDPOINT = BASE.href.replace(/\/$/, "");
export const $ = (id) => document.getElementById(id);

/** Return the path of a route for a collection; the default collection has no name. */
export const inCollection = (collection, route) => (collection ? `collections/${encodeURIComponent(collection)}/${route}` : route);

/** Send a request with the key that was typed in; return its JSON, or what `read` makes of the response. */
export async function get(path, { read = (response) => response.json(), ...rest } = {}) {
  const key = $("key").value.trim();
  const headers = { ...(key ? { Authorization: `Bearer ${key}` } : {}), ...rest.headers };
  const response = await fetch(new URL(path, BASE), { cache: "no-store", ...rest, headers });
  if (response.status === 401) $("key-field").hidden = false;
  if (!response.ok) {
    const { detail = `status ${response.status}` } = await response.json().catch(() => ({}));
    throw Object.assign(new Error(detail), { status: response.status });
  }
  return read(response);
}

/** Send a body as JSON. */
export function post(path, body) {
  return get(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
}

export const failed = (error) => h("p", { role: "alert", class: "fault" }, `Could not be loaded: ${error.message}`);

/** Replace the content of a panel by what `make` returns, or by what went wrong. */
export async function shown(panel, make) {
  const own = (panel.making = Symbol("made last")); // what was asked for last is shown
  try {
    const nodes = [await make()].flat();
    if (panel.making === own) panel.replaceChildren(...nodes);
  } catch (error) {
    if (panel.making === own) panel.replaceChildren(failed(error));
  }
}

/** Return a heading, unless it is empty, and a text with a button that copies it. */
export function snippet(title, text, level = "h2") {
  const code = h("pre", { tabindex: "0" }, text);
  const said = h("span", { class: "sr", role: "status" });
  const button = h("button", { class: "plain", type: "button", "aria-label": title ? `Copy: ${title}` : "Copy" }, "Copy");
  const say = (words) => (button.textContent = said.textContent = words);
  button.addEventListener("click", () =>
    navigator.clipboard?.writeText(code.textContent).then(
      () => say("Copied"),
      () => say("The browser does not allow copying"),
    ),
  );
  return [...(title ? [h(level, {}, title)] : []), h("div", { class: "snippet" }, code, button, said)];
}

/** Return a number with its noun, in the singular or plural. */
export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}
