// A project's page: texts that a person is writing are never lost, and choosing another stage or tab moves nothing.
//   data-draft="KEY"   a form whose text is kept in this browser until it is saved or discarded
//   data-empties       a form whose fields are empty again once it was accepted
//   data-stays         a link to another view of the same page: the page stays scrolled where it is
const SCROLL = "winslow:scroll";

function field(form) { return form.querySelector("textarea, input"); }
function isDirty(form) { return field(form).value !== field(form).defaultValue; }

function show(form) {
  const dirty = isDirty(form);
  form.querySelector("[data-draft-acts]").hidden = !dirty;
  // What is being written is not touched by a refresh.
  form.toggleAttribute("data-keep", dirty);
}

function settle(form) {
  localStorage.removeItem(form.dataset.draft);
  show(form);
}

function restore(form) {
  const draft = localStorage.getItem(form.dataset.draft);
  // What was written before this script had come is newer than what is kept.
  if (isDirty(form)) localStorage.setItem(form.dataset.draft, field(form).value);
  else if (draft !== null) field(form).value = draft;
  show(form);
}

document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-draft]");
  if (!form) return;
  localStorage.setItem(form.dataset.draft, field(form).value);
  show(form);
});
document.addEventListener("reset", (event) => {
  const form = event.target.closest("[data-draft]");
  if (form) setTimeout(() => settle(form));
});
document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  const form = event.target.closest?.("form");
  if (!form || !(ctx?.response?.status < 300)) return;
  if (form.hasAttribute("data-empties")) form.reset();
  if (form.dataset.draft && ctx.request.method === "POST") {
    const sent = new URLSearchParams(ctx.request.body).get(field(form).name);
    field(form).defaultValue = sent ?? "";
    settle(form);
  }
});
for (const form of document.querySelectorAll("[data-draft]")) restore(form);

document.addEventListener("click", (event) => {
  if (event.target.closest("a[data-stays]")) {
    sessionStorage.setItem(SCROLL, JSON.stringify({ path: document.querySelector("#project")?.dataset.project, top: scrollY }));
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
});
const kept = JSON.parse(sessionStorage.getItem(SCROLL) ?? "null");
sessionStorage.removeItem(SCROLL);
if (kept && kept.path === document.querySelector("#project")?.dataset.project && !location.hash) scrollTo(0, kept.top);

// The title says the state, too, so that a tab in the background does.
document.addEventListener("htmx:after:swap", () => {
  const title = document.querySelector("#project")?.dataset.title;
  if (title) document.title = `${document.title.match(/^\(\d+\) /)?.[0] ?? ""}${title}`;
});
