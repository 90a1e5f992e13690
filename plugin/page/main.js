// SPDX-License-Identifier: MIT
// The program of the page that `clock report` writes.

import "./style.css";
import { Chart } from "./chart.js";
import { Details } from "./details.js";
import { element, isTyping } from "./dom.js";
import { EventList } from "./events.js";
import { prepareGraphs } from "./graphs.js";
import { KINDS, load } from "./model.js";
import { Search } from "./search.js";

const byId = (id) => document.getElementById(id);

const model = load();
const list = new EventList(byId("events"), model);
const chart = new Chart(byId("chart"), model, (name) => go(name));
const details = new Details(byId("details"), model, leave);
let before = null; // what had the focus before the details were opened
let byKeyboard = false; // … and whether they shall have it now

// ------------------------------------------------------------ what is chosen stands in the address

function go(name) {
  if (!name) return;
  history.pushState(null, "", `#${name}`);
  follow();
}

function leave() {
  history.pushState(null, "", location.pathname + location.search);
  follow();
  before?.focus();
  before = null;
}

// As the address has it: what is no escape stands for itself.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}

function follow() {
  const name = decoded(location.hash.slice(1));
  const found = model.byName.get(name);
  document.body.classList.toggle("with-details", Boolean(found));
  if (!found) {
    details.hide();
    reveal(name);
  } else details.show(found);
  list.choose(name);
  chart.choose(found ? name : null);
  if (found && byKeyboard) enter();
  byKeyboard = false;
}

function enter() {
  byId("details").querySelector("h2")?.focus();
}

// A link to a function opens it.
function reveal(name) {
  const place = name && byId(name);
  if (place instanceof HTMLDetailsElement) place.open = true;
}

addEventListener("hashchange", follow);
byId("details").addEventListener("keydown", (event) => event.key === "Escape" && leave());
document.querySelector("main").addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href^='#']");
  if (!link || !model.byName.has(link.hash.slice(1))) return;
  before = link;
  byKeyboard = event.detail === 0; // a click by Enter
});

new Search(model, list, chart, go);

// ------------------------------------------------------------ keys

const onChart = {
  "+": () => chart.zoom(0.5),
  "=": () => chart.zoom(0.5),
  "-": () => chart.zoom(2),
  0: () => chart.all(),
  ArrowLeft: () => chart.move(-0.2),
  ArrowRight: () => chart.move(0.2),
  ArrowDown: () => go(list.neighbour(chart.chosen, 1)),
  ArrowUp: () => go(list.neighbour(chart.chosen, -1)),
  Enter: enter,
  m: () => chart.measure.from(chart.place(chart.chosen)),
};

byId("chart").addEventListener("keydown", (event) => {
  const action = onChart[event.key];
  if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  action();
});

addEventListener("keydown", (event) => {
  if (event.key === "Escape" && !byId("details").hidden) leave();
});

for (const button of document.querySelectorAll("[data-zoom]")) {
  const actions = { in: () => chart.zoom(0.5), out: () => chart.zoom(2), all: () => chart.all() };
  button.addEventListener("click", actions[button.dataset.zoom]);
}

// ------------------------------------------------------------ what is shown

function legend(key, label) {
  const button = element("button", { type: "button", "aria-pressed": "true", "data-kind": key }, label);
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(on));
    chart.toggle(key, on);
  });
  return button;
}

if (model.guests.length > 1) {
  const button = element("button", { type: "button", "aria-pressed": String(chart.shared) }, "One time axis");
  button.addEventListener("click", () => {
    chart.share(!chart.shared);
    button.setAttribute("aria-pressed", String(chart.shared));
  });
  document.querySelector(".tools .zoom").prepend(alignment(button), button);
}

// By which event two guests are laid beside each other: of those that both have.
function alignment(shared) {
  const [one, other] = model.guests.map((guest) => guest.firsts);
  const names = [...one.keys()].filter((key) => other.has(key));
  const options = names.map((key) => element("option", { value: key }, `aligned by ${key}`));
  const own = element("option", { value: "" }, "aligned by their own clocks");
  const select = element("select", { id: "align", "aria-label": "Align the guests" }, own, ...options);
  select.addEventListener("change", () => {
    chart.align(select.value);
    shared.setAttribute("aria-pressed", String(chart.shared));
  });
  return select;
}

const measuring = byId("measure");
measuring.addEventListener("click", () => measuring.setAttribute("aria-pressed", String(chart.measure.toggle())));

const present = new Set(model.items.map((item) => item.kind));
byId("legend").append(...KINDS.filter((kind) => present.has(kind.key)).map((kind) => legend(kind.key, kind.label)));
if (model.guests.some((guest) => guest.spans.some((span) => span.kind === "call"))) {
  byId("legend").append(legend("call", "calls of traced functions"));
}

// Colours come from the style sheet, which follows the reader's system.
for (const medium of ["(prefers-color-scheme: dark)", "print"]) {
  matchMedia(medium).addEventListener("change", () => chart.draw());
}

// On paper everything is open, and the timeline as wide as a sheet. When this is asked for, the style is still the screen's.
const SHEET = 680;
let closed = [];

addEventListener("beforeprint", () => {
  closed = [...document.querySelectorAll("details:not([open])")];
  for (const one of closed) one.open = true;
  document.documentElement.classList.add("paper");
  chart.resize(SHEET);
});

addEventListener("afterprint", () => {
  for (const one of closed) one.open = false;
  document.documentElement.classList.remove("paper");
  chart.resize();
});

prepareGraphs();
follow();
document.documentElement.dataset.ready = "true";
