// The picture with the marks on it: a click adds a point, a drag moves one, the rest of the picture is moved and enlarged.
import { Drawing } from "./drawing.js";
import { Frames } from "./frames.js";
import { Magnifier } from "./magnifier.js";

const STILL_PX = 4;

function sourceOf(field) { return field.image || field.video; }

export class Board {
  constructor(element, marks, { operates, address, query, films, say }) {
    Object.assign(this, { element, marks, operates, address, query, films, say });
    this.view = element.querySelector("zoom-view");
    this.picture = element.querySelector("[data-picture]");
    this.help = element.querySelector("[data-board-help]");
    this.drawing = new Drawing(element.querySelector("svg"), this.view, marks);
    this.magnifier = new Magnifier(element.querySelector("canvas"), this.picture);
    this.frames = new Frames(element.querySelector("[data-frames]"), operates, (index) => this.#choose(index));
    this.lists = new Map();
    this.pressed = null;
    this.view.addEventListener("transform", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(element);
    this.picture.addEventListener("load", () => this.#measured());
    this.picture.addEventListener("error", () => { this.help.textContent = "The picture cannot be shown."; });
    // Before the view sees it: what is dragged is the point under the pointer, and not the picture.
    for (const kind of ["pointerdown", "mousedown", "touchstart"]) this.view.addEventListener(kind, (event) => this.#press(event), { capture: true });
    this.view.addEventListener("pointermove", (event) => this.#move(event), { capture: true });
    this.view.addEventListener("pointerup", (event) => this.#release(event), { capture: true });
    this.view.addEventListener("pointercancel", () => this.#drop(), { capture: true });
    this.view.addEventListener("dblclick", (event) => { event.preventDefault(); event.stopPropagation(); }, { capture: true });
    this.view.addEventListener("pointerleave", () => { if (!this.pressed) marks.hover(null); });
  }

  // The picture of the active field, with the marks of all fields that are drawn on the same one.
  show() {
    const { field } = this.marks;
    const source = sourceOf(field), film = this.films[field.name], frame = this.marks.frameOf();
    const shown = film ? `${film.frames}&index=${frame}` : `${this.address}/image?${this.query}&field=${encodeURIComponent(field.name)}`;
    if (this.source !== source || this.shownAddress !== shown) {
      if (film && this.source !== source) this.frames.show(film);
      this.source = source;
      this.shownAddress = shown;
      this.picture.alt = film ? `Frame ${frame} of ${film.name}` : `Picture for ${field.label || field.name}`;
      this.picture.src = shown;
    }
    if (film) this.frames.index = frame;
    this.frames.hidden = !film;
    this.drawing.shown = new Set([...this.marks.fields.values()].filter((each) => sourceOf(each) === source).map((each) => each.name));
    this.draw();
  }

  draw() {
    const list = this.lists.get(this.marks.active);
    this.drawing.proposed = this.operates ? list?.openProposals() ?? [] : [];
    for (const [name, each] of this.lists) this.drawing.doubted.set(name, each.doubted());
    this.drawing.draw();
    if (this.picture.complete && this.picture.naturalWidth) this.help.textContent = this.#helpText();
  }

  #helpText() {
    const { field } = this.marks;
    if (!this.operates) return "Wheel or +/− to enlarge, drag to move.";
    const waiting = field.kind === "points" ? [...this.marks.points()].find(({ value }) => value.x === null)?.value : null;
    const next = field.kind !== "points" ? `Click the points of ${field.label || field.name}; Enter finishes.`
      : `Click where ${(waiting ?? { label: this.marks.nextLabel() }).label} is.`;
    return `${next} Wheel enlarges, drag moves, arrow keys nudge.`;
  }

  // Marks stay where they are in the picture: between frames of a hovering drone, they are nearly right.
  #choose(index) {
    const moved = [...this.marks.points()].length > 0 && index !== this.marks.frameOf();
    this.marks.showFrame(index);
    if (moved) this.say("Another frame is marked now. Check that the points still fit.");
  }

  #measured() {
    const size = [this.picture.naturalWidth, this.picture.naturalHeight];
    for (const field of this.marks.fields.values()) if (sourceOf(field) === this.source) this.marks.sizes.set(field.name, size);
    this.draw();
  }

  addInTheMiddle() {
    const box = this.view.getBoundingClientRect();
    this.#place(this.view.toPicture(box.left + box.width / 2, box.top + box.height / 2));
    this.view.focus();
  }

  #place({ x, y }) {
    const { field } = this.marks;
    const proposal = field.kind === "points" && this.drawing.proposed.find((each) => Math.hypot(each.x - x, each.y - y) < this.#reach());
    const placed = this.marks.place(proposal ? proposal.x : x, proposal ? proposal.y : y);
    if (placed.refused) this.say(placed.refused, "bad");
    // A line of known length has two ends.
    else if (field.kind === "lines" && field.ends && this.marks.shapes().at(-1).points.length === 2) this.marks.finish();
  }

  #reach() {
    const one = this.view.toPicture(0, 0), other = this.view.toPicture(1, 0);
    return (other.x - one.x) * 8;
  }

  #press(event) {
    if (!this.operates || event.target.closest("button, [data-no-zoom]")) return;
    const touch = event.touches?.[0] ?? event;
    if ((event.button ?? 0) !== 0 || (event.touches?.length ?? 1) > 1) { this.pressed = null; return; }
    const at = this.drawing.hit(touch.clientX, touch.clientY);
    if (event.type === "pointerdown") {
      this.pressed = { x: event.clientX, y: event.clientY, at, moved: false, id: event.pointerId };
      if (at) {
        const point = this.drawing.toClient(this.marks.point(at));
        this.pressed.offset = { x: point.x - event.clientX, y: point.y - event.clientY };
        this.view.setPointerCapture(event.pointerId);
        this.marks.select(at);
        this.view.focus();
      }
    }
    if (at) event.stopImmediatePropagation();
  }

  #move(event) {
    const { pressed } = this;
    if (!pressed) {
      if (event.buttons === 0) this.marks.hover(this.drawing.hit(event.clientX, event.clientY));
      return;
    }
    if (Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) >= STILL_PX) pressed.moved = true;
    if (!pressed.at) return;
    event.stopPropagation();
    if (!pressed.moved) return;
    const place = { clientX: event.clientX + pressed.offset.x, clientY: event.clientY + pressed.offset.y };
    const spot = this.view.toPicture(place.clientX, place.clientY);
    this.marks.change(pressed.at, spot, "drag");
    this.magnifier.show(this.marks.point(pressed.at), place);
  }

  #release(event) {
    const { pressed } = this;
    this.#drop();
    if (!pressed || pressed.id !== event.pointerId) return;
    if (pressed.at) { event.stopPropagation(); if (!pressed.moved) this.#pressedOn(pressed.at); return; }
    if (pressed.moved || event.target.closest("button, [data-no-zoom]")) return;
    this.#place(this.view.toPicture(event.clientX, event.clientY));
    this.view.focus();
  }

  // A click on the first corner closes a polygon, and one on the last ends a line.
  #pressedOn({ field, shape, point }) {
    const found = this.marks.shapes(field)[shape];
    if (field !== this.marks.active || found.done !== false) return;
    if (point === found.points.length - 1 || (point === 0 && this.marks.fields.get(field).kind === "polygon")) this.marks.finish();
  }

  #drop() {
    this.pressed = null;
    this.marks.endStep();
    this.magnifier.hide();
  }

  leave() { this.magnifier.hide(); }

  lookAtSelected() {
    const value = this.marks.point(this.marks.selected), { x, y } = this.drawing.toClient(value);
    this.magnifier.show(value, { clientX: x, clientY: y });
  }
}
