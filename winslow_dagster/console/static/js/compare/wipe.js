// Two pictures or videos, compared: superposed with a wipe, side by side, by their difference, or in turn.
import { LockedView } from "./locked-view.js";
import { LockedFrames } from "./locked-frames.js";

const BLINK_MS = 700, STEP = 2;
const MODES = ["wipe", "side", "difference", "blink"];
const KEPT = "winslow-compare-mode";

class PictureCompare extends HTMLElement {
  connectedCallback() {
    this.stage = this.querySelector(".wipe-stage");
    this.handle = this.querySelector(".handle");
    this.panes = [...this.querySelectorAll(".pane")];
    this.media = this.panes.map((pane) => pane.querySelector("img, canvas"));
    this.view = new LockedView(this.panes.map((pane) => pane.querySelector("zoom-view")));
    this.stop = new AbortController();
    if (this.dataset.kind === "video") {
      this.videos = new LockedFrames(this, this.media, (text) => this.#say(text));
      this.videos.addEventListener("drawn", () => this.view.redrawn());
      this.view.moved = () => this.videos.lookClosely(this.view.scale);
    } else for (const element of this.media) this.#load(element);
    for (const button of this.querySelectorAll("button[data-mode]")) button.addEventListener("click", () => this.show(button.dataset.mode));
    for (const button of this.querySelectorAll("[data-zoom]")) button.addEventListener("click", () => this.view.zoom(button.dataset.zoom));
    this.handle.addEventListener("pointerdown", (event) => this.#drag(event));
    // Before the view, which moves by arrow keys, too.
    this.addEventListener("keydown", (event) => this.#key(event), { capture: true });
    let mode = null;
    try { mode = sessionStorage.getItem(KEPT); } catch { /* storage may be forbidden */ }
    this.wipe = 50;
    this.show(MODES.includes(mode) ? mode : "wipe");
  }

  disconnectedCallback() { clearInterval(this.blinking); this.videos?.pause?.(); this.stop.abort(); }

  #load(element) {
    const { signal } = this.stop;
    const ready = () => this.#say();
    const failed = async () => this.#say(await this.#reason(element));
    element.addEventListener("load", ready, { signal });
    element.addEventListener("error", failed, { signal });
    if (element.complete && !element.naturalWidth) failed();
    else ready();
  }

  // Why the server could not make a picture of the file.
  async #reason(element) {
    const answer = await fetch(element.src).catch(() => null);
    const problem = answer && !answer.ok ? await answer.json().catch(() => null) : null;
    return problem?.detail ?? `${element.alt} cannot be shown.`;
  }

  // What the sizes are, where they differ.
  #say(problem) {
    if (problem) this.problem = problem;
    const [one, other] = this.media.map((element) => `${element.naturalWidth ?? 0} × ${element.naturalHeight ?? 0}`);
    const known = this.media.every((element) => element.naturalWidth);
    this.querySelector("[data-say]").textContent = this.problem ?? (known && one !== other ? `${one} and ${other} pixels` : "");
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

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input")) return;
    const onHandle = event.target === this.handle, wiping = this.mode === "wipe" && (onHandle || event.shiftKey);
    const place = { ArrowLeft: this.wipe - STEP, ArrowRight: this.wipe + STEP, PageDown: this.wipe - 10, PageUp: this.wipe + 10, Home: 0, End: 100 }[event.key];
    const mode = event.target.closest(".wipe-stage") && MODES.find((each) => each[0] === event.key);
    if (wiping && place !== undefined) this.#place(place);
    else if (mode) this.show(mode);
    else if (!this.videos?.key(event)) return;
    event.preventDefault();
  }
}

customElements.define("picture-compare", PictureCompare);
