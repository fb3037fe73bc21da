// A page that sends files stays while the person goes on to other pages: those are shown in a frame that covers it.
// What no page can keep from happening, such as closing the window, the browser asks about first.
let frame = null;

function show(address) {
  if (frame !== null) { frame.contentWindow.location.replace(address); return; }
  frame = document.createElement("iframe");
  frame.className = "covering";
  frame.title = "Page";
  frame.src = address;
  document.querySelector("main").replaceChildren();
  for (const part of document.querySelectorAll("body > header, body > main, body > .skip")) part.hidden = true;
  document.body.append(frame);
}

function leaves(address) {
  const { origin, pathname } = new URL(address);
  return origin !== location.origin || pathname.startsWith("/login/openid");
}

// `busy` says whether something is being sent; `shown` is called with each document that the frame shows.
export function stay(busy, shown) {
  window.addEventListener("beforeunload", (event) => { if (busy()) event.preventDefault(); });
  if (!window.navigation) return;

  const elsewhere = ({ canIntercept, destination, downloadRequest, formData }) =>
    canIntercept && !destination.sameDocument && downloadRequest === null && !formData;

  const arrived = () => {
    const { contentWindow: inside, contentDocument: page } = frame;
    history.replaceState(null, "", inside.location.href);
    document.title = page.title;
    inside.navigation.addEventListener("navigate", (event) => {
      // Other sites refuse to be shown in a frame.
      if (event.cancelable && leaves(event.destination.url)) {
        event.preventDefault();
        window.open(event.destination.url);
        return;
      }
      // Nothing has to be kept any more: the next page takes the place of this one.
      if (busy() || !elsewhere(event) || event.navigationType === "traverse") return;
      event.preventDefault();
      location.assign(event.destination.url);
    });
    shown(page);
  };

  const cover = (address) => new Promise((resolve) => {
    show(address);
    frame.onload = () => { arrived(); resolve(); };
  });

  navigation.addEventListener("navigate", (event) => {
    const back = event.navigationType === "traverse" && event.destination.sameDocument && frame !== null && event.canIntercept;
    const away = busy() && elsewhere(event) && event.navigationType !== "reload";
    // An answer that is no page would leave the frame empty.
    if (away && new URL(event.destination.url).pathname.startsWith("/api/")) {
      event.preventDefault();
      window.open(event.destination.url);
      return;
    }
    if (back || away) event.intercept({ handler: () => cover(event.destination.url), scroll: "manual" });
  });
  document.addEventListener("winslow:logged-out", (event) => {
    // Loaded again, the page would lose what it sends. Its frame leads to the log-in.
    if (!busy()) return;
    event.preventDefault();
    cover(location.href);
  });
}
