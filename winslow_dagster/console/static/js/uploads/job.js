// One file, or one folder as a stream, on its way to the pool, by the protocol tus. Its states:
//   waiting   for its turn                       sending
//   lost      goes on by itself                  paused    until the person goes on
//   stopped   until the person does something    storing   all of it is there
//   stored, refused, cancelled   the end
import { fingerprintOf } from "./fingerprint.js";

// Below the megabyte that a proxy lets through which nobody has configured.
const SMALL_PART_BYTES = 900 * 1024;
const RETRIES_MS = [500, 1000, 2000, 5000, ...Array(360).fill(10_000)];
const LOOK_MS = 1000;
const SPEED_OVER_MS = 5000;
const ENDS = new Set(["stored", "refused", "cancelled"]);
const LOST = "The connection is lost. It goes on by itself.";
const LOGGED_OUT = "You are logged out. Log in, and it goes on.";
const LIMITED = "A proxy in front of the server limits the size of requests, so that this is sent in small parts.";

const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

function problemOf(error) {
  try {
    const problem = JSON.parse(error.originalResponse.getBody());
    return [problem.what, problem.remedy].filter(Boolean).map((text) => text[0].toUpperCase() + text.slice(1)).join(". ");
  } catch {
    return "";
  }
}

export class Job {
  #tell;
  #upload = null;
  #partBytes = Infinity;
  #seen = [];
  url = null;
  state = "waiting";
  text = "waits for its turn";
  note = "";
  sent = 0;

  // `kind` is "file" or "directory". `replaces` has the id and the name of a file of the pool whose place it takes.
  constructor({ name, kind, blob, replaces }, id, tell) {
    Object.assign(this, { name, kind, blob, replaces });
    this.id = id;
    this.#tell = tell;
  }

  get ended() { return ENDS.has(this.state); }

  // What every page shows of it.
  get shown() {
    const { id, name, state, text, note, sent, url, blob: { size } } = this;
    const perSecond = state === "sending" ? this.#perSecond() : 0;
    return { id, name, size, state, text, note, sent, url, perSecond, leftS: perSecond > 0 ? (size - sent) / perSecond : null };
  }

  async start(inUse) {
    this.#become("sending", "is being prepared");
    try {
      this.fingerprint ??= await fingerprintOf(this.blob);
    } catch {
      this.#become("refused", "The file cannot be read. Choose it again.");
      return;
    }
    while (this.url === null && ["sending", "lost"].includes(this.state)) {
      const answer = await fetch("/api/v1/uploads").catch(() => null);
      if (answer?.ok) {
        const mine = (each) => each.fingerprint === this.fingerprint && each.file_name === this.name && each.kind === this.kind && each.replaces === (this.replaces?.id ?? null);
        const found = (await answer.json()).unfinished.find((each) => mine(each) && !inUse(each.id));
        if (found) this.url = `/api/v1/uploads/${found.id}`;
        break;
      }
      if (answer?.status === 401) { this.#become("stopped", LOGGED_OUT); return; }
      this.#become("lost", LOST);
      await pause(LOOK_MS);
    }
    if (["sending", "lost"].includes(this.state)) this.#send();
  }

  pause() {
    this.#upload?.abort();
    this.#become("paused", "is paused");
  }

  // What has arrived is deleted. True if the server said so, or has nothing of it.
  async cancel() {
    await this.#upload?.abort();
    if (this.url) {
      const answer = await fetch(this.url, { method: "DELETE" }).catch(() => null);
      if (!answer?.ok && answer?.status !== 404) {
        this.#become("stopped", "It could not be cancelled: the server does not answer. Try again.");
        return;
      }
    }
    this.#become("cancelled", "is cancelled");
  }

  get loggedOut() { return this.state === "stopped" && this.text === LOGGED_OUT; }

  #become(state, text) {
    this.state = state;
    this.text = text;
    if (state !== "sending") this.#seen = [];
    this.#tell();
  }

  #perSecond() {
    const [[from, before] = [0, 0], [to, now] = [0, 0]] = [this.#seen[0], this.#seen.at(-1)];
    return to > from ? (1000 * (now - before)) / (to - from) : 0;
  }

  #send() {
    this.#upload = new tus.Upload(this.blob, {
      endpoint: "/api/v1/uploads",
      uploadUrl: this.url,
      metadata: { filename: this.name, fingerprint: this.fingerprint, kind: this.kind, ...(this.replaces && { replaces: this.replaces.name }) },
      chunkSize: this.#partBytes,
      retryDelays: RETRIES_MS,
      storeFingerprintForResuming: false,
      removeFingerprintOnSuccess: false,
      onShouldRetry: (error) => this.#lost(error),
      onUploadUrlAvailable: () => { this.url = this.#upload.url; this.#become("sending", "is being sent"); },
      onProgress: (sent) => this.#progress(sent),
      onError: (error) => this.#failed(error),
      onSuccess: () => this.#stored(),
    });
    this.#become("sending", "is being sent");
    this.#upload.start();
  }

  #progress(sent) {
    const now = performance.now();
    this.sent = sent;
    this.#seen.push([now, sent]);
    while (this.#seen.length > 2 && now - this.#seen[0][0] > SPEED_OVER_MS) this.#seen.shift();
    if (this.state === "lost") this.#become("sending", "is being sent");
    else this.#tell();
  }

  // Whether it is tried again: what a person has to change first is not.
  #lost(error) {
    const status = error.originalResponse?.getStatus() ?? 0;
    if (status !== 0 && status !== 409 && status !== 423 && status < 500) return false;
    const problem = status === 409 ? "" : problemOf(error);
    this.#become("lost", problem ? `${problem}. It goes on by itself.` : LOST);
    this.#look();
    return true;
  }

  // Whether going on is of any use: the file may have changed on this side, and the upload have ended on the other one.
  async #look() {
    try {
      await this.blob.slice(0, 1).arrayBuffer();
    } catch {
      await this.#upload.abort();
      this.#become("refused", "The file has changed, or is not there any more. Choose it again.");
      return;
    }
    const answer = this.url && await fetch(this.url).catch(() => null);
    if (!answer?.ok) return;
    const upload = await answer.json();
    if (!["cancelled", "failed"].includes(upload.state) || this.state !== "lost") return;
    await this.#upload.abort();
    this.#become("refused", `It is ${upload.state}. ${upload.message}`.trim());
  }

  #failed(error) {
    const status = error.originalResponse?.getStatus();
    if (status === 413 && this.#partBytes === Infinity) {
      this.#partBytes = SMALL_PART_BYTES;
      this.note = LIMITED;
      this.#send();
    } else if (status === 401) {
      this.#become("stopped", LOGGED_OUT);
    } else {
      this.#become("stopped", `It was not sent: ${problemOf(error) || "the server does not answer"}`);
    }
  }

  // All of it is there. What becomes of it, the server says.
  async #stored() {
    this.sent = this.blob.size;
    this.#become("storing", "is being put into the pool");
    for (;;) {
      const answer = await fetch(this.url).catch(() => null);
      if (answer?.ok) {
        const upload = await answer.json();
        if (upload.state === "stored") { this.#become("stored", `is in the pool${upload.replaces ? "" : ` as ${upload.name}`}. ${upload.message}`.trim()); return; }
        if (upload.state === "receiving" && upload.message) this.#become("storing", upload.message);
        if (upload.state !== "receiving") { this.#become("refused", `is not in the pool: ${upload.message || upload.state}`); return; }
      }
      await pause(LOOK_MS);
    }
  }
}
