// Shows some rows of a log of any length. Browsers limit the height of an element (Chromium to 33,554,428 pixels), and rows
// may have different heights, so that the scroll bar is only a measure: small movements move the rows by as many pixels,
// a drag of the bar moves them in proportion, and after each movement the bar is set to where the rows are.
import { rowElement } from "./row.js";

const HEIGHT_MOST = 8_000_000;
const AHEAD = 40;
const STILL_MS = 120;

export class LogView extends EventTarget {
  #first = 0; // the first row that is seen, and by how many pixels it is scrolled out
  #offset = 0;
  #elements = new Map(); // row -> element
  #bar = 0; // where the scroll bar was last
  #dragged = false;
  #still = 0;
  #frame = 0;

  constructor(view, source, look) {
    super();
    this.view = view;
    this.source = source;
    this.look = look;
    this.size = view.querySelector(".log-size");
    this.window = view.querySelector(".log-window");
    this.list = view.querySelector(".log-lines");
    this.selected = null;
    this.current = null;
    view.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    view.addEventListener("pointerdown", (event) => { this.#dragged = event.offsetX >= view.clientWidth && event.target === view; });
    view.addEventListener("pointermove", (event) => { if (!event.buttons) this.#dragged = false; });
    view.addEventListener("scrollend", () => this.#rested());
    source.addEventListener("lines", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(view);
  }

  get rowHeight() { return this.look.rowHeight; }
  get height() { return this.view.clientHeight; }
  get atEnd() { return this.#ended; }
  #ended = false;
  get firstRow() { return this.#first; }
  get shownRows() { return Math.max(1, Math.floor(this.height / this.rowHeight)); }

  // Draws now, with this row at the top, or at a share of the height, or as close to that as the log allows.
  show(row, share = 0) {
    this.#first = Math.max(0, Math.min(this.source.rows - 1, row));
    this.#offset = -Math.floor(this.height * share);
    this.draw();
    this.#settle();
  }

  showEnd() {
    this.#first = Math.max(0, this.source.rows - 1);
    this.#offset = 0;
    this.draw();
    this.#settle();
  }

  move(pixels) {
    this.#offset += pixels;
    this.draw();
  }

  // Draws all rows anew: they look different.
  redraw() {
    this.#elements.forEach((element) => element.remove());
    this.#elements.clear();
    this.draw();
  }

  draw() {
    const rows = this.source.rows;
    const height = this.height;
    this.#size(rows);
    if (!height) return;
    this.window.style.height = `${height}px`;
    if (!rows) { this.#ended = true; this.list.replaceChildren(); this.#elements.clear(); this.#tell(); return; }
    this.#first = Math.min(this.#first, rows - 1);
    // Rows above the first are drawn to be measured: a wrapped row is at least one line high.
    for (let attempt = 0; attempt < 4; attempt += 1) {
      if (this.#offset < 0) {
        const above = Math.min(this.#first, Math.ceil(-this.#offset / this.rowHeight));
        this.#first -= above;
        this.#put(this.#first, height + above * this.rowHeight);
        for (let row = this.#first; row < this.#first + above; row += 1) this.#offset += this.#heightOf(row);
        if (!this.#first) this.#offset = Math.max(0, this.#offset);
        else if (this.#offset < 0) continue;
      }
      const bottom = this.#put(this.#first, height + Math.max(0, this.#offset));
      while (this.#first < rows - 1 && this.#offset >= this.#heightOf(this.#first)) {
        this.#offset -= this.#heightOf(this.#first);
        this.#first += 1;
        if (!this.#elements.has(this.#first)) break;
      }
      const missing = height - (bottom.height - this.#scrolledOut(bottom.first));
      if (bottom.last === rows - 1 && missing > 0 && (this.#first || this.#offset)) { this.#offset -= missing; continue; }
      if (bottom.last < rows - 1 && missing > 0) continue;
      break;
    }
    this.#offset = Math.max(0, this.#offset);
    const { last } = this.#put(this.#first, height + this.#offset);
    this.list.style.transform = `translateY(${-Math.round(this.#offset)}px)`;
    this.#ended = last === rows - 1 && this.#bottom() <= height + 1;
    this.source.want(this.#first - AHEAD, last + AHEAD);
    this.#tell();
  }

  #tell() { this.dispatchEvent(new Event("drawn")); }

  // What lies above the first row, of the rows from `from` on.
  #scrolledOut(from) {
    let sum = this.#offset;
    for (let row = from; row < this.#first; row += 1) sum += this.#heightOf(row);
    return sum;
  }

  #bottom() {
    let sum = -this.#offset;
    for (let row = this.#first; this.#elements.has(row) && this.#isShown(row); row += 1) sum += this.#heightOf(row);
    return sum;
  }

  #isShown(row) { return !this.#elements.get(row).classList.contains("log-pinned"); }

  #heightOf(row) {
    const element = this.#elements.get(row);
    return element ? element.offsetHeight || this.rowHeight : this.rowHeight;
  }

  // Puts rows from `first` on into the page until they fill the height. Rows that hold an end of a selection stay.
  #put(first, height) {
    const rows = this.source.rows;
    const pinned = this.#pinned();
    let last = first, filled = 0;
    let previous = [...this.list.children].findLast((element) => Number(element.dataset.row) < first) ?? null;
    for (let row = first; row < rows; row += 1) {
      const element = this.#element(row);
      last = row;
      if (!element.isConnected || element.previousElementSibling !== previous) {
        if (previous) previous.after(element); else this.list.prepend(element);
      }
      previous = element;
      filled += this.look.wrap ? element.offsetHeight : this.rowHeight;
      if (filled >= height) break;
    }
    for (const [row, element] of this.#elements) {
      const out = row < first || row > last;
      if (out && !pinned.has(element)) { element.remove(); this.#elements.delete(row); }
      else element.classList.toggle("log-pinned", out);
    }
    return { first, last, height: filled };
  }

  #element(row) {
    const known = this.source.get(row);
    const line = known && known.number > this.source.lineOf(row) ? known.number : this.source.lineOf(row);
    const version = known ? `${line}:${known.more}` : "";
    let element = this.#elements.get(row);
    if (!element || element.dataset.version !== version) {
      const made = rowElement(line, known, this.look);
      made.dataset.row = row;
      made.dataset.version = version;
      element?.replaceWith(made);
      element = made;
      this.#elements.set(row, element);
    }
    const [from, to] = this.selected ?? [0, -1];
    element.classList.toggle("log-selected", line >= from && line <= to);
    element.classList.toggle("log-current", line === this.current);
    return element;
  }

  #pinned() {
    const selection = document.getSelection();
    if (!selection?.anchorNode) return new Set();
    const ends = [selection.anchorNode, selection.focusNode].map((node) => (node?.nodeType === Node.TEXT_NODE ? node.parentElement : node));
    return new Set(ends.map((end) => end?.closest?.(".log-line")).filter((row) => row && this.list.contains(row)));
  }

  // The scroll bar.

  get #exact() { return !this.look.wrap && this.source.rows * this.rowHeight <= HEIGHT_MOST; }

  #size(rows) {
    const height = Math.min(rows * this.rowHeight, HEIGHT_MOST);
    if (this.size.dataset.height === String(height)) return;
    this.size.dataset.height = height;
    this.size.style.height = `${height}px`;
  }

  #scrolled() {
    const bar = this.view.scrollTop;
    const moved = bar - this.#bar;
    this.#bar = bar;
    if (!moved) return;
    const most = this.view.scrollHeight - this.height;
    this.dispatchEvent(new Event("moved"));
    if (this.#exact) { this.#first = Math.floor(bar / this.rowHeight); this.#offset = bar % this.rowHeight; }
    else if (bar <= 0 && (this.#dragged || this.#first < 2 * this.shownRows)) { this.#first = 0; this.#offset = 0; }
    else if (bar >= most - 1 && (this.#dragged || this.source.rows - this.#first < 3 * this.shownRows)) { this.#first = this.source.rows - 1; this.#offset = 0; }
    else if (this.#dragged || Math.abs(moved) > 4 * this.height) {
      this.#first = Math.floor((bar / most) * Math.max(0, this.source.rows - this.shownRows));
      this.#offset = 0;
    } else this.#offset += moved;
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => this.draw());
    clearTimeout(this.#still);
    // Safari sends no scrollend.
    this.#still = setTimeout(() => { if (!("onscrollend" in window)) this.#rested(); }, STILL_MS);
  }

  // To set the bar while it is moving again would end that movement.
  #rested() {
    if (this.view.scrollTop !== this.#bar) return;
    this.#dragged = false;
    if (!this.#exact) this.#settle();
  }

  #settle() {
    const most = Math.max(0, this.view.scrollHeight - this.height);
    let bar;
    if (this.#exact) bar = this.#first * this.rowHeight + this.#offset;
    else if (this.#ended) bar = most;
    else {
      const share = (this.#first + this.#offset / this.rowHeight) / Math.max(1, this.source.rows - this.shownRows);
      // Never quite at an end while there is something to scroll to.
      bar = this.#first || this.#offset ? Math.min(most - this.height, Math.max(this.height, share * most)) : 0;
    }
    bar = Math.round(Math.max(0, Math.min(most, bar)));
    if (bar !== this.view.scrollTop) this.view.scrollTop = bar;
    this.#bar = this.view.scrollTop;
  }
}
