import assert from "node:assert/strict";
import { test } from "node:test";
import { MESSAGE_TEXT_BYTES_MAX } from "../limits.js";
import { refusal, wellFormed } from "../message-text.js";
import { sessionOf, socketUrl } from "../place.js";

test("the fragment names the session, and nothing but an identifier does", () => {
  assert.equal(sessionOf("#garden-2.a:b_c"), "garden-2.a:b_c");
  for (const hash of ["", "#", "#a b", "#a/b", "#%20", "#ä", `#${"x".repeat(129)}`]) {
    assert.equal(sessionOf(hash), "web");
  }
});

test("the socket is as safe as the page", () => {
  assert.equal(
    socketUrl({ protocol: "https:", host: "a.example" }),
    "wss://a.example/api/chat/socket",
  );
  assert.equal(
    socketUrl({ protocol: "http:", host: "localhost:1" }),
    "ws://localhost:1/api/chat/socket",
  );
});

test("a message is bounded in bytes", () => {
  assert.equal(refusal("ä".repeat(MESSAGE_TEXT_BYTES_MAX / 2)), "");
  assert.match(
    refusal(`${"ä".repeat(MESSAGE_TEXT_BYTES_MAX / 2)}x`),
    /100,001 bytes; the most is 100,000/,
  );
});

test("half a character becomes a sign that UTF-8 can carry", () => {
  assert.equal(wellFormed("a\ud83d b 🐚"), "a\ufffd b 🐚");
});
