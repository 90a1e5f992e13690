// SPDX-License-Identifier: MIT
// The cursor of the timeline, and the time from one point to another: by two clicks, or from one chosen event to the next.

import { element } from "./dom.js";
import { lengthText, timeText } from "./units.js";

const NEAR = 8; // pixels: a click so near to an event means it

export class Measure {
  constructor(chart) {
    this.chart = chart;
    this.on = false;
    this.points = []; // none, where it begins, and where it ends: { number, at }
    this.cursor = element("div", { class: "cursor", hidden: true }, element("span"));
    this.range = element("div", { class: "range", hidden: true });
    chart.box.append(this.range, this.cursor);
    chart.box.addEventListener("pointermove", (event) => this.follow(event));
    chart.box.addEventListener("pointerleave", () => (this.cursor.hidden = true));
    chart.box.addEventListener("click", (event) => this.click(event));
  }

  // Whether clicks set points.
  toggle() {
    this.on = !this.on;
    if (this.on) this.say("Click where it begins, then where it ends.");
    else this.clear();
    return this.on;
  }

  clear() {
    this.points = [];
    this.draw();
  }

  // From the event that is chosen on, by the keyboard.
  from(place) {
    this.points = place ? [place] : [];
    this.draw();
    if (place) this.say("Measured from here to the event that is chosen next.");
    this.byKeys = Boolean(place);
  }

  // Another event was chosen.
  chosen(place) {
    if (!this.byKeys || !place) return;
    this.points = [this.points[0], place];
    this.draw();
  }

  // Where a pointer is: on which guest's axis and lane, and the pixel of its column.
  under(event) {
    const box = this.chart.box.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const inside = ([left, right, top, bottom]) => x >= left && x <= right && y >= top && y <= bottom;
    const number = this.chart.guests.findIndex((_, one) => inside(this.chart.lanes(one)));
    if (number < 0) return undefined;
    const [, , top, bottom] = this.chart.lanes(number);
    const count = this.chart.guests[number].lanes.length;
    return { number, x, lane: Math.floor(((y - top) / (bottom - top)) * count) };
  }

  follow(event) {
    const found = this.under(event);
    this.cursor.hidden = !found;
    if (!found) return;
    const [left, right, top, bottom] = this.chart.lanes(found.number);
    Object.assign(this.cursor.style, { left: `${found.x}px`, top: `${top}px`, height: `${bottom - top}px` });
    this.cursor.classList.toggle("leftwards", found.x > (left + right) / 2);
    const [from, to] = this.chart.shown(found.number);
    this.cursor.firstChild.textContent = timeText(this.at(found), to - from);
  }

  at({ number, x }) {
    return this.chart.chart.convertFromPixel({ xAxisIndex: number }, x);
  }

  pixel({ number, at }) {
    return this.chart.chart.convertToPixel({ xAxisIndex: number }, at);
  }

  click(event) {
    const found = this.on && this.under(event);
    if (!found) return;
    this.byKeys = false;
    if (this.points.length === 2) this.points = [];
    this.points.push({ number: found.number, at: this.nearest(found) });
    this.draw();
  }

  // The event of that lane that is meant, or the very place.
  nearest(found) {
    const ofLane = this.chart.marks[found.number].filter((mark) => mark.datum.value[1] === found.lane);
    const marks = ofLane.map((mark) => mark.datum.value[0]);
    const distance = (at) => Math.abs(this.pixel({ number: found.number, at }) - found.x);
    const near = marks.reduce((best, at) => (distance(at) < distance(best) ? at : best), marks[0]);
    return near !== undefined && distance(near) <= NEAR ? near : this.at(found);
  }

  draw() {
    const [begin, end] = this.points;
    this.range.hidden = !begin;
    if (!begin) return this.say("");
    const last = end ?? begin;
    const rows = [begin, last].map((point) => this.chart.lanes(point.number));
    const [edge, limit] = rows[0];
    const ends = [begin, last].map((point) => Math.min(Math.max(this.pixel(point), edge), limit));
    const top = Math.min(...rows.map((row) => row[2]));
    const place = { left: Math.min(...ends), width: Math.abs(ends[1] - ends[0]), top };
    place.height = Math.max(...rows.map((row) => row[3])) - top;
    for (const [name, pixels] of Object.entries(place)) this.range.style[name] = `${pixels}px`;
    if (end) this.say(this.text(begin, end));
  }

  text(begin, end) {
    const name = (point) => (this.chart.guests.length > 1 ? `${this.chart.guests[point.number].letter} ` : "");
    const where = (point) => `${name(point)}${point.at.toFixed(3)} ms`;
    return `From ${where(begin)} to ${where(end)}: ${lengthText(end.at - begin.at)}`;
  }

  say(text) {
    document.getElementById("chart-measure").textContent = text;
  }
}
