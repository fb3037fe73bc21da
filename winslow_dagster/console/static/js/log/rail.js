// Beside the scroll bar: where errors, warnings and matches are, over the whole log. A click goes there.
const DOT = 2;

export class LogRail extends EventTarget {
  #density = null;
  #matches = null;

  constructor(canvas, source, view) {
    super();
    this.canvas = canvas;
    this.source = source;
    this.view = view;
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.#go(event); });
    canvas.addEventListener("pointermove", (event) => { if (event.buttons) this.#go(event); });
    new ResizeObserver(() => this.draw()).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    view.addEventListener("drawn", () => this.draw());
  }

  set density(density) { this.#density = density; this.draw(); }
  // { width, bins } or null
  set matches(matches) { this.#matches = matches; this.draw(); }

  #go(event) {
    const share = Math.min(1, Math.max(0, event.offsetY / this.canvas.clientHeight));
    this.dispatchEvent(new CustomEvent("go", { detail: Math.floor(share * this.source.rows) }));
  }

  draw() {
    const { canvas, source, view } = this;
    const width = canvas.clientWidth, height = canvas.clientHeight, scale = window.devicePixelRatio || 1;
    if (!width || !height) return;
    if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
    if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
    const pen = canvas.getContext("2d");
    pen.setTransform(scale, 0, 0, scale, 0, 0);
    pen.clearRect(0, 0, width, height);
    if (!source.rows) return;
    // A canvas knows no variables: the browser has to make a colour of them first.
    const colour = (name) => { canvas.style.color = `var(${name})`; return getComputedStyle(canvas).color; };
    const place = (line) => (source.rowOf(line) / source.rows) * height;
    const dots = (counts, binWidth, name, left, right) => {
      pen.fillStyle = colour(name);
      for (const [bin, count] of counts) {
        if (!count) continue;
        const top = place(bin * binWidth + 1), bottom = place(Math.min(source.shape.lines, (bin + 1) * binWidth) + 1);
        pen.globalAlpha = Math.min(1, 0.45 + count / 20);
        pen.fillRect(left, top, right - left, Math.max(DOT, bottom - top));
      }
      pen.globalAlpha = 1;
    };
    const third = width / 3;
    if (this.#density) {
      dots(this.#density.warnings.entries(), this.#density.width, "--wait", 0, third);
      dots(this.#density.errors.entries(), this.#density.width, "--bad", third, 2 * third);
    }
    if (this.#matches) dots(this.#matches.bins, this.#matches.width, "--accent", 2 * third, width);
    pen.strokeStyle = colour("--text-soft");
    const top = (view.firstRow / source.rows) * height;
    const seen = Math.max(6, (view.shownRows / source.rows) * height);
    pen.strokeRect(0.5, Math.min(height - seen, top) + 0.5, width - 1, Math.min(height, seen) - 1);
  }
}
