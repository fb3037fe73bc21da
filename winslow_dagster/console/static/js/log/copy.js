// Copies what is selected, also where the selection spans lines that are not in the page.
import { plain } from "./ansi.js";
import { copyText } from "../parts.js";
import { say } from "../messages.js";

const LINES_MOST = 100_000;

// The line and the column of one end of a selection.
function endOf(node, offset) {
  const element = node.nodeType === Node.TEXT_NODE ? node.parentElement : node;
  const row = element.closest(".log-line");
  if (!row) return null;
  const text = row.querySelector(".log-text");
  const line = Number(row.dataset.line);
  if (!text) return { line, column: 0 };
  const range = document.createRange();
  range.selectNodeContents(text);
  const before = range.comparePoint(node, offset);
  if (before < 0) return { line, column: 0 };
  if (before > 0) return { line, column: Infinity };
  range.setEnd(node, offset);
  const level = text.querySelector(".log-level")?.textContent.length ?? 0;
  return { line, column: Math.max(0, range.toString().length - level) };
}

export class LogCopy {
  constructor(list, source) {
    this.list = list;
    this.source = source;
  }

  // From one end to the other, in order; null if nothing of the log is selected.
  selection() {
    const selection = document.getSelection();
    if (!selection || selection.isCollapsed || !this.list.contains(selection.anchorNode) || !this.list.contains(selection.focusNode)) return null;
    const ends = [endOf(selection.anchorNode, selection.anchorOffset), endOf(selection.focusNode, selection.focusOffset)];
    if (!ends[0] || !ends[1]) return null;
    ends.sort((one, other) => one.line - other.line || one.column - other.column);
    return ends;
  }

  // The selected text, if all its lines are here.
  #here([from, to]) {
    const texts = [];
    for (let row = this.source.rowOf(from.line); row <= this.source.rowOf(to.line); row += 1) {
      const known = this.source.get(row);
      if (!known || known.more) return null;
      texts.push(plain(known.text));
    }
    return cut(texts, from, to);
  }

  handle(event, lines) {
    const ends = this.selection() ?? (lines && [{ line: lines[0], column: 0 }, { line: lines[1], column: Infinity }]);
    if (!ends) return;
    event.preventDefault();
    const text = this.#here(ends);
    if (text === null) this.fetch(ends);
    else event.clipboardData.setData("text/plain", text);
  }

  lines(first, last) {
    return this.fetch([{ line: first, column: 0 }, { line: last, column: Infinity }]);
  }

  async fetch([from, to]) {
    if (to.line - from.line >= LINES_MOST) { say("These are too many lines to copy. Download the log instead.", "bad"); return; }
    try {
      const text = await this.source.text(from.line, to.line);
      await copyText(cut(plain(text).replace(/\n$/, "").split("\n"), from, to));
    } catch (error) {
      say(error.message, "bad");
    }
  }
}

function cut(texts, from, to) {
  const last = texts.length - 1;
  texts[last] = texts[last].slice(0, to.column);
  texts[0] = texts[0].slice(from.column);
  return texts.join("\n");
}
