// What a browser script needs around its steps: a browser, steps that are told one by one, faults of
// the page, pictures, and a line to the test that started the script.
//
// The line: the script prints `ASK verb argument` and waits for a line on its standard input; it
// prints `ok …` or `FAIL …` for each step and ends with 1 when a step failed.

import { createRequire } from "node:module";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";

const modules = process.env.PAGURUS_NODE_MODULES;
const { chromium } = createRequire(join(modules, "index.js"))("playwright-core");

/** Longest wait for anything on a page: a cold container and a busy machine included. */
export const WAIT_MS = 20_000;

const pictures = process.env.PAGURUS_SCREENSHOTS ?? "";
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let failures = 0;
let afterFailure = async () => {};

/** What to do after a step that failed. */
export function onFailure(run) {
  afterFailure = run;
}

/** Has the test do something with the stack or the model. */
export async function ask(verb, argument = "") {
  console.log(`ASK ${verb} ${argument}`.trim());
  const { value, done } = await answers.next();
  if (done || value !== "done") throw new Error(`the test could not ${verb}: ${value}`);
}

/** Runs one step and goes on whatever becomes of it. */
export async function step(name, run) {
  const began = performance.now();
  const took = () => `(${((performance.now() - began) / 1000).toFixed(1)} s)`;
  try {
    await run();
    console.log(`ok ${name} ${took()}`);
  } catch (error) {
    failures += 1;
    // The driver colours its messages.
    const plain = String(error.stack ?? error).replaceAll(/\u001b\[\d+m/g, "");
    const reason = plain.split("\n").slice(0, 6).join(" | ");
    console.log(`FAIL ${name} ${took()}: ${reason}`);
    await afterFailure(failures);
  }
}

export function check(isTrue, message) {
  if (!isTrue) throw new Error(message);
}

export function checkEqual(found, expected, what) {
  const [one, other] = [JSON.stringify(found), JSON.stringify(expected)];
  if (one !== other) throw new Error(`${what}: ${one}, expected ${other}`);
}

export function openBrowser() {
  // Chromium's own sandbox needs rights that a container of a CI machine may lack.
  const args = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
  return chromium.launch({ executablePath: process.env.PAGURUS_CHROMIUM, args });
}

/** A page whose faults are gathered: errors, violations of its policy, requests that leave home. */
export async function openPage(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const faults = { list: [], isDown: false };
  const note = (text) => {
    // A page that cannot connect is told so by the browser, and nobody can keep that quiet.
    const isLoss = /WebSocket connection|ERR_CONNECTION|Failed to fetch/.test(text);
    if (!(faults.isDown && isLoss)) faults.list.push(text);
  };
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) note(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => note(`error: ${error.stack ?? error}`));
  page.on("dialog", async (dialog) => {
    note(`dialog: ${dialog.message()}`);
    await dialog.dismiss();
  });
  page.on("request", (request) => {
    const target = request.url();
    if (!target.startsWith(url) && !target.startsWith("data:")) note(`request: ${target}`);
  });
  await page.addInitScript(() => {
    addEventListener("securitypolicyviolation", (event) => {
      console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
    });
  });
  return { context, page, faults };
}

export async function picture(page, name) {
  if (pictures === "") return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`) });
}

export async function finish(browser) {
  await browser.close();
  process.exit(failures === 0 ? 0 : 1);
}
