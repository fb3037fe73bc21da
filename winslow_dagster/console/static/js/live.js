// Follows what changes on the server. All tabs of a browser share one connection, because a browser has only six per server.
// A part of a page says what it shows, and fetches itself again when that has changed:
//   data-live="projects"      any project
//   data-live="project:NAME"  one project
//   data-live="… progress"    it also shows how far the stages of these projects are
// Several words are separated by spaces.
const RETRY_MS = 2_000;
const stale = new Set();
const busy = new Set();

function concerned(part, news) {
  if (news.everything) return true;
  const words = part.dataset.live.split(/\s+/);
  const projects = words.includes("progress") ? [...news.projects, ...news.progress] : news.projects;
  return words.some((word) => word === "projects" ? projects.length > 0 : projects.some((each) => word === `project:${each}`));
}

function refresh(part) {
  if (document.hidden || busy.has(part)) { stale.add(part); return; }
  stale.delete(part);
  busy.add(part);
  part.dispatchEvent(new CustomEvent("refresh"));
}

function refreshStale() {
  for (const part of stale) if (part.isConnected) refresh(part); else stale.delete(part);
}

// Where the stream was when this page was asked for; null once the page has heard it.
let asked = document.querySelector('meta[name="live-position"]')?.content ?? null;

function take({ news, position }) {
  if (asked !== null && asked !== position) news = { projects: [], attempts: [], progress: [], everything: true };
  asked = null;
  if (!news.everything && news.projects.length + news.attempts.length + news.progress.length === 0) return;
  for (const part of document.querySelectorAll("[data-live]")) if (concerned(part, news)) refresh(part);
  document.dispatchEvent(new CustomEvent("winslow:news", { detail: news }));
}

function showConnection(connected) {
  document.querySelector("[data-connection]").hidden = connected;
}

export function follow() {
  document.addEventListener("htmx:finally:request", (event) => {
    const part = event.target.closest?.("[data-live]") ?? event.detail?.ctx?.sourceElement;
    busy.delete(part);
    if (stale.has(part)) refresh(part);
  });
  // What a page has changed itself is no news of the server's.
  document.addEventListener("winslow:outdated", (event) => refresh(event.target));
  document.addEventListener("visibilitychange", () => { if (!document.hidden) refreshStale(); });
  const hear = ({ data }) => {
    if (data.kind === "connection") showConnection(data.connected);
    // The page leads to the log-in, and nobody else reads what is on it.
    else if (data.kind === "logged-out") { if (document.dispatchEvent(new CustomEvent("winslow:logged-out", { cancelable: true }))) location.reload(); }
    else take(data);
  };
  const address = new URL("./live-worker.js", import.meta.url);
  if (window.SharedWorker) {
    let worker;
    const join = () => {
      worker = new SharedWorker(address, { name: "winslow-live", type: "module" });
      worker.port.onmessage = hear;
      // Its script did not arrive: the server went away behind the page.
      worker.onerror = () => { showConnection(false); setTimeout(join, RETRY_MS); };
    };
    join();
    window.addEventListener("pagehide", () => worker.port.postMessage("leave"));
    window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  } else {
    import("./live-stream.js").then(({ open }) => open((data) => hear({ data })));
  }
}
