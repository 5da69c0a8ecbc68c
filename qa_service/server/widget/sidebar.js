/* A sidebar beside the page: the page makes room for it on a wide screen, and its edge can be dragged. */

import { stylePage } from "./overlay.js";
import { h } from "./view.js";

const LEAST = 280;
const STEP = 32;

/** Make room for a panel and add its edge, if it has none yet. Returns a function that gives the room back. */
export function dock(root, panel) {
  if (!panel.querySelector(".edge")) panel.append(edgeOf(root, panel));
  const side = getComputedStyle(root).direction === "rtl" ? "left" : "right";
  let giveBack = () => {};
  const observer = new ResizeObserver(() => {
    giveBack();
    giveBack = stylePage(`@media (min-width: 1000px) { html { padding-${side}: ${panel.offsetWidth}px !important; } }`);
  });
  observer.observe(panel);
  return () => {
    observer.disconnect();
    giveBack();
  };
}

/** Return the edge that is dragged, or moved by the arrow keys. */
function edgeOf(root, panel) {
  const most = () => Math.round(document.documentElement.clientWidth * 0.6);
  const toRight = () => getComputedStyle(root).direction === "rtl";
  const edge = h("div", {
    class: "edge",
    part: "edge",
    role: "separator",
    tabindex: "0",
    "aria-labelledby": "title",
    "aria-orientation": "vertical",
    "aria-valuemin": String(LEAST),
    onpointerdown: (event) => {
      event.preventDefault();
      edge.setPointerCapture(event.pointerId);
    },
    onpointermove: ({ pointerId, clientX }) => {
      if (edge.hasPointerCapture(pointerId)) set(toRight() ? clientX : document.documentElement.clientWidth - clientX);
    },
    onkeydown: ({ key }) => {
      const wider = { ArrowLeft: STEP, ArrowRight: -STEP }[key];
      if (wider) set(panel.offsetWidth + (toRight() ? -wider : wider));
    },
  });
  const set = (pixels) => {
    const width = Math.max(LEAST, Math.min(most(), Math.round(pixels)));
    root.style.setProperty("--_width", `${width}px`);
    tell();
  };
  const tell = () => {
    edge.setAttribute("aria-valuemax", String(most()));
    edge.setAttribute("aria-valuenow", String(panel.offsetWidth));
  };
  tell();
  return edge;
}
