// A list of log lines that grows: `[data-log]` holds `li[data-cursor]`, made by the server.
const MOST = 5000; // lines in the page; older ones are a click away

export function followLog(enliven) {
  const list = document.querySelector("[data-log]");
  if (!list) return { cursor: () => null, add() {}, connected() {}, interrupted() {} };
  const box = list.closest("[data-log-box]") ?? list;
  const note = document.querySelector("[data-log-note]");
  const button = document.querySelector("[data-live-switch]");
  const atEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  const toEnd = () => { box.scrollTop = box.scrollHeight; };
  const say = (text) => { if (note) note.textContent = text; };
  let waiting = [], held = [], frame = 0, broken = false, live = true;

  // Many lines in a moment are one change of the page, once per frame.
  const show = () => {
    frame = 0;
    const follow = atEnd();
    const part = document.createElement("template");
    part.innerHTML = waiting.join(""); // rendered and escaped by the server
    waiting = [];
    const lines = [...part.content.children].slice(-MOST);
    list.append(...lines);
    while (list.childElementCount > MOST) list.firstElementChild.remove();
    document.querySelector("[data-nothing]")?.remove();
    lines.forEach(enliven);
    if (follow) toEnd();
  };
  const add = (html) => {
    waiting.push(html);
    if (!frame) frame = requestAnimationFrame(show);
  };
  const switchLive = () => {
    live = !live;
    button.setAttribute("aria-pressed", String(live));
    if (!live) return say("Paused. What comes meanwhile is shown when it is live again.");
    held.forEach(add);
    held = [];
    say("");
    toEnd();
  };

  if (button) {
    button.hidden = false;
    button.addEventListener("click", switchLive);
  }
  document.querySelector("[data-older]")?.addEventListener("click", older);
  keys(list, box, button);
  const marked = new URLSearchParams(location.search).get("around");
  const line = marked && document.getElementById(`l-${marked}`);
  if (line) {
    line.classList.add("marked");
    line.scrollIntoView({ block: "center" });
  } else toEnd();

  return {
    cursor: () => list.lastElementChild?.dataset.cursor ?? null,
    add: (html) => { if (live) add(html); else held.push(html); },
    connected() {
      if (broken) say("Reconnected, nothing missed.");
      broken = false;
    },
    interrupted() {
      if (!broken) say("The connection broke; it comes back by itself.");
      broken = true;
    },
  };

  async function older(click) {
    click.preventDefault();
    const link = click.currentTarget;
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    if (!answer.ok || answer.redirected) return location.assign(link.href);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const lines = [...page.querySelectorAll("[data-log] > li")];
    const before = box.scrollHeight - box.scrollTop;
    list.prepend(...lines);
    lines.forEach(enliven);
    const next = page.querySelector("[data-older]");
    if (next) link.href = next.getAttribute("href");
    else link.parentElement.remove();
    box.scrollTop = box.scrollHeight - before; // what was read stays where it was
  }
}

function keys(list, box, button) {
  const search = document.getElementById("search");
  if (!search) return;
  document.addEventListener("keydown", (key) => {
    if (key.ctrlKey || key.metaKey || key.altKey || key.target.closest("input, textarea, select, dialog[open]")) return;
    const lines = [...list.children];
    const at = lines.findIndex((line) => line.contains(document.activeElement));
    if (key.key === "/") search.focus();
    else if (key.key === "f") button?.click();
    else if (key.key === "j") lines[Math.min(at + 1, lines.length - 1)]?.querySelector("a").focus();
    else if (key.key === "k") lines[at < 0 ? lines.length - 1 : Math.max(at - 1, 0)]?.querySelector("a").focus();
    else return;
    key.preventDefault();
  });
}
