// The list of projects: a click on a tag filters and one with Alt excludes; selected projects; selects that submit.
const many = document.querySelector("#many");

function boxes() {
  return [...document.querySelectorAll('#list input[name="project"]')];
}

function showSelected() {
  if (!many) return; // a viewer
  const all = boxes(), selected = all.filter((box) => box.checked).length;
  many.hidden = selected === 0;
  many.querySelector("[data-selected]").textContent = selected;
  many.querySelector("[data-compare-projects]").disabled = selected < 2;
  const every = document.querySelector('[data-select="all"]');
  if (every) {
    every.checked = selected > 0 && selected === all.length;
    every.indeterminate = selected > 0 && selected < all.length;
  }
}

function select(checked) {
  for (const box of boxes()) box.checked = checked;
  showSelected();
}

document.addEventListener("click", (event) => {
  const excludes = event.target.closest("[data-excludes]");
  if (excludes && event.altKey) {
    event.preventDefault();
    location.assign(excludes.dataset.excludes);
  }
  if (event.target.closest('[data-select="none"]')) select(false);
  if (event.target.closest("[data-compare-projects]")) {
    const chosen = boxes().filter((box) => box.checked).map((box) => ["projects", box.value]);
    location.assign(`/compare/projects?${new URLSearchParams(chosen)}`);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (menu.contains(document.activeElement)) menu.querySelector("summary").focus();
    menu.open = false;
  }
});

document.addEventListener("change", (event) => {
  if (event.target.matches('[data-select="all"]')) select(event.target.checked);
  else if (event.target.matches('#list input[name="project"]')) showSelected();
  else if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});

// An empty field of the filter is no part of the address.
document.querySelector("form.listing").addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) {
    if (value === "" || (name === "sort" && value === "-created_at")) event.formData.delete(name);
  }
});

document.addEventListener("htmx:after:swap", showSelected);
showSelected();
