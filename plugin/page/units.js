// SPDX-License-Identifier: MIT
// Times in the unit that suits how much of them is shown.

const UNITS = [
  { name: "s", ms: 1000, from: 10_000 },
  { name: "ms", ms: 1, from: 1 },
  { name: "µs", ms: 0.001, from: 0 },
];

export function unitOf(span) {
  return UNITS.find((unit) => span >= unit.from);
}

// A time, to the digit that still tells something where so much is shown.
export function timeText(ms, span) {
  const { name, ms: size } = unitOf(span);
  const digits = Math.max(0, Math.ceil(3 - Math.log10(span / size)));
  return `${(ms / size).toFixed(Math.min(digits, 6))} ${name}`;
}

// How long something took, to the microsecond.
export function lengthText(ms) {
  const { name, ms: size } = unitOf(Math.abs(ms));
  return `${Number((ms / size).toFixed(size === 1000 ? 6 : 3))} ${name}`;
}
