// <upload-tray>: sends files to the pool in parts (tus), two at a time, and goes on after every interruption.
// What the server has not received completely is in the page, with a fingerprint: the same file, chosen again, goes on there.
import { formatSize } from "./format.js";
import { say } from "./messages.js";

const AT_ONCE = 2;
const FINGERPRINT_BYTES = 1 << 20;
// Below the megabyte that a proxy lets through which nobody has configured.
const SMALL_PART_BYTES = 900 * 1024;
const RETRIES_MS = [500, 1000, 2000, 5000, ...Array(120).fill(10_000)];
const LOOK_MS = 1000;
const SPEED_OVER_MS = 5000;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit += 1) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (~crc >>> 0).toString(16).padStart(8, "0");
}

async function fingerprintOf(file) {
  const ends = [file.slice(0, FINGERPRINT_BYTES), file.slice(Math.max(0, file.size - FINGERPRINT_BYTES))];
  const [first, last] = await Promise.all(ends.map(async (part) => crc32(new Uint8Array(await part.arrayBuffer()))));
  return `${file.size}-${first}-${last}`;
}

function duration(seconds) {
  if (seconds < 60) return `${Math.ceil(seconds)} s`;
  if (seconds < 3600) return `${Math.ceil(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

function reasonOf(error) {
  try {
    const problem = JSON.parse(error.originalResponse.getBody());
    return [problem.what, problem.remedy].filter(Boolean).join(". ");
  } catch {
    return "the server does not answer";
  }
}

class UploadTray extends HTMLElement {
  connectedCallback() {
    this.waiting = [];
    this.running = new Set();
    this.rows = this.querySelector("[data-rows]");
    const drop = this.querySelector("[data-drop]");
    for (const input of this.querySelectorAll("input[type=file]")) {
      input.addEventListener("change", () => { this.add([...input.files]); input.value = ""; });
    }
    for (const kind of ["dragover", "dragleave", "drop"]) {
      drop.addEventListener(kind, (event) => { event.preventDefault(); drop.classList.toggle("over", kind === "dragover"); });
    }
    drop.addEventListener("drop", async (event) => this.add(await dropped(event.dataTransfer)));
    this.addEventListener("click", (event) => {
      const id = event.target.closest("[data-forget]")?.dataset.forget;
      if (id && confirm("Forget this upload? What has arrived of it is deleted.")) this.forget(id);
    });
    window.addEventListener("beforeunload", (event) => { if (this.running.size + this.waiting.length > 0) event.preventDefault(); });
  }

  async add(files) {
    for (const file of files) {
      if (file.size === 0) { say(`${file.name} is empty.`, "bad"); continue; }
      const row = this.row(file);
      this.waiting.push({ file, row });
    }
    this.next();
  }

  next() {
    this.querySelector("[data-own-window]").hidden = this.running.size + this.waiting.length === 0;
    while (this.running.size < AT_ONCE && this.waiting.length > 0) {
      const job = this.waiting.shift();
      this.running.add(job);
      this.send(job);
    }
  }

  row(file) {
    const row = document.createElement("li");
    row.innerHTML = '<div class="what"><strong></strong><small data-state>waits</small></div><progress></progress><small data-numbers></small><button type="button" data-pause>Pause</button>';
    row.querySelector("strong").textContent = file.name;
    const bar = row.querySelector("progress");
    bar.max = file.size;
    bar.value = 0;
    bar.setAttribute("aria-label", file.name);
    this.querySelector("[data-sending]").hidden = false;
    this.rows.append(row);
    return row;
  }

  async send(job, chunkSize = Infinity) {
    const { file, row } = job;
    const tell = (text) => { row.querySelector("[data-state]").textContent = text; };
    const pause = row.querySelector("[data-pause]");
    const end = (text) => {
      tell(text);
      pause.remove();
      row.querySelector("[data-numbers]").textContent = "";
      this.running.delete(job);
      this.next();
    };
    const fingerprint = await fingerprintOf(file).catch(() => null);
    if (fingerprint === null) { end("The file cannot be read."); return; }
    const found = document.querySelector(`[data-upload][data-fingerprint="${CSS.escape(fingerprint)}"]`);
    const seen = [];
    const upload = new tus.Upload(file, {
      endpoint: "/api/v1/uploads",
      uploadUrl: job.url ?? (found ? `/api/v1/uploads/${found.dataset.upload}` : null),
      metadata: { filename: file.name, fingerprint },
      chunkSize,
      retryDelays: RETRIES_MS,
      storeFingerprintForResuming: false,
      removeFingerprintOnSuccess: false,
      onShouldRetry: (error) => {
        const status = error.originalResponse?.getStatus() ?? 0;
        tell("The connection is lost. It goes on by itself.");
        return status === 0 || status === 409 || status === 423 || status >= 500;
      },
      onUploadUrlAvailable: () => { job.url = upload.url; tell("is being sent"); found?.remove(); },
      onProgress: (sent) => {
        const now = performance.now();
        seen.push([now, sent]);
        while (seen.length > 2 && now - seen[0][0] > SPEED_OVER_MS) seen.shift();
        const perSecond = (1000 * (sent - seen[0][1])) / Math.max(1, now - seen[0][0]);
        row.querySelector("progress").value = sent;
        const left = perSecond > 0 ? ` · ${formatSize(perSecond)}/s · ${duration((file.size - sent) / perSecond)} left` : "";
        row.querySelector("[data-numbers]").textContent = `${formatSize(sent)} of ${formatSize(file.size)}${left}`;
      },
      onError: (error) => {
        if (error.originalResponse?.getStatus() === 413 && chunkSize === Infinity) {
          say("A proxy in front of the server limits the size of requests, so that files are sent in small parts. An administrator can change that: see the documentation of the server.", "bad");
          this.send(job, SMALL_PART_BYTES);
          return;
        }
        end(`It was not sent: ${reasonOf(error)}`);
      },
      onSuccess: async () => end(await this.stored(upload.url, tell)),
    });
    pause.onclick = async () => {
      if (pause.dataset.paused) {
        delete pause.dataset.paused;
        pause.textContent = "Pause";
        upload.start();
      } else {
        pause.dataset.paused = "yes";
        await upload.abort();
        pause.textContent = "Go on";
        tell("is paused");
      }
    };
    upload.start();
  }

  // All of it is there. What becomes of it, the server says.
  async stored(url, tell) {
    tell("is being put into the pool");
    for (;;) {
      const answer = await fetch(url).catch(() => null);
      if (answer?.ok) {
        const upload = await answer.json();
        if (upload.state === "stored") return `is in the pool as ${upload.name}. ${upload.message}`;
        if (upload.state !== "receiving") return `is not in the pool: ${upload.message || upload.state}`;
      }
      await new Promise((resolve) => { setTimeout(resolve, LOOK_MS); });
    }
  }

  async forget(id) {
    const answer = await fetch(`/api/v1/uploads/${id}`, { method: "DELETE" }).catch(() => null);
    if (answer?.ok) this.querySelector(`[data-upload="${CSS.escape(id)}"]`)?.remove();
    else say("The upload could not be forgotten. Try again.", "bad");
  }
}

// The files of what was dropped, those in folders, too.
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return [...transfer.files];
  const files = [];
  const read = async (entry) => {
    if (entry.isFile) { files.push(await new Promise((resolve, reject) => { entry.file(resolve, reject); })); return; }
    const reader = entry.createReader();
    for (;;) {
      const part = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
      if (part.length === 0) return;
      for (const each of part) await read(each);
    }
  };
  for (const entry of entries) await read(entry);
  return files;
}

customElements.define("upload-tray", UploadTray);
