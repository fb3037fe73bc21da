// Parallel coordinates: each run is a line over all axes. A range on an axis lights the runs that are within it.
import { onDrag, Rows, scaleOf, shown, svg } from "./drawing.js";

const TOP = 44, BOTTOM = 28, HEIGHT = 340, SIDE = 56, LEAST_WIDTH = 110, SMALLEST = 3;

class ParallelView extends HTMLElement {
  connectedCallback() {
    const { axes, runs } = JSON.parse(this.dataset.drawing);
    this.axes = axes.map((axis, place) => ({ ...axis, ...scaleOf(axis, runs.map((run) => run.values[place])), range: null }));
    this.runs = runs;
    this.rows = new Rows(this);
    this.replaceChildren();
    this.scroll = document.createElement("div");
    this.scroll.className = "scroll";
    this.scroll.tabIndex = 0;
    this.scroll.setAttribute("role", "region");
    this.scroll.setAttribute("aria-label", "Parallel coordinates");
    this.append(this.scroll, this.#fields());
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this.scroll);
  }

  disconnectedCallback() { this.observer.disconnect(); }

  // The ranges as fields: for the keyboard, and to be exact.
  #fields() {
    const details = document.createElement("details");
    const summary = document.createElement("summary");
    summary.textContent = "Ranges";
    const list = document.createElement("div");
    list.className = "ranges";
    for (const axis of this.axes.filter((each) => each.numeric)) {
      const group = document.createElement("fieldset");
      const legend = document.createElement("legend");
      legend.textContent = axis.name;
      axis.inputs = ["from", "to"].map((name) => {
        const input = document.createElement("input");
        input.type = "number";
        input.step = "any";
        input.setAttribute("aria-label", `${axis.name} ${name}`);
        input.placeholder = name;
        input.addEventListener("input", () => this.#typed(axis));
        return input;
      });
      group.append(legend, ...axis.inputs);
      list.append(group);
    }
    const clear = document.createElement("button");
    clear.type = "button";
    clear.textContent = "Clear the ranges";
    clear.addEventListener("click", () => { for (const axis of this.axes) this.#range(axis, null); });
    list.append(clear);
    details.append(summary, list);
    return details;
  }

  #typed(axis) {
    const [low, high] = axis.inputs.map((input) => (input.value === "" ? null : axis.place(Number(input.value))));
    axis.range = low === null && high === null ? null : [low ?? -Infinity, high ?? Infinity];
    this.#choose();
  }

  // In parts of the axis, from 0 at its lower end to 1.
  #range(axis, range) {
    axis.range = range;
    if (axis.inputs) {
      const [low, high] = [axis.ticks[0], axis.ticks.at(-1)];
      axis.inputs.forEach((input, end) => { input.value = range ? Number((low + range[end] * (high - low)).toPrecision(4)) : ""; });
    }
    this.#choose();
  }

  #draw() {
    const width = Math.max(this.scroll.clientWidth, (this.axes.length - 1) * LEAST_WIDTH + 2 * SIDE);
    const step = (width - 2 * SIDE) / (this.axes.length - 1);
    this.placeOf = (part) => TOP + (1 - part) * (HEIGHT - TOP - BOTTOM);
    const image = svg("svg", { width, height: HEIGHT, role: "img", "aria-label": `${this.runs.length} runs over ${this.axes.map((axis) => axis.name).join(", ")}` });
    this.lines = new Map();
    for (const run of this.runs) {
      const points = this.axes.map((axis, place) => [SIDE + place * step, axis.place(run.values[place])]).filter(([, part]) => part !== null);
      const path = points.map(([x, part], place) => `${place ? "L" : "M"}${x.toFixed(1)} ${this.placeOf(part).toFixed(1)}`).join("");
      const line = svg("path", { d: path, class: `run c${run.colour}` });
      line.append(svg("title", {}, `${run.letter}: ${run.name}`));
      line.addEventListener("pointerenter", () => this.light(run.letter));
      line.addEventListener("pointerleave", () => this.light(null));
      this.lines.set(run.letter, line);
      image.append(line);
    }
    this.axes.forEach((axis, place) => image.append(this.#axis(axis, SIDE + place * step, step, place)));
    this.scroll.replaceChildren(image);
    this.#choose();
  }

  #axis(axis, x, step, place) {
    const group = svg("g", { class: "axis", transform: `translate(${x.toFixed(1)} 0)` });
    group.append(svg("line", { y1: TOP, y2: HEIGHT - BOTTOM }));
    const most = Math.floor(Math.max(step, LEAST_WIDTH) / 7.5);
    const name = svg("text", { y: TOP - 22, class: "name", "text-anchor": "middle" }, axis.name.length > most ? `${axis.name.slice(0, most - 1)}…` : axis.name);
    name.append(svg("title", {}, axis.name));
    group.append(name);
    const last = place === this.axes.length - 1;
    for (const tick of axis.ticks) {
      const text = shown(tick);
      group.append(svg("text", { x: last ? -6 : 6, y: this.placeOf(axis.place(tick)) + 4, class: "tick", "text-anchor": last ? "end" : "start" }, text.length > 14 ? `${text.slice(0, 13)}…` : text));
    }
    axis.brush = svg("rect", { x: -8, width: 16, class: "brush", y: TOP, height: 0 });
    const area = svg("rect", { x: -16, y: TOP - 8, width: 32, height: HEIGHT - TOP - BOTTOM + 16, class: "grip" });
    group.append(axis.brush, area);
    onDrag(area, ([, from], [, to]) => {
      const part = (y) => Math.min(1, Math.max(0, 1 - (y - 8) / (HEIGHT - TOP - BOTTOM)));
      this.#range(axis, Math.abs(from - to) < SMALLEST ? null : [part(Math.max(from, to)), part(Math.min(from, to))]);
    });
    return group;
  }

  #choose() {
    const ranged = this.axes.some((axis) => axis.range);
    const within = (run) => this.axes.every((axis, place) => {
      const part = axis.place(run.values[place]);
      return !axis.range || (part !== null && part >= axis.range[0] - 1e-9 && part <= axis.range[1] + 1e-9);
    });
    const chosen = ranged ? new Set(this.runs.filter(within).map((run) => run.letter)) : null;
    for (const [letter, line] of this.lines ?? []) line.classList.toggle("dim", chosen !== null && !chosen.has(letter));
    for (const axis of this.axes) {
      if (!axis.brush) continue;
      const [low, high] = (axis.range ?? [0, 0]).map((part) => this.placeOf(Math.min(1, Math.max(0, part))));
      axis.brush.setAttribute("y", high);
      axis.brush.setAttribute("height", axis.range ? Math.max(1, low - high) : 0);
    }
    this.rows.choose(chosen);
  }

  light(lit) {
    for (const [letter, line] of this.lines ?? []) line.classList.toggle("lit", letter === lit);
    this.rows.light(lit);
  }
}

customElements.define("parallel-view", ParallelView);
