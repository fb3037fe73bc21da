// The result columns that a person has chosen for a stage are kept in this browser, and are in the address.
const form = document.querySelector("[data-columns]");
if (form) {
  const key = `winslow:columns:${form.dataset.columns}`;
  form.addEventListener("submit", () => localStorage.setItem(key, JSON.stringify(new FormData(form).getAll("column"))));
  const address = new URL(location.href);
  const kept = JSON.parse(localStorage.getItem(key) ?? "[]");
  const known = new Set([...form.querySelectorAll('[name="column"]')].map((each) => each.value));
  const usable = kept.filter((name) => known.has(name));
  const shown = new Set([...form.querySelectorAll('[name="column"]:checked')].map((each) => each.value));
  if (!address.searchParams.has("column") && usable.length && (usable.length !== shown.size || usable.some((name) => !shown.has(name)))) {
    for (const name of usable) address.searchParams.append("column", name);
    location.replace(address);
  }
}
