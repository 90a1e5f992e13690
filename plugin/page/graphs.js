// SPDX-License-Identifier: MIT
// The graphs of functions, drawn by Graphviz when the page was written: larger and smaller by keys and buttons.

import { element } from "./dom.js";

const LARGER = 1.25;

export function prepareGraphs() {
  for (const box of document.querySelectorAll(".drawing")) prepare(box);
}

function prepare(box) {
  const drawing = box.querySelector("svg");
  const natural = drawing.viewBox.baseVal.width * (4 / 3); // points
  const show = (width) => {
    drawing.style.maxWidth = width ? "none" : "";
    drawing.style.width = width ? `${Math.min(Math.max(width, 80), 8 * natural)}px` : "";
  };
  const actions = {
    "+": () => show(drawing.clientWidth * LARGER),
    "-": () => show(drawing.clientWidth / LARGER),
    0: () => show(0),
    1: () => show(natural),
  };
  box.addEventListener("keydown", (event) => {
    const action = actions[event.key === "=" ? "+" : event.key];
    if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    action();
  });
  const names = { "-": "smaller", "+": "larger", 0: "fit", 1: "1:1" };
  const buttons = ["-", "+", "0", "1"].map((key) => {
    const sign = { "-": "−", "+": "+" }[key] ?? names[key];
    const button = element("button", { type: "button", "aria-label": `graph: ${names[key]}` }, sign);
    button.addEventListener("click", actions[key]);
    return button;
  });
  box.before(element("div", { class: "zoom" }, ...buttons));
}
