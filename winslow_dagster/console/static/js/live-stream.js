// One stream of what changes, which opens itself again when it is lost.
const RETRY_MS = 2_000;

export function open(tell) {
  let source, position = null;
  const connect = () => {
    source = new EventSource("/live");
    source.onopen = () => tell({ kind: "connection", connected: true });
    source.onmessage = (event) => {
      const news = JSON.parse(event.data);
      // A source that was opened anew, after the browser gave up, does not tell the server where it was.
      const opened = source.opened !== true;
      source.opened = true;
      if (opened && position !== null && position !== event.lastEventId) news.everything = true;
      position = event.lastEventId;
      tell({ kind: "news", news, position });
    };
    source.onerror = () => {
      tell({ kind: "connection", connected: false });
      // The browser itself gives up after an answer that is no stream, as while the server starts.
      if (source.readyState === EventSource.CLOSED) retry();
    };
  };
  const retry = async () => {
    const answer = await fetch("/api/v1/me").catch(() => null);
    if (answer?.status === 401) tell({ kind: "logged-out" });
    else setTimeout(connect, RETRY_MS);
  };
  connect();
  return () => source.close();
}
