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
  const body = rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))));
  return element(
    "div",
    { class: "scroll" },
    element("table", {}, headers.length ? element("thead", {}, head) : null, element("tbody", {}, ...body)),
  );
}

export function badge(guest, guests) {
  return guests.length > 1 ? element("span", { class: `badge ${guest.letter}` }, guest.letter) : null;
}

export function isTyping(target) {
  return target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement;
}
