// Two pictures or videos, compared: superposed with a wipe, side by side, by their difference, or in turn.
import { LockedView } from "./locked-view.js";
import { LockedVideos } from "./locked-videos.js";

const BLINK_MS = 700, STEP = 2, ZOOM = 1.25;
const MODES = ["wipe", "side", "difference", "blink"];
const KEPT = "winslow-compare-mode";

class PictureCompare extends HTMLElement {
  connectedCallback() {
    this.stage = this.querySelector(".wipe-stage");
    this.handle = this.querySelector(".handle");
    this.panes = [...this.querySelectorAll(".pane")];
    this.media = this.panes.map((pane) => pane.querySelector("img, video"));
    this.view = new LockedView(this.stage, this.media);
    if (this.dataset.kind === "video") this.videos = new LockedVideos(this, this.media);
    this.stop = new AbortController();
    for (const element of this.media) this.#load(element);
    for (const button of this.querySelectorAll("button[data-mode]")) button.addEventListener("click", () => this.show(button.dataset.mode));
    for (const button of this.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => this.#zoom(button.dataset.zoom));
    this.handle.addEventListener("pointerdown", (event) => this.#drag(event));
    this.addEventListener("keydown", (event) => this.#key(event));
    let mode = null;
    try { mode = sessionStorage.getItem(KEPT); } catch { /* storage may be forbidden */ }
    this.wipe = 50;
    this.show(MODES.includes(mode) ? mode : "wipe");
  }

  disconnectedCallback() { clearInterval(this.blinking); this.stop.abort(); }

  #load(element) {
    const { signal } = this.stop;
    const ready = () => { this.view.draw(); this.#say(); };
    const failed = () => this.#say(`${element.getAttribute("alt") || element.getAttribute("aria-label")} cannot be shown by this browser.`);
    element.addEventListener(element.localName === "video" ? "loadedmetadata" : "load", ready, { signal });
    element.addEventListener("error", failed, { signal });
    if (element.error || (element.complete && !element.naturalWidth)) failed();
    else ready();
  }

  // What the sizes are, where they differ.
  #say(problem) {
    if (problem) this.problem = problem;
    const [one, other] = this.media.map((element) => this.view.size(element).join(" × "));
    this.querySelector("[data-say]").textContent = this.problem ?? (one !== other && !one.startsWith("1 ×") && !other.startsWith("1 ×") ? `${one} and ${other} pixels` : "");
  }

  show(mode) {
    this.mode = mode;
    this.stage.dataset.mode = mode;
    try { sessionStorage.setItem(KEPT, mode); } catch { /* storage may be forbidden */ }
    for (const button of this.querySelectorAll("button[data-mode]")) button.setAttribute("aria-pressed", button.dataset.mode === mode);
    this.handle.hidden = mode !== "wipe";
    clearInterval(this.blinking);
    this.stage.dataset.turn = "left";
    if (mode === "blink") this.blinking = setInterval(() => { this.stage.dataset.turn = this.stage.dataset.turn === "left" ? "right" : "left"; }, BLINK_MS);
    this.#place(this.wipe);
    this.view.draw();
  }

  // The left picture is shown up to this part of the width, in per cent.
  #place(wipe) {
    this.wipe = Math.min(100, Math.max(0, wipe));
    this.handle.style.left = `${this.wipe}%`;
    this.handle.setAttribute("aria-valuenow", Math.round(this.wipe));
    this.handle.setAttribute("aria-valuetext", `${Math.round(this.wipe)} % of the left one`);
    this.panes[1].style.clipPath = this.mode === "wipe" ? `inset(0 0 0 ${this.wipe}%)` : "";
  }

  #drag(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.handle.focus();
    const dragging = new AbortController(), { signal } = dragging;
    this.handle.setPointerCapture(event.pointerId);
    this.handle.addEventListener("pointermove", (moved) => {
      const box = this.stage.getBoundingClientRect();
      this.#place(((moved.clientX - box.left) / box.width) * 100);
    }, { signal });
    for (const name of ["pointerup", "pointercancel"]) this.handle.addEventListener(name, () => dragging.abort(), { signal });
  }

  #zoom(how) {
    if (how === "fit") this.view.whole();
    else if (how === "one") this.view.pixels();
    else this.view.zoom(how === "in" ? ZOOM : 1 / ZOOM);
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
    const onHandle = event.target === this.handle, wiping = this.mode === "wipe" && (onHandle || event.shiftKey);
    const place = { ArrowLeft: this.wipe - STEP, ArrowRight: this.wipe + STEP, PageDown: this.wipe - 10, PageUp: this.wipe + 10, Home: 0, End: 100 }[event.key];
    if (wiping && place !== undefined) this.#place(place);
    else if (MODES[event.key - 1] && event.target.closest(".wipe-stage")) this.show(MODES[event.key - 1]);
    else if (!this.videos?.key(event)) return;
    event.preventDefault();
  }
}

customElements.define("picture-compare", PictureCompare);
