// SPDX-License-Identifier: MIT
// The timeline: a lane a clock and a vCPU, on one axis for all guests. ECharts draws; text goes to a canvas, never to HTML.

import { CustomChart, ScatterChart } from "echarts/charts";
import { DataZoomInsideComponent, DataZoomSliderComponent, GridComponent, TooltipComponent } from "echarts/components";
import * as echarts from "echarts/core";
import { CanvasRenderer } from "echarts/renderers";
import { Measure } from "./measure.js";
import { KINDS } from "./model.js";
import { timeText, unitOf } from "./units.js";

echarts.use([
  CustomChart,
  ScatterChart,
  DataZoomInsideComponent,
  DataZoomSliderComponent,
  GridComponent,
  TooltipComponent,
  CanvasRenderer,
]);

const LANE = 26;
const AXIS = 44;
const SLIDER = 40;
const NARROWEST = 0.001; // ms

export class Chart {
  constructor(box, model, select) {
    this.box = box;
    this.guests = model.guests;
    this.byName = model.byName;
    this.select = select;
    this.hidden = new Set();
    this.chosen = null;
    this.shared = this.guests.length > 1 && isComparable(this.guests);
    this.view = [0, 1]; // of what there is
    this.zero = this.guests.map(() => 0); // the ms that each guest's axis is counted from
    this.aligned = "";
    this.marks = this.guests.map((guest) => marksOf(guest, model.byName, 0));
    this.top = layOut(this.guests);
    box.style.height = `${this.top.at(-1) + SLIDER}px`;
    this.chart = echarts.init(box);
    this.chart.on("click", (params) => params.data?.name && !this.measure.on && this.select(params.data.name));
    this.chart.on("datazoom", () => this.read());
    this.measure = new Measure(this);
    this.draw();
    new ResizeObserver(() => this.resize()).observe(box);
  }

  resize(width = this.box.clientWidth) {
    if (this.chart.getWidth() === width) return;
    this.chart.resize({ width });
    this.draw();
  }

  // Draws all anew: after a change of what is shown, of the width, or of the theme.
  draw() {
    this.colours = theme();
    this.chart.setOption(this.option(), { notMerge: true });
    this.tell();
    this.measure.draw();
  }

  // Where a guest's lanes lie in the box: left, right, top, bottom.
  lanes(number) {
    const label = this.chart.getWidth() < 600 ? 92 : 150;
    const top = this.top[number] + (this.guests.length > 1 ? 24 : 4);
    return [label, this.chart.getWidth() - 16, top, top + this.guests[number].lanes.length * LANE];
  }

  option() {
    const [label] = this.lanes(0);
    const grids = this.guests.map((_, number) => number);
    return {
      animation: false,
      grid: this.guests.map((guest, number) => ({
        left: label,
        right: 16,
        top: this.lanes(number)[2],
        height: guest.lanes.length * LANE,
        outerBoundsMode: "none",
      })),
      xAxis: grids.map((number) => this.timeAxis(number)),
      yAxis: this.guests.map((guest, number) => this.laneAxis(guest, number, label)),
      dataZoom: this.zooms(grids, label),
      tooltip: {
        trigger: "item",
        renderMode: "richText",
        confine: true,
        backgroundColor: this.colours.panel,
        borderColor: this.colours.line,
        textStyle: { color: this.colours.text, fontSize: 12 },
        formatter: (params) => this.hint(params.data?.name),
      },
      series: this.guests.flatMap((guest, number) => this.series(guest, number)),
    };
  }

  timeAxis(number) {
    return {
      type: "value",
      gridIndex: number,
      min: this.range(number)[0],
      max: this.range(number)[1],
      axisLabel: {
        color: this.colours.quiet,
        hideOverlap: true,
        showMinLabel: false,
        showMaxLabel: false,
        formatter: (ms) => this.tick(ms, number),
      },
      axisLine: { lineStyle: { color: this.colours.line } },
      splitLine: { lineStyle: { color: this.colours.faint } },
    };
  }

  // As many digits as tell two ticks apart.
  tick(ms, number) {
    const [from, to] = this.shown(number);
    const { name, ms: size } = unitOf(to - from);
    const digits = Math.max(0, Math.ceil(1 - Math.log10((to - from) / size / 10)));
    return `${Number((ms / size).toFixed(Math.min(digits, 6)))} ${name}`;
  }

  laneAxis(guest, number, width) {
    return {
      type: "category",
      gridIndex: number,
      inverse: true,
      data: guest.lanes.map((_, lane) => lane),
      name: this.guests.length > 1 ? `${guest.letter}  ${guest.name}` : "",
      nameLocation: "start",
      nameGap: 10,
      nameTextStyle: { color: this.colours.text, fontWeight: "bold", align: "left", padding: [0, 0, 0, 8 - width] },
      axisTick: { show: false },
      axisLine: { onZero: false, lineStyle: { color: this.colours.line } },
      splitArea: { show: true, areaStyle: { color: guest.lanes.map((lane) => this.colours[lane.kind]) } },
      axisLabel: {
        color: this.colours.text,
        interval: 0,
        width: width - 12,
        overflow: "truncate",
        formatter: (lane) => guest.lanes[lane].title + (guest.lanes[lane].device ? " (dev.)" : ""),
      },
    };
  }

  zooms(grids, label) {
    const [start, end] = this.view.map((share) => 100 * share);
    const both = { xAxisIndex: grids, filterMode: "none", start, end };
    const slider = {
      type: "slider",
      bottom: 6,
      height: 20,
      left: label,
      right: 16,
      showDetail: false,
      showDataShadow: false,
      brushSelect: false,
      borderColor: this.colours.line,
      fillerColor: this.colours.filler,
    };
    return [
      {
        ...both,
        type: "inside",
        zoomOnMouseWheel: "ctrl",
        moveOnMouseWheel: "shift",
        preventDefaultMouseMove: false,
        minSpan: 100 * this.narrowest(),
      },
      { ...both, ...slider },
    ];
  }

  series(guest, number) {
    const place = { xAxisIndex: number, yAxisIndex: number };
    const visible = guest.spans.filter((span) => !this.hidden.has(span.kind));
    const spans = visible.map((span) => spanDatum(guest, span, this.zero[number]));
    const marks = this.marks[number].filter((mark) => !this.hidden.has(mark.item.kind) && this.isShown(mark.item));
    const kinds = KINDS.flatMap((kind) => {
      const data = marks.filter((mark) => mark.item.kind === kind.key).map((mark) => mark.datum);
      return pieces(data).map((piece) => this.scatter(place, kind, piece));
    });
    const renderItem = (params, api) => this.bar(spans, params, api);
    const bars = { ...place, type: "custom", clip: true, data: spans, z: 3, renderItem };
    return [bars, ...kinds, this.ring(place, guest)];
  }

  scatter(place, kind, data) {
    const itemStyle = { color: this.colours[kind.key], borderColor: this.colours.panel, borderWidth: 1, opacity: 1 };
    const many = { large: true, largeThreshold: 200 };
    return { ...place, ...many, type: "scatter", symbol: kind.symbol, symbolSize: 11, itemStyle, data, z: 4 };
  }

  // A ring around what is chosen.
  ring(place, guest) {
    const number = this.guests.indexOf(guest);
    const marks = this.marks[number].filter((mark) => mark.item.name === this.chosen);
    const calls = guest.spans.filter((span) => span.kind === "call" && `${guest.letter}-${span.seq}` === this.chosen);
    const data = [...marks.map((mark) => mark.datum.value), ...calls.map((span) => spanDatum(guest, span, this.zero[number]).value)];
    const itemStyle = { color: "transparent", borderColor: this.colours.text, borderWidth: 2.5 };
    return { ...place, type: "scatter", symbol: "circle", symbolSize: 20, silent: true, itemStyle, data, z: 6 };
  }

  bar(spans, params, api) {
    const { span, value } = spans[params.dataIndex];
    const [left, middle] = api.coord([value[0], value[1]]);
    const right = api.coord([value[2], value[1]])[0];
    const { height, up, style } = this.look(span);
    const shape = echarts.graphic.clipRectByRect(
      { x: left, y: middle + up - height / 2, width: Math.max(right - left, 2), height },
      params.coordSys,
    );
    return shape && { type: "rect", shape: { ...shape, r: 2 }, style };
  }

  // What is registered is a thin line, what is in use a bar, a calibration an outline, a call a stripe at the bottom.
  look(span) {
    const c = this.colours;
    if (span.kind === "registered") return { height: 3, up: 0, style: { fill: c.registered, opacity: 0.55 } };
    if (span.kind === "selected") return { height: 12, up: 0, style: { fill: c.selected, opacity: 0.4 } };
    if (span.kind === "call") {
      const up = 8 - 4 * Math.min(span.depth, 3);
      return { height: 3, up, style: { fill: c.call } };
    }
    const outline = { fill: c.calibrating, stroke: c.calibration, lineWidth: 1.5, lineDash: [3, 2] };
    return { height: 18, up: 0, style: outline };
  }

  isShown(item) {
    return this.matching === undefined || this.matching.has(item);
  }

  hint(name) {
    const found = this.byName.get(name);
    if (!found) return "";
    if (found.type === "call") return plain(`${found.call.ms} ms  ${found.call.function}: ${found.call.outcome}`);
    const { ms, what, clock, values } = found.words;
    return plain(`${ms} ms  ${what} ${clock}\n${values}`);
  }

  // ------------------------------------------------------------ what others ask of it

  filter(matching) {
    this.matching = matching;
    this.draw();
  }

  toggle(kind, on) {
    if (on) this.hidden.delete(kind);
    else this.hidden.add(kind);
    this.draw();
  }

  // Counts each guest's time from its first event of this key (model.js); from where its own clock begins, if empty.
  align(key) {
    this.aligned = key;
    this.zero = this.guests.map((guest) => (key ? guest.firsts.get(key).x : 0));
    this.marks = this.guests.map((guest, number) => marksOf(guest, this.byName, this.zero[number]));
    this.shared = this.shared || Boolean(key);
    this.view = [0, 1];
    this.measure.clear();
    this.draw();
  }

  // Whether all guests have one axis, or each that of its own boot.
  share(on) {
    this.shared = on;
    this.draw();
  }

  choose(name) {
    if (this.chosen === name) return;
    this.chosen = name;
    this.measure.chosen(this.place(name));
    const share = this.chosenShare();
    if (share < this.view[0] || share > this.view[1]) this.show(share - this.width() / 2);
    this.draw();
  }

  // Milliseconds from the first to the last moment, with a margin.
  range(number) {
    const guests = this.shared ? this.guests : [this.guests[number]];
    const zero = (guest) => this.zero[this.guests.indexOf(guest)];
    const begin = Math.min(...guests.map((guest) => guest.begin - zero(guest)));
    const end = Math.max(...guests.map((guest) => guest.end - zero(guest)));
    const margin = Math.max((end - begin) * 0.015, NARROWEST);
    // Before the kernel's own clock begins, time is negative.
    return [begin < 0 ? begin - margin : Math.max(begin - margin, 0), end + margin];
  }

  shown(number) {
    const [first, last] = this.range(number);
    return this.view.map((share) => first + share * (last - first));
  }

  width() {
    return this.view[1] - this.view[0];
  }

  narrowest() {
    const [first, last] = this.range(0);
    return Math.min(NARROWEST / (last - first), 1);
  }

  // Shows `width` from `from` on, both as shares of what there is.
  show(from, width = this.width()) {
    const wide = Math.min(Math.max(width, this.narrowest()), 1);
    const start = Math.min(Math.max(from, 0), 1 - wide);
    this.view = [start, start + wide];
    this.chart.dispatchAction({ type: "dataZoom", start: 100 * start, end: 100 * (start + wide) });
    this.tell();
    this.measure.draw();
  }

  // Around what is chosen, where that is in view.
  zoom(factor) {
    const chosen = this.chosenShare();
    const inView = chosen >= this.view[0] && chosen <= this.view[1];
    const around = inView ? chosen : (this.view[0] + this.view[1]) / 2;
    const place = (around - this.view[0]) / this.width();
    const width = Math.min(Math.max(this.width() * factor, this.narrowest()), 1);
    this.show(around - place * width, width);
  }

  move(share) {
    this.show(this.view[0] + share * this.width());
  }

  all() {
    this.show(0, 1);
  }

  // Where what is chosen lies in what there is; undefined where nothing is.
  chosenShare() {
    const place = this.place(this.chosen);
    if (!place) return undefined;
    const [first, last] = this.range(place.number);
    return (place.at - first) / (last - first);
  }

  // On which guest's axis an event is, and where.
  place(name) {
    const found = this.byName.get(name);
    if (found?.x === undefined) return undefined;
    const number = this.guests.indexOf(found.guest);
    return { number, at: found.x - this.zero[number] };
  }

  read() {
    const zoom = this.chart.getOption().dataZoom[0];
    this.view = [zoom.start / 100, zoom.end / 100];
    this.tell();
    this.measure.draw();
  }

  tell() {
    const numbers = this.shared ? [0] : this.guests.map((_, number) => number);
    const places = numbers.map((number) => {
      const [from, to] = this.shown(number);
      return `${timeText(from, to - from)} to ${timeText(to, to - from)}`;
    });
    const where = this.width() > 0.9999 ? "all" : places.join("; ");
    const hidden = this.guests.reduce((sum, guest) => sum + guest.left_out, 0);
    const left = hidden ? `; ${hidden} clocks or vCPUs have no lane, for there are too many` : "";
    const from = this.aligned ? ` Counted from ${this.aligned} in each guest.` : "";
    document.getElementById("chart-view").textContent = `Shown: ${where}${left}.${from}`;
    [this.box.dataset.from, this.box.dataset.to] = this.shown(0);
  }
}

// One axis helps nobody where one boot took much longer than the other.
function isComparable(guests) {
  const lengths = guests.map((guest) => guest.end - guest.begin);
  return Math.max(...lengths) < 4 * Math.min(...lengths);
}

// A browser takes ever longer to add a shape to a path of many: several series draw several paths.
function pieces(data, size = 1000) {
  const count = Math.ceil(data.length / size);
  return Array.from({ length: count }, (_, number) => data.slice(number * size, (number + 1) * size));
}

function marksOf(guest, byName, zero) {
  return guest.marks.map(([seq, lane]) => {
    const item = byName.get(`${guest.letter}-${seq}`);
    return { item, datum: { value: [item.x - zero, lane], name: item.name } };
  });
}

function spanDatum(guest, span, zero) {
  return { value: [span.from - zero, span.lane, span.to - zero], name: `${guest.letter}-${span.seq}`, span };
}

// The top of each guest's lanes, and the bottom of the last.
function layOut(guests) {
  const tops = [0];
  for (const guest of guests) tops.push(tops.at(-1) + guest.lanes.length * LANE + AXIS + (guests.length > 1 ? 16 : 0));
  return tops;
}

// ECharts' rich text gives braces a meaning.
function plain(text) {
  return text.replace(/[{}|]/g, " ");
}

function theme() {
  const style = getComputedStyle(document.documentElement);
  const names = ["text", "quiet", "line", "faint", "panel", "filler", "clock", "cpu", "call", "calibrating"];
  const all = [...names, ...KINDS.map((kind) => kind.key)];
  return Object.fromEntries(all.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
