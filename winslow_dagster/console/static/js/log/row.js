// One line as an element. Whatever a line contains, it is text.
import { spans } from "./ansi.js";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const number = new Intl.NumberFormat();

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function elapsed(ms) {
  const seconds = Math.max(0, ms) / 1000;
  const part = (value) => String(Math.floor(value)).padStart(2, "0");
  return `${Math.floor(seconds / 3600)}:${part((seconds / 60) % 60)}:${part(seconds % 60)}`;
}

function write(into, text, matcher) {
  const parts = spans(text);
  const marks = matcher ? matcher(parts.map((part) => part.text).join("")) : [];
  let at = 0, mark = 0;
  for (const part of parts) {
    const end = at + part.text.length;
    while (at < end) {
      while (mark < marks.length && marks[mark][1] <= at) mark += 1;
      const [from, to] = marks[mark] ?? [Infinity, Infinity];
      const marked = from <= at;
      const until = Math.min(end, marked ? to : from);
      const piece = part.text.slice(part.text.length - (end - at), part.text.length - (end - until));
      if (marked) into.append(element("mark", part.classes, piece));
      else into.append(part.classes ? element("span", part.classes, piece) : piece);
      at = until;
    }
  }
}

// `look` is { times: "none" | "clock" | "elapsed", started, matcher, link }.
export function rowElement(line, known, look) {
  const row = element("div", "log-line");
  row.dataset.line = line;
  const numbered = element("a", "log-number", number.format(line));
  numbered.href = look.link(line);
  numbered.tabIndex = -1;
  row.append(numbered);
  if (!known) return row;
  if (known.level) row.dataset.level = known.level;
  row.dataset.stream = known.stream;
  if (look.times !== "none") {
    const at = new Date(known.at);
    const time = element("time", "log-time", look.times === "clock" ? clock.format(at) : elapsed(at - look.started));
    time.dateTime = known.at;
    time.title = full.format(at);
    row.append(time);
  }
  const text = element("span", "log-text");
  if (known.level) text.append(element("span", "visually-hidden log-level", `${known.level}: `));
  write(text, known.text, look.matcher);
  row.append(text);
  if (known.more) {
    const more = element("button", "plain log-more", `… ${number.format(known.more)} more characters`);
    more.type = "button";
    more.dataset.more = line;
    row.append(more);
  }
  return row;
}
