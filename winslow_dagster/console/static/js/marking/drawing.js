// Draws the marks over the picture, at the size of the screen, and says what is under the pointer.
const SVG = "http://www.w3.org/2000/svg";
export const REACH_PX = 11;

function element(name, attributes, parent) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  parent?.append(made);
  return made;
}

export class Drawing {
  constructor(svg, view, marks) {
    this.svg = svg;
    this.view = view;
    this.marks = marks;
    this.doubted = new Map();
    this.proposed = [];
    this.shown = new Set();
  }

  // From the picture to the window: the view only moves and enlarges it.
  #scale() {
    const origin = this.view.toPicture(0, 0), far = this.view.toPicture(1000, 1000);
    const box = this.svg.getBoundingClientRect();
    const kx = 1000 / (far.x - origin.x), ky = 1000 / (far.y - origin.y);
    return ({ x, y }) => ({ x: (x - origin.x) * kx - box.left, y: (y - origin.y) * ky - box.top });
  }

  toClient(point) {
    const box = this.svg.getBoundingClientRect(), { x, y } = this.#scale()(point);
    return { x: x + box.left, y: y + box.top };
  }

  // The nearest point of the shown fields within reach of a place in the window; of the active field first.
  hit(clientX, clientY) {
    const box = this.svg.getBoundingClientRect(), toScreen = this.#scale();
    let best = null;
    for (const name of this.shown) {
      for (const { at, value } of this.marks.points(name)) {
        if (value.x === null) continue;
        const { x, y } = toScreen(value);
        const distance = Math.hypot(x - (clientX - box.left), y - (clientY - box.top)) + (name === this.marks.active ? 0 : REACH_PX / 2);
        if (distance <= REACH_PX && (!best || distance < best.distance)) best = { at, distance };
      }
    }
    return best?.at ?? null;
  }

  draw() {
    const toScreen = this.#scale(), { marks } = this;
    const drawn = document.createDocumentFragment();
    for (const point of this.proposed) {
      const { x, y } = toScreen(point);
      element("circle", { class: "proposed", cx: x, cy: y, r: 5 }, drawn);
    }
    for (const name of [...this.shown].sort((one) => (one === marks.active ? 1 : -1))) {
      const kind = marks.fields.get(name).kind, quiet = name === marks.active ? "" : " quiet";
      for (const [index, shape] of marks.shapes(name).entries()) {
        const places = shape.points.map((point) => (point.x === null ? null : toScreen(point)));
        if (kind !== "points" && places.length > 1) {
          const closed = kind === "polygon" && (shape.done || places.length > 2);
          const path = places.map(({ x, y }, order) => `${order ? "L" : "M"}${x} ${y}`).join("") + (closed ? "Z" : "");
          element("path", { class: `outline under${quiet}`, d: path }, drawn);
          element("path", { class: `outline${shape.done ? "" : " open"}${quiet}`, d: path }, drawn);
        }
        places.forEach((place, point) => {
          if (place) this.#mark({ field: name, shape: index, point }, place, kind, shape, quiet, drawn);
        });
      }
    }
    this.svg.replaceChildren(drawn);
  }

  #mark(at, { x, y }, kind, shape, quiet, drawn) {
    const { marks } = this, value = marks.point(at);
    const classes = ["mark", quiet, marks.isSelected(at) && "selected", this.doubted.get(at.field)?.has(this.number(at)) && "doubted",
      marks.hovered && at.field === marks.hovered.field && at.shape === marks.hovered.shape && at.point === marks.hovered.point && "hovered"];
    const group = element("g", { class: classes.filter(Boolean).join(" "), transform: `translate(${x} ${y})` }, drawn);
    // The middle stays free, so that the pixel itself is seen.
    const arms = kind === "points" ? "M-11 0H-3M3 0H11M0 -11V-3M0 3V11" : "M-4 -4H4V4H-4Z";
    element("path", { class: "under", d: arms }, group);
    element("path", { d: arms }, group);
    const label = kind === "points" ? value.label : at.point === 0 ? shape.label : null;
    if (label) {
      const text = element("text", { x: 9, y: -8 }, group);
      text.textContent = label.length > 24 ? `${label.slice(0, 23)}…` : label;
    }
  }

  // The number of a point through all shapes of its field, as judgements count them; those without a place count too.
  number({ field, shape, point }) {
    const before = this.marks.shapes(field).slice(0, shape).reduce((sum, each) => sum + each.points.length, 0);
    return before + point;
  }
}
