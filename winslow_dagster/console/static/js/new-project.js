// Checks the form of a new project while a person types, and shows the command that does the same.
import { say } from "./messages.js";

const TYPED_MS = 350;

document.querySelector("[data-choose-pipeline]")?.addEventListener("change", (event) => { if (event.target.value) event.target.form.submit(); });

const form = document.querySelector("[data-new-project]");
if (form) {
  const touched = new Set();
  let typed = 0, checking = null, tried = false;

  // Whether it is long enough can be seen, and nothing else.
  const masked = (value) => "*".repeat(Math.min(value.length, 8));

  // Names of files instead of files, and no secrets: a check needs neither.
  const entered = () => {
    const values = new FormData();
    for (const [name, value] of new FormData(form)) {
      if (value instanceof File) { if (value.name) values.set(name.replace("upload.", "upload_name."), value.name); }
      else values.append(name, form.elements[name]?.dataset?.secret !== undefined ? masked(value) : value);
    }
    return values;
  };

  const fieldOf = (name) => form.querySelector(`[aria-describedby="fault-${CSS.escape(name)}"]`);

  function show(faults) {
    const places = [...form.querySelectorAll("[data-fault]")];
    const known = new Set(places.map((place) => place.dataset.fault));
    const texts = new Map();
    for (const fault of faults) {
      const name = known.has(fault.field) ? fault.field : fault.field.startsWith("env") ? "env" : "";
      texts.set(name, [...(texts.get(name) ?? []), fault]);
    }
    for (const place of places) {
      const found = texts.get(place.dataset.fault) ?? [];
      // What is still empty is no mistake until somebody wants to go on.
      const shown = found.filter((fault) => tried || touched.has(place.dataset.fault) || (fault.blocking && touched.size && !fieldOf(place.dataset.fault)));
      place.hidden = !shown.length;
      place.textContent = shown.map((fault) => fault.message).join(". ");
      place.classList.toggle("soft", shown.length > 0 && shown.every((fault) => fault.blocking === false));
      fieldOf(place.dataset.fault)?.setAttribute("aria-invalid", String(shown.some((fault) => fault.blocking !== false)));
    }
  }

  async function check() {
    checking?.abort();
    checking = new AbortController();
    try {
      const answer = await fetch("/new-project/check", { method: "POST", body: entered(), signal: checking.signal });
      const found = await answer.json();
      if (!answer.ok) { show([{ field: "", message: found.detail, blocking: true }]); return; }
      show(found.faults);
      document.querySelector("[data-command]").textContent = found.command;
      document.querySelector("[data-copy-command]").dataset.copy = found.command;
    } catch (error) {
      if (error.name !== "AbortError") say("The server does not answer. The form is as it was.", "bad");
    }
  }

  const name = (element) => element.getAttribute("aria-describedby")?.replace("fault-", "") ?? element.name;
  form.addEventListener("input", (event) => { touched.add(name(event.target)); clearTimeout(typed); typed = setTimeout(check, TYPED_MS); });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const values = new FormData(form, event.submitter);
    const size = [...values.values()].reduce((sum, value) => sum + (value instanceof File ? value.size : 0), 0);
    tried = true;
    if (size > Number(form.dataset.uploadMost)) {
      show([{ field: "", message: "The files have more than 100 MiB in all. Copy the large ones to the server, and give their paths.", blocking: true }]);
      return;
    }
    const buttons = form.querySelectorAll(".submit .buttons button");
    const sending = form.querySelector("[data-sending]");
    buttons.forEach((button) => { button.disabled = true; });
    sending.hidden = false;
    try {
      const answer = await fetch(form.action, { method: "POST", body: values });
      // The server sends whoever has created a project to its page.
      if (answer.redirected) { location.assign(answer.url); return; }
      const problem = await answer.json();
      show(problem.faults ?? [{ field: "", message: problem.detail, blocking: true }]);
      form.querySelector('[aria-invalid="true"]')?.focus();
      if (!problem.faults) say(problem.detail, "bad");
    } catch {
      say("The server does not answer. Look at the projects before you try again: it may have been created.", "bad");
    }
    buttons.forEach((button) => { button.disabled = false; });
    sending.hidden = true;
  });
  check();
}
