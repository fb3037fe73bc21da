// Times and sizes in the reader's language and zone. The server writes them in English and UTC, for readers without scripts.
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const short = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const number = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const STEPS = [["second", 60], ["minute", 60], ["hour", 24], ["day", 7]];
const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
const REFRESH_MS = 15_000;

export function formatRelative(at, now = new Date()) {
  let amount = (at - now) / 1000;
  for (const [unit, count] of STEPS) {
    if (Math.abs(amount) < count) return relative.format(Math.trunc(amount), unit);
    amount /= count;
  }
  return short.format(at);
}

export function formatSize(bytes) {
  let value = bytes, unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) { value /= 1024; unit += 1; }
  return `${number.format(value)} ${UNITS[unit]}`;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function format(root) {
  for (const element of root.querySelectorAll("time[data-shown]")) {
    const at = new Date(element.dateTime);
    element.title = full.format(at);
    write(element, element.dataset.shown === "relative" ? formatRelative(at) : full.format(at));
  }
  for (const element of root.querySelectorAll('data[data-unit="bytes"]')) write(element, formatSize(Number(element.value)));
  for (const element of root.querySelectorAll('data[data-unit="count"]')) write(element, number.format(Number(element.value)));
}

setInterval(() => { if (!document.hidden) format(document); }, REFRESH_MS);
