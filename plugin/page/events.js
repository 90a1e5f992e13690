// SPDX-License-Identifier: MIT
// The list of events below the timeline: the same, for the keyboard, for reading aloud, and for paper.

import { badge, element, marked } from "./dom.js";

const STEP = 200;

export class EventList {
  constructor(box, model) {
    this.box = box;
    this.guests = model.guests;
    this.list = element("ol", { class: "events" });
    this.more = element("button", { type: "button" });
    this.more.addEventListener("click", () => this.grow(this.count + STEP));
    box.append(this.list, this.more);
    this.show(model.items);
  }

  // `query`: the words that were looked for, which are marked.
  show(items, query = []) {
    this.items = items;
    this.query = query;
    this.list.replaceChildren();
    this.count = 0;
    this.grow(STEP);
  }

  grow(count) {
    const rows = this.items.slice(this.count, count).map((item) => this.row(item));
    this.list.append(...rows);
    this.count = Math.min(count, this.items.length);
    const left = this.items.length - this.count;
    this.more.hidden = left === 0;
    this.more.textContent = `Show ${Math.min(left, STEP)} more of ${left}`;
  }

  row(item) {
    const { ms, what, clock, values, where } = item.words;
    const shown = (text) => marked(text, this.query);
    const link = element(
      "a",
      { href: `#${item.name}`, "data-kind": item.kind },
      element("span", { class: "ms" }, ...shown(ms)),
      element("span", { class: "what" }, badge(item.guest, this.guests), ...shown(what)),
      element("strong", {}, ...shown(clock)),
      element("span", { class: "values" }, ...shown(values)),
      element("code", {}, ...shown(where)),
    );
    return element("li", {}, link);
  }

  // Marks the row of what is chosen; the list grows until it has that row.
  choose(name) {
    this.list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const place = this.items.findIndex((item) => item.name === name);
    if (place < 0) return;
    if (place >= this.count) this.grow(place + 1);
    this.list.children[place].firstChild.setAttribute("aria-current", "true");
  }

  // The name of the event `step` places on from the chosen one; of the first, or last, where none is chosen.
  neighbour(name, step) {
    const place = this.items.findIndex((item) => item.name === name);
    const next = place < 0 ? (step > 0 ? 0 : this.items.length - 1) : place + step;
    return this.items[next]?.name;
  }
}
