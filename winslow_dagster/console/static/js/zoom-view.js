// <zoom-view>: a picture that is zoomed and moved, down to single pixels.
//
//   <zoom-view aria-label="frame.png"><img src=… alt=…></zoom-view>      also a <canvas> or a <video> as its first child
//
// Coordinates are pixels of the picture: (0, 0) is its upper left corner, (0.5, 0.5) the middle of its first pixel.
// Other children, such as an <svg> to draw in, lie over the picture and fill the view: draw in them after `transform`.
// What has `data-no-zoom`, and what is inside, is not dragged: a point that is moved, for example.
//
//   toPicture(clientX, clientY) -> {x, y}     where a pointer is in the picture, at any zoom and device scale
//   toView(x, y) -> {x, y}                    where a point of the picture is, in CSS pixels from the view's corner
//   view -> {k, x, y}                         CSS pixels per pixel of the picture, and where its corner is
//   view = {k, x, y}                          shows that, such as what another view shows
//   fit(), actual(), zoomBy(factor)           the whole picture; a pixel per pixel of the screen; closer, farther
//   show(x, y, k)                             this point in the middle
//   pictureWidth, pictureHeight               0 until the picture is there
//
// Events: `transform` with {k, x, y, byPerson}; `picture` when there is another picture, whose size is known now.
// Keys: + - closer and farther, 0 all of it, 1 actual pixels, arrows move. Wheel, pinch and drag do the same.
import { select, zoom, zoomIdentity } from "../vendor/d3-zoom.min.js";

const CLOSEST = 64; // CSS pixels per pixel
const LARGEST_FIT = 8;
const SINGLE_PIXELS_FROM = 2; // device pixels per pixel: from here on they are squares
const STEP = 1.5;
const MOVE = 60;
const MARGIN = 0.4; // of the picture may be empty beside it

function sizeOf(element) {
  if (!element) return [0, 0];
  if (element instanceof HTMLImageElement) return element.complete ? [element.naturalWidth, element.naturalHeight] : [0, 0];
  if (element instanceof HTMLVideoElement) return [element.videoWidth, element.videoHeight];
  return [element.width ?? 0, element.height ?? 0];
}

class ZoomView extends HTMLElement {
  #zoom = null;
  #fitted = true;
  #own = false;
  #sizes = new ResizeObserver(() => this.#resized());
  #selection = select(this);
  #percent = null;
  pictureWidth = 0;
  pictureHeight = 0;

  connectedCallback() {
    if (this.#zoom) { this.#sizes.observe(this); return; }
    if (!this.hasAttribute("tabindex")) this.tabIndex = 0;
    if (!this.hasAttribute("role")) this.setAttribute("role", "group");
    this.#zoom = zoom()
      .filter((event) => !event.button && !event.target.closest?.("[data-no-zoom]"))
      .clickDistance(4)
      .on("zoom", (event) => this.#changed(event));
    this.#selection.call(this.#zoom).on("dblclick.zoom", null);
    this.addEventListener("keydown", (event) => this.#key(event));
    for (const name of ["load", "loadedmetadata"]) this.addEventListener(name, (event) => { if (event.target === this.picture) this.refresh(); }, true);
    if (!this.hasAttribute("bare")) this.#addBar();
    this.#sizes.observe(this);
    this.refresh();
  }

  disconnectedCallback() { this.#sizes.disconnect(); }

  get picture() { return this.querySelector("img, canvas, video"); }
  get view() { const { k, x, y } = this.__zoom; return { k, x, y }; }
  set view({ k, x, y }) {
    this.#fitted = false;
    this.#selection.call(this.#zoom.transform, zoomIdentity.translate(x, y).scale(k));
  }

  // After the picture was drawn anew: another size is shown as a whole.
  refresh() {
    const [width, height] = sizeOf(this.picture);
    if (!width || !height) return;
    const other = width !== this.pictureWidth || height !== this.pictureHeight;
    [this.pictureWidth, this.pictureHeight] = [width, height];
    Object.assign(this.picture.style, { width: `${width}px`, height: `${height}px` });
    if (other) this.#fitted = true;
    this.#resized();
    if (other) this.dispatchEvent(new CustomEvent("picture", { detail: { width, height } }));
  }

  toPicture(clientX, clientY) {
    const box = this.getBoundingClientRect(), { k, x, y } = this.__zoom;
    return { x: (clientX - box.left - this.clientLeft - x) / k, y: (clientY - box.top - this.clientTop - y) / k };
  }

  toView(x, y) {
    const view = this.__zoom;
    return { x: view.x + x * view.k, y: view.y + y * view.k };
  }

  fit() {
    if (!this.pictureWidth) return;
    const k = this.#fittingScale();
    this.view = { k, x: (this.clientWidth - k * this.pictureWidth) / 2, y: (this.clientHeight - k * this.pictureHeight) / 2 };
    this.#fitted = true;
  }

  actual() { this.#selection.call(this.#zoom.scaleTo, 1 / devicePixelRatio); this.#fitted = false; }
  zoomBy(factor) { this.#selection.call(this.#zoom.scaleBy, factor); this.#fitted = false; }
  show(x, y, k = this.view.k) {
    this.view = { k, x: this.clientWidth / 2 - k * x, y: this.clientHeight / 2 - k * y };
  }

  #fittingScale() {
    return Math.min(this.clientWidth / this.pictureWidth, this.clientHeight / this.pictureHeight, LARGEST_FIT);
  }

  #resized() {
    if (!this.pictureWidth || !this.clientWidth) return;
    const { pictureWidth: width, pictureHeight: height } = this;
    this.#zoom
      .extent([[0, 0], [this.clientWidth, this.clientHeight]])
      .translateExtent([[-MARGIN * width, -MARGIN * height], [(1 + MARGIN) * width, (1 + MARGIN) * height]])
      .scaleExtent([Math.min(this.#fittingScale(), 1) / 2, CLOSEST]);
    if (this.#fitted) this.fit();
  }

  #changed({ transform: { k, x, y }, sourceEvent }) {
    const { picture } = this;
    if (sourceEvent) this.#fitted = false;
    if (!picture) return;
    picture.style.transform = `translate(${x}px, ${y}px) scale(${k})`;
    picture.classList.toggle("single-pixels", k * devicePixelRatio >= SINGLE_PIXELS_FROM);
    const percent = `${Math.round(k * devicePixelRatio * 100)} %`;
    if (this.#percent && this.#percent.textContent !== percent) this.#percent.textContent = percent;
    this.dispatchEvent(new CustomEvent("transform", { detail: { k, x, y, byPerson: Boolean(sourceEvent) || this.#own } }));
  }

  #byPerson(act) { this.#own = true; act(); this.#own = false; }

  #key(event) {
    if (event.target !== this || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const by = (x, y) => { this.#selection.call(this.#zoom.translateBy, x / this.view.k, y / this.view.k); this.#fitted = false; };
    const acts = {
      "+": () => this.zoomBy(STEP), "=": () => this.zoomBy(STEP), "-": () => this.zoomBy(1 / STEP),
      0: () => this.fit(), 1: () => this.actual(),
      ArrowLeft: () => by(MOVE, 0), ArrowRight: () => by(-MOVE, 0), ArrowUp: () => by(0, MOVE), ArrowDown: () => by(0, -MOVE),
    };
    const act = acts[event.key];
    if (act) { event.preventDefault(); this.#byPerson(act); }
  }

  #addBar() {
    const bar = document.createElement("div");
    bar.className = "zoom-bar";
    bar.dataset.noZoom = "";
    const add = (text, label, act) => {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", textContent: text, title: label });
      button.setAttribute("aria-label", label);
      button.addEventListener("click", () => this.#byPerson(act));
      bar.append(button);
    };
    add("−", "Farther (key -)", () => this.zoomBy(1 / STEP));
    this.#percent = document.createElement("output");
    bar.append(this.#percent);
    add("+", "Closer (key +)", () => this.zoomBy(STEP));
    add("Fit", "Fit: the whole picture (key 0)", () => this.fit());
    add("1:1", "1:1: actual pixels (key 1)", () => this.actual());
    this.append(bar);
  }
}

customElements.define("zoom-view", ZoomView);
