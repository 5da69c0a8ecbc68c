/* Links that ask a question when they are opened: the page's address with `?q=QUESTION`. */

import { visible } from "./client.js";

const MOST_CHARACTERS = 500;
const taken = new Set();

/** Return the page's address with a question, all else kept; "" if it is too long, or the page has no address to share. */
export function linkTo(question, name, page = globalThis.location) {
  if (!name || !/^https?:$/.test(page.protocol) || Array.from(question).length > MOST_CHARACTERS) return "";
  const url = new URL(page.href);
  const others = url.search.slice(1).split("&").filter((one) => one && !new URLSearchParams(one).has(name));
  url.search = [...others, `${encodeURIComponent(name)}=${encodeURIComponent(question.toWellFormed())}`].join("&");
  return url.href;
}

/** Return the question that the page was opened with, to the first that asks for it; else "". */
export function takeQuestion(name, page = globalThis.location) {
  if (!name || taken.has(name)) return "";
  taken.add(name);
  const question = visible(new URLSearchParams(page.search).get(name) ?? "").trim();
  return Array.from(question).length <= MOST_CHARACTERS ? question : "";
}
