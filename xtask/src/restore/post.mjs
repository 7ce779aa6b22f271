// Posts once, with a bearer token, and prints what came back as one line of JSON. What to post comes
// by standard input, so that the token is in no command line and no environment.

let text = "";
for await (const piece of process.stdin) text += piece;
const { url, token, milliseconds, bytes } = JSON.parse(text);

try {
  const answer = await fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    redirect: "manual",
    signal: AbortSignal.timeout(milliseconds),
  });
  const body = await answer.text();
  console.log(JSON.stringify({ status: answer.status, body: body.slice(0, bytes) }));
} catch (error) {
  const why = error.cause?.message || error.cause?.code || error.message;
  console.log(JSON.stringify({ failed: String(why) }));
}
