// Two videos at the same time: the first leads, and the other follows it.
const FRAME_S = 1 / 25, APART_S = 0.08;

export class LockedVideos {
  constructor(bar, [leader, follower]) {
    this.leader = leader;
    this.follower = follower;
    this.play = bar.querySelector("[data-play]");
    this.time = bar.querySelector("[data-time]");
    this.at = bar.querySelector("[data-at]");
    this.play.addEventListener("click", () => this.toggle());
    this.time.addEventListener("input", () => this.go((this.time.value / 1000) * this.length));
    for (const button of bar.querySelectorAll("[data-step]")) button.addEventListener("click", () => this.step(Number(button.dataset.step)));
    leader.addEventListener("timeupdate", () => this.#follow());
    leader.addEventListener("ended", () => this.pause());
    leader.addEventListener("play", () => this.#show());
    leader.addEventListener("pause", () => this.#show());
  }

  get length() { return Math.max(this.leader.duration || 0, this.follower.duration || 0); }

  toggle() { if (this.leader.paused) { this.leader.play(); this.follower.play(); } else this.pause(); }

  pause() { this.leader.pause(); this.go(this.leader.currentTime); }

  go(time) {
    for (const video of [this.leader, this.follower]) {
      if (video === this.follower && this.leader.paused) video.pause();
      video.currentTime = Math.max(0, Math.min(time, video.duration || 0));
    }
    this.#show();
  }

  step(frames) {
    this.leader.pause();
    this.go(this.leader.currentTime + frames * FRAME_S);
  }

  key(event) {
    const act = { " ": () => this.toggle(), ",": () => this.step(-1), ".": () => this.step(1) }[event.key];
    if (!act || event.target.closest("button")) return false;
    act();
    return true;
  }

  #follow() {
    if (!this.leader.paused && Math.abs(this.follower.currentTime - this.leader.currentTime) > APART_S) this.follower.currentTime = this.leader.currentTime;
    this.#show();
  }

  #show() {
    const playing = !this.leader.paused;
    this.play.textContent = playing ? "Pause" : "Play";
    this.play.setAttribute("aria-pressed", playing);
    this.time.value = this.length ? (this.leader.currentTime / this.length) * 1000 : 0;
    this.at.textContent = `${this.leader.currentTime.toFixed(2)} s`;
    this.time.setAttribute("aria-valuetext", this.at.textContent);
  }
}
