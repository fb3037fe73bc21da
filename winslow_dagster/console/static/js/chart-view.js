// <chart-view>: a chart of columns of a file. The server draws all rows with as many points as there are pixels.
//   data-table, data-chart   where the columns and the points come from
//   data-query               a chart as JSON: then it is shown at once
//   data-save                where a chart is saved; with data-stage and data-file
//   data-name                the name of a saved chart
//   data-refresh             in ms, for a file that still grows
import { say } from "./messages.js";

const KINDS = { line: "Line", points: "Points", histogram: "Histogram", box: "Box per group" };
const HEIGHT = 280, COLORS = 8, AGAIN_MS = 700;
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 5 });

function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

function shape(name, attributes, ...content) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

// uPlot takes one value per position: further ones are moved by less than a pixel.
function apart(xs) {
  const step = ((xs.at(-1) ?? 0) - (xs[0] ?? 0)) * 1e-9 || 1e-9;
  let last = -Infinity;
  return xs.map((x) => { last = x <= last ? last + step : x; return last; });
}

export function colorOf(within, name) {
  const probe = element("span", { class: `color-of ${name}`, hidden: "" });
  within.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

class ChartView extends HTMLElement {
  #plot = null;
  #columns = null;
  #drawn = null;
  #asked = 0;
  #timer = 0;

  connectedCallback() {
    if (this.built) return;
    this.built = true;
    this.query = JSON.parse(this.dataset.query ?? "null");
    this.area = element("div", { class: "chart-area" });
    this.notes = element("p", { class: "help", role: "status" });
    if (this.query) {
      this.replaceChildren(this.#title(), this.area, this.notes);
      this.draw();
    } else {
      const open = element("button", { type: "button" }, "Draw a chart");
      open.addEventListener("click", () => this.#open());
      this.replaceChildren(open);
    }
    new ResizeObserver(() => this.#plot?.setSize({ width: this.area.clientWidth, height: HEIGHT })).observe(this);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#show());
    if (this.dataset.refresh) this.#timer = setInterval(() => { if (!document.hidden && this.query && !this.pending) this.draw(); }, Number(this.dataset.refresh));
  }

  disconnectedCallback() { clearInterval(this.#timer); this.#asked += 1; }

  #title() {
    const head = element("div", { class: "chart-tools" }, element("h3", {}, this.dataset.name ?? ""));
    if (this.dataset.save) {
      const change = element("button", { type: "button", class: "plain" }, "Change");
      change.addEventListener("click", () => this.#open());
      const remove = element("button", { type: "button", class: "plain" }, "Delete");
      remove.addEventListener("click", () => this.#remove());
      head.append(change, remove);
    }
    return head;
  }

  async #open() {
    const found = await this.#ask(`${this.dataset.table}&rows=0`);
    if (!found) return;
    if (found.reading) { setTimeout(() => this.#open(), AGAIN_MS); return; }
    this.#columns = found.shape.columns;
    const numbers = this.#columns.filter((column) => column.kind === "number").map((column) => column.name);
    if (!this.contains(this.area)) this.replaceChildren(this.area, this.notes);
    if (!numbers.length) { this.notes.textContent = "The table has no column of numbers."; return; }
    this.query ??= { kind: "line", x: numbers.length > 1 ? numbers[0] : "", y: [numbers[1] ?? numbers[0]], group: "", log_x: false, log_y: false };
    this.querySelector(".chart-form")?.remove();
    this.prepend(this.#form(numbers));
    this.draw();
  }

  #form(numbers) {
    const select = (label, name, options) => {
      const chooser = element("select", { name, "aria-label": label }, ...options.map(([value, text]) => element("option", { value }, text)));
      chooser.value = this.query[name];
      return element("label", { class: "chart-choice" }, label, chooser);
    };
    const many = element("select", { name: "y", "aria-label": "Up", multiple: "", size: Math.min(5, numbers.length) }, ...numbers.map((name) => element("option", { value: name }, name)));
    for (const option of many.options) option.selected = this.query.y.includes(option.value);
    const all = this.#columns.filter((column) => column.kind !== "empty").map((column) => [column.name, column.name]);
    const check = (label, name) => {
      const box = element("input", { type: "checkbox", name });
      box.checked = this.query[name];
      return element("label", { class: "chart-check" }, box, label);
    };
    const form = element("form", { class: "chart-form", "aria-label": "Chart" },
      select("Kind", "kind", Object.entries(KINDS)),
      select("Across", "x", [["", "Row number"], ...numbers.map((name) => [name, name])]),
      element("label", { class: "chart-choice" }, "Up", many),
      select("One per", "group", [["", "Nothing"], ...all]),
      element("div", { class: "chart-checks" }, check("Logarithmic across", "log_x"), check("Logarithmic up", "log_y")));
    form.addEventListener("change", (event) => { if (event.target.name !== "save-as") { this.#choose(form); this.draw(); } });
    if (this.dataset.save) {
      const name = element("input", { type: "text", name: "save-as", maxlength: 63, placeholder: "Name", "aria-label": "Name of the chart", value: this.dataset.name ?? "" });
      form.append(element("div", { class: "chart-save" }, name, element("button", { title: "Everybody sees it with the results of each attempt" }, "Save for this stage")));
    }
    form.addEventListener("submit", (event) => { event.preventDefault(); this.#save(form); });
    return form;
  }

  #choose(form) {
    const chosen = new FormData(form);
    this.query = {
      kind: chosen.get("kind"), x: chosen.get("x"), y: chosen.getAll("y"), group: chosen.get("group"),
      log_x: chosen.has("log_x"), log_y: chosen.has("log_y"),
    };
  }

  async #save(form) {
    const name = form.querySelector('[name="save-as"]').value.trim();
    if (!name) { say("Give the chart a name.", "bad"); return; }
    const body = JSON.stringify({ stage: this.dataset.stage, file: this.dataset.file, name, query: this.query });
    const response = await fetch(this.dataset.save, { method: "PUT", headers: { "Content-Type": "application/json" }, body });
    if (response.ok) say(`Saved: ${name} is shown with the results of each attempt.`, "good");
    else say((await response.json()).detail, "bad");
  }

  async #remove() {
    if (!confirm(`Delete the chart ${this.dataset.name} for everybody?`)) return;
    const query = new URLSearchParams({ stage: this.dataset.stage, chart: this.dataset.name });
    const part = this.closest("[data-live]");
    const response = await fetch(`${this.dataset.save}?${query}`, { method: "DELETE" });
    if (!response.ok) { say((await response.json()).detail, "bad"); return; }
    this.remove();
    // A refresh that was asked for before would bring it back.
    part?.dispatchEvent(new CustomEvent("winslow:outdated", { bubbles: true }));
  }

  async #ask(address) {
    const asked = (this.#asked += 1);
    this.pending = true;
    try {
      const response = await fetch(address);
      const found = await response.json();
      if (asked !== this.#asked) return null;
      if (!response.ok) { this.notes.textContent = found.detail; this.notes.classList.add("fault"); return null; }
      this.notes.classList.remove("fault");
      return found;
    } catch {
      this.notes.textContent = "The server does not answer.";
      return null;
    } finally {
      this.pending = false;
    }
  }

  async draw() {
    const address = new URL(this.dataset.chart, location.href);
    for (const [name, value] of Object.entries(this.query)) for (const each of [value].flat()) if (each !== "" && each !== false) address.searchParams.append(name, each);
    address.searchParams.set("points", Math.min(2000, Math.max(200, this.area.clientWidth || 800)));
    const found = await this.#ask(address);
    if (!found) return;
    if ("share" in found) {
      this.notes.textContent = `Reading the table: ${short.format(found.rows)} rows so far.`;
      setTimeout(() => { if (this.isConnected) this.draw(); }, AGAIN_MS);
      return;
    }
    this.#drawn = found;
    this.dataset.rows = found.rows;
    this.#show();
  }

  #show() {
    const found = this.#drawn;
    if (!found) return;
    this.notes.textContent = found.rows ? found.notes.join(" ") : "There are no numbers to draw.";
    this.#plot?.destroy();
    this.#plot = null;
    this.area.replaceChildren();
    if (found.boxes.length) this.area.append(boxes(found.boxes));
    else if (found.series.length) this.#curves(found);
  }

  #curves({ query, series, width }) {
    const points = query.kind === "points", bars = query.kind === "histogram";
    const data = uPlot.join(series.map((each) => [points || query.kind === "line" ? apart(each.x) : each.x, each.y]));
    const [text, grid] = [colorOf(this, "axis"), colorOf(this, "grid")];
    const axis = (label) => ({ label, stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, values: (_, splits) => splits.map((value) => (value === null ? "" : short.format(value))), font: "12px sans-serif", labelFont: "12px sans-serif", size: 56 });
    const scale = (log) => (log ? { distr: 3, time: false } : { time: false });
    this.#plot = new uPlot({
      width: this.area.clientWidth, height: HEIGHT,
      scales: { x: scale(query.log_x), y: bars ? { range: (_, low, high) => [0, high || 1] } : scale(query.log_y) },
      axes: [{ ...axis(bars ? query.y.join(", ") : query.x || "row"), size: 40 }, axis(bars ? "rows" : query.y.length === 1 ? query.y[0] : "")],
      cursor: { drag: { x: true, y: false } },
      legend: { live: true },
      series: [{ label: bars ? query.y.join(", ") : query.x || "row", value: (_, value) => (value === null ? "" : short.format(value)) }, ...series.map((each, at) => {
        const color = colorOf(this, `series-${at % COLORS}`);
        return {
          label: bars && series.length === 1 ? "rows" : each.name, stroke: color, width: 1.5, spanGaps: !points && !bars, dash: at >= COLORS ? [6, 3] : undefined,
          fill: bars ? color.replace(")", " / 45%)").replace("rgb(", "rgb(").replaceAll(",", "") : undefined,
          paths: points ? () => null : bars ? uPlot.paths.bars({ size: [1, Infinity], align: 0 }) : undefined,
          points: { show: points, size: 4, fill: color },
          value: (_, value) => (value === null || value === undefined ? "" : short.format(value)),
        };
      })],
    }, data, this.area);
    const canvas = this.area.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${KINDS[query.kind]} of ${query.y.join(", ")}${bars ? "" : ` over ${query.x || "the row number"}`}`);
  }
}

// Quartiles as boxes, the median as a line, whiskers to the last value within 1.5 interquartile ranges.
function boxes(found) {
  const low = Math.min(...found.map((each) => each.low)), high = Math.max(...found.map((each) => each.high));
  const left = 140, right = 620, row = 30;
  const at = (value) => left + ((value - low) / (high - low || 1)) * (right - left);
  const svg = shape("svg", { viewBox: `0 0 700 ${found.length * row + 30}`, class: "boxes", role: "img", "aria-label": `Quartiles of ${found.length} groups` });
  found.forEach((each, index) => {
    const y = index * row + 15;
    const group = shape("g", {}, shape("title", {}, `${each.name}: median ${short.format(each.median)}, half of the values from ${short.format(each.first)} to ${short.format(each.third)}, all from ${short.format(each.min)} to ${short.format(each.max)}; ${each.count.toLocaleString()} values`));
    group.append(shape("text", { x: left - 10, y: y + 4, "text-anchor": "end" }, each.name.length > 20 ? `${each.name.slice(0, 19)}…` : each.name));
    group.append(shape("line", { x1: at(each.low), x2: at(each.high), y1: y, y2: y }));
    group.append(shape("rect", { x: at(each.first), width: Math.max(1, at(each.third) - at(each.first)), y: y - 9, height: 18, rx: 2 }));
    group.append(shape("line", { class: "median", x1: at(each.median), x2: at(each.median), y1: y - 9, y2: y + 9 }));
    group.append(shape("text", { x: right + 10, y: y + 4 }, short.format(each.median)));
    svg.append(group);
  });
  const y = found.length * row + 20;
  for (const share of [0, 0.25, 0.5, 0.75, 1]) svg.append(shape("text", { x: left + share * (right - left), y, "text-anchor": "middle", class: "tick" }, short.format(low + share * (high - low))));
  return svg;
}

customElements.define("chart-view", ChartView);
