// The one connection of all tabs. It ends with the last tab.
import { open } from "./live-stream.js";

const ports = new Set();
let connection = null;
let last = { kind: "connection", connected: true };

function tell(message) {
  if (message.kind === "connection") last = message;
  for (const port of ports) port.postMessage(message);
}

self.onconnect = ({ ports: [port] }) => {
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data !== "leave") return;
    ports.delete(port);
    if (ports.size === 0 && connection) { connection(); connection = null; }
  };
  if (connection === null) connection = open(tell);
  else port.postMessage(last);
};
