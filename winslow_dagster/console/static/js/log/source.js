// The lines of a log, fetched in windows. Keeps only those near what is shown.
// Lines that the server dropped, to keep the log within its limit, are one row: rows count from 0, lines from 1.
const WINDOW = 256;
const ROWS_MOST = 2_000, CHARACTERS_MOST = 2_000_000, NEAR = 500;

const MISSING = { at: new Date(0).toISOString(), stream: "winslow", level: null, text: "(this line cannot be read)", more: 0 };

export class LogSource extends EventTarget {
  #rows = new Map();
  #characters = 0;
  #loading = null;

  constructor(api, attempt, shape, lines) {
    super();
    this.api = api;
    this.attempt = attempt;
    this.shape = shape;
    this.#keep(lines);
  }

  get rows() { return this.shape.lines - this.#gap; }
  get #gap() { return this.shape.omitted_first ? this.shape.omitted_last - this.shape.omitted_first : 0; }

  rowOf(line) {
    const { omitted_first: first, omitted_last: last } = this.shape;
    if (!first || line <= first) return line - 1;
    return line <= last ? first - 1 : line - 1 - this.#gap;
  }

  lineOf(row) {
    const first = this.shape.omitted_first;
    return !first || row < first ? row + 1 : row + 1 + this.#gap;
  }

  get(row) { return this.#rows.get(row); }

  // Sees to it that these rows are there; "lines" is sent when some have come. Only the latest wish counts.
  want(from, to) {
    let first = Math.max(0, from);
    const end = Math.min(to, this.rows - 1);
    while (first <= end && this.#rows.has(first)) first += 1;
    if (first > end) return;
    let last = end;
    while (this.#rows.has(last)) last -= 1;
    // Upwards, the window ends with the missing rows; downwards, it begins with them.
    if (first === Math.max(0, from) && last < end) first = Math.max(0, last - WINDOW + 1);
    if (this.#loading) {
      if (first >= this.#loading.first && last < this.#loading.first + WINDOW) return;
      if (Math.abs(first - this.#loading.first) < WINDOW) return;
      this.#loading.abort.abort();
    }
    this.#load(first);
  }

  async #load(first) {
    const loading = { first, abort: new AbortController() };
    this.#loading = loading;
    try {
      const { lines, shape } = await this.ask("", { first: this.lineOf(first), count: WINDOW }, loading.abort.signal);
      this.#reshape(shape);
      this.#keep(lines);
      // A row that the server does not have must not be asked for again and again.
      if (first < this.rows && !this.#rows.has(first)) this.#keep([{ ...MISSING, number: this.lineOf(first) }]);
      this.#forget(first);
    } catch (error) {
      if (error.name !== "AbortError") this.dispatchEvent(new CustomEvent("failed", { detail: error }));
      return;
    } finally {
      if (this.#loading === loading) this.#loading = null;
    }
    this.dispatchEvent(new Event("lines"));
  }

  // How long the log is by now.
  async refresh() {
    const { lines, shape } = await this.ask("", { first: this.shape.lines + 1, count: WINDOW });
    this.#reshape(shape);
    this.#keep(lines);
    this.#forget(this.rows);
    this.dispatchEvent(new Event("lines"));
  }

  // One line as it is, however long.
  async whole(line) {
    const { lines } = await this.ask("", { first: line, count: 1, whole: true });
    this.#keep(lines);
    this.dispatchEvent(new Event("lines"));
  }

  address(what, query) {
    const values = new URLSearchParams({ attempt: this.attempt });
    for (const [name, value] of Object.entries(query)) if (value !== "" && value != null && value !== false) values.set(name, value);
    return `${this.api}${what}?${values}`;
  }

  async ask(what, query, signal) {
    const answer = await fetch(this.address(what, query), { signal });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.detail);
    return found;
  }

  // The text of some lines, without what a terminal would not show.
  async text(first, last) {
    const answer = await fetch(this.address("/download", { first, last }));
    if (!answer.ok) throw new Error((await answer.json()).detail);
    return answer.text();
  }

  #reshape(shape) {
    const changed = shape.omitted_first !== this.shape.omitted_first || shape.omitted_last !== this.shape.omitted_last;
    // An answer may be overtaken by a later one.
    if (!changed && shape.lines < this.shape.lines) return;
    this.shape = shape;
    if (changed) { this.#rows.clear(); this.#characters = 0; }
  }

  #keep(lines) {
    for (const line of lines) {
      const row = this.rowOf(line.number);
      this.#characters += line.text.length - (this.#rows.get(row)?.text.length ?? 0);
      this.#rows.set(row, line);
    }
  }

  #forget(near) {
    if (this.#rows.size < ROWS_MOST && this.#characters < CHARACTERS_MOST) return;
    for (const [row, line] of this.#rows) {
      if (Math.abs(row - near) <= NEAR) continue;
      this.#characters -= line.text.length;
      this.#rows.delete(row);
    }
  }
}
