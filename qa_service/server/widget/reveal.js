/* Scrolling to an answer, so that its quote can be seen. */

const EDGE = 12;

/**
 * Scroll a log so that the question of an entry is at its top or, if the quote does not fit below, the quote is in view.
 * The page is scrolled only if `page` is true and the quote is outside the window.
 */
export function reveal(log, entry, page = false) {
  log.scrollTop += entry.getBoundingClientRect().top - log.getBoundingClientRect().top - EDGE;
  const passage = entry.querySelector("blockquote");
  const marks = [...(passage?.querySelectorAll("mark") ?? [])];
  if (!marks.length) return;
  const words = [...passage.querySelectorAll(".words")];
  const { top, bottom } = areaOf(log);
  const parts = words.length && heightOf(marks) > bottom - top - 2 * EDGE ? words : marks;
  aside(words[0] ?? marks[0]);
  const box = around(parts);
  log.scrollTop += Math.min(Math.max(box.bottom + EDGE - bottom, 0), box.top - EDGE - top);
  const now = around(parts);
  const fits = now.bottom - now.top <= bottom - top;
  if (page && (now.top < top || (fits && now.bottom > bottom))) parts[0].scrollIntoView({ block: "nearest" });
}

/** Return the part of a log that is within the window. */
function areaOf(log) {
  const { top, bottom } = log.getBoundingClientRect();
  const [from, height] = globalThis.visualViewport ? [visualViewport.offsetTop, visualViewport.height] : [0, innerHeight];
  return { top: Math.max(top, from), bottom: Math.min(bottom, from + height) };
}

function around(parts) {
  const boxes = parts.map((part) => part.getBoundingClientRect());
  return { top: Math.min(...boxes.map((box) => box.top)), bottom: Math.max(...boxes.map((box) => box.bottom)) };
}

function heightOf(parts) {
  const { top, bottom } = around(parts);
  return bottom - top;
}

/** Scroll a wide table or code sideways to a part of it. */
function aside(part) {
  const wide = part.closest(".wide");
  if (!wide) return;
  const [box, area] = [part.getBoundingClientRect(), wide.getBoundingClientRect()];
  if (box.right > area.right) wide.scrollLeft += Math.min(box.right + EDGE - area.right, box.left - EDGE - area.left);
  else if (box.left < area.left) wide.scrollLeft += box.left - EDGE - area.left;
}
