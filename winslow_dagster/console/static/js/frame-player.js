// <frame-player>: a film that plays, and whose frames are chosen exactly. At rest it shows the frame as the server has
// decoded it, so that its index is certain: a browser's time is none, and browsers do not play every film.
//
//   <frame-player src=FILM footage=URL frames=URL filmstrip=URL proxy=URL look=URL index=0 name="film.mp4"></frame-player>
//
// `src` is the film itself; the others are addresses of the REST API for the same file: …/footage?file=…, …/frames?file=…,
// …/filmstrip?file=…, …/proxy?file=…; `look` is the page that shows one frame with zoom. With `full`, frames come at full size instead of that of the screen.
//
//   index, timeS, frameCount       the frame at rest, or the last one
//   show(index)                    goes there; resolves once the exact frame is shown
//   frame                          the <img> of the exact frame, for a <zoom-view> or a canvas
//
// Events: `frame-chosen` with {index, time_s, width, height} whenever another exact frame is shown; `ready` once the film is known.
// Keys: , and . one frame, arrows one second, Home, End, space plays.
import { ask, playableCopy } from "./playable-film.js";

const TILES = 12;
const TILE_WIDTH = 160;
const WIDTHS = [640, 960, 1280, 1920, 2560];
const SETTLE_MS = 120;
const SPEEDS = [0.25, 0.5, 1, 2];
const INSIDE_FRAME_S = 0.001; // a browser's time at the very border of two frames may show either

const number = new Intl.NumberFormat();

export function clock(seconds) {
  const thousandths = Math.round(seconds * 1000), minutes = Math.floor(thousandths / 60_000);
  const padded = (value, digits = 2) => String(value).padStart(digits, "0");
  const hours = minutes >= 60 ? `${Math.floor(minutes / 60)}:${padded(minutes % 60)}` : minutes;
  return `${hours}:${padded(Math.floor(thousandths / 1000) % 60)}.${padded(thousandths % 1000, 3)}`;
}

function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key in made) made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

class FramePlayer extends HTMLElement {
  #facts = null;
  #begins = 0; // where the first frame is in the film's own time; 0 in a proxy
  #asked = null;
  #settling = 0;
  #wanted = null;
  #quiet = false;
  #typed = false;
  #chosen = false;
  #strip = [0, 0];
  index = 0;
  timeS = 0;

  connectedCallback() {
    if (this.#facts || this.#wanted !== null) return;
    this.#wanted = Number(this.getAttribute("index") ?? 0);
    this.tabIndex = this.hasAttribute("tabindex") ? this.tabIndex : 0;
    this.setAttribute("role", "group");
    this.setAttribute("aria-label", `${this.getAttribute("name") ?? "Film"}: frames by , and .; seconds by arrows; space plays`);
    this.#build();
    this.addEventListener("keydown", (event) => this.#key(event));
    this.#open();
  }

  disconnectedCallback() { this.#asked?.abort(); this.video?.pause(); }

  get frameCount() { return this.#facts?.frame_count ?? 0; }

  #address(name, query) {
    const address = new URL(this.getAttribute(name), location.href);
    for (const [key, value] of Object.entries(query)) if (value !== null) address.searchParams.set(key, value);
    return address;
  }

  #build() {
    this.video = element("video", { preload: "metadata", playsInline: true, tabIndex: -1, "aria-hidden": "true" });
    this.video.muted = true;
    this.frame = element("img", { className: "player-frame", alt: "", draggable: false });
    this.screen = element("div", { className: "player-screen" }, this.video, this.frame);
    this.screen.addEventListener("click", () => this.#toggle());
    this.note = element("p", { className: "player-note", role: "status", hidden: true });
    this.#play = element("button", { type: "button", onclick: () => this.#toggle() });
    const step = (text, label, by) => element("button", { type: "button", textContent: text, title: label, "aria-label": label, onclick: by });
    this.#field = element("input", { type: "number", min: 0, step: 1, inputMode: "numeric", "aria-label": "Frame",
      oninput: () => { this.#typed = true; }, onblur: () => { this.#typed = false; },
      onchange: () => { this.#typed = false; this.show(Number(this.#field.value)); } });
    this.#total = element("span");
    this.#clock = element("output", { className: "player-clock" });
    this.#slider = element("input", { type: "range", min: 0, step: 1, value: 0, className: "player-slider", "aria-label": "Frame of the film", oninput: () => this.#slide() });
    this.#speed = element("select", { "aria-label": "Speed", onchange: () => { this.video.playbackRate = Number(this.#speed.value); } },
      ...SPEEDS.map((speed) => element("option", { value: speed, textContent: `${speed} ×`, selected: speed === 1 })));
    const bar = element("div", { className: "player-bar" },
      step("−1 s", "−1 s: one second back (left arrow)", () => this.#seconds(-1)),
      step("‹", "One frame back (key ,)", () => this.show(this.index - 1)),
      this.#play,
      step("›", "One frame on (key .)", () => this.show(this.index + 1)),
      step("+1 s", "+1 s: one second on (right arrow)", () => this.#seconds(1)),
      this.#speed,
      element("span", { className: "player-place" }, element("label", { className: "player-index" }, "Frame ", this.#field, " ", this.#total), this.#clock));
    this.#tiles = element("div", { className: "player-tiles" });
    this.#whole = element("button", { type: "button", className: "plain", textContent: "Strip of the whole film", hidden: true, onclick: () => this.#showStrip(0, this.frameCount - 1) });
    this.#closer = element("button", { type: "button", className: "plain", textContent: "Strip around this frame", title: "More frames near the one that is shown", onclick: () => this.#refine() });
    this.#zoom = element("a", { className: "button plain", textContent: "Zoom into this frame", hidden: !this.hasAttribute("look") });
    const strip = element("div", { className: "player-strip" }, this.#tiles, element("div", { className: "player-strip-acts" }, this.#whole, this.#closer, this.#zoom));
    this.append(this.screen, this.note, this.#slider, bar, strip);
    this.#showPlaying();
    for (const name of ["play", "pause"]) this.video.addEventListener(name, () => this.#showPlaying());
    // The event comes after what paused it: a frame that was chosen meanwhile stays chosen.
    this.video.addEventListener("pause", () => { if (!this.#chosen) this.#settle(); });
    this.video.addEventListener("play", () => { this.#chosen = false; this.classList.add("playing"); this.#follow(); });
    this.video.addEventListener("error", () => this.#withProxy());
  }
  #play; #field; #total; #clock; #slider; #speed; #tiles; #whole; #closer; #zoom;

  async #open() {
    this.#say("Reading the film…");
    try {
      this.#facts = await (await ask(this.getAttribute("footage"))).json();
    } catch (error) { this.#say(error.message, "bad"); return; }
    const { frame_count: count, width, height, starts_at_s: begins, browser_plays: plays } = this.#facts;
    this.screen.style.aspectRatio = `${width} / ${height}`;
    this.#field.max = this.#slider.max = count - 1;
    this.#total.textContent = `of ${number.format(count)}`;
    this.#say("");
    if (this.#facts.kind === "picture") this.classList.add("still");
    else if (plays) { this.#begins = begins; this.video.src = this.getAttribute("src"); }
    else this.#withProxy();
    this.dispatchEvent(new CustomEvent("ready", { detail: this.#facts }));
    await this.show(this.#wanted);
    if (this.#facts.kind === "video") this.#showStrip(0, count - 1);
  }

  // The exact frame. A request that is overtaken by another one is dropped.
  async show(index) {
    if (!this.#facts) { this.#wanted = index; return; }
    this.#halt();
    await this.#load({ index: Math.min(this.frameCount - 1, Math.max(0, Math.round(index) || 0)) });
  }

  async #load(which) {
    clearTimeout(this.#settling);
    this.#asked?.abort();
    const asked = this.#asked = new AbortController();
    if (which.index !== undefined) this.#tell(which.index, null);
    this.setAttribute("aria-busy", "true");
    try {
      const width = this.hasAttribute("full") ? null : this.#width();
      const answer = await ask(this.#address("frames", { ...which, width }), { signal: asked.signal });
      const content = await answer.blob();
      if (asked.signal.aborted) return;
      const before = this.frame.src;
      this.frame.src = URL.createObjectURL(content);
      await this.frame.decode();
      if (before.startsWith("blob:")) URL.revokeObjectURL(before);
      if (asked.signal.aborted) return;
      this.#say("");
      this.classList.remove("playing");
      this.#tell(Number(answer.headers.get("Frame-Index")), Number(answer.headers.get("Frame-Time")));
      this.#wind();
      const { width: full, height } = this.#facts;
      this.dispatchEvent(new CustomEvent("frame-chosen", { bubbles: true, detail: { index: this.index, time_s: this.timeS, width: full, height } }));
    } catch (error) {
      if (error.name !== "AbortError") this.#say(error.message, "bad");
    } finally {
      if (this.#asked === asked) this.removeAttribute("aria-busy");
    }
  }

  #width() {
    const wanted = this.screen.clientWidth * devicePixelRatio;
    return WIDTHS.find((width) => width >= wanted) ?? null;
  }

  // The film goes on from the frame that is shown.
  #wind() {
    if (this.video.readyState < 1) {
      this.video.addEventListener("loadedmetadata", () => this.#wind(), { once: true });
      return;
    }
    this.video.currentTime = this.#begins + this.timeS + INSIDE_FRAME_S;
  }

  #tell(index, timeS, about = "") {
    this.index = index;
    if (timeS !== null) this.timeS = timeS;
    // What somebody is typing is theirs until they leave the field.
    if (!this.#typed && (document.activeElement !== this.#field || !about)) this.#field.value = index;
    this.#slider.value = index;
    if (this.hasAttribute("look")) this.#zoom.href = `${this.getAttribute("look")}&frame=${index}`;
    this.#slider.setAttribute("aria-valuetext", `frame ${index}`);
    if (timeS !== null) this.#clock.textContent = `${about}${clock(timeS)}`;
    for (const tile of this.#tiles.children) tile.toggleAttribute("data-chosen", Number(tile.dataset.index) === index);
  }

  #toggle() {
    if (this.video.readyState < 2 || !this.video.currentSrc) return;
    if (this.video.paused) this.video.play(); else this.video.pause();
  }

  // While it plays, the index is only about right.
  #follow() {
    const seen = (_now, { mediaTime }) => {
      if (this.video.paused) return;
      const timeS = Math.max(0, mediaTime - this.#begins);
      this.#tell(Math.min(this.frameCount - 1, Math.round(timeS * this.#facts.rate)), timeS, "≈ ");
      this.video.requestVideoFrameCallback(seen);
    };
    this.video.requestVideoFrameCallback(seen);
  }

  #settle() {
    if (!this.classList.contains("playing")) return;
    clearTimeout(this.#settling);
    const timeS = Math.max(0, this.video.currentTime - this.#begins);
    this.#settling = setTimeout(() => this.#load({ time_s: Math.min(timeS, this.#facts.duration_s).toFixed(6) }), SETTLE_MS);
  }

  // A frame is chosen instead of the one at which it pauses.
  #halt() {
    this.#chosen = true;
    this.video.pause();
  }

  #slide() {
    this.#halt();
    const index = Number(this.#slider.value);
    this.#tell(index, null);
    clearTimeout(this.#settling);
    this.#settling = setTimeout(() => this.show(index), SETTLE_MS);
  }

  #seconds(by) {
    if (!this.#facts) return;
    this.#halt();
    this.#load({ time_s: Math.min(this.#facts.duration_s, Math.max(0, this.timeS + by)).toFixed(6) });
  }

  #showPlaying() {
    const paused = this.video.paused, label = paused ? "Play (space)" : "Pause (space)";
    this.#play.textContent = paused ? "▶" : "❚❚";
    this.#play.title = label;
    this.#play.setAttribute("aria-label", label);
  }

  #say(text, tone = "") {
    this.note.textContent = text;
    this.note.hidden = !text;
    this.note.dataset.tone = tone;
  }

  async #showStrip(first, last) {
    if (!this.hasAttribute("filmstrip")) return;
    this.#strip = [first, last];
    this.#whole.hidden = first === 0 && last === this.frameCount - 1;
    this.#closer.hidden = last - first < TILES;
    try {
      const answer = await ask(this.#address("filmstrip", { first, last, count: TILES, width: TILE_WIDTH }));
      const indices = answer.headers.get("Frame-Indices").split(",").map(Number);
      const times = answer.headers.get("Frame-Times").split(",").map(Number);
      const picture = await createImageBitmap(await answer.blob());
      const width = picture.width / indices.length;
      this.#tiles.replaceChildren(...indices.map((index, at) => {
        const canvas = element("canvas", { width, height: picture.height });
        canvas.getContext("2d").drawImage(picture, at * width, 0, width, picture.height, 0, 0, width, picture.height);
        const tile = element("button", { type: "button", title: `Frame ${number.format(index)} at ${clock(times[at])}`, onclick: () => this.show(index) }, canvas, element("span", { textContent: number.format(index) }));
        tile.dataset.index = index;
        tile.toggleAttribute("data-chosen", index === this.index);
        return tile;
      }));
    } catch (error) { this.#say(error.message, "bad"); }
  }

  #refine() {
    const [first, last] = this.#strip, span = Math.max(TILES - 1, Math.round((last - first) / 6));
    const begin = Math.max(0, Math.min(this.frameCount - 1 - span, this.index - Math.round(span / 2)));
    this.#showStrip(begin, Math.min(this.frameCount - 1, begin + span));
  }

  // What this browser does not play is copied by the server. Frames are chosen exactly meanwhile.
  async #withProxy() {
    if (this.#quiet || !this.#facts) return;
    this.#quiet = true;
    try {
      if (!this.hasAttribute("proxy")) throw new Error("This browser does not play the film. Its frames can be chosen all the same.");
      const copy = await playableCopy(this.getAttribute("proxy"), {
        tell: (text) => this.#say(`${text} Its frames can be chosen already.`), wanted: () => this.isConnected,
      });
      this.#say("");
      this.#begins = 0;
      this.video.src = copy;
      this.classList.add("proxy");
      this.#wind();
    } catch (error) { this.#say(error.message, "bad"); }
  }

  #key(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const acts = {
      ",": () => this.show(this.index - 1), ".": () => this.show(this.index + 1),
      ArrowLeft: () => this.#seconds(-1), ArrowRight: () => this.#seconds(1),
      Home: () => this.show(0), End: () => this.show(this.frameCount - 1),
      " ": () => { if (!event.target.matches("button")) this.#toggle(); else return false; },
    };
    const act = acts[event.key];
    if (act && act() !== false) { event.preventDefault(); event.stopPropagation(); }
  }
}

customElements.define("frame-player", FramePlayer);
