// What is marked, by field, with undo and redo. A state is never changed: each change makes a new one that shares the rest.
//   field -> { shapes: [{ label, done, points: [{ label, x, y, world }] }] }
// A points field has one shape. A point without x and y is known in the world and not placed on the picture yet.
const MOST_UNDONE = 500;

const empty = { shapes: [] };

export function round(value, digits) {
  const factor = 10 ** digits;
  return Math.round(value * factor) / factor;
}

export class Marks extends EventTarget {
  #undone = [];
  #done = [];
  #mergeKey = null;

  constructor(fields) {
    super();
    this.fields = new Map(fields.map((field) => [field.name, field]));
    this.sizes = new Map();
    this.state = new Map(fields.map((field) => [field.name, empty]));
    // Of each video the index of the frame that is marked.
    this.frames = new Map(fields.filter((field) => field.video).map((field) => [field.video, 0]));
    this.active = fields[0]?.name ?? null;
    this.selected = null;
    this.hovered = null;
  }

  get field() { return this.fields.get(this.active); }
  shapes(name = this.active) { return this.state.get(name).shapes; }
  point({ field, shape, point }) { return this.state.get(field)?.shapes[shape]?.points[point]; }
  // Every point of a field with where it is.
  *points(name = this.active) {
    for (const [shape, { points }] of this.shapes(name).entries())
      for (const [point, value] of points.entries()) yield { at: { field: name, shape, point }, value };
  }
  isSelected(at) { return same(this.selected, at); }

  #tell(kind) { this.dispatchEvent(new CustomEvent("marks", { detail: { kind } })); }

  #replace(name, shapes, mergeKey = null) {
    if (mergeKey === null || mergeKey !== this.#mergeKey) this.#undone.push(this.state);
    if (this.#undone.length > MOST_UNDONE) this.#undone.shift();
    this.#done = [];
    this.#mergeKey = mergeKey;
    this.state = new Map(this.state).set(name, { shapes });
    this.#tell("change");
  }

  // The next change is a step of its own for undo.
  endStep() { this.#mergeKey = null; }

  undo() { this.#step(this.#undone, this.#done); }
  redo() { this.#step(this.#done, this.#undone); }
  #step(from, to) {
    if (!from.length) return;
    to.push(this.state);
    this.state = from.pop();
    this.#mergeKey = null;
    if (this.selected && !this.point(this.selected)) this.selected = null;
    this.#tell("change");
  }

  frameOf(name = this.active) { return this.frames.get(this.fields.get(name)?.video) ?? null; }
  showFrame(index) {
    if (index === this.frameOf()) return;
    this.frames.set(this.field.video, index);
    this.#tell("change");
  }

  select(at) { this.selected = at; if (at) this.active = at.field; this.#mergeKey = null; this.#tell("select"); }
  hover(at) { if (!same(this.hovered, at)) { this.hovered = at; this.#tell("hover"); } }
  activate(name) { if (name !== this.active) { this.active = name; this.selected = null; this.#tell("activate"); } }

  #inside(x, y, name) {
    const size = this.sizes.get(name);
    const fit = (value, length) => Math.min(Math.max(value, 0), length ? length - 0.01 : Infinity);
    return { x: round(fit(x, size?.[0]), 3), y: round(fit(y, size?.[1]), 3) };
  }

  // Place the next point: one that is known in the world already, or a new one. Returns where it is, or why there is none.
  place(x, y) {
    const field = this.field, spot = this.#inside(x, y, field.name);
    if (field.kind !== "points") return this.#placeCorner(field, spot);
    const waiting = this.selected && this.point(this.selected)?.x === null ? this.selected
      : [...this.points()].find(({ value }) => value.x === null)?.at;
    if (waiting) {
      this.change(waiting, spot);
      this.select(waiting);
      return { at: waiting };
    }
    const points = this.shapes()[0]?.points ?? [];
    if (points.length >= field.max_count) return { refused: `At most ${field.max_count} points.` };
    const at = { field: field.name, shape: 0, point: points.length };
    this.#replace(field.name, [{ label: null, points: [...points, { label: this.nextLabel(), ...spot, world: null }] }]);
    this.select(at);
    return { at };
  }

  #placeCorner(field, spot) {
    const shapes = this.shapes();
    const last = shapes.at(-1);
    const corner = { label: null, ...spot, world: null };
    if (last && !last.done) {
      this.#replace(field.name, shapes.with(-1, { ...last, points: [...last.points, corner] }));
    } else if (shapes.length < field.max_count) {
      this.#replace(field.name, [...shapes, { label: this.nextLabel(), done: false, points: [corner] }]);
    } else {
      return { refused: `At most ${field.max_count}. Move its points, or delete it first.` };
    }
    const at = { field: field.name, shape: this.shapes().length - 1, point: this.shapes().at(-1).points.length - 1 };
    this.select(at);
    return { at };
  }

  // The last polygon or line is complete; the next point begins another.
  finish() {
    const last = this.shapes().at(-1);
    if (this.field.kind === "points" || !last || last.done || last.points.length < this.field.min_points) return false;
    this.#replace(this.active, this.shapes().with(-1, { ...last, done: true }));
    return true;
  }

  nextLabel() {
    const field = this.field;
    const used = new Set(field.kind === "points" ? [...this.points()].map(({ value }) => value.label)
      : this.shapes().map((shape) => shape.label));
    if (field.labels?.length) return field.labels.find((label) => !used.has(label)) ?? field.labels.at(-1);
    if (field.kind !== "points") return null;
    let number = used.size + 1;
    while (used.has(`P${number}`)) number += 1;
    return `P${number}`;
  }

  change(at, changed, mergeKey = null) {
    const shapes = this.shapes(at.field), shape = shapes[at.shape];
    const before = shape.points[at.point];
    const spot = changed.x == null ? {} : this.#inside(changed.x, changed.y ?? before.y, at.field);
    const points = shape.points.with(at.point, { ...before, ...changed, ...spot });
    this.#replace(at.field, shapes.with(at.shape, { ...shape, points }), mergeKey);
  }

  changeShape(name, index, changed) {
    const shapes = this.shapes(name);
    this.#replace(name, shapes.with(index, { ...shapes[index], ...changed }));
  }

  nudge(dx, dy) {
    const value = this.selected && this.point(this.selected);
    if (!value || value.x === null) return false;
    const { field, shape, point } = this.selected;
    this.change(this.selected, { x: value.x + dx, y: value.y + dy }, `nudge ${field} ${shape} ${point}`);
    return true;
  }

  remove(at = this.selected) {
    if (!at || !this.point(at)) return;
    const shapes = this.shapes(at.field), shape = shapes[at.shape];
    const points = shape.points.toSpliced(at.point, 1);
    const next = points.length || this.fields.get(at.field).kind === "points"
      ? shapes.with(at.shape, { ...shape, points }) : shapes.toSpliced(at.shape, 1);
    const follows = points.length ? { ...at, point: Math.min(at.point, points.length - 1) } : null;
    this.selected = follows;
    this.#replace(at.field, next);
  }

  clear(name) { this.selected = null; this.#replace(name, []); }

  // Points from a list: those whose label is there already get what is new about them.
  merge(name, incoming) {
    const field = this.fields.get(name);
    const points = [...(this.shapes(name)[0]?.points ?? [])];
    let next = 1;
    for (const each of incoming) {
      const index = each.label ? points.findIndex((point) => point.label === each.label) : -1;
      if (index >= 0) {
        points[index] = { ...points[index], ...Object.fromEntries(Object.entries(each).filter(([, value]) => value !== null)) };
        continue;
      }
      const used = new Set(points.map((point) => point.label));
      while (used.has(`P${next}`)) next += 1;
      const label = each.label ?? field.labels?.find((one) => !used.has(one)) ?? `P${next}`;
      const spot = each.x === null ? { x: null, y: null } : this.#inside(each.x, each.y, name);
      points.push({ label, world: each.world ?? null, ...spot });
    }
    this.#replace(name, [{ label: null, points: points.slice(0, field.max_count) }]);
  }

  // Values as an answer or a draft has them.
  load(values) {
    this.#undone.push(this.state);
    this.#mergeKey = null;
    const state = new Map(this.state);
    for (const [name, field] of this.fields) {
      const value = values[name];
      // A frame may be chosen before anything is marked on it.
      if (field.video && Number.isInteger(value?.frame)) this.frames.set(field.video, value.frame);
      if (!Array.isArray(value)) continue;
      if (field.video && Number.isInteger(value[0]?.frame)) this.frames.set(field.video, value[0].frame);
      const points = (list) => (Array.isArray(list) ? list : []).map((each) => ({
        label: each?.label ?? null, x: number(each?.x), y: number(each?.y),
        world: Array.isArray(each?.world) ? each.world : null,
      }));
      state.set(name, { shapes: field.kind === "points"
        ? (value.length ? [{ label: null, points: points(value) }] : [])
        : value.map((shape) => ({ label: shape?.label ?? null, done: shape?.done ?? true, points: points(shape?.points) })) });
    }
    this.state = state;
    this.selected = null;
    this.#tell("change");
  }

  // What a draft keeps of a field without marks: the frame that was chosen, if one was.
  chosenFrame(name) {
    const frame = this.frameOf(name);
    return frame ? { frame } : null;
  }

  // For a draft also what is not complete yet.
  value(name, { draft = false } = {}) {
    const shapes = this.shapes(name), frame = this.frameOf(name), on = frame === null ? {} : { frame };
    const corner = ({ x, y, world }) => ({ x, y, world: complete(world) || draft ? world : null });
    if (this.fields.get(name).kind === "points")
      return (shapes[0]?.points ?? []).filter(({ x }) => draft || x !== null)
        .map((point) => ({ ...(point.label ? { label: point.label } : {}), ...corner(point), ...on }));
    return shapes.map((shape) => ({
      ...(shape.label ? { label: shape.label } : {}), ...(draft ? { done: shape.done } : {}), points: shape.points.map(corner), ...on,
    }));
  }
}

export function complete(world) { return Array.isArray(world) && world.length === 2 && world.every((each) => typeof each === "number"); }

function number(value) { return typeof value === "number" && Number.isFinite(value) ? value : null; }

function same(one, other) {
  return one === other || (one && other && one.field === other.field && one.shape === other.shape && one.point === other.point);
}
