/* The parts of a preview: the response of the service, checked, and pictures of pages on a canvas. */

import { readBlocks, ServiceError, visible } from "./client.js";
import { h } from "./view.js";

const MOST_CHARACTERS = 40_000;
const MOST_SECTIONS = 2_000;
const MOST_PICTURES = 3;
const MARK = [255, 224, 138]; // the colour of a quote in a picture

/** Return a picture as `{canvas, mark}`; `mark` is the share of its height at which a quote is marked, or `null`. */
export function canvasOf(bitmap, label) {
  const canvas = h("canvas", { role: "img", "aria-label": label, width: bitmap.width, height: bitmap.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
  for (let at = 0; at < data.length; at += 4) {
    if (MARK.every((value, part) => data[at + part] === value)) return { canvas, mark: Math.floor(at / 4 / width) / height };
  }
  return { canvas, mark: null };
}

/** Return the parts of a response that the preview uses. Throws a {@link ServiceError} if something is missing. */
export function readPreview(raw) {
  if (typeof raw?.text !== "string" || !Number.isInteger(raw.start_char)) throw new ServiceError("unreadable");
  const characters = Array.from(raw.text.slice(0, MOST_CHARACTERS)); // offsets count code points
  const list = (value) => (Array.isArray(value) ? value : []);
  const outline = list(raw.outline).slice(0, MOST_SECTIONS).filter((one) => typeof one?.text === "string" && Number.isInteger(one.start_char));
  return {
    characters,
    blocks: readBlocks(raw.blocks, characters.length),
    start: raw.start_char,
    end: raw.start_char + characters.length,
    outline: outline.map((one) => ({ text: visible(one.text, 200), level: Math.min(Math.max(one.level | 0, 1), 6), start: one.start_char })),
    url: typeof raw.url === "string" ? raw.url : "",
    view: typeof raw.view === "string" ? raw.view : "",
    pages: Number.isInteger(raw.pages?.first) ? raw.pages : { first: 1 },
    pictures: list(raw.pictures).filter((one) => typeof one === "string").slice(0, MOST_PICTURES),
  };
}
