// A film in a <video>: as it is where this browser plays it, or else the copy that the server makes of it.
const POLL_MS = 1500;
const NEAR_S = 0.02;

export async function ask(address, options = {}) {
  const answer = await fetch(address, options);
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  throw new Error(problem.detail ?? `The server answered ${answer.status}.`);
}

// Resolves to the address of the copy of the film whose /proxy this is. `tell` hears how much of it is made, as long as `wanted`.
export async function playableCopy(address, { tell, wanted }) {
  let copy = await (await ask(address, { method: "POST" })).json();
  while (copy.state === "running" && wanted()) {
    tell(`This browser does not play the film. A copy that it plays is being made: ${Math.floor(copy.done * 100)} %.`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    copy = await (await ask(address)).json();
  }
  if (copy.state !== "ready") throw new Error(copy.problem || "The copy for this browser was not made.");
  const film = new URL(address, location.href);
  film.pathname += "/film";
  return film.href;
}

// The film of a <video data-src data-footage data-proxy>. Its time counts from its first frame.
export class PlayableFilm {
  #begins = 0; // where the first frame is in the film's own time; 0 in a copy
  #copies = false;

  constructor(video, tell) {
    Object.assign(this, { video, tell });
    video.addEventListener("error", () => this.#copy());
    this.#open();
  }

  get timeS() { return Math.max(0, this.video.currentTime - this.#begins); }
  set timeS(timeS) { if (Math.abs(this.timeS - timeS) > NEAR_S) this.video.currentTime = this.#begins + timeS; }

  get isAtEnd() { return this.video.currentTime >= this.video.duration - NEAR_S; }

  async #open() {
    try {
      const facts = await (await ask(this.video.dataset.footage)).json();
      if (!facts.browser_plays) { await this.#copy(); return; }
      this.#begins = facts.starts_at_s;
      this.video.src = this.video.dataset.src;
    } catch (error) { this.tell(error.message); }
  }

  async #copy() {
    if (this.#copies) return;
    this.#copies = true;
    const timeS = this.timeS;
    try {
      this.video.src = await playableCopy(this.video.dataset.proxy, { tell: this.tell, wanted: () => this.video.isConnected });
      this.#begins = 0;
      this.video.addEventListener("loadedmetadata", () => { this.timeS = timeS; }, { once: true });
      this.tell("");
    } catch (error) { this.tell(error.message); }
  }
}
