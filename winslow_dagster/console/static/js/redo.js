// The drawer in which a stage is run again: it says while a person types what would happen, and marks what differs.
import { say } from "./messages.js";

const TYPED_MS = 300;
const drawer = document.querySelector("[data-drawer]");
const form = document.querySelector("[data-redo]");

// As a modal dialog it keeps the focus, and Escape closes it.
drawer.close();
drawer.showModal();
drawer.addEventListener("cancel", (event) => { event.preventDefault(); drawer.querySelector("[data-close]").click(); });

const rows = [...form.querySelectorAll("[data-parameter]")];
const following = [...form.querySelectorAll("[data-following]")];
const only = form.querySelector("[data-only-differing]");
const filter = form.querySelector("[data-parameter-filter]");
const start = form.querySelector("[data-start]");
const plan = form.querySelector("[data-plan]");

// A field that equals its default is not sent; a ticked secret is one that the last run had set.
function isChanged(row) {
  const field = row.querySelector("[data-default]");
  return field !== null ? field.value !== field.dataset.default : row.querySelector('[type="checkbox"]')?.checked ?? false;
}

function showRows() {
  const words = (filter?.value ?? "").toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const changed = isChanged(row);
    row.toggleAttribute("data-changed", changed);
    const reset = row.querySelector("[data-to-default]");
    if (reset) reset.hidden = !changed;
    const found = words.every((word) => row.dataset.words.toLowerCase().includes(word));
    const differs = changed || "wasSet" in row.dataset || row.contains(document.activeElement) || row.querySelector('[aria-invalid="true"]') !== null;
    // Who searches looks at all of them.
    row.hidden = words.length ? !found : only.checked && !differs;
    shown += row.hidden || row.closest("[data-following]") ? 0 : 1;
  }
  form.querySelector("[data-none-differ]").hidden = shown > 0 || words.length > 0;
  for (const stage of following) showFollowing(stage, words.length > 0);
}

// A stage that follows says in one line what differs in it. While a person searches, those where something is found are open.
function showFollowing(stage, searches) {
  const own = rows.filter((row) => stage.contains(row)), changed = own.filter((row) => row.hasAttribute("data-changed"));
  stage.querySelector("[data-differs]").replaceChildren(...changed.flatMap((row) => {
    const field = row.querySelector("[data-default]"), code = document.createElement("code");
    code.textContent = field ? `${row.dataset.parameter}=${field.value}` : row.dataset.parameter;
    return [code, " "];
  }), changed.length ? "" : "with its defaults");
  if (searches && !("searched" in stage.dataset)) stage.dataset.searched = stage.open ? "open" : "closed";
  if (searches) stage.open = own.some((row) => !row.hidden);
  else if ("searched" in stage.dataset) { stage.open = stage.dataset.searched === "open"; delete stage.dataset.searched; }
}

// Only stages that run can be set.
function showReached() {
  const until = form.elements.until.value, sweeps = form.querySelector("[data-sweep]").checked;
  for (const stage of following) stage.hidden = until ? !stage.dataset.ends.split(" ").includes(until) : sweeps;
  const none = form.querySelector("[data-none-follow]");
  if (none) none.hidden = following.some((stage) => !stage.hidden);
}

function showFaults(faults) {
  const places = [...form.querySelectorAll("[data-fault]")];
  const known = new Set(places.map((place) => place.dataset.fault));
  for (const place of places) {
    const field = place.dataset.fault;
    const found = faults.filter((fault) => fault.field === field || (field === "" && !known.has(fault.field)));
    place.hidden = !found.length;
    place.textContent = found.map((fault) => fault.message).join(". ");
    if (found.length && place.closest("details")) place.closest("details").open = true;
    form.querySelector(`[aria-describedby="fault-${CSS.escape(field)}"]`)?.setAttribute("aria-invalid", String(found.length > 0));
  }
  showRows();
}

let typed = 0, checking = null;
async function check() {
  checking?.abort();
  checking = new AbortController();
  try {
    const answer = await fetch(form.dataset.check, { method: "POST", body: new FormData(form), signal: checking.signal });
    const found = await answer.json();
    if (!answer.ok) { showFaults([{ field: "", message: found.detail }]); plan.textContent = ""; start.disabled = true; return; }
    showFaults(found.faults);
    const busy = found.plan?.busy;
    plan.textContent = found.plan ? found.plan.text + (busy ? ` It cannot be started now: ${busy}.` : "") : "This cannot be started yet.";
    start.disabled = !found.plan || busy !== "";
    start.querySelector("[data-start-text]").textContent = found.plan?.runs > 1 ? `Start ${found.plan.runs} runs` : "Run again";
    form.querySelector("[data-command]").textContent = found.command;
    form.querySelector("[data-copy-command]").dataset.copy = found.command;
  } catch (error) {
    if (error.name !== "AbortError") say("The server does not answer. The form is as it was.", "bad");
    return;
  }
  delete plan.dataset.stale;
}

function changed() {
  form.querySelector("[data-of-sweep]").hidden = !form.querySelector("[data-sweep]").checked;
  plan.dataset.stale = "";
  showRows();
  showReached();
  clearTimeout(typed);
  typed = setTimeout(check, TYPED_MS);
}

form.addEventListener("input", (event) => {
  if (event.target === filter || event.target === only) { event.stopPropagation(); showRows(); return; }
  changed();
});
form.addEventListener("click", (event) => {
  const reset = event.target.closest("[data-to-default]");
  if (!reset) return;
  const field = document.getElementById(reset.dataset.toDefault);
  field.value = field.dataset.default;
  field.focus();
  changed();
});

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  start.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form) });
    // The server sends whoever has started something to the page that shows it.
    if (answer.redirected) { location.assign(answer.url); return; }
    const problem = await answer.json();
    showFaults(problem.faults ?? [{ field: "", message: problem.detail }]);
    form.querySelector('[aria-invalid="true"]')?.focus();
  } catch {
    say("The server does not answer. Look at the project before you try again: it may have been started.", "bad");
  }
  start.disabled = false;
});

showRows();
showReached();
check();
// The first parameter is where most people begin; what was typed before a reload is shown as it is.
(form.querySelector(".parameter:not([hidden]) [data-default]") ?? form.querySelector("#reason")).focus();
