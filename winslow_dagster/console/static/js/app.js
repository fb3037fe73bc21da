// What every page does: it follows what changes, shows times and sizes in the reader's notation, shows messages, and knows keys.
import { format } from "./format.js";
import { follow } from "./live.js";
import { showCounters } from "./counters.js";
import { listenForKeys } from "./keys.js";
import { listenForMessages } from "./messages.js";
import "./parts.js";
import "./uploads/tray.js";

format(document);
document.addEventListener("htmx:after:swap", () => format(document));
// On a phone, not all tabs are in sight.
for (const tab of document.querySelectorAll(".tabs [aria-current]")) tab.scrollIntoView({ block: "nearest", inline: "nearest" });
listenForMessages();
listenForKeys();
if (document.querySelector("[data-connection]")) {
  follow();
  showCounters();
}
