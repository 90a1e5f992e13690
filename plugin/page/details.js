// SPDX-License-Identifier: MIT
// What is known of one event, or of one call of a traced function.

import { badge, element, table } from "./dom.js";

export class Details {
  constructor(box, model, close) {
    this.box = box;
    this.guests = model.guests;
    this.close = close;
  }

  hide() {
    this.box.hidden = true;
    this.box.replaceChildren();
  }

  show(found) {
    const button = element("button", { type: "button", class: "close", "aria-label": "close (Esc)" }, "✕");
    button.addEventListener("click", this.close);
    const content = this[found.type](found);
    this.box.replaceChildren(button, ...content.filter(Boolean));
    this.box.hidden = false;
    this.box.scrollTop = 0;
  }

  event({ event, words, guest, kind }) {
    const message = event.values.message;
    return [
      element("h2", { tabindex: -1, "data-kind": kind }, badge(guest, this.guests), words.what),
      element("p", {}, element("strong", {}, words.clock), ` at ${words.ms} ms on vCPU ${event.cpu < 0 ? "?" : event.cpu}`),
      typeof message === "string" ? element("blockquote", {}, message) : null,
      this.place(guest, event.function, event.source),
      ...this.values(event),
      ...this.backtrace(guest, event),
      element("h3", {}, "Exactly"),
      this.facts({
        "run_ns": event.run_ns,
        "guest_ns": event.guest_ns,
        "icount": event.icount,
        "tsc": event.tsc,
        "seq": event.seq,
        "rule": event.rule,
        "event": event.what,
        "address": event.address,
        "thread": event.thread,
      }),
    ];
  }

  change({ change, guest }) {
    return [
      element("h2", { tabindex: -1, "data-kind": "changed" }, badge(guest, this.guests), "Changed by clockscope"),
      element("p", {}, `at ${change.ms} ms on vCPU ${change.cpu}`),
      element("p", {}, element("code", {}, change.what)),
      element("p", {}, element("strong", {}, change.values)),
      element("p", { class: "place" }, element("code", {}, change.where)),
    ];
  }

  place(guest, name, source) {
    const text = guest.sources[source];
    return element(
      "p",
      { class: "place" },
      element("code", {}, name),
      element("br"),
      element("code", { class: "quiet" }, source),
      text ? element("pre", {}, text) : null,
    );
  }

  values(event) {
    const names = Object.keys(event.values).filter((name) => name !== "message");
    if (!names.length) return [];
    return [element("h3", {}, "Values"), this.facts(event.values, names)];
  }

  facts(values, names = Object.keys(values).filter((name) => values[name] !== null && values[name] !== "")) {
    const shown = (value) => (value === null ? "could not be read" : String(value));
    const rows = names.map((name) => element("div", {}, element("dt", {}, name), element("dd", {}, shown(values[name]))));
    return element("dl", {}, ...rows);
  }

  backtrace(guest, event) {
    if (!event.backtrace.length) return [];
    const frames = event.backtrace.map((frame) =>
      element(
        "li",
        {},
        element("code", {}, frame.function),
        frame.inlined ? " (inlined)" : null,
        element("br"),
        element("code", { class: "quiet", title: frame.address }, frame.source),
        guest.sources[frame.source] ? element("pre", {}, guest.sources[frame.source]) : null,
      ),
    );
    return [element("h3", {}, "Backtrace"), element("ol", { class: "backtrace", start: 0 }, ...frames)];
  }

  call({ call, guest }) {
    const task = call.task ? `, task ${call.task}` : "";
    const rows = call.rows.map((row) => row.map((cell) => element("code", {}, cell)));
    return [
      element("h2", { tabindex: -1, "data-kind": "call" }, badge(guest, this.guests), element("code", {}, call.function)),
      element("p", {}, `call ${call.n}, at ${call.ms} ms on vCPU ${call.cpu}${task}`),
      element("p", {}, element("strong", {}, call.outcome), " to ", element("code", {}, call.caller)),
      element("p", { class: "place" }, element("code", { class: "quiet" }, call.source)),
      call.whole ? null : element("p", { class: "quiet" }, "Not all of its path is known; nothing in the gaps is guessed."),
      call.left_out ? element("p", {}, `Its ${call.left_out} decisions: clock path.`) : null,
      rows.length ? element("h3", {}, "Decisions") : null,
      rows.length ? table(["source", "text", "branch", "went to", "values"], rows) : null,
    ];
  }
}
