// SPDX-License-Identifier: MIT
// What the page knows: the data that was written into it, with the events of all guests in one list.

// Each kind of mark has a shape of its own beside its colour.
export const KINDS = [
  { key: "registered", label: "registered", symbol: "circle", whats: ["clock.registered", "device.registered"] },
  { key: "selected", label: "selected", symbol: "diamond", whats: ["clock.selected", "device.selected"] },
  {
    key: "lost",
    label: "lost, rejected, refused",
    symbol: "path://M2 0L6 4L10 0L12 2L8 6L12 10L10 12L6 8L2 12L0 10L4 6L0 2Z",
    whats: ["clock.rejected", "clock.unstable", "clock.unregistered", "calibration.refused"],
  },
  {
    key: "calibration",
    label: "calibration",
    symbol: "triangle",
    whats: ["calibration.started", "calibration.retried", "calibration.finished"],
  },
  { key: "measured", label: "frequency, quality", symbol: "rect", whats: ["frequency.detected", "quality.changed"] },
  {
    key: "changed",
    label: "interventions",
    symbol: "path://M6 0L7.5 4.3L12 4.4L8.4 7.1L9.7 11.5L6 8.9L2.3 11.5L3.6 7.1L0 4.4L4.5 4.3Z",
    whats: [],
  },
  { key: "other", label: "other", symbol: "path://M0 4H4V0H8V4H12V8H8V12H4V8H0Z", whats: [] },
];

const kindOf = new Map(KINDS.flatMap((kind) => kind.whats.map((what) => [what, kind.key])));

export function load() {
  const { guests } = JSON.parse(document.getElementById("data").textContent);
  const items = guests.flatMap(itemsOf);
  const byName = new Map(items.map((one) => [one.name, one]));
  for (const guest of guests) {
    for (const call of Object.values(guest.calls)) {
      const name = `${guest.letter}-${call.seq}`;
      byName.set(name, { type: "call", name, guest, call });
    }
  }
  for (const guest of guests) guest.firsts = firstsOf(items.filter((item) => item.guest === guest));
  return { guests, items, byName };
}

// The first event of each kind and clock: what two guests can be laid beside each other by.
function firstsOf(items) {
  const found = new Map();
  for (const item of items) {
    const key = `${item.words.what} ${item.words.clock}`.trim();
    if (item.type === "event" && !found.has(key)) found.set(key, item);
  }
  return found;
}

// A guest's events and what was changed in it, in order.
function itemsOf(guest) {
  const events = guest.timeline.events.map((event, number) => eventItem(guest, event, number));
  const changes = guest.changes.map((change) => changeItem(guest, change));
  return [...events, ...changes].sort((one, other) => one.seq - other.seq);
}

function changeItem(guest, change) {
  const text = `${change.ms}\n${change.what}\n${change.values}\n${change.where}`.toLowerCase();
  const words = { ...change, clock: "" };
  const name = `${guest.letter}-${change.seq}`;
  return { type: "change", name, seq: change.seq, guest, change, words, x: change.at, kind: "changed", text };
}

function eventItem(guest, event, number) {
  const words = guest.words[number];
  const text = [words.ms, words.what, words.clock, words.values, words.where, event.what, event.rule];
  text.push(...event.backtrace.map((frame) => frame.function));
  return {
    type: "event",
    name: `${guest.letter}-${event.seq}`,
    seq: event.seq,
    guest,
    event,
    words,
    x: guest.places[number],
    kind: kindOf.get(event.what) ?? "other",
    text: text.join("\n").toLowerCase(),
  };
}

// All words of the query, each somewhere.
export function matches(text, query) {
  return query.every((word) => text.includes(word));
}

export function wordsOf(query) {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}
