// <winslow-log>: the log of one attempt. The page comes with the first lines in it, and with the tools; see parts/log.html.
import { LogCopy } from "./log/copy.js";
import { LogRail } from "./log/rail.js";
import { LogSearch, matcherOf } from "./log/search.js";
import { LogSource } from "./log/source.js";
import { LogView } from "./log/view.js";
import { say } from "./messages.js";

const number = new Intl.NumberFormat();
const CONTEXT = 0.3; // Of the height, above a line that is looked for.
const DENSITY_EVERY_MS = 4_000;
const TYPED_MS = 300;
const KEPT = "winslow_log";

// A browser may refuse to keep anything.
function keptChoice() {
  try { return JSON.parse(localStorage.getItem(KEPT)) ?? {}; } catch { return {}; }
}

function keep(choice) {
  try { localStorage.setItem(KEPT, JSON.stringify(choice)); } catch { /* it is chosen for this page only */ }
}

// The address of this page with other lines.
function addressOf(lines) {
  const address = new URL(location.href);
  address.hash = "";
  if (lines) address.searchParams.set("line", lines);
  else address.searchParams.delete("line");
  return address;
}

class WinslowLog extends HTMLElement {
  #following = false;
  #moved = false;
  #stop = new AbortController();
  #densityAt = 0;
  #anchor = 1;
  #going = Promise.resolve();

  connectedCallback() {
    if (this.view) return; // moved in the page
    const first = JSON.parse(this.dataset.window);
    const kept = keptChoice();
    this.find = (name) => this.querySelector(`[data-log-${name}]`);
    this.source = new LogSource(this.dataset.api, this.dataset.attempt, first.shape, first.lines);
    this.look = { wrap: kept.wrap ?? matchMedia("(max-width: 760px)").matches, times: kept.times ?? "none", started: new Date(this.dataset.started), matcher: null, rowHeight: 0, link: addressOf };
    this.look.rowHeight = this.#measure();
    this.classList.toggle("log-wrapped", this.look.wrap);
    this.view = new LogView(this.find("view"), this.source, this.look);
    this.rail = new LogRail(this.find("rail"), this.source, this.view);
    this.search = new LogSearch(this.source);
    this.copy = new LogCopy(this.view.list, this.source);
    this.#listen();
    this.#show();
    this.#update();
    this.#density();
  }

  disconnectedCallback() {
    // A morph may take it out and put it in again.
    queueMicrotask(() => { if (!this.isConnected) this.#stop.abort(); });
  }

  #measure() {
    const probe = document.createElement("div");
    probe.className = "log-line";
    probe.textContent = "0";
    this.find("view").querySelector(".log-lines").append(probe);
    const height = probe.getBoundingClientRect().height;
    probe.remove();
    return height;
  }

  #show() {
    const [first, last] = this.#asked() ?? [];
    if (first) {
      this.view.selected = [first, last];
      this.#anchor = first;
      this.view.show(this.source.rowOf(first), CONTEXT);
    } else if (this.dataset.line) {
      this.view.show(this.source.rowOf(Number(this.dataset.line)), CONTEXT);
    } else {
      this.view.showEnd();
      this.#follow(!this.source.shape.ended);
    }
  }

  // The lines of the address: ?line=12, ?line=12-20, #L12 or #L12-L20.
  #asked() {
    const asked = location.hash.match(/^#L(\d+)(?:-L?(\d+))?$/) ?? (new URLSearchParams(location.search).get("line") ?? "").match(/^(\d+)(?:-(\d+))?$/);
    if (!asked) return null;
    const ends = [asked[1], asked[2] ?? asked[1]].map((end) => Math.min(Math.max(1, Number(end)), Math.max(1, this.source.shape.lines)));
    return ends.sort((one, other) => one - other);
  }

  #listen() {
    const { signal } = this.#stop;
    const on = (target, name, act) => target.addEventListener(name, act, { signal });
    on(this.view, "drawn", () => {
      if (this.#moved) { this.#moved = false; this.#follow(this.view.atEnd && !this.source.shape.ended); }
      this.#update();
    });
    on(this.view, "moved", () => { this.#moved = true; });
    on(this.source, "failed", (event) => say(event.detail.message, "bad"));
    on(this.rail, "go", (event) => { this.#follow(false); this.view.show(event.detail, CONTEXT); });
    on(document, "winslow:news", (event) => {
      if (event.detail.everything || event.detail.attempts.includes(this.dataset.attempt) || event.detail.projects.includes(this.dataset.project)) this.#grow();
    });
    on(document, "visibilitychange", () => { if (!document.hidden) this.#grow(); });
    on(window, "hashchange", () => this.#show());
    on(this.view.view, "keydown", (event) => this.#key(event));
    on(this.view.list, "click", (event) => this.#clicked(event));
    on(document, "copy", (event) => {
      const mine = this.contains(document.activeElement) && !document.activeElement.matches("input");
      this.copy.handle(event, mine ? this.view.selected : null);
    });
    on(this.find("copy"), "click", () => this.copy.lines(...this.view.selected));
    on(this.find("link"), "click", () => this.#select(null));
    on(this.find("follow"), "click", () => { if (this.#following) this.#follow(false); else { this.view.showEnd(); this.#follow(true); } });
    on(this.find("wrap"), "click", () => this.#change({ wrap: !this.look.wrap }));
    on(this.find("times"), "change", (event) => this.#change({ times: event.target.value }));
    for (const button of this.querySelectorAll("[data-log-level]")) {
      on(button, "click", () => this.#toLevel(button.dataset.logLevel));
    }
    this.#listenForSearch(on);
  }

  // How the log looks. The reader's choice is kept.
  #change(choice) {
    Object.assign(this.look, choice);
    keep({ wrap: this.look.wrap, times: this.look.times });
    this.classList.toggle("log-wrapped", this.look.wrap);
    const row = this.view.firstRow, following = this.#following;
    this.view.redraw();
    if (following) this.view.showEnd(); else this.view.show(row);
  }

  #key(event) {
    if (event.altKey) return;
    const command = event.ctrlKey || event.metaKey;
    if (command && event.key === "a") this.#select([1, Math.max(1, this.source.shape.lines)]);
    else if (event.key === "Home") { this.#follow(false); this.view.show(0); }
    else if (event.key === "End") { this.view.showEnd(); this.#follow(!this.source.shape.ended); }
    else if (event.key === "Escape" && this.view.selected) this.#select(null);
    else return;
    event.preventDefault();
  }

  #clicked(event) {
    const more = event.target.closest("[data-more]");
    if (more) { this.source.whole(Number(more.dataset.more)).catch((error) => say(error.message, "bad")); return; }
    const numbered = event.target.closest(".log-number");
    if (!numbered || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const line = Number(numbered.closest(".log-line").dataset.line);
    const [from, to] = this.view.selected ?? [];
    if (event.shiftKey && from) {
      document.getSelection().removeAllRanges();
      this.#select([line, this.#anchor].sort((one, other) => one - other));
    } else {
      this.#anchor = line;
      this.#select(from === line && to === line ? null : [line, line]);
    }
    this.view.view.focus({ preventScroll: true });
  }

  #select(lines) {
    this.view.selected = lines;
    history.replaceState(history.state, "", addressOf(lines && (lines[0] === lines[1] ? lines[0] : lines.join("-"))));
    this.view.draw();
  }

  #follow(following) { this.#following = following; this.#update(); }

  async #grow() {
    if (document.hidden || (this.source.shape.ended && !this.#following)) return;
    try {
      await this.source.refresh();
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof TypeError)) say(error.message, "bad");
      return; // A lost connection is shown by the frame; what changed is fetched when it is back.
    }
    if (this.#following) this.view.showEnd();
    if (this.source.shape.ended) this.#follow(false);
    this.#density();
  }

  async #density() {
    const now = Date.now();
    if (now - this.#densityAt < DENSITY_EVERY_MS && !this.source.shape.ended) return;
    this.#densityAt = now;
    this.rail.density = this.density = await this.source.ask("/density", {}, this.#stop.signal).catch(() => null);
    this.#update();
  }

  #update() {
    const { shape } = this.source;
    const first = this.source.lineOf(this.view.firstRow);
    this.find("place").textContent = shape.lines ? `Line ${number.format(first)} of ${number.format(shape.lines)}` : shape.ended ? "The stage printed nothing." : "The stage has printed nothing yet.";
    const following = this.find("follow");
    following.hidden = shape.ended;
    following.setAttribute("aria-pressed", this.#following);
    this.find("wrap").setAttribute("aria-pressed", this.look.wrap);
    this.find("times").value = this.look.times;
    const chosen = this.view.selected;
    this.find("chosen").hidden = !chosen;
    if (chosen) this.find("chosen-lines").textContent = chosen[0] === chosen[1] ? `Line ${number.format(chosen[0])}` : `Lines ${chosen.map((line) => number.format(line)).join("–")}`;
    for (const button of this.querySelectorAll("[data-log-level]")) {
      const counts = this.density?.[`${button.dataset.logLevel}s`];
      const total = counts ? counts.reduce((sum, count) => sum + count, 0) : Number(button.dataset.count);
      button.querySelector("[data-count-shown]").textContent = number.format(total);
      button.disabled = !total;
    }
  }

  async #toLevel(level) {
    const query = { level };
    const search = new LogSearch(this.source);
    await search.start(query);
    await this.#go(search, false);
  }

  #listenForSearch(on) {
    const form = this.find("search");
    let typed = 0;
    on(form, "submit", (event) => { event.preventDefault(); clearTimeout(typed); this.#next(false); });
    on(form, "input", () => { clearTimeout(typed); typed = setTimeout(() => this.#query(), TYPED_MS); });
    on(form, "keydown", (event) => {
      if (event.key === "Enter" && event.shiftKey) { event.preventDefault(); this.#next(true); }
      if (event.key === "Escape") { form.reset(); this.#query(); this.view.view.focus(); }
    });
    on(this.find("previous"), "click", () => this.#next(true));
    on(this.search, "counted", () => this.#counted());
  }

  #wanted() {
    const form = new FormData(this.find("search"));
    const moment = (name) => (form.get(name) ? new Date(form.get(name)).toISOString() : "");
    const query = { text: form.get("text"), regex: form.has("regex"), level: form.get("level"), stream: form.get("stream"), since: moment("since"), until: moment("until") };
    return query.text || query.level || query.stream || query.since || query.until ? query : null;
  }

  async #query() {
    const query = this.#wanted();
    if (JSON.stringify(query) === JSON.stringify(this.search.query)) return;
    await this.search.start(query);
    this.view.current = null;
    this.look.matcher = matcherOf(query);
    this.view.redraw();
    this.rail.matches = null;
    if (!query) return;
    try {
      await this.#go(this.search, false, this.source.lineOf(this.view.firstRow));
      await this.search.count();
    } catch (error) {
      if (error.name !== "AbortError") this.find("found").textContent = error.message;
    }
  }

  async #next(backward) {
    if (JSON.stringify(this.#wanted()) !== JSON.stringify(this.search.query)) { await this.#query(); return; }
    if (!this.search.query) return;
    try {
      await this.#go(this.search, backward);
    } catch (error) {
      if (error.name !== "AbortError") this.find("found").textContent = error.message;
    }
  }

  // One after the other: each begins where the one before has ended.
  #go(search, backward, from = null) {
    this.#going = this.#going.catch(() => null).then(() => this.#goNow(search, backward, from));
    return this.#going;
  }

  async #goNow(search, backward, from) {
    const at = from ?? (this.view.current ?? this.source.lineOf(this.view.firstRow)) + (backward ? -1 : this.view.current ? 1 : 0);
    this.#follow(false);
    const found = await search.find(at, backward);
    if (found) {
      this.view.current = found.line;
      const row = this.source.rowOf(found.line);
      const offset = row - this.view.firstRow;
      if (offset < 1 || offset > this.view.shownRows - 3) this.view.show(row, CONTEXT);
      else this.view.draw();
    }
    this.#counted();
  }

  #counted() {
    const { search } = this;
    const shown = this.find("found");
    if (!search.query) { shown.textContent = ""; return; }
    this.rail.matches = search.total ? { width: search.width, bins: search.bins } : null;
    const total = `${number.format(search.total)}${search.complete ? "" : "+"}`;
    const place = this.view.current ? search.placeOf(this.view.current) : 0;
    if (search.complete && !search.total) shown.textContent = "No match";
    else shown.textContent = place ? `${number.format(place)} of ${total}` : search.complete || search.searched === 0 ? `${total} found` : `${total} found, ${Math.floor(search.searched * 100)} % searched`;
  }
}

customElements.define("winslow-log", WinslowLog);
