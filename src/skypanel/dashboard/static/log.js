// A list of log lines that grows: `[data-log]` holds `li[data-cursor]`, made by the server.
const MOST = 5000; // lines in the page; older ones are a click away

export function followLog() {
  const list = document.querySelector("[data-log]");
  if (!list) return { cursor: () => null, add() {}, connected() {}, interrupted() {} };
  const box = list.closest("[data-log-box]") ?? list;
  const atEnd = () => box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  const toEnd = () => { box.scrollTop = box.scrollHeight; };
  toEnd();
  return {
    cursor: () => list.lastElementChild?.dataset.cursor ?? null,
    add(html) {
      const follow = atEnd();
      list.insertAdjacentHTML("beforeend", html); // escaped by the server
      while (list.childElementCount > MOST) list.firstElementChild.remove();
      if (follow) toEnd();
    },
    connected() {},
    interrupted() {},
  };
}
