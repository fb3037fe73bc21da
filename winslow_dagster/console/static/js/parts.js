// Small behaviours that a page asks for by an attribute, wherever it may appear.
//   data-copy="TEXT"      copies the text
//   data-opens="#ID"      opens the dialog
//   data-removes="SEL"    removes what it is in
//   data-theme-choice     a select of dark, light or the system's theme
//   data-clears           a form that is emptied once it was accepted
//   data-closes           a form whose dialog is closed once it was accepted
//   data-closes-dialog    a button that closes the dialog that it is in
import { say } from "./messages.js";

export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) {
    await navigator.clipboard.writeText(text);
  } else {
    // Over plain http in a network there is no clipboard.
    const area = document.createElement("textarea");
    area.value = text;
    area.className = "visually-hidden";
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  say("Copied.");
}

document.addEventListener("click", (event) => {
  const copies = event.target.closest("[data-copy]");
  if (copies) copyText(copies.dataset.copy);
  const removes = event.target.closest("[data-removes]");
  if (removes) removes.closest(removes.dataset.removes).remove();
  event.target.closest("[data-closes-dialog]")?.closest("dialog").close();
  const opens = event.target.closest("[data-opens]");
  if (opens) {
    opens.closest("details.menu")?.removeAttribute("open");
    document.querySelector(opens.dataset.opens).showModal();
  }
});

document.addEventListener("change", (event) => {
  const choice = event.target.closest("[data-theme-choice]");
  if (!choice) return;
  document.cookie = `winslow_theme=${choice.value}; path=/; max-age=31536000; samesite=lax`;
  if (choice.value) document.documentElement.dataset.theme = choice.value;
  else delete document.documentElement.dataset.theme;
});

document.addEventListener("htmx:after:request", (event) => {
  const form = event.target.closest?.("form[data-clears]");
  if (form && event.detail.ctx.response.raw.ok) form.reset();
  const closes = event.target.closest?.("form[data-closes]");
  if (closes && event.detail.ctx.response.raw.ok) closes.closest("dialog").close();
});
