"use strict";
// Attention maps: small multiples on canvases, one enlarged with its pieces in a dialog.

const KINDS = [
  { name: "encoder", title: "Encoder self-attention", about: "each source piece over the source" },
  { name: "cross", title: "Cross-attention", about: "each written piece over the source" },
  { name: "decoder", title: "Decoder self-attention", about: "each piece read over those before it" },
];

function opacity(thousandths) {
  return Math.pow(thousandths / 1000, 0.6);
}

function sides(sample, kind) {
  const read = sample.target_pieces.slice(0, -1);
  const written = sample.target_pieces.slice(1);
  if (kind === "encoder") return { rows: sample.source_pieces, columns: sample.source_pieces };
  if (kind === "cross") return { rows: written, columns: sample.source_pieces };
  return { rows: read, columns: read };
}

function paint(canvas, weights, numRows, numColumns) {
  canvas.width = numColumns;
  canvas.height = numRows;
  const context = canvas.getContext("2d");
  const colour = getComputedStyle(document.documentElement).getPropertyValue("--map").trim();
  weights.forEach((weight, i) => {
    if (weight === 0) return;
    context.fillStyle = `rgb(${colour} / ${opacity(weight)})`;
    context.fillRect(i % numColumns, Math.floor(i / numColumns), 1, 1);
  });
}

const maps = document.getElementById("maps");
const chooser = document.getElementById("sentence");
const dialog = document.getElementById("map");
const shown = { sample: null, places: [], at: 0, row: 0, column: 0 };

function drawMaps() {
  const sample = report.attention[Number(chooser.value)];
  shown.sample = sample;
  shown.places = [];
  const target = html("span", { lang: sample.direction[1], dir: "auto" }, sample.translation || "(nothing)");
  const source = html("span", { lang: sample.direction[0], dir: "auto" }, sample.source);
  const kinds = html("div", { class: "kinds" }, ...KINDS.map((kind) => drawKind(sample, kind)));
  kinds.style.setProperty("--heads", sample.encoder[0].length);
  maps.replaceChildren(html("p", { class: "pieceline" }, source, " → ", target), kinds);
}

function drawKind(sample, kind) {
  const layers = sample[kind.name];
  const { rows, columns } = sides(sample, kind.name);
  const grid = html("div", { class: "maps" });
  grid.append(html("span", { class: "head" }), ...layers[0].map((_, h) => html("span", { class: "name head" }, `head ${h + 1}`)));
  layers.forEach((heads, l) => {
    grid.append(html("span", { class: "name" }, `layer ${l + 1}`));
    heads.forEach((weights, h) => {
      const place = { kind, l, h, weights, rows, columns };
      const at = shown.places.push(place) - 1;
      const canvas = html("canvas", { "aria-hidden": "true" });
      canvas.style.aspectRatio = Math.max(0.75, columns.length / rows.length);
      paint(canvas, weights, rows.length, columns.length);
      const button = html("button", { type: "button", "aria-label": `${title(place)}: enlarge` }, canvas);
      button.addEventListener("click", () => enlarge(at));
      grid.append(button);
    });
  });
  const heading = html("h3", {}, `${kind.title} `, html("small", {}, kind.about));
  return html("div", { class: "kind" }, heading, grid);
}

function title(place) {
  return `${place.kind.title}, layer ${place.l + 1}, head ${place.h + 1}`;
}

function enlarge(at) {
  shown.at = (at + shown.places.length) % shown.places.length;
  const place = shown.places[shown.at];
  document.getElementById("map-title").textContent = title(place);
  const isNew = !dialog.open;
  if (isNew) dialog.showModal();
  [shown.row, shown.column] = [0, strongest(place, 0)];
  drawMatrix(place);
  if (isNew) document.querySelector("#matrix svg").focus();
  const items = place.rows.map((_, row) => html("li", {}, describe(place, row, strongest(place, row))));
  document.getElementById("strongest").replaceChildren(...items);
}

function strongest(place, row) {
  const weights = place.weights.slice(row * place.columns.length, (row + 1) * place.columns.length);
  return weights.indexOf(Math.max(...weights));
}

function describe(place, row, column) {
  const percent = (place.weights[row * place.columns.length + column] / 10).toFixed(1);
  const link = `${place.rows[row]} ← ${place.columns[column]}  ${percent}\u00a0%`;
  if (place.kind.name !== "cross") return link;
  return `after ${shown.sample.target_pieces[row]}, to write ${link}`;
}

function drawMatrix(place) {
  const { rows, columns, weights } = place;
  const longest = (pieces) => Math.max(...pieces.map((piece) => piece.length));
  const left = Math.min(130, 12 + 7.4 * longest(rows));
  const top = Math.min(110, 14 + 6.2 * longest(columns));
  const matrix = document.getElementById("matrix");
  const room = matrix.clientWidth - left - 24;
  const size = Math.min(30, Math.max(14, Math.floor(room / columns.length)));
  const [width, height] = [left + size * columns.length + 24, top + size * rows.length + 4];
  const root = svg("svg", { width, height, tabindex: 0, role: "application", "aria-label": `${title(place)}. Arrow keys move from cell to cell.` });
  rows.forEach((piece, i) => root.append(svg("text", { class: "label row", x: left - 6, y: top + size * (i + 0.5) + 4, "text-anchor": "end" }, piece)));
  columns.forEach((piece, i) => {
    const [x, y] = [left + size * (i + 0.5) + 4, top - 6];
    root.append(svg("text", { class: "label column", x, y, transform: `rotate(${size < 20 ? -75 : -55} ${x} ${y})` }, piece));
  });
  weights.forEach((weight, i) => {
    const [x, y] = [left + size * (i % columns.length), top + size * Math.floor(i / columns.length)];
    if (weight) root.append(svg("rect", { class: "weight", x, y, width: size, height: size, "fill-opacity": opacity(weight).toFixed(3) }));
  });
  root.append(svg("rect", { class: "frame", x: left, y: top, width: size * columns.length, height: size * rows.length }));
  const pick = svg("rect", { class: "pick", width: size, height: size });
  root.append(pick);
  matrix.replaceChildren(root);
  listenToMatrix(place, root, pick, { left, top, size });
}

function listenToMatrix(place, root, pick, { left, top, size }) {
  const choose = (row, column) => {
    [shown.row, shown.column] = [Math.min(place.rows.length - 1, Math.max(0, row)), Math.min(place.columns.length - 1, Math.max(0, column))];
    pick.setAttribute("x", left + size * shown.column);
    pick.setAttribute("y", top + size * shown.row);
    root.querySelectorAll(".row").forEach((label, i) => label.classList.toggle("on", i === shown.row));
    root.querySelectorAll(".column").forEach((label, i) => label.classList.toggle("on", i === shown.column));
    document.getElementById("cell").textContent = describe(place, shown.row, shown.column);
  };
  const follow = (event) => {
    const box = root.getBoundingClientRect();
    choose(Math.floor((event.clientY - box.top - top) / size), Math.floor((event.clientX - box.left - left) / size));
  };
  root.addEventListener("pointermove", follow);
  root.addEventListener("pointerdown", follow);
  root.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
    if (!(event.key in moves)) return;
    event.preventDefault();
    choose(shown.row + moves[event.key][0], shown.column + moves[event.key][1]);
  });
  choose(shown.row, shown.column);
}

if (chooser) {
  drawMaps();
  chooser.addEventListener("change", drawMaps);
  document.getElementById("previous").addEventListener("click", () => enlarge(shown.at - 1));
  document.getElementById("next").addEventListener("click", () => enlarge(shown.at + 1));
  document.getElementById("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawMaps);
}
