// Sends a file, or an edited text, as the body of a request. What is being edited is kept in this browser until it is sent.
import "./project.js";
import { say } from "./messages.js";

document.addEventListener("submit", async (event) => {
  const form = event.target.closest("[data-replace]");
  if (!form) return;
  event.preventDefault();
  const place = form.closest("[data-address]");
  const text = form.dataset.replace === "text";
  const content = text ? new Blob([endings(form.querySelector("textarea").value, form.dataset.crlf === "true")]) : form.elements.file.files[0];
  if (content.size > Number(place.dataset.most)) { say("The file is too large to be sent. Copy it to the server, and use “winslow replace” there.", "bad"); return; }
  const address = new URL(place.dataset.address, location.href);
  address.searchParams.set("name", text ? form.dataset.name : content.name);
  if (form.elements.reason.value) address.searchParams.set("reason", form.elements.reason.value);
  if (form.elements.resume?.checked) address.searchParams.set("resume", "true");
  const buttons = form.querySelectorAll("button");
  const sending = form.querySelector("[data-sending]");
  buttons.forEach((button) => { button.disabled = true; });
  if (sending) sending.hidden = false;
  try {
    const answer = await fetch(address, { method: "PUT", body: content, headers: { "Content-Type": "application/octet-stream" } });
    if (answer.ok) {
      if (form.dataset.draft) localStorage.removeItem(form.dataset.draft);
      location.assign(place.dataset.back);
      return;
    }
    say((await answer.json()).detail, "bad");
  } catch {
    say("The server does not answer. Nothing was changed; try again.", "bad");
  }
  buttons.forEach((button) => { button.disabled = false; });
  if (sending) sending.hidden = true;
});

function endings(text, crlf) { return crlf ? text.replaceAll("\n", "\r\n") : text; }
