// Searches on the server, step by step: each answer says how far it came. Counts all matches while a person looks at one.
const BINS = 512;
const COUNT_MOST = 100_000;

export class LogSearch extends EventTarget {
  #abort = new AbortController();
  #counted = null;

  constructor(source) {
    super();
    this.source = source;
    this.query = null;
    this.total = 0;
    this.bins = new Map();
    this.width = 1;
    this.complete = false;
    this.searched = 0;
  }

  // `query` is { text, regex, level, stream, since, until } or null.
  async start(query) {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.query = query;
    this.total = 0;
    this.numbers = [];
    this.bins = new Map();
    this.complete = false;
    this.searched = 0;
    this.width = Math.max(1, Math.ceil(this.source.shape.lines / BINS));
    this.#tell();
  }

  // The next matching line from `line` on, or before it; null if there is none. Begins again at the other end.
  async find(line, backward) {
    const { signal } = this.#abort;
    const lines = this.source.shape.lines;
    const direction = backward ? "backward" : "forward";
    let start = line, around = false;
    if (start < 1 || start > lines) { start = backward ? lines : 1; around = true; }
    while (lines) {
      const found = await this.source.ask("/search", { ...this.query, start, direction, limit: 1 }, signal);
      if (found.lines.length) return { line: found.lines[0].number, around };
      if (found.next_line !== null) start = found.next_line;
      else if (!around) { around = true; start = backward ? lines : 1; }
      else return null;
      this.dispatchEvent(new CustomEvent("searching", { detail: start }));
    }
    return null;
  }

  async count() {
    const { signal } = this.#abort;
    let start = 1;
    while (start !== null && this.total < COUNT_MOST) {
      const part = await this.source.ask("/count", { ...this.query, start, width: this.width }, signal);
      this.total += part.count;
      if (this.numbers.length + part.numbers.length === this.total) this.numbers.push(...part.numbers);
      for (const [bin, count] of Object.entries(part.bins)) this.bins.set(Number(bin), (this.bins.get(Number(bin)) ?? 0) + count);
      start = part.next_line;
      this.searched = start === null ? 1 : (start - 1) / Math.max(1, this.source.shape.lines);
      this.complete = start === null;
      this.#tell();
    }
  }

  // Which of all matches this line is, from 1; 0 if that is not known.
  placeOf(line) { return this.numbers.length === this.total ? this.numbers.indexOf(line) + 1 : 0; }

  #tell() { this.dispatchEvent(new Event("counted")); }
}

// Marks what was searched for in a line. RE2 and the browser agree on most expressions; where they do not, nothing is marked.
export function matcherOf(query) {
  if (!query?.text) return null;
  let expression;
  try {
    const source = query.regex ? query.text.replace(/\(\?P</g, "(?<") : query.text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
    expression = new RegExp(source, !query.regex && query.text === query.text.toLowerCase() ? "giu" : "gu");
  } catch {
    return null;
  }
  return (text) => {
    const found = [];
    for (const match of text.matchAll(expression)) if (match[0] && found.length < 1_000) found.push([match.index, match.index + match[0].length]);
    return found;
  };
}
