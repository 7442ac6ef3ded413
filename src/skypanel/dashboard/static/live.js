// One event stream for a page: the regions that changed, and the log lines that came.
const HIDDEN_FOR = 30000; // a browser has six connections to a host: a tab that nobody looks at gives its one back

export function connect({ enliven, log }) {
  const dot = document.querySelector("[data-connection]");
  let source = null, later = null, again = null, gone = false, pause = 500;

  const show = (on, text) => {
    if (!dot) return;
    dot.hidden = false;
    dot.classList.toggle("on", on);
    if (dot.textContent !== text) dot.textContent = text;
  };

  const open = () => {
    if (source || gone) return;
    clearTimeout(again);
    const address = new URL(location.href);
    const after = log.cursor();
    if (after) address.searchParams.set("after", after);
    source = new EventSource(address);
    source.onopen = () => { pause = 500; show(true, "live"); log.connected(); };
    source.onerror = () => {
      show(false, "reconnecting");
      log.interrupted();
      // The browser comes back by itself after a broken connection, but not after an answer that is no stream.
      if (source?.readyState !== EventSource.CLOSED) return;
      close();
      again = setTimeout(look, pause);
      pause = Math.min(pause * 2, 10000);
    };
    source.addEventListener("regions", (event) => JSON.parse(event.data).forEach((region) => replace(region, enliven)));
    source.addEventListener("lines", (event) => log.add(JSON.parse(event.data).html));
    source.addEventListener("gone", () => { gone = true; close(); location.reload(); });
  };
  const close = () => { source?.close(); source = null; };
  // Away for a moment (a restart), or for good (signed out, deleted)? The page itself says which.
  const look = async () => {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (answer && (answer.redirected || answer.status === 404)) location.reload();
    else open();
  };

  document.addEventListener("visibilitychange", () => {
    clearTimeout(later);
    if (document.hidden) later = setTimeout(() => { close(); show(false, "asleep"); log.interrupted(); }, HIDDEN_FOR);
    else open();
  });
  window.addEventListener("pagehide", close);
  open();
}

function replace({ id, mark, html }, enliven) {
  const region = document.getElementById(id);
  if (!region || region.dataset.live === mark) return;
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const place = focused && path(focused, region);
  const opened = [...region.querySelectorAll("details[open][id]")].map((details) => details.id);
  const scrolled = [...region.querySelectorAll("[id][data-keep-scroll]")].map((part) => [part.id, part.scrollTop]);
  region.innerHTML = html; // rendered and escaped by the server's own templates
  region.dataset.live = mark;
  opened.forEach((details) => { const again = document.getElementById(details); if (again) again.open = true; });
  scrolled.forEach(([part, top]) => { const again = document.getElementById(part); if (again) again.scrollTop = top; });
  if (place) step(place, region)?.focus({ preventScroll: true });
  enliven(region);
}

// Where an element is, so that focus returns to the one that took its place.
function path(element, root) {
  if (element.id) return `#${CSS.escape(element.id)}`;
  const same = [...root.querySelectorAll(element.localName)];
  return [element.localName, same.indexOf(element)];
}

function step(place, root) {
  return typeof place === "string" ? root.querySelector(place) : root.querySelectorAll(place[0])[place[1]];
}
