// The files that this page sends, two at a time; the rest waits.
import { say } from "../messages.js";
import { folderStream } from "./folder.js";
import { Job } from "./job.js";

const AT_ONCE = 2;
const WORKING = new Set(["sending", "lost", "storing"]);
const TELL_MS = 250;

let library = null;

// Only who sends something loads it.
function loaded(address) {
  library ??= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, { src: address, onload: resolve, onerror: () => { library = null; reject(new Error(address)); } });
    document.head.append(script);
  });
  return library;
}

export class Queue {
  #jobs = [];
  #count = 0;
  #tell;
  #address;
  #timer = null;
  #owner = Math.random().toString(36).slice(2);

  // `tell` is called with what pages show, at most four times a second.
  constructor(address, tell) {
    this.#address = address;
    this.#tell = tell;
  }

  get shown() { return this.#jobs.map((job) => job.shown); }

  // Whether the page must stay.
  get busy() { return this.#jobs.some((job) => !job.ended); }

  // Each has a name, a `kind`, and `files` with their paths, of which a file has one. What it `replaces`: see Job.
  async add(chosen) {
    for (const { name, kind, files, replaces } of chosen) {
      if (files.reduce((sum, { file }) => sum + file.size, 0) === 0) { say(`${name} is empty.`, "bad"); continue; }
      const blob = kind === "directory" ? folderStream(files) : files[0].file;
      const same = (job) => !job.ended && job.name === name && job.kind === kind && job.replaces?.id === replaces?.id && job.blob.size === blob.size && job.blob.lastModified === blob.lastModified;
      if (this.#jobs.some(same)) { say(`${name} is being sent already.`, "bad"); continue; }
      this.#jobs.push(new Job({ name, kind, blob, replaces }, `${this.#owner}-${this.#count++}`, () => this.#changed()));
    }
    this.#changed();
    try {
      await loaded(this.#address);
    } catch {
      this.#jobs = this.#jobs.filter((job) => job.state !== "waiting");
      this.#changed();
      say("The server does not answer. Choose the files again once it does.", "bad");
      return;
    }
    this.#next();
  }

  act(id, verb) {
    const job = this.#jobs.find((each) => each.id === id);
    if (job === undefined) return;
    if (verb === "pause") job.pause();
    else if (verb === "go-on") { job.state = "waiting"; job.text = "waits for its turn"; this.#changed(); }
    else if (verb === "cancel") job.cancel();
    else if (verb === "close" && job.ended) { this.#jobs = this.#jobs.filter((each) => each !== job); this.#changed(); }
  }

  // Somebody is logged in, perhaps again.
  loggedIn() {
    for (const job of this.#jobs) if (job.loggedOut) this.act(job.id, "go-on");
  }

  #changed() {
    this.#next();
    this.#timer ??= setTimeout(() => { this.#timer = null; this.#tell(this.shown); }, TELL_MS);
  }

  #next() {
    if (!window.tus) return;
    const inUse = (id) => this.#jobs.some((job) => !job.ended && job.url?.endsWith(`/${id}`));
    for (const job of this.#jobs) {
      if (this.#jobs.filter((each) => WORKING.has(each.state)).length >= AT_ONCE) return;
      if (job.state === "waiting") job.start(inUse);
    }
  }
}
