// Short messages about what a person has just done, or could not do. Errors stay until they are closed.
const SHOWN_MS = 6_000;

export function say(text, tone = "good") {
  const message = document.createElement("div");
  message.className = "message";
  message.dataset.tone = tone;
  const words = document.createElement("p");
  words.textContent = text;
  const close = document.createElement("button");
  close.className = "plain";
  close.type = "button";
  close.textContent = "Close";
  close.onclick = () => message.remove();
  message.append(words, close);
  document.querySelector("[data-messages]").append(message);
  if (tone === "good") setTimeout(() => message.remove(), SHOWN_MS);
}

export function listenForMessages() {
  document.addEventListener("winslow:message", (event) => say(event.detail.text, event.detail.tone));
  document.addEventListener("htmx:error", (event) => {
    // Nobody asked for a page to refresh itself, and the frame says that the connection is lost.
    if (event.detail?.ctx?.request?.method === "GET") return;
    say("The server does not answer. Nothing was changed; try again.", "bad");
  });
}
