// SPDX-License-Identifier: MIT
// The search: events and functions that have all of its words are shown, and gone through one by one.

import { isTyping } from "./dom.js";
import { matches, wordsOf } from "./model.js";

export class Search {
  constructor(model, list, chart, go) {
    this.model = model;
    this.list = list;
    this.chart = chart;
    this.go = go;
    this.field = document.getElementById("search");
    this.said = document.getElementById("found");
    this.functions = [...document.querySelectorAll(".function")];
    this.texts = this.functions.map(textOf);
    this.found = [];
    this.buttons = [...document.querySelectorAll("[data-step]")];
    for (const button of this.buttons) button.addEventListener("click", () => this.step(Number(button.dataset.step)));
    this.field.addEventListener("input", () => this.later());
    this.field.addEventListener("keydown", (event) => this.key(event));
    addEventListener("keydown", (event) => {
      if (event.key !== "/" || isTyping(event.target)) return;
      event.preventDefault();
      this.field.focus();
      this.field.select();
    });
    this.run();
  }

  later() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.run(), 100);
  }

  key(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      if (this.asked !== this.field.value) this.run();
      this.step(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      event.stopPropagation();
      this.field.value = "";
      this.run();
      this.field.blur();
    }
  }

  run() {
    clearTimeout(this.waiting);
    this.asked = this.field.value;
    const query = wordsOf(this.asked);
    const some = query.length > 0;
    const items = some ? this.model.items.filter((item) => matches(item.text, query)) : this.model.items;
    const named = this.functions.filter((_, number) => !some || matches(this.texts[number], query));
    for (const one of this.functions) one.hidden = !named.includes(one);
    this.list.show(items, query);
    this.list.choose(this.chart.chosen);
    this.chart.filter(some ? new Set(items) : undefined);
    this.found = some ? [...items.map((item) => item.name), ...named.map((one) => one.id)] : [];
    this.at = -1;
    for (const button of this.buttons) button.hidden = !this.found.length;
    this.said.textContent = some ? `${counted(items.length, "event")}, ${counted(named.length, "function")}` : "";
  }

  // The next match, or the one before; after the last comes the first.
  step(by) {
    const count = this.found.length;
    if (!count) return;
    this.at = this.at < 0 && by < 0 ? count - 1 : (this.at + by + count) % count;
    const name = this.found[this.at];
    this.said.textContent = `${this.at + 1} of ${count}`;
    this.go(name);
    const event = this.model.byName.has(name);
    const place = event ? document.querySelector("#events [aria-current]") : document.getElementById(name);
    place?.scrollIntoView({ block: event ? "center" : "start" });
  }
}

function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

// What is looked for in a function: its name, and its source.
function textOf(one) {
  const lines = [...one.querySelectorAll(".source td:last-child")].map((cell) => cell.textContent);
  return [one.dataset.name, ...lines].join("\n").toLowerCase();
}
