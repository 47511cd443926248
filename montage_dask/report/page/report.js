"use strict";
// The page works without this: it adds sorting, and jumps in the video.
const video = document.querySelector("video");
const head = document.getElementById("playhead");
const chart = document.getElementById("chart");
document.documentElement.classList.add("js");

function seek(seconds) {
  if (!video) return;
  video.currentTime = seconds + 0.001;
  place(seconds);
}

function place(seconds) {
  if (!head) return;
  const x = seconds / Number(chart.dataset.seconds) * chart.viewBox.baseVal.width;
  head.setAttribute("x1", x);
  head.setAttribute("x2", x);
}

for (const place of document.querySelectorAll(".seek")) {
  place.addEventListener("click", event => {
    if (!video) return;
    if (!event.ctrlKey && !event.metaKey) event.preventDefault();
    seek(Number(place.dataset.t));
  });
}
if (video) video.addEventListener("timeupdate", () => place(video.currentTime));

for (const cell of document.querySelectorAll("table.sortable th")) {
  cell.tabIndex = 0;
  const sort = () => {
    const body = cell.closest("table").tBodies[0];
    const down = cell.getAttribute("aria-sort") === "ascending";
    for (const other of cell.parentNode.cells) other.removeAttribute("aria-sort");
    cell.setAttribute("aria-sort", down ? "descending" : "ascending");
    const value = row => row.cells[cell.cellIndex].dataset.v ?? row.cells[cell.cellIndex].textContent.trim();
    const rows = [...body.rows].sort((a, b) =>
      value(a).localeCompare(value(b), undefined, {numeric: true}));
    if (cell.classList.contains("n"))
      rows.sort((a, b) => (parseFloat(value(a)) || 0) - (parseFloat(value(b)) || 0));
    if (down) rows.reverse();
    body.append(...rows);
  };
  cell.addEventListener("click", sort);
  cell.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
}
