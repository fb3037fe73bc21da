// Keys: / filter, j k rows, Enter open, c continue, p pause, r run again, ? help. They do nothing while a person types.
function rows() {
  return [...document.querySelectorAll("[data-rows] > [data-row]")];
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((row) => "chosen" in row.dataset);
  const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
  all.forEach((row) => row.toggleAttribute("data-chosen", row === next));
  (next.querySelector('a:not([tabindex="-1"])') ?? next).focus();
  next.scrollIntoView({ block: "nearest" });
}

const ACTS = {
  "/": () => document.querySelector("[data-filter]")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  c: () => document.querySelector('[data-key="c"]')?.click(),
  r: () => document.querySelector('[data-key="r"]')?.click(),
  p: () => document.querySelector('[data-key="p"]')?.click(),
  "?": () => document.querySelector("[data-shortcuts]").showModal(),
};

export function listenForKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, [contenteditable], dialog[open]")) return;
    const act = ACTS[event.key];
    if (act) { event.preventDefault(); act(); }
  });
}
