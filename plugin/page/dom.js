// SPDX-License-Identifier: MIT
// Elements from text alone: what a guest said never becomes markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null && child !== ""));
  return made;
}

export function table(headers, rows) {
  const head = element("tr", {}, ...headers.map((name) => element("th", { scope: "col" }, name)));
  const body = rows.map((row) => element("tr", {}, ...row.map((cell, place) => element("td", { "data-label": headers[place] }, cell))));
  return element(
    "div",
    { class: "scroll" },
    element("table", {}, headers.length ? element("thead", {}, head) : null, element("tbody", {}, ...body)),
  );
}

export function badge(guest, guests) {
  return guests.length > 1 ? element("span", { class: `badge ${guest.letter}` }, guest.letter) : null;
}

// A text whose parts that are looked for are marked.
export function marked(text, query) {
  const lower = text.toLowerCase();
  const found = query.flatMap((word) => placesOf(lower, word)).sort((one, other) => one[0] - other[0]);
  const parts = [];
  let at = 0;
  for (const [begin, end] of found) {
    if (begin < at) continue;
    parts.push(text.slice(at, begin), element("mark", {}, text.slice(begin, end)));
    at = end;
  }
  return [...parts, text.slice(at)];
}

function placesOf(text, word) {
  const places = [];
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + word.length)) places.push([at, at + word.length]);
  return places;
}

export function isTyping(target) {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
}
