// The one connection of all tabs. It ends with the last tab.
import { open } from "./live-stream.js";

const ports = new Set();
let close = null, connected = true, position = null;

function tell(message) {
  if (message.kind === "connection") connected = message.connected;
  if (message.kind === "news") position = message.position;
  for (const port of ports) port.postMessage(message);
}

self.onconnect = ({ ports: [port] }) => {
  ports.add(port);
  port.onmessage = ({ data }) => {
    if (data !== "leave") return;
    ports.delete(port);
    if (ports.size > 0 || !close) return;
    close();
    close = position = null;
  };
  if (close === null) close = open(tell);
  else {
    port.postMessage({ kind: "connection", connected });
    if (position !== null) port.postMessage({ kind: "news", position, news: { projects: [], attempts: [], progress: [] } });
  }
};
