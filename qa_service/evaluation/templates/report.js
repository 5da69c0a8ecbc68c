const words = document.querySelector("#words");
const state = document.querySelector("#state");
const count = document.querySelector("#count");
const items = [...document.querySelectorAll("[data-state]")];
const texts = items.map((item) => item.textContent.toLowerCase());
function show() {
  const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  items.forEach((item, place) => {
    const fits = (!state.value || item.dataset.state === state.value) && wanted.every((word) => texts[place].includes(word));
    item.hidden = !fits;
    shown += fits;
  });
  count.textContent = `${shown} of ${items.length} questions`;
}
if (words) {
  words.addEventListener("input", show);
  state.addEventListener("change", show);
  show();
}
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && document.activeElement.matches(".tip")) document.activeElement.blur();
});
const cost = document.querySelector("#cost");
const rows = [...document.querySelectorAll("[data-threshold]")];
function recommend() {
  const worth = (row) => row.dataset.right - cost.value * row.dataset.wrong;
  const best = rows.reduce((one, other) => (worth(other) >= worth(one) ? other : one));
  rows.forEach((row) => row.classList.toggle("best", row === best));
  document.querySelector("#best").textContent = `At this cost, ${best.dataset.threshold} is the best threshold: ${best.dataset.right} right and ${best.dataset.wrong} wrong answers.`;
}
if (cost) {
  cost.addEventListener("input", recommend);
  recommend();
}
