// The whole of the dashboard's script. Every page works without it; with it pages are live, and the keyboard goes further.
import { connect } from "./live.js";
import { followLog } from "./log.js";
import { palette } from "./palette.js";

const every = (selector, act) => document.querySelectorAll(selector).forEach(act);

function ago(moment) {
  const seconds = Math.max(0, Math.floor((Date.now() - moment) / 1000));
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  }
  return "just now";
}

function tellTimes() {
  every("time[data-ago]", (time) => {
    const text = ago(Date.parse(time.dateTime));
    if (time.textContent !== text) time.textContent = text;
  });
}

// Clock times of log lines in the reader's own time zone; the exact moment stands in `datetime`.
function localClocks(root) {
  root.querySelectorAll("time[data-clock]").forEach((time) => {
    const moment = new Date(time.dateTime);
    time.title = time.dateTime;
    time.textContent = `${moment.toTimeString().slice(0, 8)}.${String(moment.getMilliseconds()).padStart(3, "0")}`;
    time.removeAttribute("data-clock");
  });
}

// The words of a scale form were computed by the server, one line for each number of replicas.
function slide(form) {
  const lines = JSON.parse(form.dataset.scale);
  const [slider, number, button] = ["[data-slider]", "[type=number]", "button"].map((part) => form.querySelector(part));
  const show = (value) => {
    number.value = slider.value = value;
    form.querySelector("output").textContent = lines[value] ?? "";
    button.disabled = !(value in lines) || value === number.dataset.wanted;
  };
  slider.hidden = false;
  slider.addEventListener("input", () => show(slider.value));
  number.addEventListener("input", () => show(number.value));
  show(number.value);
}

// A new application: the address it will have and what it will cost, from what the server computed.
function draft(form) {
  const [costs, output] = [JSON.parse(form.dataset.costs), form.querySelector(".cost")];
  const [name, replicas] = [form.elements.name, form.elements.replicas];
  const hint = document.getElementById("name-hint");
  const show = () => {
    const plan = form.querySelector("[name=plan]:checked");
    const lines = plan ? costs[plan.value] : [];
    replicas.max = plan?.dataset.max ?? replicas.max;
    output.textContent = lines[replicas.value] ?? (plan ? `This plan allows up to ${plan.dataset.max}.` : "");
    const slug = name.value.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
    if (slug && hint?.classList.contains("hint")) hint.textContent = `Its address will be ${name.dataset.address.replace("NAME", slug)}, or one like it.`;
  };
  form.addEventListener("input", show);
  show();
}

// Elements that make sense only with a script are hidden until they do; regions that were replaced come here again.
function enliven(root) {
  root.querySelectorAll("[data-copy]").forEach((button) => {
    button.hidden = !navigator.clipboard;
    button.onclick = async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    };
  });
  root.querySelectorAll("[data-scale]").forEach(slide);
  root.querySelectorAll("[data-costs]").forEach(draft);
  root.querySelectorAll("[data-submits-itself] select").forEach((select) => { select.onchange = () => select.form.requestSubmit(); });
  root.querySelectorAll("[data-must-equal]").forEach((input) => {
    const button = input.form.querySelector("button:not([type=button])");
    const check = () => { button.disabled = input.value !== input.dataset.mustEqual; };
    input.addEventListener("input", check);
    check();
  });
  tellTimes();
  localClocks(root);
}

document.addEventListener("click", (click) => {
  every("details.menu[open]", (menu) => { if (!menu.contains(click.target)) menu.open = false; });
});
document.addEventListener("keydown", (key) => {
  if (key.key !== "Escape") return;
  every("details.menu[open]", (menu) => { menu.open = false; menu.querySelector("summary").focus(); });
});
// A second press would ask a second time.
document.addEventListener("submit", (submit) => {
  if (submit.defaultPrevented || submit.target.method !== "post") return;
  setTimeout(() => submit.target.querySelectorAll("button").forEach((button) => { button.disabled = true; }));
});
window.addEventListener("pageshow", (shown) => { if (shown.persisted) location.reload(); });

enliven(document);
// Not scrollIntoView: it would also make the tab the place where Tab begins.
every(".tabs [aria-current]", (tab) => { tab.parentElement.scrollLeft = tab.offsetLeft - tab.parentElement.clientWidth / 2; });
setInterval(tellTimes, 20000);
palette();
const log = followLog(enliven);
if (document.body.dataset.stream !== undefined) connect({ enliven, log });
