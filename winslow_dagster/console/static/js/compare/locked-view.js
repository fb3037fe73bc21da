// One zoom and one place for several pictures: whoever moves one moves all. The pictures may have different sizes:
// places are parts of a picture's width and height.
const LARGEST = 64, STEP = 1.25, ARROW = 0.1;

export class LockedView {
  // `stage` holds the panes; `media` are the pictures or videos, each in a pane that clips it.
  constructor(stage, media) {
    this.stage = stage;
    this.media = media;
    this.scale = 1; // relative to the whole picture in its pane
    this.x = 0.5; // what part of the picture is in the middle of the pane
    this.y = 0.5;
    new ResizeObserver(() => this.draw()).observe(stage);
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("pointerdown", (event) => this.#drag(event));
    stage.addEventListener("keydown", (event) => this.#key(event));
  }

  size(element) {
    return [element.naturalWidth || element.videoWidth || 1, element.naturalHeight || element.videoHeight || 1];
  }

  // How many pixels of the screen a pixel of the picture has when all of it is shown.
  fit(element) {
    const pane = element.parentElement, [width, height] = this.size(element);
    return Math.min(pane.clientWidth / width, pane.clientHeight / height);
  }

  draw() {
    for (const element of this.media) {
      const pane = element.parentElement, [width, height] = this.size(element);
      const scale = this.fit(element) * this.scale;
      element.style.width = `${width}px`;
      element.style.height = `${height}px`;
      element.style.transform = `translate(${pane.clientWidth / 2 - this.x * width * scale}px, ${pane.clientHeight / 2 - this.y * height * scale}px) scale(${scale})`;
      element.classList.toggle("pixels", scale * devicePixelRatio >= 4);
    }
    this.stage.dispatchEvent(new CustomEvent("moved"));
  }

  zoom(factor, clientX, clientY) {
    const [leader] = this.media, before = this.scale;
    this.scale = Math.min(LARGEST / Math.min(1, this.fit(leader)), Math.max(1, this.scale * factor));
    if (clientX !== undefined) {
      // What is under the pointer stays there.
      const pane = this.#paneAt(clientX, clientY), box = pane.getBoundingClientRect();
      const element = pane.firstElementChild, [width, height] = this.size(element), fit = this.fit(element);
      const dx = clientX - box.left - box.width / 2, dy = clientY - box.top - box.height / 2;
      this.x += (dx / (width * fit)) * (1 / before - 1 / this.scale);
      this.y += (dy / (height * fit)) * (1 / before - 1 / this.scale);
    }
    this.#keepInside();
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#keepInside();
  }

  whole() { this.scale = 1; this.#keepInside(); }

  pixels() {
    const [leader] = this.media;
    this.scale = Math.max(1, 1 / (this.fit(leader) * devicePixelRatio));
    this.#keepInside();
  }

  #keepInside() {
    const [leader] = this.media, pane = leader.parentElement, [width, height] = this.size(leader);
    const scale = this.fit(leader) * this.scale;
    const inside = (value, picture, shown) => { const half = Math.min(0.5, shown / (2 * picture * scale)); return Math.min(1 - half, Math.max(half, value)); };
    this.x = inside(this.x, width, pane.clientWidth);
    this.y = inside(this.y, height, pane.clientHeight);
    this.draw();
  }

  #paneAt(clientX) {
    const panes = this.media.map((element) => element.parentElement);
    return panes.find((pane) => { const box = pane.getBoundingClientRect(); return clientX >= box.left && clientX <= box.right; }) ?? panes[0];
  }

  #wheel(event) {
    event.preventDefault();
    this.zoom(Math.exp(-event.deltaY * (event.deltaMode === 1 ? 0.05 : 0.002)), event.clientX, event.clientY);
  }

  #drag(event) {
    if (event.button !== 0 || event.target.closest("[role=slider]")) return;
    const stop = new AbortController(), { signal } = stop, pane = this.#paneAt(event.clientX), element = pane.firstElementChild;
    let [x, y] = [event.clientX, event.clientY];
    this.stage.setPointerCapture(event.pointerId);
    this.stage.addEventListener("pointermove", (moved) => {
      const [width, height] = this.size(element), scale = this.fit(element) * this.scale;
      this.move((x - moved.clientX) / (width * scale), (y - moved.clientY) / (height * scale));
      [x, y] = [moved.clientX, moved.clientY];
    }, { signal });
    for (const name of ["pointerup", "pointercancel"]) this.stage.addEventListener(name, () => stop.abort(), { signal });
  }

  #key(event) {
    if (event.target.closest("[role=slider]") || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey && event.key.startsWith("Arrow")) return;
    const acts = {
      "+": () => this.zoom(STEP), "=": () => this.zoom(STEP), "-": () => this.zoom(1 / STEP), 0: () => this.whole(),
      ArrowLeft: () => this.move(-ARROW / this.scale, 0), ArrowRight: () => this.move(ARROW / this.scale, 0),
      ArrowUp: () => this.move(0, -ARROW / this.scale), ArrowDown: () => this.move(0, ARROW / this.scale),
    };
    const act = acts[event.key];
    if (act) { event.preventDefault(); act(); }
  }
}
