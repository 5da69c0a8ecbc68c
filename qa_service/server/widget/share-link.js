/* Links that ask a question when they are opened: the page's address with `?q=QUESTION`. */

import { MOST_LINKED_CHARACTERS } from "./conversation.js";

/** Return the page's address with a question, all else kept; "" if it is too long, or the page has no address to share. */
export function linkTo(question, name, page = globalThis.location) {
  if (!name || !/^https?:$/.test(page.protocol) || Array.from(question).length > MOST_LINKED_CHARACTERS) return "";
  const url = new URL(page.href);
  const others = url.search.slice(1).split("&").filter((one) => one && !new URLSearchParams(one).has(name));
  url.search = [...others, `${encodeURIComponent(name)}=${encodeURIComponent(question.toWellFormed())}`].join("&");
  return url.href;
}
