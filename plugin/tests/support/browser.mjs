// SPDX-License-Identifier: MIT
// A real Chromium for the tests of pages: reads one JSON request a line, answers each with one line. See browser.py.

import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

// As root, Chromium's sandbox cannot be set up.
const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
const browser = await chromium.launch({ executablePath: process.argv[2], args });
let page;
let complaints;

const verbs = {
  // A fresh page; what it complains of, or asks of any network, is kept.
  async open({ url, width, height, scheme }) {
    await page?.context().close();
    complaints = [];
    const context = await browser.newContext({ viewport: { width, height }, colorScheme: scheme, offline: true });
    page = await context.newPage();
    page.on("console", (message) => complaints.push(`${message.type()}: ${message.text()}`));
    page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
    page.on("request", (request) => /^(file|data|blob):/.test(request.url()) || complaints.push(`asks ${request.url()}`));
    const began = performance.now();
    await page.goto(url);
    await page.waitForSelector("html[data-ready]", { state: "attached" });
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    return performance.now() - began;
  },
  async complaints() {
    return complaints;
  },
  async evaluate({ expression }) {
    return (await page.evaluate(expression)) ?? null;
  },
  async press({ keys }) {
    for (const key of keys) await page.keyboard.press(key);
    return null;
  },
  async type({ text }) {
    await page.keyboard.type(text);
    return null;
  },
  async click({ selector, x, y }) {
    await page.click(selector, x === undefined ? {} : { position: { x, y } });
    return null;
  },
  async wheel({ selector, delta, x, y }) {
    await page.hover(selector, { position: { x, y } });
    await page.keyboard.down("Control");
    await page.mouse.wheel(0, delta);
    await page.keyboard.up("Control");
    return null;
  },
  async wait({ expression }) {
    // Not waitForFunction(), which the page's Content-Security-Policy forbids.
    const deadline = performance.now() + 10_000;
    while (!(await page.evaluate(expression))) {
      if (performance.now() > deadline) throw new Error(`never true: ${expression}`);
      await page.waitForTimeout(20);
    }
    return null;
  },
  async media({ medium, scheme }) {
    await page.emulateMedia({ media: medium, colorScheme: scheme });
    return null;
  },
  async screenshot({ path, whole }) {
    await page.screenshot({ path, fullPage: whole });
    return null;
  },
  async pdf({ path }) {
    await page.pdf({ path, format: "A4", printBackground: true });
    return null;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { verb, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = { result: await verbs[verb](rest) };
  } catch (error) {
    answer = { error: error.message };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
