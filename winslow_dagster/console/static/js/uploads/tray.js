// <upload-tray>: what is being sent, on every page. The page in which files were chosen sends them; others are told.
import { formatSize } from "../format.js";

const BUTTONS = {
  pause: ["Pause", ["sending", "lost"]],
  "go-on": ["Resume", ["paused", "stopped"]],
  cancel: ["Cancel", ["waiting", "sending", "lost", "paused", "stopped"]],
  close: ["Close", ["stored", "refused", "cancelled"]],
};
const UNDER_WAY = new Set(["waiting", "sending", "lost", "paused", "stopped", "storing"]);
// A page in the background may be slow to tell.
const GONE_AFTER_MS = 90_000;
const FRAMED = window !== window.top;

function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

function numbersOf({ sent, size, perSecond, leftS }) {
  const left = leftS === null ? "" : ` · ${formatSize(perSecond)}/s · ${duration(leftS)} left`;
  return `${formatSize(sent)} of ${formatSize(size)}${left}`;
}

function summaryOf(jobs) {
  const open = jobs.filter((job) => UNDER_WAY.has(job.state));
  const count = (number) => `${number} file${number === 1 ? "" : "s"}`;
  if (open.length === 0) {
    const stored = jobs.filter((job) => job.state === "stored").length;
    return stored === jobs.length ? `${count(stored)} sent` : `${stored} of ${count(jobs.length)} sent`;
  }
  const [sent, size, perSecond] = open.reduce(([a, b, c], job) => [a + job.sent, b + job.size, c + job.perSecond], [0, 0, 0]);
  const left = perSecond > 0 ? ` · ${duration((size - sent) / perSecond)} left` : "";
  const share = `${Math.floor((100 * sent) / size)} %${left}`;
  const halted = ["paused", "stopped"].map((state) => [state, open.filter((job) => job.state === state).length]).filter(([, number]) => number);
  const halts = halted.reduce((sum, [, number]) => sum + number, 0);
  if (halts === open.length && halted.length === 1) return `${count(halts)} ${halted[0][0]} · ${share}`;
  return [`Sending ${count(open.length)}`, share, ...halted.map(([state, number]) => `${number} ${state}`)].join(" · ");
}

class UploadTray extends HTMLElement {
  #queue = null;
  #others = new Map();
  #stored = new Set();
  #name = Math.random().toString(36).slice(2);

  connectedCallback() {
    this.channel = new BroadcastChannel("winslow-uploads");
    this.channel.onmessage = ({ data }) => this.#hear(data);
    // Who sends goes on once somebody is logged in, and tells what it sends.
    this.channel.postMessage({ kind: "hello" });
    this.addEventListener("click", (event) => {
      const button = event.target.closest("[data-verb]");
      if (button) this.#act(button.closest("li").dataset.job, button.dataset.verb);
      if (!event.target.closest("[data-close-all]")) return;
      for (const close of this.querySelectorAll('[data-verb="close"]:not([hidden])')) close.click();
    });
    window.addEventListener("pagehide", () => { if (this.#queue) this.#tell([]); });
  }

  // The page of a frame hands its files on: it may be gone soon.
  async send(chosen) {
    if (FRAMED) {
      const outer = window.top.document.querySelector("upload-tray");
      if (outer) { await outer.send(chosen); return; }
    }
    if (this.#queue === null) {
      const [{ Queue }, { stay }] = await Promise.all([import("./queue.js"), import("./stay.js")]);
      this.#queue ??= new Queue(this.dataset.tus, (jobs) => this.#tell(jobs));
      stay(() => this.#queue.busy, () => this.#marked());
    }
    // Copies that belong to this page.
    this.querySelector("details")?.setAttribute("open", "");
    const own = ({ path, file }) => ({ path, file: structuredClone(file) });
    this.#queue.add(chosen.map((each) => ({ ...each, files: each.files.map(own) })));
  }

  #tell(jobs) {
    const told = { kind: "jobs", from: this.#name, jobs };
    this.channel.postMessage(told);
    this.#hear(told);
  }

  #hear({ kind, from, jobs, id, verb }) {
    if (kind === "hello" && this.#queue) { this.#queue.loggedIn(); this.#tell(this.#queue.shown); }
    if (kind === "act") this.#queue?.act(id, verb);
    if (kind !== "jobs") return;
    if (jobs.length) this.#others.set(from, { jobs, at: Date.now() });
    else this.#others.delete(from);
    for (const [name, { at }] of this.#others) if (Date.now() - at > GONE_AFTER_MS) this.#others.delete(name);
    this.#show([...this.#others.values()].flatMap((each) => each.jobs));
  }

  #act(id, verb) {
    if (verb === "cancel" && !confirm("Cancel this upload? What has arrived of it is deleted.")) return;
    if (this.#queue?.shown.some((job) => job.id === id)) this.#queue.act(id, verb);
    else this.channel.postMessage({ kind: "act", id, verb });
  }

  #show(jobs) {
    document.dispatchEvent(new CustomEvent("winslow:uploads", { detail: jobs }));
    for (const job of jobs) {
      if (job.state !== "stored" || this.#stored.has(job.id)) continue;
      this.#stored.add(job.id);
      document.dispatchEvent(new CustomEvent("winslow:stored"));
    }
    this.hidden = FRAMED || jobs.length === 0;
    if (FRAMED) return;
    this.#marked();
    if (!this.firstElementChild) this.innerHTML = '<details open><summary></summary><ul aria-label="Files that are sent"></ul><button type="button" class="plain" data-close-all>Close what is done</button></details>';
    this.querySelector("summary").textContent = summaryOf(jobs);
    const list = this.querySelector("ul");
    const known = new Map([...list.children].map((row) => [row.dataset.job, row]));
    for (const job of jobs) {
      const row = known.get(job.id) ?? list.appendChild(this.#row(job));
      known.delete(job.id);
      this.#update(row, job);
    }
    for (const row of known.values()) row.remove();
    this.querySelector("[data-close-all]").hidden = jobs.filter((job) => !UNDER_WAY.has(job.state)).length < 2;
  }

  #row({ id, name, size }) {
    const row = document.createElement("li");
    row.dataset.job = id;
    row.innerHTML = "<strong></strong><p data-state></p><progress></progress><small data-numbers></small><div></div>";
    row.querySelector("strong").textContent = name;
    const bar = row.querySelector("progress");
    bar.max = size;
    bar.setAttribute("aria-label", name);
    for (const [verb, [text]] of Object.entries(BUTTONS)) {
      const button = document.createElement("button");
      Object.assign(button, { type: "button", className: "plain", textContent: text });
      Object.assign(button.dataset, { verb });
      button.setAttribute("aria-label", `${text}: ${name}`);
      row.querySelector("div").append(button);
    }
    return row;
  }

  #update(row, job) {
    row.dataset.is = job.state;
    row.querySelector("[data-state]").textContent = [job.text, job.note].filter(Boolean).join(" ");
    row.querySelector("progress").value = job.sent;
    row.querySelector("progress").hidden = !UNDER_WAY.has(job.state);
    row.querySelector("[data-numbers]").textContent = UNDER_WAY.has(job.state) ? numbersOf(job) : formatSize(job.size);
    for (const button of row.querySelectorAll("[data-verb]")) button.hidden = !BUTTONS[button.dataset.verb][1].includes(job.state);
  }

  // Messages make room for the tray, also those of a page in the frame.
  #marked() {
    const pages = [document, document.querySelector("iframe.covering")?.contentDocument];
    for (const page of pages) page?.documentElement.toggleAttribute("data-tray", !this.hidden);
  }
}

customElements.define("upload-tray", UploadTray);
