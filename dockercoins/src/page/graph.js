"use strict";

// The graph of the hash rate: draws points {at, each, mean, found} as SVG, `at` in seconds. A point
// whose rates are null ends a line: before it, or at it, something was not known.
class Graph {
  static SECONDS = 250;
  static MARGIN = {top: 14, right: 10, bottom: 26, left: 36};

  constructor(box) {
    this.box = box;
    this.points = [];
    this.svg = box.appendChild(Graph.element("svg", {role: "img"}));
    this.note = box.appendChild(document.createElement("div"));
    this.note.className = "note";
    this.note.hidden = true;
    this.pointerX = null;
    box.addEventListener("pointermove", event => {
      this.pointerX = event.clientX - box.getBoundingClientRect().left;
      this.drawNote();
    });
    box.addEventListener("pointerleave", () => {
      this.pointerX = null;
      this.drawNote();
    });
    new ResizeObserver(() => this.draw()).observe(box);
  }

  static element(name, attributes, text = "") {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.textContent = text;
    return element;
  }

  show(points) {
    this.points = points;
    this.draw();
  }

  draw() {
    const {clientWidth: width, clientHeight: height} = this.box;
    const {top, right, bottom, left} = Graph.MARGIN;
    const end = this.points.at(-1)?.at ?? 0;
    // By the mean: one second's lump would squeeze all the rest. What is above it is cut off.
    const {step, most} = Graph.scale(Math.max(4, ...this.points.map(point => (point.mean ?? 0) * 1.2)));
    this.x = at => width - right - (end - at) / Graph.SECONDS * (width - left - right);
    this.y = rate => height - bottom - Math.min(rate / most, 1) * (height - top - bottom);

    const drawn = [];
    const add = (name, attributes, text) => drawn.push(Graph.element(name, attributes, text));
    for (let rate = 0; rate <= most + step / 2; rate += step) {
      const y = Math.round(this.y(rate)) + 0.5;
      add("line", {class: "grid", x1: left, x2: width - right, y1: y, y2: y});
      add("text", {x: left - 8, y: y + 4, "text-anchor": "end"}, String(+rate.toFixed(1)));
    }
    for (let ago = 0; ago < Graph.SECONDS; ago += 60) {
      const anchor = ago ? "middle" : "end";
      const label = !ago ? "now" : width < 480 ? `−${ago / 60} min` : `${ago / 60} min ago`;
      add("text", {x: this.x(end - ago), y: height - 6, "text-anchor": anchor}, label);
    }
    for (const line of this.lines()) {
      const path = key => line.map((p, i) => `${i ? "L" : "M"}${this.x(p.at)} ${this.y(p[key])}`).join("");
      const [first, last] = [line[0], line.at(-1)];
      add("path", {class: "under", d: `${path("mean")}L${this.x(last.at)} ${this.y(0)}H${this.x(first.at)}Z`});
      add("path", {class: "each", d: path("each")});
      add("path", {class: "mean", d: path("mean")});
    }
    for (const point of this.points.filter(point => point.found > 0)) {
      add("circle", {class: "found", cx: this.x(point.at), cy: this.y(0), r: point.found > 1 ? 4 : 3});
    }
    this.svg.replaceChildren(...drawn);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const now = this.points.at(-1)?.mean;
    this.svg.setAttribute("aria-label", `Hash rate over the last ${Graph.SECONDS} seconds` +
      (now == null ? "" : `, now ${now.toFixed(1)} hashes per second`));
    this.drawNote();
  }

  // The runs of points whose rates are known.
  lines() {
    const lines = [[]];
    for (const point of this.points) {
      if (point.mean === null) lines.push([]);
      else lines.at(-1).push(point);
    }
    return lines.filter(line => line.length);
  }

  // The point under the pointer, in words.
  drawNote() {
    for (const mark of this.svg.querySelectorAll(".rule, .here")) mark.remove();
    const known = this.points.filter(point => point.mean !== null);
    this.note.hidden = this.pointerX === null || !known.length;
    if (this.note.hidden) return;
    const distance = point => Math.abs(this.x(point.at) - this.pointerX);
    const point = known.reduce((a, b) => distance(b) < distance(a) ? b : a);
    const [x, y] = [this.x(point.at), this.y(point.mean)];
    this.svg.append(
      Graph.element("line", {class: "rule", x1: x, x2: x, y1: this.y(0), y2: Graph.MARGIN.top}),
      Graph.element("circle", {class: "here", cx: x, cy: y, r: 5}),
    );
    const coins = point.found === 1 ? "1 coin found" : `${point.found} coins found`;
    this.note.textContent = `${new Date(point.at * 1000).toLocaleTimeString()}\n` +
      `${point.mean.toFixed(1)} hashes/s\n${point.each.toFixed(1)} this second` +
      (point.found > 0 ? `\n${coins}` : "");
    const {offsetWidth} = this.note;
    const beside = x + 12 + offsetWidth > this.box.clientWidth ? x - 12 - offsetWidth : x + 12;
    this.note.style.left = `${Math.max(0, beside)}px`;
  }

  // A round step and a round end for an axis from 0 to at least `value`, with about five steps.
  static scale(value) {
    const unit = 10 ** Math.floor(Math.log10(value / 5));
    const step = unit * [1, 2, 5, 10].find(factor => factor * unit * 5 >= value);
    return {step, most: Math.ceil(value / step) * step};
  }
}
