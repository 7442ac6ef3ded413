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

// What something costs, in words that the server computed; what the wallet does not carry is not to be asked for.
function tellPrice(form, price, otherwise = "") {
  form.querySelector("output").textContent = price?.price ?? otherwise;
  const funds = form.querySelector("[data-funds]");
  funds.textContent = price?.funds ?? "";
  funds.className = price?.refused ? "problem-text" : "hint";
}

// A scale form: the prices stand beside it, one for each number of replicas, and stay live while it is used.
function slide(form) {
  const [slider, number, button] = ["[data-slider]", "[type=number]", "button"].map((part) => form.querySelector(part));
  const show = (value) => {
    const prices = JSON.parse(document.getElementById(form.dataset.scale)?.dataset.prices ?? "[]");
    number.value = slider.value = value;
    tellPrice(form, prices[value]);
    button.disabled = !(value in prices) || value === number.dataset.wanted || prices[value].refused;
  };
  form.tellAgain = () => show(number.value);
  slider.hidden = false;
  slider.addEventListener("input", () => show(slider.value));
  number.addEventListener("input", () => show(number.value));
  show(number.value);
}

// A new application: the address it will have and what it will cost, from what the server computed.
function draft(form) {
  const costs = JSON.parse(form.dataset.costs);
  const [name, replicas] = [form.elements.name, form.elements.replicas];
  const hint = document.getElementById("name-hint");
  const show = () => {
    const plan = form.querySelector("[name=plan]:checked");
    const prices = plan ? costs[plan.value] : [];
    replicas.max = plan?.dataset.max ?? replicas.max;
    const price = prices[replicas.value];
    tellPrice(form, price, plan ? `This plan allows up to ${plan.dataset.max}.` : "");
    form.querySelector(".actions button").disabled = price?.refused ?? false;
    const slug = name.value.normalize("NFKD").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-+|-+$/g, "");
    if (slug && hint?.classList.contains("hint")) hint.textContent = `Its address will be ${name.dataset.address.replace("NAME", slug)}, or one like it.`;
  };
  form.addEventListener("input", show);
  show();
}

// Another plan for an application: its price, while one is chosen.
function choose(form) {
  const prices = JSON.parse(form.dataset.planPrices);
  form.addEventListener("change", () => {
    const price = prices[form.querySelector("[name=plan]:checked")?.value];
    tellPrice(form, price);
    form.querySelector("button").disabled = price?.refused ?? false;
  });
}

// Days belong to one kind of time only.
function span(select) {
  const show = () => select.form.querySelectorAll("[data-days]").forEach((days) => { days.hidden = select.value !== "custom"; });
  select.addEventListener("change", show);
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
  root.querySelectorAll("[data-prices]").forEach((prices) => every(`[data-scale="${CSS.escape(prices.id)}"]`, (form) => form.tellAgain?.()));
  root.querySelectorAll("[data-costs]").forEach(draft);
  root.querySelectorAll("[data-plan-prices]").forEach(choose);
  root.querySelectorAll("[data-range]").forEach(span);
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
