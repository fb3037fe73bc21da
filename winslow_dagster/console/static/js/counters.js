// The counters of the frame, the tab's title and its icon: they say from another tab, too, that somebody is needed.
import { formatSize } from "./format.js";

const PAUSE_MS = 1_000;
// Files found in watched folders, and the disk, change without news of a project.
const LOOK_AGAIN_MS = 60_000;
const NUMBER = /^\(\d+\) /;
let last = null;
let waiting = false, again = false;

function show(counters) {
  last = counters;
  for (const element of document.querySelectorAll("[data-counter]")) {
    const count = counters[element.dataset.counter];
    element.textContent = count;
    if (element.classList.contains("counter")) element.hidden = count === 0;
    element.closest("a").classList.toggle("none", count === 0);
  }
  const title = document.title.replace(NUMBER, "");
  document.title = counters.needs_you ? `(${counters.needs_you}) ${title}` : title;
  const icon = document.querySelector("link[rel=icon]");
  icon.dataset.usualIcon ??= icon.getAttribute("href");
  const address = counters.needs_you ? icon.dataset.needsIcon : icon.dataset.usualIcon;
  if (icon.getAttribute("href") !== address) icon.href = address;
  const disk = document.querySelector("[data-disk]");
  disk.hidden = counters.disk_free_bytes === null;
  if (!disk.hidden) {
    const hours = counters.disk_full_at === null ? null : (new Date(counters.disk_full_at) - Date.now()) / 3_600_000;
    const soon = hours === null ? "" : hours < 1 ? ", full within an hour" : `, full in about ${Math.round(hours)} h`;
    disk.lastElementChild.textContent = `${formatSize(counters.disk_free_bytes)} left on disk${soon}`;
    disk.dataset.tone = counters.disk_state === "ok" && !soon ? "" : "bad";
  }
}

// At most one request a second, and one more after the last news.
async function load() {
  if (waiting) { again = true; return; }
  waiting = true;
  again = false;
  try {
    const answer = await fetch("/api/v1/counters", { headers: { Accept: "application/json" } });
    if (answer.ok) show(await answer.json());
  } catch {
    // The frame says that the connection is lost, and asks again once it is back.
  }
  setTimeout(() => { waiting = false; if (again) load(); }, PAUSE_MS);
}

export function showCounters() {
  load();
  // How far stages are changes no counter.
  document.addEventListener("winslow:news", ({ detail }) => { if (detail.everything || detail.projects.length > 0) load(); });
  // A refreshed part of a page brings the page's title along.
  document.addEventListener("htmx:finally:swap", () => { if (last) show(last); });
  setInterval(load, LOOK_AGAIN_MS);
}
