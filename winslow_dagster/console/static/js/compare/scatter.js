// Two columns against each other: each run is a point. A rectangle lights the runs within it.
import { onDrag, Rows, scaleOf, shown, svg } from "./drawing.js";

const LEFT = 64, RIGHT = 24, TOP = 24, BOTTOM = 52, HEIGHT = 380, INSET = 14, SMALLEST = 3, RADIUS = 9;

class ScatterView extends HTMLElement {
  connectedCallback() {
    const { axes, runs } = JSON.parse(this.dataset.drawing);
    this.axes = axes.map((axis, place) => ({ ...axis, ...scaleOf(axis, runs.map((run) => run.values[place])) }));
    this.runs = runs.filter((run) => run.values.every((value) => value !== null));
    this.rows = new Rows(this);
    this.replaceChildren();
    this.observer = new ResizeObserver(() => this.#draw());
    this.observer.observe(this);
  }

  disconnectedCallback() { this.observer.disconnect(); }

  #draw() {
    const width = this.clientWidth;
    if (width === this.width) return;
    this.width = width;
    const [across, up] = this.axes;
    const x = (part) => LEFT + INSET + part * (width - LEFT - RIGHT - 2 * INSET), y = (part) => HEIGHT - BOTTOM - INSET - part * (HEIGHT - TOP - BOTTOM - 2 * INSET);
    const image = svg("svg", { width, height: HEIGHT, role: "group", "aria-label": `${up.name} over ${across.name} of ${this.runs.length} runs` });
    image.append(svg("rect", { x: LEFT, y: TOP, width: width - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM, class: "area" }));
    for (const tick of across.ticks) image.append(svg("text", { x: x(across.place(tick)), y: HEIGHT - BOTTOM + 18, class: "tick", "text-anchor": "middle" }, shown(tick)));
    for (const tick of up.ticks) image.append(svg("text", { x: LEFT - 8, y: y(up.place(tick)) + 4, class: "tick", "text-anchor": "end" }, shown(tick)));
    image.append(svg("text", { x: LEFT + (width - LEFT - RIGHT) / 2, y: HEIGHT - 12, class: "name", "text-anchor": "middle" }, across.name));
    image.append(svg("text", { x: LEFT, y: TOP - 8, class: "name" }, up.name));
    this.brush = svg("rect", { class: "brush", width: 0, height: 0 });
    image.append(this.brush);
    this.points = new Map();
    for (const run of this.runs) {
      const [px, py] = [x(across.place(run.values[0])), y(up.place(run.values[1]))];
      const link = svg("a", { href: run.path, class: `point c${run.colour}`, "aria-label": `${run.letter}, ${run.name}: ${across.name} ${shown(run.values[0])}, ${up.name} ${shown(run.values[1])}` });
      link.append(svg("circle", { cx: px, cy: py, r: RADIUS }), svg("text", { x: px, y: py + 4, "text-anchor": "middle" }, run.letter), svg("title", {}, `${run.name}: ${shown(run.values[0])}, ${shown(run.values[1])}`));
      for (const [name, lit] of [["pointerenter", run.letter], ["pointerleave", null], ["focus", run.letter], ["blur", null]]) link.addEventListener(name, () => this.light(lit));
      this.points.set(run.letter, { link, px, py });
      image.append(link);
    }
    onDrag(image, (from, to) => this.#choose(from, to));
    this.replaceChildren(image);
    this.rows.choose(null);
  }

  #choose([x1, y1], [x2, y2]) {
    const [left, right] = [Math.min(x1, x2), Math.max(x1, x2)], [top, bottom] = [Math.min(y1, y2), Math.max(y1, y2)];
    const drawn = right - left >= SMALLEST && bottom - top >= SMALLEST;
    for (const [name, value] of Object.entries({ x: left, y: top, width: drawn ? right - left : 0, height: drawn ? bottom - top : 0 })) this.brush.setAttribute(name, value);
    const within = ({ px, py }) => px >= left && px <= right && py >= top && py <= bottom;
    const chosen = drawn ? new Set([...this.points].filter(([, point]) => within(point)).map(([letter]) => letter)) : null;
    for (const [letter, { link }] of this.points) link.classList.toggle("dim", chosen !== null && !chosen.has(letter));
    this.rows.choose(chosen);
  }

  light(lit) {
    for (const [letter, { link }] of this.points ?? []) link.classList.toggle("lit", letter === lit);
    this.rows.light(lit);
  }
}

customElements.define("scatter-view", ScatterView);
