// <table-view data-src="…/table?file=…">: a table of any number of rows. Only the rows near those that are seen are in the page.
//   columns are sorted by their heads, and made wider by the edge of a head
//   a line of conditions filters the rows; the server sorts and filters
//   Ctrl-C copies the chosen rows for a spreadsheet
// What stands in the element until then (the first rows) is replaced.
import { copyText } from "./parts.js";

const ROW = 26, WINDOW = 200, KEPT = 12, AGAIN_MS = 700;
const HIGHEST = 8_000_000; // A browser draws no element that is much taller.
const number = new Intl.NumberFormat();
const NAMES = { number: "numbers", text: "text", empty: "empty" };

function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

class TableView extends HTMLElement {
  #windows = new Map();
  #loading = new Set();
  #sort = "";
  #where = [];
  #shape = null;
  #matching = 0;
  #chosen = null;
  #widths = [];
  #generation = 0;
  #stop = new AbortController();

  connectedCallback() {
    if (this.built) return;
    this.built = true;
    this.#load(0);
  }

  disconnectedCallback() { this.#stop.abort(); }

  get #rows() { return this.#matching; }
  // A very long table is drawn on a shorter scale: a pixel of the scroll bar is then several rows.
  get #scale() { return Math.max(1, (this.#rows * ROW) / HIGHEST); }

  #address(from) {
    const address = new URL(this.dataset.src, location.href);
    address.searchParams.set("from", from);
    address.searchParams.set("rows", WINDOW);
    if (this.#sort) address.searchParams.set("sort", this.#sort);
    for (const each of this.#where) address.searchParams.append("where", each);
    return address;
  }

  async #load(from) {
    if (this.#loading.has(from)) return;
    this.#loading.add(from);
    const generation = this.#generation;
    try {
      const response = await fetch(this.#address(from), { signal: this.#stop.signal });
      const found = await response.json();
      if (generation !== this.#generation) return;
      if (!response.ok) { this.#fail(found.detail ?? "The table cannot be read."); return; }
      if (found.reading) { this.#wait(found.reading, from); return; }
      this.#take(found, from);
    } catch (error) {
      if (error.name !== "AbortError") this.#fail("The server does not answer. Scroll to try again.");
    } finally {
      this.#loading.delete(from);
    }
  }

  #wait(reading, from) {
    this.#say(`Reading the table: ${number.format(reading.rows)} rows so far${reading.share ? `, ${Math.round(reading.share * 100)} %` : ""}.`);
    setTimeout(() => { if (this.isConnected) this.#load(from); }, AGAIN_MS);
  }

  #fail(text) {
    this.#say(text, true);
  }

  #say(text, bad = false) {
    let line = this.querySelector(".table-says");
    if (!line) { line = element("p", { class: "table-says", role: "status" }); this.append(line); }
    line.classList.toggle("fault", bad);
    line.textContent = text;
  }

  #take(found, from) {
    this.#windows.delete(from);
    this.#windows.set(from, found);
    while (this.#windows.size > KEPT) this.#windows.delete(this.#windows.keys().next().value);
    this.#matching = found.matching;
    if (!this.#shape) {
      this.#shape = found.shape;
      this.#build(found);
    }
    this.#size();
    this.#draw();
  }

  #build(found) {
    const digits = String(found.shape.rows).length;
    this.#widths = found.columns.map((name, at) => {
      const cells = found.rows.slice(0, 60).map((row) => row[at].length);
      return Math.min(320, Math.max(64, 8 * Math.max(name.length + 3, ...cells) + 24));
    });
    this.grid = element("div", { class: "grid-scroll", tabindex: "0", role: "table", "aria-label": this.getAttribute("aria-label") ?? "Table", "aria-rowcount": found.shape.rows + 1, "aria-colcount": found.columns.length + 1 });
    this.head = element("div", { class: "grid-head", role: "row" });
    this.head.append(element("div", { class: "grid-number", role: "columnheader" }, "#"));
    found.shape.columns.forEach((column, at) => this.head.append(this.#headCell(column, at)));
    this.body = element("div", { class: "grid-body", role: "rowgroup" });
    this.grid.append(this.head, this.body);
    this.grid.style.setProperty("--number-width", `${digits * 9 + 24}px`);
    this.filter = element("input", { type: "text", placeholder: "Filter, such as speed > 50; class = car", "aria-label": "Filter rows", spellcheck: "false", autocomplete: "off" });
    this.jump = element("input", { type: "number", min: 1, placeholder: "Row", "aria-label": "Go to row" });
    this.count = element("span", { class: "grid-count", role: "status" });
    const tools = element("form", { class: "grid-tools" }, this.filter, this.jump, this.count);
    const notes = found.shape.notes.map((note) => element("small", {}, note));
    this.replaceChildren(tools, this.grid, ...notes);
    this.#layOut();
    this.#listen(tools);
  }

  #headCell(column, at) {
    const sort = element("button", { type: "button", class: "plain grid-sort", title: `Sort by ${column.name} (${NAMES[column.kind]})` }, column.name);
    sort.addEventListener("click", () => this.#sortBy(column.name));
    const edge = element("span", { class: "grid-edge", "aria-hidden": "true" });
    edge.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      edge.setPointerCapture(event.pointerId);
      const begin = event.clientX - this.#widths[at];
      const move = (moved) => { this.#widths[at] = Math.max(40, moved.clientX - begin); this.#layOut(); };
      edge.addEventListener("pointermove", move);
      edge.addEventListener("pointerup", () => edge.removeEventListener("pointermove", move), { once: true });
    });
    return element("div", { class: column.kind === "number" ? "number" : "", role: "columnheader", "aria-sort": "none", "data-column": column.name }, sort, edge);
  }

  #layOut() {
    this.grid.style.setProperty("--columns", `var(--number-width) ${this.#widths.map((width) => `${width}px`).join(" ")} minmax(0, 1fr)`);
  }

  #sortBy(name) {
    this.#sort = this.#sort === name ? `-${name}` : this.#sort === `-${name}` ? "" : name;
    for (const cell of this.head.querySelectorAll("[data-column]")) {
      const order = this.#sort === cell.dataset.column ? "ascending" : this.#sort === `-${cell.dataset.column}` ? "descending" : "none";
      cell.setAttribute("aria-sort", order);
    }
    this.#again();
  }

  #again() {
    this.#generation += 1;
    this.#windows.clear();
    this.#loading.clear();
    this.#chosen = null;
    this.querySelector(".table-says")?.remove();
    this.grid.scrollTop = 0;
    this.count.textContent = "…";
    this.#load(0);
  }

  #listen(tools) {
    let frame = 0;
    this.grid.addEventListener("scroll", () => { cancelAnimationFrame(frame); frame = requestAnimationFrame(() => this.#draw()); }, { passive: true });
    new ResizeObserver(() => this.#draw()).observe(this.grid);
    tools.addEventListener("submit", (event) => event.preventDefault());
    let typed = 0;
    this.filter.addEventListener("input", () => {
      clearTimeout(typed);
      typed = setTimeout(() => {
        this.#where = this.filter.value.split(";").map((each) => each.trim()).filter(Boolean);
        this.#again();
      }, 400);
    });
    this.jump.addEventListener("change", () => {
      const row = Number(this.jump.value) - 1;
      if (row >= 0) { this.#choose(Math.min(row, this.#rows - 1), false); this.#show(this.#chosen.at); }
    });
    this.body.addEventListener("click", (event) => {
      const row = event.target.closest("[data-row]");
      if (row && !String(getSelection())) this.#choose(Number(row.dataset.row), event.shiftKey);
    });
    this.grid.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.target !== this.grid) return;
    if (step) {
      event.preventDefault();
      const at = this.#chosen ? this.#chosen.at + step : this.#first();
      this.#choose(Math.max(0, Math.min(this.#rows - 1, at)), event.shiftKey);
      this.#show(this.#chosen.at);
    } else if (event.key === "Home" || event.key === "End") {
      event.preventDefault();
      this.#choose(event.key === "Home" ? 0 : this.#rows - 1, event.shiftKey);
      this.#show(this.#chosen.at);
    } else if (event.key === "c" && (event.ctrlKey || event.metaKey) && this.#chosen && !String(getSelection())) {
      event.preventDefault();
      this.#copy();
    }
  }

  #copy() {
    const [first, last] = [Math.min(this.#chosen.at, this.#chosen.from), Math.max(this.#chosen.at, this.#chosen.from)];
    const lines = [this.#shape.columns.map((column) => column.name).join("\t")];
    for (let row = first; row <= last; row += 1) {
      const cells = this.#row(row)?.cells;
      if (cells) lines.push(cells.map((cell) => (/[\t\n"]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join("\t"));
    }
    copyText(lines.join("\n"));
  }

  #choose(at, extend) {
    this.#chosen = { at, from: extend && this.#chosen ? this.#chosen.from : at };
    const found = this.#row(at);
    if (found) {
      const values = Object.fromEntries(this.#shape.columns.map((column, index) => [column.name, found.cells[index]]));
      this.dispatchEvent(new CustomEvent("row-chosen", { bubbles: true, detail: { number: found.number, values } }));
    }
    this.#draw();
  }

  #first() { return Math.floor((this.grid.scrollTop * this.#scale) / ROW); }

  #show(row) {
    const seen = this.grid.clientHeight - ROW;
    const top = (row * ROW) / this.#scale;
    if (top < this.grid.scrollTop) this.grid.scrollTop = top;
    else if (top + ROW > this.grid.scrollTop + seen) this.grid.scrollTop = top + ROW - seen;
    this.#draw();
  }

  #size() {
    this.body.style.height = `${Math.max(ROW, Math.min(HIGHEST, this.#rows * ROW))}px`;
    this.grid.setAttribute("aria-rowcount", this.#rows + 1);
    const all = this.#shape.rows;
    this.count.textContent = this.#rows === all ? `${number.format(all)} rows` : `${number.format(this.#rows)} of ${number.format(all)} rows`;
  }

  #row(at) {
    const from = Math.floor(at / WINDOW) * WINDOW;
    for (const [begin, found] of this.#windows) {
      if (at >= begin && at < begin + found.rows.length) return { cells: found.rows[at - begin], number: found.numbers[at - begin] };
    }
    // Of a wide table, the server sends fewer rows than were asked for.
    this.#load(this.#windows.has(from) ? at : from);
    return null;
  }

  #draw() {
    if (!this.grid) return;
    const first = Math.max(0, this.#first() - 4);
    const last = Math.min(this.#rows - 1, first + Math.ceil(this.grid.clientHeight / ROW) + 8);
    const rows = [];
    const low = this.#chosen ? Math.min(this.#chosen.at, this.#chosen.from) : -1, high = this.#chosen ? Math.max(this.#chosen.at, this.#chosen.from) : -1;
    for (let at = first; at <= last; at += 1) {
      const found = this.#row(at);
      const row = element("div", { class: "grid-row", role: "row", "data-row": at, "aria-rowindex": at + 2 });
      if (at >= low && at <= high) row.dataset.chosen = "";
      row.append(element("div", { class: "grid-number", role: "rowheader" }, found ? number.format(found.number) : "…"));
      if (found) found.cells.forEach((cell, index) => row.append(element("div", { role: "cell", class: this.#shape.columns[index]?.kind === "number" ? "number" : "", ...(cell.length > 30 ? { title: cell } : {}) }, cell)));
      row.style.transform = `translateY(${at * ROW - this.grid.scrollTop * (this.#scale - 1)}px)`;
      rows.push(row);
    }
    if (!this.#rows) rows.push(element("p", { class: "help grid-none" }, "No row fulfils the filter."));
    this.body.replaceChildren(...rows);
  }
}

customElements.define("table-view", TableView);
