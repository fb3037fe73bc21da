// Two videos at the same frame. At rest each canvas has exactly the frame with the index, decoded by the server; while
// they play, it has what the browser's own players show, and the second follows the first.
const SHOWN_WIDTH = 1920, CLOSE = 1.5, APART_S = 0.08;

class Film {
  constructor(canvas, say) {
    this.canvas = canvas;
    this.say = say;
    this.ready = fetch(canvas.dataset.footage).then(async (answer) => {
      const facts = await answer.json();
      if (!answer.ok) throw new Error(facts.detail);
      this.footage = facts;
      this.video = document.createElement("video");
      Object.assign(this.video, { muted: true, playsInline: true, preload: "metadata", src: canvas.dataset.video });
      return facts;
    });
  }

  get last() { return this.footage.frame_count - 1; }

  // Draws the frame. While one is on its way, only the last one that is wanted is fetched next.
  async show(where, close) {
    this.wanted = { where, close };
    if (this.busy) return this.busy;
    this.busy = this.#fetchWanted().finally(() => { this.busy = null; });
    return this.busy;
  }

  async #fetchWanted() {
    while (this.wanted) {
      const { where, close } = this.wanted;
      this.wanted = null;
      const width = this.footage.width > SHOWN_WIDTH && !close ? `&width=${SHOWN_WIDTH}` : "";
      const answer = await fetch(`${this.canvas.dataset.frames}&${where}${width}`);
      if (!answer.ok) { this.say((await answer.json()).detail); return; }
      const bitmap = await createImageBitmap(await answer.blob());
      this.index = Number(answer.headers.get("Frame-Index"));
      this.time = Number(answer.headers.get("Frame-Time"));
      Object.assign(this.canvas, { width: bitmap.width, height: bitmap.height });
      this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
      this.canvas.dataset.index = this.index;
      bitmap.close();
    }
  }

  drawPlayer() {
    if (this.video.readyState >= 2) this.canvas.getContext("2d").drawImage(this.video, 0, 0, this.canvas.width, this.canvas.height);
  }
}

export class LockedFrames extends EventTarget {
  constructor(bar, canvases, say) {
    super();
    this.films = canvases.map((canvas) => new Film(canvas, say));
    [this.play, this.time, this.at] = ["[data-play]", "[data-time]", "[data-at]"].map((name) => bar.querySelector(name));
    this.index = Number(bar.dataset.index) || 0;
    this.close = false;
    this.play.addEventListener("click", () => this.toggle());
    this.time.addEventListener("input", () => this.show(Number(this.time.value)));
    for (const button of bar.querySelectorAll("[data-step]")) button.addEventListener("click", () => this.show(this.index + Number(button.dataset.step)));
    Promise.all(this.films.map((film) => film.ready)).then(() => {
      this.last = Math.max(...this.films.map((film) => film.last));
      this.time.max = this.last;
      this.play.disabled = !this.films.every((film) => film.footage.browser_plays);
      if (this.play.disabled) this.play.title = "This browser cannot play one of them. Frames can be shown all the same.";
      const [one, other] = this.films.map((film) => film.footage.frame_count);
      if (one !== other) say(`${one} and ${other} frames`);
      this.show(this.index);
    }).catch((error) => say(error.message));
  }

  get playing() { return this.timer !== undefined; }

  // A film that is shorter stays at its last frame.
  async show(index) {
    if (this.last === undefined) return;
    this.#stop();
    this.index = Math.min(this.last, Math.max(0, index));
    this.#say();
    await Promise.all(this.films.map((film) => film.show(`index=${Math.min(this.index, film.last)}`, this.close)));
    this.dispatchEvent(new Event("drawn"));
  }

  // Closer to the pixels: the frames at full size.
  lookClosely(scale) {
    const close = scale > CLOSE;
    if (close === this.close) return;
    this.close = close;
    if (!this.playing) this.show(this.index);
  }

  async toggle() {
    if (this.play.disabled || this.last === undefined) return;
    if (this.playing) { await this.pause(); return; }
    const [leader, follower] = this.films;
    this.timer = 0;
    for (const film of this.films) film.video.currentTime = film.footage.starts_at_s + (film.time ?? 0);
    await Promise.all(this.films.map((film) => film.video.play())).catch(() => this.#stop());
    const draw = () => {
      if (!this.playing) return;
      if (leader.video.ended) { this.pause(); return; }
      const ahead = follower.video.currentTime - follower.footage.starts_at_s - (leader.video.currentTime - leader.footage.starts_at_s);
      if (Math.abs(ahead) > APART_S && !follower.video.ended) follower.video.currentTime -= ahead;
      for (const film of this.films) film.drawPlayer();
      this.index = Math.min(this.last, Math.round((leader.video.currentTime - leader.footage.starts_at_s) * leader.footage.rate));
      this.#say();
      this.timer = requestAnimationFrame(draw);
    };
    draw();
  }

  // The frame that the first one shows, exactly, on both sides.
  async pause() {
    const [leader] = this.films, time = Math.max(0, leader.video.currentTime - leader.footage.starts_at_s);
    this.#stop();
    await leader.show(`time_s=${time.toFixed(6)}`, this.close);
    await this.show(leader.index);
  }

  #stop() {
    if (this.playing) cancelAnimationFrame(this.timer);
    this.timer = undefined;
    for (const film of this.films) film.video?.pause();
    this.#say();
  }

  key(event) {
    const act = { " ": () => this.toggle(), ",": () => this.show(this.index - 1), ".": () => this.show(this.index + 1) }[event.key];
    if (!act || event.target.closest("button")) return false;
    act();
    return true;
  }

  #say() {
    this.play.textContent = this.playing ? "Pause" : "Play";
    this.play.setAttribute("aria-pressed", this.playing);
    this.time.value = this.index;
    const [leader] = this.films, seconds = leader.footage?.rate ? `, ${(this.index / leader.footage.rate).toFixed(2)} s` : "";
    this.at.textContent = `frame ${this.index}${seconds}`;
    this.time.setAttribute("aria-valuetext", this.at.textContent);
  }
}
