// <usage-chart>: what was in use over time, as small charts under each other's times.
//   data-source    where the series come from
//   data-node      of several nodes, the one to show
//   data-memory    bytes that are a full chart of the memory
//   data-gpus      names of GPUs by id, as JSON
//   data-refresh   in ms, as long as it changes
import { colorOf } from "./chart-view.js";

const SCHEME = matchMedia("(prefers-color-scheme: dark)");
const HEIGHT = 140;
const BYTES = ["B", "KiB", "MiB", "GiB", "TiB"];
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });
const moment = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "numeric", minute: "2-digit" });
// How a time is written beside its axis, by the seconds from one to the next.
const MARKS = [
  [60, { hour: "numeric", minute: "2-digit", second: "2-digit" }],
  [3 * 3600, { hour: "numeric", minute: "2-digit" }],
  [24 * 3600, { weekday: "short", hour: "numeric" }],
  [Infinity, { month: "short", day: "numeric" }],
].map(([below, options]) => [below, new Intl.DateTimeFormat(undefined, options)]);
// A chart of less time than this, as of a single moment, is as wide as this. (Of a single moment, uPlot makes years.)
const LEAST_S = 60;
const POWERS = Array.from({ length: 51 }, (_, power) => 2 ** power);
const asked = new Map();

function bytes(value) {
  let unit = 0, shown = value;
  while (shown >= 1024 && unit < BYTES.length - 1) { shown /= 1024; unit += 1; }
  return `${short.format(shown)} ${BYTES[unit]}`;
}

const UNITS = {
  percent: (value) => `${short.format(value)} %`,
  bytes,
  rate: (value) => `${bytes(value)}/s`,
  degrees: (value) => `${short.format(value)} °C`,
  processors: (value) => short.format(value),
};
// Title, unit, and for each line: its name and its series. A chart without any value is left out.
const CHARTS = [
  ["Processors", "percent", [["used", "cpu_percent"]]],
  ["Processors", "processors", [["used", "cpus"]]],
  ["Memory", "bytes", [["used", "memory_used_bytes"]]],
  ["Disk space", "bytes", [["used", "disk_used_bytes"]]],
  ["Disk", "rate", [["read", "disk_read_bytes_per_s"], ["written", "disk_written_bytes_per_s"]]],
  ["Network", "rate", [["received", "network_received_bytes_per_s"], ["sent", "network_sent_bytes_per_s"]]],
];
const OF_GPU = [["use", "percent", [["used", "used_percent"]]], ["memory", "bytes", [["used", "memory_used_bytes"]]], ["temperature", "degrees", [["temperature", "temperature_c"]]]];
const COLORS = ["first", "second"];

// Several charts of a page ask for the same at the same time.
function fetched(source, age) {
  const before = asked.get(source);
  if (before && performance.now() - before.at < age) return before.answer;
  const answer = fetch(source).then((response) => (response.ok ? response.json() : null), () => null);
  asked.set(source, { at: performance.now(), answer });
  return answer;
}

function made(name, text = "") {
  const element = document.createElement(name);
  element.textContent = text;
  return element;
}

class UsageChart extends HTMLElement {
  #plots = new Map();
  #timer = 0;
  #observer = null;

  connectedCallback() {
    this.#observer = new ResizeObserver(() => { for (const { plot, figure } of this.#plots.values()) plot.setSize({ width: figure.clientWidth || 300, height: HEIGHT }); });
    this.#observer.observe(this);
    // Inside of a closed <details>, nobody sees it: it is drawn when that is opened.
    const around = this.closest("details");
    around?.addEventListener("toggle", () => { if (around.open && !this.#plots.size) this.draw(); });
    if (!around || around.open) this.draw();
    const every = Number(this.dataset.refresh ?? 0);
    if (every) this.#timer = setInterval(() => { if (!document.hidden && this.offsetParent) this.draw(); }, every);
    SCHEME.addEventListener("change", this.#again);
  }

  // With the colours of the scheme that somebody has chosen just now.
  #again = () => { this.#clear(); this.draw(); };

  #clear() {
    for (const { plot, figure } of this.#plots.values()) { plot.destroy(); figure.remove(); }
    this.#plots.clear();
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
    this.#observer?.disconnect();
    SCHEME.removeEventListener("change", this.#again);
    this.#clear();
  }

  async draw() {
    const found = await fetched(this.dataset.source, 1000);
    if (!this.isConnected) return;
    const history = Array.isArray(found) ? found.find((each) => each.node === this.dataset.node) : found;
    if (!history || !history.at.length) {
      if (!this.#plots.size) this.replaceChildren(Object.assign(made("p", found ? "Nothing has been measured in this time yet." : "The server does not answer."), { className: "help" }));
      return;
    }
    if (!this.#plots.size) this.replaceChildren();
    const names = JSON.parse(this.dataset.gpus ?? "{}");
    for (const [title, unit, lines] of CHARTS) this.#chart(title, unit, lines, history, history.series);
    for (const [gpu, series] of Object.entries(history.gpus ?? {})) for (const [what, unit, lines] of OF_GPU) this.#chart(`${names[gpu] ?? gpu}: ${what}`, unit, lines, history, series);
    this.dataset.points = history.at.length;
  }

  #chart(title, unit, lines, history, series) {
    const there = lines.filter(([, name]) => series[name]?.some((value) => value !== null));
    if (!there.length) return;
    const data = gaps([history.at, ...there.map(([, name]) => series[name])], history.step_s);
    const key = `${title} ${unit}`, before = this.#plots.get(key);
    if (before && before.lines === there.length) { before.plot.setData(data); return; }
    before?.plot.destroy();
    before?.figure.remove();
    const figure = made("figure");
    figure.append(made("figcaption", title));
    this.append(figure);
    this.#plots.set(key, { plot: this.#plot(figure, title, unit, there, data), figure, lines: there.length });
  }

  #plot(figure, title, unit, lines, data) {
    const [text, grid] = [colorOf(this, "axis"), colorOf(this, "grid")], show = UNITS[unit];
    const top = unit === "percent" ? 100 : title === "Memory" && this.dataset.memory ? Number(this.dataset.memory) : 0;
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px sans-serif" };
    const plot = new uPlot({
      width: figure.clientWidth || 300, height: HEIGHT,
      scales: { x: { time: true, range: ({ data: [at] }) => [Math.min(at[0], at.at(-1) - LEAST_S), at.at(-1)] }, y: { range: (_, low, high) => [0, top || high || 1] } },
      axes: [{ ...axis, size: 32, space: 84, values: (_, splits, _axis, _space, apart_s) => splits.map((at) => MARKS.find(([below]) => apart_s < below)[1].format(1000 * at)) }, { ...axis, size: 76, ...(unit === "bytes" || unit === "rate" ? { incrs: POWERS } : {}), values: (_, splits) => splits.map((value) => (value === null ? "" : show(value))) }],
      padding: [null, 30, null, null],
      cursor: { drag: { x: false, y: false } },
      // Away from the pointer, the latest values.
      legend: { live: true },
      series: [
        { label: "At", value: ({ data: [at] }, value) => moment.format(1000 * (value ?? at.at(-1))) },
        ...lines.map(([label], at) => ({ label, stroke: colorOf(this, COLORS[at]), width: 1.5, points: { show: ({ data: [at] }) => at.length < 3, size: 5 }, value: ({ data }, value, line, index) => { const shown = index === null ? data[line].at(-1) : value; return shown === null || shown === undefined ? "" : show(shown); } })),
      ],
    }, data, figure);
    const canvas = figure.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title} over time`);
    return plot;
  }
}

// Where nobody measured, a curve has a gap: not a line from one end to the other.
function gaps([at, ...series], step) {
  const out = [[], ...series.map(() => [])];
  at.forEach((moment, index) => {
    if (index && moment - at[index - 1] > 3 * step) {
      out[0].push(at[index - 1] + step);
      series.forEach((_, place) => out[place + 1].push(null));
    }
    out[0].push(moment);
    series.forEach((values, place) => out[place + 1].push(values[index]));
  });
  return out;
}

customElements.define("usage-chart", UsageChart);
