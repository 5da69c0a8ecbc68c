/* On a phone, Back closes what covers the page: each layer is an entry of the history at the address of the page. */

const DEPTH = "qaLayers"; // in the state of an entry, beside what the page keeps there
const layers = []; // how each is closed, the lowest first
let leaving = false;

const depth = () => history.state?.[DEPTH] ?? 0;

/** Add a layer; `close` is called when the reader goes back. Returns a function that removes its entry, and those above. */
export function pushLayer(close) {
  layers.push(close);
  if (!leaving) push();
  return () => {
    const place = layers.indexOf(close);
    if (place < 0) return; // closed by Back
    for (const above of layers.splice(place).slice(1).reverse()) above();
    leave();
  };
}

function leave() {
  // If the page has moved on meanwhile, its entries are left alone.
  if (leaving || depth() <= layers.length) return;
  leaving = true;
  history.go(layers.length - depth());
}

function push() {
  if (depth() >= layers.length) return; // the entry of a layer that was open before a reload
  try {
    history.pushState({ ...history.state, [DEPTH]: layers.length }, "");
  } catch {
    // A frame without an origin, or a browser that limits how often: Back leaves the page.
  }
}

addEventListener("popstate", () => {
  if (leaving) {
    leaving = false;
    if (layers.length > depth()) push(); // one was opened again meanwhile
    else leave();
    return;
  }
  while (layers.length > depth()) layers.pop()();
});
