// What drawings of runs have in common: scales, SVG elements, and rows of the table that are lit with what is drawn.
const NAMESPACE = "http://www.w3.org/2000/svg";
const number = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });

export function svg(name, attributes = {}, text) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

export function shown(value) {
  return typeof value === "number" ? number.format(value) : String(value);
}

// From the values of an axis to parts of its length, from 0 to 1. Texts stand in their order, at equal distances.
export function scaleOf(axis, values) {
  const known = values.filter((value) => value !== null);
  if (axis.numeric) {
    let low = Infinity, high = -Infinity;
    for (const value of known) { low = Math.min(low, value); high = Math.max(high, value); }
    const place = (value) => (value === null ? null : low === high ? 0.5 : (value - low) / (high - low));
    return { place, ticks: low === high ? [low] : [low, (low + high) / 2, high] };
  }
  const texts = [...new Set(known.map(String))].sort();
  const place = (value) => (value === null ? null : texts.length === 1 ? 0.5 : texts.indexOf(String(value)) / (texts.length - 1));
  return { place, ticks: texts.length > 12 ? [texts[0], texts.at(-1)] : texts };
}

// The rows of the table: `dim` those that are not chosen, `lit` the one that is pointed at.
export class Rows {
  constructor(view) {
    this.view = view;
    this.rows = new Map([...document.querySelectorAll("tr[data-run]")].map((row) => [row.dataset.run, row]));
    for (const [letter, row] of this.rows) {
      row.addEventListener("pointerenter", () => view.light(letter));
      row.addEventListener("pointerleave", () => view.light(null));
    }
  }

  choose(letters) { for (const [letter, row] of this.rows) row.classList.toggle("dim", letters !== null && !letters.has(letter)); }

  light(lit) { for (const [letter, row] of this.rows) row.classList.toggle("lit", letter === lit); }
}

// Calls `moved` with the beginning and the end of a drag inside `element`, in its coordinates.
export function onDrag(element, moved) {
  element.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || event.target.closest("a")) return;
    event.preventDefault();
    const box = element.getBoundingClientRect(), stop = new AbortController(), { signal } = stop;
    const from = [event.clientX - box.left, event.clientY - box.top];
    element.setPointerCapture(event.pointerId);
    element.addEventListener("pointermove", (at) => moved(from, [at.clientX - box.left, at.clientY - box.top]), { signal });
    element.addEventListener("pointerup", (at) => { stop.abort(); moved(from, [at.clientX - box.left, at.clientY - box.top]); }, { signal });
    element.addEventListener("pointercancel", () => stop.abort(), { signal });
  });
}
