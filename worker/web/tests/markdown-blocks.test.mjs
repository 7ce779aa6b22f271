import assert from "node:assert/strict";
import { test } from "node:test";

const SKIP = await import("marked").then(
  () => false,
  () => "the package marked is not installed: run `cargo xtask setup`",
);
if (SKIP) console.log(`skipped: Markdown tests, ${SKIP}`);
const { settledLength, toHtml } = SKIP ? {} : await import("../markdown-blocks.js");

const DOCUMENT = [
  "# Title",
  "A paragraph with **bold**,\nover two lines. A line of `code`",
  "- one\n- two\n  - nested\n\n  with a paragraph",
  "| a | b |\n|---|--:|\n| 1 | 2 |",
  "```js\nlet x;\n\n\nlet y;\n```",
  "> quoted\n> again",
  "1. first\n2. second",
  "Setext\n===",
  "    indented\n\n    code",
  "***",
  "<div>\nnot *an* element\n</div>",
  "The end.",
].join("\n\n");

/** A sequence of numbers that is the same in every run. */
function numbers(seed) {
  let state = seed;
  return (below) => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state % below;
  };
}

test("a text that grows in any pieces settles to what the whole text is", { skip: SKIP }, () => {
  const whole = toHtml(DOCUMENT);
  for (let seed = 1; seed <= 60; seed += 1) {
    const next = numbers(seed);
    let [html, settled, end] = ["", 0, 0];
    while (end < DOCUMENT.length) {
      end = Math.min(DOCUMENT.length, end + 1 + next(40));
      const length = settledLength(DOCUMENT.slice(settled, end));
      html += length > 0 ? toHtml(DOCUMENT.slice(settled, settled + length)) : "";
      settled += length;
    }
    assert.ok(settled > DOCUMENT.length / 2, "nearly everything settles");
    assert.equal(html + toHtml(DOCUMENT.slice(settled)), whole, `pieces of seed ${seed}`);
  }
});

test("tags in the source stay text", { skip: SKIP }, () => {
  const html = toHtml('<img src=x onerror="a()"> <script>a()</script>\n\n<div style="x">*b*</div>');
  assert.doesNotMatch(html, /<(?!\/?(?:p|em)>)/);
  assert.match(html, /&lt;script&gt;/);
});

test("a line break is the one tag that Markdown lacks", { skip: SKIP }, () => {
  assert.equal(toHtml("a<br>b<BR />c<br onclick=x>"), "<p>a<br>b<br>c&lt;br onclick=x&gt;</p>\n");
});

test("headings begin below the page's own, tasks are signs", { skip: SKIP }, () => {
  assert.equal(toHtml("# a\n\n###### b"), "<h2>a</h2>\n<h6>b</h6>\n");
  assert.match(toHtml("- [x] a\n- [ ] b"), /☑ a[^]*☐ b/);
});
