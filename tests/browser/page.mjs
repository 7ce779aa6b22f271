// The chat page as a person uses it, in a real browser against the whole stack. Its model follows
// the script in tests/system/page.rs; a word of each message names the script's topic.

import {
  ask,
  check,
  checkEqual,
  finish,
  onFailure,
  openBrowser,
  openPage,
  picture,
  step,
} from "./harness.mjs";

const url = process.env.PAGE_URL;
const browser = await openBrowser();
const desk = await openPage(browser, url);
const { page } = desk;
onFailure(async (count) => {
  await picture(page, `failure-${count}`);
  // The next step begins with an agent that is free.
  if (await page.locator("#stop").isVisible()) await page.locator("#stop").click();
});

const log = page.locator("#log");
const answers = page.locator("#log article.agent");
const questions = page.locator("#log article.user");
const live = page.locator("#live");
const stop = page.locator("#stop");
const status = page.locator("#status");

const write = async (text, at = page) => {
  await at.locator("#text").fill(text);
  await at.locator("#text").press("Enter");
};
const idle = (at = page) => at.locator("#stop").waitFor({ state: "hidden" });
const connected = (at = page) => at.locator('#status[data-kind="connected"]').waitFor();

await step("the page opens and is connected", async () => {
  await page.goto(url);
  await connected();
  await page.locator("#empty").waitFor();
  check((await page.title()).includes("Pagurus"), "the title");
  checkEqual(await page.locator("#model").textContent(), "anthropic/claude-sonnet-5", "the model");
  checkEqual(await page.locator("#text").evaluate((field) => getComputedStyle(field).fontSize >= "16px"), true, "a field that phones do not zoom");
  await picture(page, "1-empty");
});

await step("an answer streams in as Markdown", async () => {
  await write("Tell me a story, page-stream");
  await live.getByText("The beginning of it").waitFor();
  check(await stop.isVisible(), "no stop button while it streams");
  checkEqual(await live.locator("h3").textContent(), "A story", "the live heading");
  await picture(page, "2-streaming");
  await ask("release", "page-stream");
  await idle();
  const answer = answers.last();
  checkEqual(await answer.locator("strong").first().textContent(), "bold", "bold text");
  checkEqual(await answer.locator("li").count(), 2, "items of the list");
  check((await answer.locator("pre code").textContent()).includes("fn main()"), "the code block");
  checkEqual(await answer.locator("td").first().textContent(), "crab", "the table");
  const link = answer.locator("a");
  checkEqual(await link.getAttribute("rel"), "noopener noreferrer", "the link's rel");
  checkEqual(await live.isVisible(), false, "the live text is still there");
  await picture(page, "3-markdown");
});

await step("a tool call is folded and can be opened", async () => {
  await write("Count the shells, page-tool");
  await answers.getByText("There are 42 shells.").waitFor();
  await idle();
  const tool = log.locator("details.tool");
  checkEqual(await tool.count(), 1, "tool calls");
  checkEqual(await tool.evaluate((node) => node.open), false, "folded");
  check((await tool.locator("summary").textContent()).includes("bash"), "the tool's name");
  await picture(page, "4-tool-folded");
  await tool.locator("summary").click();
  await tool.getByText("shells-42-here").waitFor();
  await picture(page, "5-tool-open");
});

await step("hostile text does nothing", async () => {
  await write("Be evil, page-evil");
  await answers.getByText("That was all the evil.").waitFor();
  await idle();
  checkEqual(await page.evaluate(() => globalThis.hacked ?? null), null, "a script ran");
  const bad = "script, iframe, object, embed, form, style, svg, [onerror], [onload], [onclick]";
  checkEqual(await log.locator(".prose").locator(bad).count(), 0, "hostile elements");
  const links = await log.locator("a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
  check(links.every((href) => href === null || /^(https?:|mailto:)/.test(href)), `${links}`);
  await picture(page, "6-hostile");
});

await step("the stop button stops a running turn", async () => {
  await write("Talk for ever, page-stop");
  await live.getByText("On and on").waitFor();
  await stop.click();
  await idle();
  await log.getByText("Stopped").waitFor();
  await answers.getByText("On and on").waitFor();
  await write("Are you well? page-again");
  await answers.getByText("Well again.").waitFor();
  await idle();
  await picture(page, "7-stopped");
});

await step("a failure is one clear sentence", async () => {
  await write("Fail, please, page-fail");
  await log.locator(".problem").getByText("anthropic refused the API key").waitFor();
  await log.locator(".problem").getByText("ANTHROPIC_API_KEY").waitFor();
  await idle();
  await picture(page, "8-failure");
});

await step("history is there after a reload", async () => {
  const before = [await questions.allTextContents(), await answers.allTextContents()];
  await page.reload();
  await connected();
  await answers.getByText("Well again.").waitFor();
  const after = [await questions.allTextContents(), await answers.allTextContents()];
  checkEqual(after[0], before[0], "the questions");
  checkEqual(after[1].length, before[1].length, "the number of answers");
  checkEqual(await log.locator("details.tool").evaluate((node) => node.open), false, "folded");
});

await step("a reload in the middle of an answer", async () => {
  await write("Once more, page-reload");
  await live.getByText("Half of the tale").waitFor();
  await page.reload();
  await live.getByText("Half of the tale").waitFor();
  await ask("release", "page-reload");
  await answers.getByText("Half of the tale and its end.").waitFor();
  await idle();
});

await step("what is written while the stack is down is answered after", async () => {
  desk.faults.isDown = true;
  await ask("kill");
  await page.locator('#status:not([data-kind="connected"])').waitFor();
  await write("Are you back? page-back");
  await page.locator("#pending").getByText("sent when connected").waitFor();
  await picture(page, "9-down");
  const count = await questions.count();
  await ask("start");
  await answers.getByText("Yes, I am back.").waitFor();
  await idle();
  await connected();
  desk.faults.isDown = false;
  checkEqual(await questions.count(), count + 1, "questions");
  checkEqual(await page.locator("#pending article").count(), 0, "messages on their way");
  await picture(page, "10-back");
});

await step("a message survives the reload of a page that is down", async () => {
  desk.faults.isDown = true;
  await ask("kill");
  await page.locator('#status:not([data-kind="connected"])').waitFor();
  await write("Do you hear me? page-kept");
  await page.locator("#pending").getByText("sent when connected").waitFor();
  await ask("start");
  await page.reload();
  await answers.getByText("Loud and clear.").waitFor();
  await idle();
  desk.faults.isDown = false;
  checkEqual(await questions.getByText("page-kept").count(), 1, "questions");
});

await step("on a phone", async () => {
  const phone = await openPage(browser, url, {
    viewport: { width: 360, height: 740 },
    deviceScaleFactor: 2,
    isMobile: true,
    hasTouch: true,
    colorScheme: "dark",
  });
  await phone.page.goto(url);
  await connected(phone.page);
  await phone.page.locator("#log article.agent").getByText("Loud and clear.").waitFor();
  await picture(phone.page, "11-phone-end");
  const widths = () => phone.page.evaluate(() => {
    const all = [...document.querySelectorAll("body *")].filter((node) => {
      const box = node.getBoundingClientRect();
      const scrolls = node.closest("pre, .table, .code, summary, .tool-line");
      return box.width > 0 && box.right > innerWidth + 1 && scrolls === null;
    });
    const page = document.scrollingElement;
    const scroller = document.querySelector("#scroller");
    return {
      excess: Math.max(page.scrollWidth - innerWidth, scroller.scrollWidth - scroller.clientWidth),
      wide: all.map((node) => `${node.tagName}.${node.className}`).slice(0, 5),
    };
  });
  checkEqual(await widths(), { excess: 0, wide: [] }, "horizontal scroll");
  await write("Hello from the phone, page-phone", phone.page);
  await phone.page.locator("#log article.agent").getByText("Hello, phone.").waitFor();
  await idle(phone.page);
  checkEqual(await widths(), { excess: 0, wide: [] }, "horizontal scroll");
  const send = await phone.page.locator('button[type="submit"]').boundingBox();
  check(send.width >= 40 && send.height >= 40, `a small button: ${JSON.stringify(send)}`);
  check(send.y + send.height <= 740, "the send button is below the screen");
  await phone.page.locator("details.tool summary").first().scrollIntoViewIfNeeded();
  await phone.page.locator("details.tool summary").first().tap();
  await picture(phone.page, "12-phone-tool");
  await phone.page.locator("#log h3").first().scrollIntoViewIfNeeded();
  await picture(phone.page, "13-phone-markdown");
  checkEqual(phone.faults.list, [], "faults on the phone");
  await phone.context.close();
});

await step("two pages show the same conversation", async () => {
  await answers.getByText("Hello, phone.").waitFor();
  const other = await openPage(browser, url);
  await other.page.goto(url);
  await connected(other.page);
  await other.page.locator("#log article.agent").getByText("Hello, phone.").waitFor();
  checkEqual(
    await other.page.locator("#log article.user .bubble").allTextContents(),
    await page.locator("#log article.user .bubble").allTextContents(),
    "the questions",
  );
  await other.context.close();
});

await step("a session of its own behind the hash", async () => {
  const garden = await openPage(browser, url);
  await garden.page.goto(`${url}/#garden`);
  await connected(garden.page);
  await garden.page.locator("#empty").waitFor();
  checkEqual(await garden.page.locator("#log article").count(), 0, "messages");
  checkEqual(await garden.page.locator("#session").textContent(), "#garden", "the session's name");
  checkEqual(garden.faults.list, [], "faults");
  await garden.context.close();
});

await step("no fault was told by the browser", async () => {
  checkEqual(desk.faults.list, [], "faults");
  checkEqual(await status.textContent(), "connected", "the status");
});

await finish(browser);
