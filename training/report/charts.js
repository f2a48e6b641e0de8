"use strict";
// Curves, histograms and the rank plot: SVG as wide as its place, with a read-out that pointer and
// arrow keys move. Curves of the log share one read-out position. Also which translations are shown.

const report = JSON.parse(document.getElementById("data").textContent);
const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
const AXES = { step: "step", minutes: "minutes", tokens: "tokens" };
const MARGIN = { left: 46, right: 14, top: 8, bottom: 34 };
const HEIGHT = 230;

function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function html(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function ticks(low, high, count) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= rough * 0.999);
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9) || 0; i * step <= high + step * 1e-9; i++) found.push(i * step);
  return found;
}

function powers(low, high) {
  const found = [];
  for (let power = 1; power <= high * 1.001; power *= 10) if (power >= low * 0.999) found.push(power);
  return found;
}

function scale(isLog, low, high, from, to) {
  const f = isLog ? Math.log10 : (x) => x;
  const span = f(high) - f(low) || 1;
  return (value) => from + ((f(value) - f(low)) / span) * (to - from);
}

class Chart {
  constructor(figure, spec) {
    this.figure = figure;
    this.spec = spec;
    this.plot = figure.querySelector(".plot");
    this.readout = figure.querySelector(".readout");
    this.isLog = spec.kind === "ranks";
    this.isHistogram = spec.kind === "histogram";
    this.peers = [this];
  }

  draw(axis, x) {
    this.axis = axis;
    this.x = x;
    this.width = Math.max(240, this.plot.clientWidth);
    this.setScales();
    this.cursor = svg("g");
    this.root = svg("svg", {
      viewBox: `0 0 ${this.width} ${HEIGHT}`, tabindex: 0, role: "slider", "aria-valuemin": 0,
      "aria-valuemax": x.length - 1, "aria-labelledby": `chart-${this.figure.dataset.chart}`,
    }, this.drawAxes(), ...this.spec.series.map((series, i) => this.drawSeries(series, i)), this.cursor);
    this.plot.replaceChildren(this.root);
    this.listen();
    this.show(this.home());
  }

  setScales() {
    const values = this.spec.series.flatMap((series) => series.values).filter((v) => v !== null);
    const xs = this.x.filter((v) => v !== null);
    const binWidth = this.isHistogram && xs.length > 1 ? xs[1] - xs[0] : this.isHistogram ? 1 : 0;
    let [left, right] = [this.isLog ? 1 : Math.min(0, ...xs), Math.max(...xs) + binWidth];
    if (right <= left) right = left + 1;
    let low = this.isLog || this.spec.fromZero || this.isHistogram ? 0 : Math.min(...values);
    let high = Math.max(...values);
    if (this.isLog) [low, high] = [1, Math.max(10, high)];
    else [low, high] = this.padded(low, high);
    this.domain = { left, right, low, high };
    this.toX = scale(this.isLog, left, right, MARGIN.left, this.width - MARGIN.right);
    this.toY = scale(this.isLog, low, high, HEIGHT - MARGIN.bottom, MARGIN.top);
    this.binWidth = binWidth;
  }

  padded(low, high) {
    const gap = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
    return [low === 0 ? 0 : Math.max(low > 0 ? 0 : -Infinity, low - gap), high + gap];
  }

  drawAxes() {
    const { left, right, low, high } = this.domain;
    const group = svg("g", { class: "axis", "aria-hidden": "true" });
    const bottom = HEIGHT - MARGIN.bottom;
    for (const value of this.isLog ? powers(low, high) : ticks(low, high, 4)) {
      const y = this.toY(value);
      group.append(svg("line", { class: "grid", x1: MARGIN.left, x2: this.width - MARGIN.right, y1: y, y2: y }));
      group.append(svg("text", { x: MARGIN.left - 8, y: y + 4, "text-anchor": "end" }, this.tick(value)));
    }
    for (const value of this.isLog ? powers(left, right) : ticks(left, right, this.width / 110)) {
      group.append(svg("text", { x: this.toX(value), y: bottom + 17, "text-anchor": "middle" }, short.format(value)));
    }
    const title = { x: this.width - MARGIN.right, y: HEIGHT - 3, "text-anchor": "end" };
    group.append(svg("text", title, this.spec.kind ? this.axis : `${this.axis}${this.axis === "step" ? "s" : ""}`));
    return group;
  }

  tick(value) {
    if (this.isHistogram) return `${plain.format(+(value * 100).toFixed(6))}\u00a0%`;
    const isSmall = value !== 0 && Math.abs(value) < 0.01;
    return isSmall ? value.toExponential(1).replace(".0e", "e") : short.format(value);
  }

  drawSeries(series, index) {
    const group = svg("g", { "aria-hidden": "true" });
    const path = this.isHistogram ? this.stepPath(series.values) : this.linePath(series.values);
    if (this.isHistogram) {
      const base = `V${this.toY(0)}H${this.toX(this.x[0])}Z`;
      group.append(svg("path", { class: `area s${index % 6}`, d: path + base }));
    }
    group.append(svg("path", { class: `line s${index % 6}`, d: path }));
    const points = series.values.filter((v) => v !== null).length;
    if (!this.spec.kind && points <= 60) {
      series.values.forEach((v, i) => this.isThere(v, i) && group.append(this.dot(i, v, index, 2.5)));
    }
    return group;
  }

  isThere(value, i) {
    return value !== null && this.x[i] !== null && !(this.isLog && value <= 0);
  }

  linePath(values) {
    let path = "";
    let isDown = false;
    values.forEach((value, i) => {
      if (!this.isThere(value, i)) { isDown = false; return; }
      path += `${isDown ? "L" : "M"}${this.toX(this.x[i]).toFixed(1)} ${this.toY(value).toFixed(1)}`;
      isDown = true;
    });
    return path;
  }

  stepPath(values) {
    let path = `M${this.toX(this.x[0])} ${this.toY(0)}`;
    values.forEach((value, i) => {
      path += `V${this.toY(value).toFixed(1)}H${this.toX(this.x[i] + this.binWidth).toFixed(1)}`;
    });
    return path;
  }

  dot(i, value, index, radius) {
    const x = this.x[i] + this.binWidth / 2;
    return svg("circle", { class: `dot s${index % 6}`, cx: this.toX(x), cy: this.toY(value), r: radius });
  }

  home() {
    return this.isHistogram ? -1 : this.isLog ? 0 : this.x.length - 1;
  }

  listen() {
    const all = (index) => this.peers.forEach((chart) => chart.show(index));
    this.root.addEventListener("pointermove", (event) => all(this.nearest(event)));
    this.root.addEventListener("pointerdown", (event) => all(this.nearest(event)));
    this.root.addEventListener("pointerleave", () => all(this.home()));
    this.root.addEventListener("keydown", (event) => {
      const last = this.x.length - 1;
      const now = this.index < 0 ? 0 : this.index;
      const goals = { ArrowLeft: now - 1, ArrowDown: now - 1, ArrowRight: now + 1, ArrowUp: now + 1, Home: 0, End: last };
      if (!(event.key in goals)) return;
      event.preventDefault();
      all(Math.min(last, Math.max(0, goals[event.key])));
    });
  }

  nearest(event) {
    const box = this.root.getBoundingClientRect();
    const at = ((event.clientX - box.left) / box.width) * this.width;
    const distance = (x) => (x === null ? Infinity : Math.abs(this.toX(x + this.binWidth / 2) - at));
    return this.x.reduce((best, x, i) => (distance(x) < distance(this.x[best]) ? i : best), 0);
  }

  show(index) {
    this.index = index;
    const isThere = index >= 0 && this.x[index] !== null;
    this.cursor.replaceChildren();
    if (isThere) {
      const x = this.toX(this.x[index] + this.binWidth / 2);
      this.cursor.append(svg("line", { class: "cursor", x1: x, x2: x, y1: MARGIN.top, y2: HEIGHT - MARGIN.bottom }));
      this.spec.series.forEach((series, i) => {
        if (this.isThere(series.values[index], index)) this.cursor.append(this.dot(index, series.values[index], i, 4.5));
      });
    }
    const parts = this.spec.series.map((series) => [series.name, this.reading(series, index)]);
    const at = isThere ? this.position(index) : "";
    this.readout.replaceChildren(...parts.map(([name, value], i) => key(name, value, i)), html("span", { class: "at" }, at));
    this.root.setAttribute("aria-valuenow", Math.max(0, index));
    this.root.setAttribute("aria-valuetext", `${at}: ${parts.map((part) => part.join(" ")).join(", ")}`);
  }

  reading(series, index) {
    if (index < 0) return series.note || "";
    const value = series.values[index];
    if (value === null) return "–";
    return this.isHistogram ? `${(value * 100).toFixed(1)}\u00a0%` : plain.format(value);
  }

  position(index) {
    const x = this.x[index];
    if (this.isLog) return `rank ${plain.format(x)}: “${this.spec.labels[index]}”`;
    if (!this.isHistogram) return this.axis === "step" ? `step ${plain.format(x)}` : `${plain.format(x)} ${this.axis}`;
    if (index === this.x.length - 1) return `${x} pieces or more`;
    return this.binWidth > 1 ? `${x} to ${x + this.binWidth - 1} pieces` : `${x} pieces`;
  }
}

function key(name, value, index) {
  const line = svg("svg", { viewBox: "0 0 28 12", "aria-hidden": "true" }, svg("line", { class: `line s${index % 6}`, x1: 1, x2: 27, y1: 7, y2: 7 }));
  return html("span", {}, line, `${name} `, html("b", {}, value));
}

const figures = [...document.querySelectorAll("figure[data-chart]")];
const charts = figures.map((figure) => new Chart(figure, report.charts[figure.dataset.chart]));
const curves = charts.filter((chart) => !chart.spec.kind);
for (const chart of curves) chart.peers = curves;

function drawCharts() {
  const chosen = document.querySelector("input[name=axis]:checked");
  const axis = chosen ? chosen.value : "step";
  for (const chart of charts) {
    const title = { ranks: "rank of the piece", histogram: "pieces in a sentence" }[chart.spec.kind];
    chart.draw(title || AXES[axis], chart.spec.x || report.axes[axis]);
  }
}

drawCharts();
for (const input of document.querySelectorAll("input[name=axis]")) input.addEventListener("change", drawCharts);
let drawnWidth = window.innerWidth;
window.addEventListener("resize", () => {
  if (window.innerWidth === drawnWidth) return;
  drawnWidth = window.innerWidth;
  drawCharts();
});

function chooseDirection() {
  const chosen = document.querySelector("input[name=direction]:checked");
  if (!chosen) return;
  for (const row of document.querySelectorAll("tr[data-direction]")) {
    row.hidden = chosen.value !== "" && row.dataset.direction !== chosen.value;
  }
}

chooseDirection();
for (const input of document.querySelectorAll("input[name=direction]")) input.addEventListener("change", chooseDirection);
