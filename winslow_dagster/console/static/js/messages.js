// Short messages about what a person has just done, or could not do. Errors stay until they are closed. A message may have
// a button that undoes the act.
const SHOWN_MS = 6_000;
const UNDO_SHOWN_MS = 20_000;
const NEXT_PAGE = "winslow.message";

export function say(text, tone = "good", undo = null) {
  const message = document.createElement("div");
  message.className = "message";
  message.dataset.tone = tone;
  const words = document.createElement("p");
  words.textContent = text;
  message.append(words);
  if (undo) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = "Undo";
    button.onclick = () => {
      message.remove();
      send(undo);
    };
    message.append(button);
  }
  const close = document.createElement("button");
  close.className = "plain";
  close.type = "button";
  close.textContent = "Close";
  close.onclick = () => message.remove();
  message.append(close);
  document.querySelector("[data-messages]").append(message);
  if (tone === "good") setTimeout(() => message.remove(), undo ? UNDO_SHOWN_MS : SHOWN_MS);
}

function sayAll(headers) {
  const { "winslow:message": message } = JSON.parse(headers.get("HX-Trigger") ?? "{}");
  if (message) say(message.text, message.tone, message.undo);
}

async function send(undo) {
  try {
    const body = new URLSearchParams(undo.fields);
    const response = await fetch(undo.path, { method: "POST", body, headers: { "HX-Request": "true" } });
    const page = response.headers.get("HX-Redirect");
    if (page) {
      sessionStorage.setItem(NEXT_PAGE, response.headers.get("HX-Trigger"));
      location.assign(page);
      return;
    }
    sayAll(response.headers);
  } catch {
    say("The server does not answer. Nothing was changed; try again.", "bad");
  }
}

export function listenForMessages() {
  document.addEventListener("winslow:message", (event) => {
    const { text, tone, undo } = event.detail;
    say(text, tone, undo);
  });
  document.addEventListener("htmx:after:request", (event) => {
    // The page that an act leads to shows what came of it.
    const headers = event.detail.ctx.response?.raw?.headers;
    if (headers?.has("HX-Redirect") && headers.has("HX-Trigger")) {
      sessionStorage.setItem(NEXT_PAGE, headers.get("HX-Trigger"));
    }
  });
  document.addEventListener("htmx:error", (event) => {
    // Nobody asked for a page to refresh itself, and the frame says that the connection is lost.
    if (event.detail?.ctx?.request?.method === "GET") return;
    say("The server does not answer. Nothing was changed; try again.", "bad");
  });
  const kept = sessionStorage.getItem(NEXT_PAGE);
  sessionStorage.removeItem(NEXT_PAGE);
  if (kept) sayAll(new Headers({ "HX-Trigger": kept }));
}
