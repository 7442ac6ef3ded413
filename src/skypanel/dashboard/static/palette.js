// Ctrl-K: any application, page or verb. The server makes the suggestions; this moves through them.
export function palette() {
  const dialog = document.querySelector("[data-palette-dialog]");
  if (!dialog) return;
  const [input, list] = [dialog.querySelector("input"), dialog.querySelector("ul")];
  let asked = 0;

  const options = () => [...list.querySelectorAll("[role=option]:not([aria-disabled])")];
  const select = (index) => {
    const all = options();
    all.forEach((option, at) => {
      option.id = `palette-${at}`;
      option.setAttribute("aria-selected", String(at === index));
    });
    all[index]?.scrollIntoView({ block: "nearest" });
    if (all[index]) input.setAttribute("aria-activedescendant", all[index].id);
    else input.removeAttribute("aria-activedescendant");
  };
  const selected = () => options().findIndex((option) => option.getAttribute("aria-selected") === "true");
  const suggest = async () => {
    const turn = ++asked;
    const answer = await fetch(`/palette?q=${encodeURIComponent(input.value)}`, { headers: { Accept: "text/html" } });
    if (turn !== asked || !answer.ok || answer.redirected) return;
    list.innerHTML = await answer.text(); // rendered and escaped by the server's own templates
    select(0);
  };
  const open = () => { if (!dialog.open) { dialog.showModal(); input.value = ""; suggest(); } };

  document.querySelectorAll("[data-palette]").forEach((button) => { button.hidden = false; button.onclick = open; });
  document.addEventListener("keydown", (key) => {
    if (key.key === "k" && (key.ctrlKey || key.metaKey)) { key.preventDefault(); open(); }
  });
  dialog.addEventListener("click", (click) => { if (click.target === dialog) dialog.close(); });
  input.addEventListener("input", suggest);
  input.addEventListener("keydown", (key) => {
    const count = options().length;
    if (!count) return;
    if (key.key === "ArrowDown") select((selected() + 1) % count);
    else if (key.key === "ArrowUp") select((selected() - 1 + count) % count);
    else if (key.key === "Enter") options()[selected()]?.querySelector("a, button").click();
    else return;
    key.preventDefault();
  });
}
