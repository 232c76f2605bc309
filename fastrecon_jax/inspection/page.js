"use strict";
const list = document.querySelector(".rows"), form = document.querySelector("form"), dialog = document.querySelector("dialog");
const all = Array.from(list.children), shown = document.getElementById("shown"), at = document.getElementById("at");
const number = (row) => Number(row.dataset.ratio), text = (row) => row.dataset.path;
const orders = {
  high: (a, b) => number(b) - number(a),
  low: (a, b) => number(a) - number(b),
  first: (a, b) => a.dataset.order - b.dataset.order,
  last: (a, b) => b.dataset.order - a.dataset.order,
  path: (a, b) => text(a).localeCompare(text(b), undefined, { numeric: true }),
};
let visible = all, current = -1;

function arrange() {
  const verdicts = new Set(Array.from(form.querySelectorAll("[name=verdict]:checked"), (box) => box.value));
  const part = form.part ? form.part.value : "", words = form.words.value.toLowerCase();
  const fits = (row) => verdicts.has(row.dataset.verdict) && (!part || row.dataset.part === part) && text(row).toLowerCase().includes(words);
  visible = all.slice().sort(orders[form.order.value]).filter((row) => (row.hidden = !fits(row), !row.hidden));
  list.append(...visible);
  shown.textContent = visible.length + " of " + all.length + " shown";
}

// The colours of the map from low to high, with the value from which regions are marked, as in the table of parts.
function scaleOf(part) {
  const scale = Array.from(document.querySelectorAll(".facts .scale")).find((one) => one.dataset.part === part);
  if (!scale) return null;
  const figure = document.createElement("figure"), words = document.createElement("figcaption");
  words.textContent = "anomaly map: low, regions from the mark, high";
  figure.append(scale.cloneNode(true), words);
  return figure;
}

function show(index) {
  if (index < 0 || index >= visible.length) return;
  current = index;
  const copy = visible[index].cloneNode(true);
  const image = copy.querySelector("img");
  if (image) image.loading = "eager";
  const scale = scaleOf(copy.dataset.part), more = copy.querySelector(".more");
  if (image && scale) more.insertBefore(scale, more.querySelector("table"));
  document.getElementById("single").replaceChildren(copy);
  at.textContent = (index + 1) + " of " + visible.length;
  if (!dialog.open) dialog.showModal();
  history.replaceState(null, "", "#image" + visible[index].dataset.order);
}

function step(by) { show(Math.max(0, Math.min(visible.length - 1, current + by))); }

form.addEventListener("input", arrange);
form.addEventListener("submit", (event) => event.preventDefault());
list.addEventListener("click", (event) => {
  const view = event.target.closest(".view");
  if (!view || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  show(visible.indexOf(view.closest(".row")));
});
dialog.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (event.target.closest(".none")) event.preventDefault();
  if (button) button.value === "close" ? dialog.close() : step(Number(button.value));
});
dialog.addEventListener("close", () => {
  history.replaceState(null, "", "#");
  if (!visible[current]) return;
  visible[current].scrollIntoView({ block: "nearest" });
  visible[current].querySelector(".view").focus();
});
addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[event.key];
  if (!by || event.target.matches("input, select") || event.altKey || event.ctrlKey || event.metaKey) return;
  if (!dialog.open && Math.abs(by) > 1) return;
  event.preventDefault();
  dialog.open ? step(by) : show(Math.max(current, 0));
});
arrange();
const start = visible.findIndex((row) => "#image" + row.dataset.order === location.hash);
if (start >= 0) show(start);
