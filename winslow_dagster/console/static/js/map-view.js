// <map-view>: trajectories and shapes over a picture, or over plain ground with a scale.
//   data-tracks, data-columns   things that move (see /tracks of the REST API), and which columns say what
//   data-shapes                 features of a GeoJSON file (see /shapes)
//   data-picture                in the coordinates of both, in pixels
//   data-unit                   px, m or deg; pixels are counted downwards
// A <video data-src data-footage data-proxy> in it shows the same time. The wheel, two fingers and + - 0 zoom; dragging and arrow keys move.
import { colorOf } from "./chart-view.js";
import { MapDrawing } from "./map/drawing.js";
import { at } from "./map/tracks.js";
import { PlayableFilm } from "./playable-film.js";

const AGAIN_MS = 700, NEAR = 14, COLORS = 8, SHAPES_MOST = 20_000;
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });

function element(name, attributes = {}, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) if (value !== null) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

class MapView extends HTMLElement {
  #tracks = [];
  #shapes = [];
  #picture = null;
  #kinds = [];
  #hidden = new Set();
  #chosen = null;
  #shape = null;
  #time = 0;
  #zoom = null;
  #pointers = new Map();
  #frame = 0;
  #playing = 0;
  #moved = false;
  #plot = null;

  connectedCallback() {
    if (this.built) return;
    this.built = true;
    this.video = this.querySelector("video");
    this.canvas = element("canvas", { tabindex: "0", role: "img", "aria-label": `${this.getAttribute("aria-label") ?? "Map"}; keys: + and - zoom, 0 shows all, arrows move` });
    this.status = element("p", { class: "help", role: "status" }, "Loading…");
    this.legend = element("div", { class: "map-legend" });
    this.details = element("div", { class: "map-details", role: "status" });
    this.stage = element("div", { class: "map-stage" }, this.canvas, this.#zoomTools());
    const sides = element("div", { class: "map-sides" }, element("div", { class: "map-left" }, this.stage, this.#timeTools()));
    this.side = element("div", { class: "map-side" });
    if (this.video) this.#openFilm();
    this.side.append(this.details);
    sides.append(this.side);
    this.replaceChildren(this.legend, sides, this.status);
    this.#listen();
    this.#load();
  }

  #openFilm() {
    const told = element("p", { class: "help", role: "status", hidden: "" });
    this.side.append(this.video, told);
    this.film = new PlayableFilm(this.video, (text) => { told.textContent = text; told.hidden = !text; });
  }

  disconnectedCallback() { cancelAnimationFrame(this.#playing); this.#plot?.destroy(); }

  #zoomTools() {
    const tools = element("div", { class: "map-zoom" });
    for (const [text, label, act] of [["+", "Zoom in", () => this.#by(1.5)], ["−", "Zoom out", () => this.#by(1 / 1.5)], ["⤢", "Show all", () => this.#fit()]]) {
      const button = element("button", { type: "button", "aria-label": label, title: label }, text);
      button.addEventListener("click", act);
      tools.append(button);
    }
    return tools;
  }

  #timeTools() {
    this.play = element("button", { type: "button" }, "Play");
    this.slider = element("input", { type: "range", min: 0, max: 1, step: "any", "aria-label": "Time" });
    this.clock = element("output", {}, "");
    this.chooser = element("select", { "aria-label": "Track" }, element("option", { value: "" }, "Choose a track"));
    this.tools = element("div", { class: "map-tools", hidden: "" }, this.play, this.slider, this.clock, this.chooser);
    this.play.addEventListener("click", () => this.#toggle());
    this.slider.addEventListener("input", () => this.#go(Number(this.slider.value), true));
    this.chooser.addEventListener("change", () => this.#choose(this.#tracks.find((track) => track.name === this.chooser.value) ?? null, false));
    return this.tools;
  }

  async #ask(address) {
    for (;;) {
      const response = await fetch(address);
      const found = await response.json();
      if (!response.ok) throw new Error(found.detail);
      if (!("share" in found)) return found;
      this.status.textContent = `Reading the file: ${found.rows.toLocaleString()} rows so far.`;
      await new Promise((done) => setTimeout(done, AGAIN_MS));
      if (!this.isConnected) throw new Error("");
    }
  }

  async #load() {
    const notes = [];
    try {
      const picture = this.dataset.picture ? this.#loadPicture() : null;
      if (this.dataset.tracks) notes.push(...await this.#loadTracks());
      if (this.dataset.shapes) notes.push(...await this.#loadShapes());
      await picture;
    } catch (error) {
      this.status.textContent = error.message || "It cannot be shown.";
      this.status.className = "fault";
      this.replaceChildren(...(this.video ? [this.video] : []), this.status);
      return;
    }
    this.status.textContent = notes.join(" ");
    this.#shapeLike();
    this.#size();
    this.#fit();
    this.dataset.ready = "";
  }

  async #loadPicture() {
    const image = new Image();
    image.src = this.dataset.picture;
    // Without the picture, there still are the trajectories.
    try { await image.decode(); this.#picture = image; } catch { this.#picture = null; }
  }

  async #loadTracks() {
    const address = new URL(this.dataset.tracks, location.href);
    for (const [name, value] of Object.entries(JSON.parse(this.dataset.columns))) if (value) address.searchParams.set(name, value);
    const found = await this.#ask(address);
    this.#tracks = found.tracks;
    const kinds = new Map();
    for (const track of found.tracks) {
      const known = kinds.get(track.kind) ?? { count: 0, speed: 0, positions: 0 };
      known.count += 1;
      for (const speed of track.speed) if (speed !== null) { known.speed += speed; known.positions += 1; }
      kinds.set(track.kind, known);
    }
    this.#kinds = [...kinds.keys()].sort();
    this.#legend(kinds);
    for (const track of [...found.tracks].sort((one, other) => one.name.localeCompare(other.name, undefined, { numeric: true }))) this.chooser.append(element("option", { value: track.name }, `${track.kind} ${track.name}`.trim()));
    Object.assign(this.slider, { min: found.begin, max: found.end });
    this.tools.hidden = !found.tracks.length;
    this.#begin = found.begin;
    this.#end = found.end;
    this.#go(found.begin, false);
    return found.tracks.length ? found.notes : ["The table has no trajectories."];
  }

  #begin = 0;
  #end = 0;

  async #loadShapes() {
    let total = 1;
    const notes = [];
    while (this.#shapes.length < Math.min(total, SHAPES_MOST)) {
      const found = await this.#ask(`${this.dataset.shapes}&from=${this.#shapes.length}`);
      total = found.total;
      if (!found.shapes.length) break;
      this.#shapes.push(...found.shapes);
      if (!notes.length) notes.push(...found.notes);
    }
    if (this.#shapes.length < total) notes.push(`The first ${this.#shapes.length.toLocaleString()} of ${total.toLocaleString()} features are drawn.`);
    if (!this.#tracks.length) this.legend.replaceChildren(element("span", { class: "help" }, `${total.toLocaleString()} features. Click one for its properties.`));
    return notes;
  }

  // As high as what it shows, within limits.
  #shapeLike() {
    const [left, top, right, bottom] = this.#box();
    const wide = this.canvas.clientWidth, high = (wide * (bottom - top)) / ((right - left) * this.#stretch || 1);
    this.canvas.style.height = `${Math.round(Math.max(220, Math.min(560, wide, high)))}px`;
  }

  #legend(kinds) {
    const unit = this.dataset.speedUnit ? ` ${this.dataset.speedUnit}` : "";
    this.legend.replaceChildren(...this.#kinds.map((kind, index) => {
      const { count, speed, positions } = kinds.get(kind);
      const box = element("input", { type: "checkbox", checked: "" });
      box.addEventListener("change", () => { if (box.checked) this.#hidden.delete(kind); else this.#hidden.add(kind); this.#redraw(); });
      return element("label", { class: "map-kind" }, box, element("i", { class: `dot series-${index % COLORS}`, "aria-hidden": "true" }), element("b", {}, count.toLocaleString()), ` ${kind || "tracks"}`, positions ? element("small", {}, `mean ${short.format(speed / positions)}${unit}`) : "");
    }));
  }

  // The zoom: screen = scale × world + offset; the vertical axis of metres points up.
  get #up() { return this.#unit !== "px"; }
  // A file of shapes does not say its unit: only degrees are that close to each other.
  get #unit() {
    if (this.dataset.unit) return this.dataset.unit;
    const [left, top, right, bottom] = this.#box();
    return right - left < 2 && bottom - top < 2 && Math.abs(left) <= 180 && Math.abs(top) <= 90 ? "deg" : "other";
  }
  // A degree of longitude is shorter than one of latitude.
  get #stretch() { return this.#unit === "deg" ? Math.cos(((this.#box()[1] + this.#box()[3]) / 2) * Math.PI / 180) : 1; }

  #box() {
    if (this.#picture) return [0, 0, this.#picture.naturalWidth, this.#picture.naturalHeight];
    if (this.box) return this.box;
    const box = [Infinity, Infinity, -Infinity, -Infinity];
    const take = (x, y) => { box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y); box[2] = Math.max(box[2], x); box[3] = Math.max(box[3], y); };
    for (const track of this.#tracks) track.x.forEach((x, index) => take(x, track.y[index]));
    for (const { lines } of this.#shapes) for (const line of lines) for (const [x, y] of line) take(x, y);
    this.box = box[0] <= box[2] ? box : [0, 0, 1, 1];
    return this.box;
  }

  #fit() {
    const [left, top, right, bottom] = this.#box();
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const stretch = this.#stretch, margin = this.#picture ? 0 : 24;
    const k = Math.min((width - 2 * margin) / ((right - left) * stretch || 1), (height - 2 * margin) / (bottom - top || 1));
    this.#zoom = { k, x: width / 2 - k * stretch * (left + right) / 2, y: height / 2 - k * (this.#up ? -1 : 1) * (top + bottom) / 2 };
    this.#least = k / 4;
    this.#touched = false;
    this.#redraw();
  }

  #least = 0;
  #touched = false; // Somebody has zoomed or moved.

  #screen(x, y) {
    const { k, x: left, y: top } = this.#zoom;
    return [k * this.stretched * x + left, (this.#up ? -k : k) * y + top];
  }

  #by(factor, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
    const k = Math.min(this.#least * 4000, Math.max(this.#least, this.#zoom.k * factor)), real = k / this.#zoom.k;
    this.#touched = true;
    this.#zoom = { k, x: x - (x - this.#zoom.x) * real, y: y - (y - this.#zoom.y) * real };
    this.#redraw();
  }

  #listen() {
    const canvas = this.canvas;
    new ResizeObserver(() => {
      if (!this.#zoom) return;
      if (this.#touched) this.#redraw();
      else { this.#shapeLike(); this.#fit(); }
    }).observe(canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this.colors = null; if (this.#chosen) this.#choose(this.#chosen, false); this.#redraw(); });
    canvas.addEventListener("wheel", (event) => {
      if (!this.#zoom) return;
      event.preventDefault();
      this.#by(2 ** (-event.deltaY / (event.deltaMode ? 10 : 300)), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); this.#pointers.set(event.pointerId, [event.offsetX, event.offsetY]); this.#moved = false; });
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => {
      this.#pointers.delete(event.pointerId);
      if (end === "pointerup" && !this.#moved && this.#zoom) this.#pick(event.offsetX, event.offsetY);
    });
    canvas.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
      if (!this.#zoom || event.ctrlKey || event.metaKey || event.altKey) return;
      if (move) { this.#touched = true; this.#zoom.x += move[0]; this.#zoom.y += move[1]; this.#redraw(); }
      else if (event.key === "+" || event.key === "=") this.#by(1.5);
      else if (event.key === "-") this.#by(1 / 1.5);
      else if (event.key === "0") this.#fit();
      else return;
      event.preventDefault();
    });
    if (this.video) {
      // A film may be shorter than what is drawn: it stays at its end then, and does not pull the time back.
      for (const event of ["timeupdate", "seeking"]) this.video.addEventListener(event, () => {
        if (!(this.film.isAtEnd && this.#time > this.film.timeS)) this.#go(this.film.timeS, false);
      });
    }
  }

  #drag(event) {
    const before = this.#pointers.get(event.pointerId);
    if (!before || !this.#zoom) return;
    const [dx, dy] = [event.offsetX - before[0], event.offsetY - before[1]];
    if (!this.#moved && Math.hypot(dx, dy) < 4) return;
    this.#moved = true;
    const others = [...this.#pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    this.#pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (others.length) {
      const [x, y] = others[0];
      this.#by(Math.hypot(event.offsetX - x, event.offsetY - y) / (Math.hypot(before[0] - x, before[1] - y) || 1), x, y);
    } else {
      this.#touched = true;
      this.#zoom.x += dx;
      this.#zoom.y += dy;
      this.#redraw();
    }
  }

  #toggle() {
    if (this.video) {
      if (this.video.paused) this.video.play(); else this.video.pause();
      this.play.textContent = this.video.paused ? "Play" : "Pause";
      if (!this.video.paused) this.#follow();
      return;
    }
    if (this.#playing) { cancelAnimationFrame(this.#playing); this.#playing = 0; this.play.textContent = "Play"; return; }
    this.play.textContent = "Pause";
    let last = performance.now();
    const step = (now) => {
      const next = this.#time + (now - last) / 1000;
      last = now;
      this.#go(next > this.#end ? this.#begin : next, false);
      this.#playing = requestAnimationFrame(step);
    };
    this.#playing = requestAnimationFrame(step);
  }

  // A video tells its time four times a second only.
  #follow() {
    const step = () => {
      if (!this.isConnected || this.video.paused) { this.play.textContent = "Play"; return; }
      this.#go(this.film.timeS, false);
      requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  #go(time, seek) {
    this.#time = Math.max(this.#begin, Math.min(this.#end, time));
    this.slider.value = this.#time;
    this.clock.textContent = `${this.#time.toFixed(1)} s`;
    this.slider.setAttribute("aria-valuetext", this.clock.textContent);
    if (seek && this.film) this.film.timeS = this.#time;
    this.#redraw();
  }

  #pick(x, y) {
    let nearest = null, least = NEAR;
    for (const track of this.#shown()) {
      for (let index = 0; index < track.t.length; index += 1) {
        const [left, top] = this.#screen(track.x[index], track.y[index]);
        const distance = Math.hypot(left - x, top - y);
        if (distance < least) { least = distance; nearest = { track, time: track.t[index] }; }
      }
      // Who is there now goes before who was there.
      const now = at(track, this.#time);
      if (now) {
        const [left, top] = this.#screen(now.x, now.y);
        const distance = Math.hypot(left - x, top - y) - NEAR / 2;
        if (distance < least) { least = distance; nearest = { track, time: this.#time }; }
      }
    }
    if (nearest) { this.#choose(nearest.track, true, nearest.time); return; }
    this.#choose(null, false);
    this.#pickShape(x, y);
  }

  #pickShape(x, y) {
    let least = NEAR;
    this.#shape = null;
    for (const shape of this.#shapes) for (const line of shape.lines) for (let index = 0; index < line.length; index += 1) {
      const [left, top] = this.#screen(...line[index]);
      const [nextLeft, nextTop] = this.#screen(...line[Math.min(index + 1, line.length - 1)]);
      const length = (nextLeft - left) ** 2 + (nextTop - top) ** 2;
      const share = length ? Math.max(0, Math.min(1, ((x - left) * (nextLeft - left) + (y - top) * (nextTop - top)) / length)) : 0;
      const distance = Math.hypot(left + share * (nextLeft - left) - x, top + share * (nextTop - top) - y);
      if (distance < least) { least = distance; this.#shape = shape; }
    }
    if (this.#shape) this.details.replaceChildren(element("h3", {}, `${this.#shape.type} ${this.#shape.number}`), facts(Object.entries(this.#shape.properties)));
    else this.details.replaceChildren();
    this.#redraw();
  }

  #choose(track, seek, time) {
    this.#chosen = track;
    this.#shape = null;
    this.chooser.value = track?.name ?? "";
    this.#plot?.destroy();
    this.#plot = null;
    this.details.replaceChildren();
    if (!track) { this.#redraw(); return; }
    if (seek) this.#go(time, true);
    else if (this.#time < track.t[0] || this.#time > track.t.at(-1)) this.#go(track.t[0], true);
    const speeds = track.speed.filter((speed) => speed !== null);
    const unit = this.dataset.speedUnit ? ` ${this.dataset.speedUnit}` : "";
    const mean = speeds.reduce((sum, speed) => sum + speed, 0) / (speeds.length || 1);
    const moment = element("button", { type: "button" }, "Go to its beginning");
    moment.addEventListener("click", () => { this.#go(track.t[0], true); (this.video ?? this.stage).scrollIntoView({ block: "nearest" }); });
    this.details.append(element("h3", {}, `${track.kind} ${track.name}`.trim()), facts([
      ["Seen", `${short.format(track.t[0])} s to ${short.format(track.t.at(-1))} s`],
      ...(speeds.length ? [["Mean speed", `${short.format(mean)}${unit}`], ["Highest speed", `${short.format(Math.max(...speeds))}${unit}`]] : []),
      ["Positions", track.rows.toLocaleString()],
    ]), moment);
    if (speeds.length > 1) this.#speeds(track);
    this.#redraw();
    this.dispatchEvent(new CustomEvent("track-chosen", { bubbles: true, detail: { name: track.name } }));
  }

  #speeds(track) {
    const place = element("div", { class: "chart-area" });
    this.details.append(place);
    const [text, grid] = [colorOf(this, "axis"), colorOf(this, "grid")];
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { stroke: grid, width: 1 }, font: "11px sans-serif" };
    this.#plot = new uPlot({
      width: Math.max(200, this.details.clientWidth), height: 150, legend: { show: false },
      scales: { x: { time: false }, y: { range: (_, low, high) => [Math.min(0, low), high * 1.05 || 1] } },
      axes: [{ ...axis, size: 30, values: (_, splits) => splits.map((value) => `${short.format(value)} s`) }, { ...axis, size: 44 }],
      series: [{}, { stroke: colorOf(this, this.#series(track.kind)), width: 1.5, points: { show: false } }],
      cursor: { drag: { x: false, y: false } },
      hooks: { setCursor: [(plot) => { if (plot.cursor.event && plot.cursor.left >= 0) this.#go(plot.posToVal(plot.cursor.left, "x"), false); }] },
    }, [track.t, track.speed], place);
    place.querySelector("canvas").setAttribute("aria-label", `Speed of ${track.kind} ${track.name} over time`);
    place.querySelector("canvas").setAttribute("role", "img");
    place.addEventListener("click", () => this.#go(this.#time, true));
  }

  #series(kind) { return `series-${this.#kinds.indexOf(kind) % COLORS}`; }
  #shown() { return this.#hidden.size ? this.#tracks.filter((track) => !this.#hidden.has(track.kind)) : this.#tracks; }

  #size() {
    const ratio = devicePixelRatio || 1;
    const [width, height] = [Math.round(this.canvas.clientWidth * ratio), Math.round(this.canvas.clientHeight * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
  }

  #redraw() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => { if (this.#zoom) this.#draw(); });
  }

  #draw() {
    this.#size();
    this.stretched = this.#stretch;
    this.colors ??= { text: colorOf(this, "axis"), grid: colorOf(this, "grid"), series: Array.from({ length: COLORS }, (_, index) => colorOf(this, `series-${index}`)) };
    const drawing = new MapDrawing(this.canvas, this.#zoom, (x, y) => this.#screen(x, y)), { series, text } = this.colors;
    if (this.#picture) drawing.drawPicture(this.#picture);
    for (const shape of this.#shapes) drawing.drawShape(shape, series[shape === this.#shape ? 1 : 0], shape === this.#shape);
    for (const track of this.#shown()) if (track !== this.#chosen) drawing.drawTrack(track, this.#colorOf(track), this.#chosen ? 0.15 : 0.35, 1);
    if (this.#chosen) drawing.drawTrack(this.#chosen, this.#colorOf(this.#chosen), 1, 3);
    for (const track of this.#shown()) drawing.drawNow(track, this.#colorOf(track), this.#time, track === this.#chosen);
    if (this.dataset.unit === "m") drawing.drawScale(text);
  }

  #colorOf(track) { return this.colors.series[this.#kinds.indexOf(track.kind) % COLORS]; }
}

function facts(pairs) {
  const list = element("dl", { class: "map-facts" });
  for (const [name, value] of pairs) list.append(element("div", {}, element("dt", {}, name), element("dd", {}, String(value))));
  return list;
}

customElements.define("map-view", MapView);
