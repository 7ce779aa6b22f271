//! The doors from outside: who is let in, and that nonsense gets a clear answer and changes nothing.

use anyhow::{Context, Result, ensure};
use integration_tests::chat::{Chat, Socket};
use integration_tests::http::{self, Answer};
use integration_tests::model::ScriptedModel;
use integration_tests::stack::Stack;
use protocol::ProblemCode;
use protocol::chat::ServerFrame;
use protocol::limits::{CHAT_FRAME_BYTES_MAX, MESSAGE_TEXT_BYTES_MAX};

use crate::gate::{self, system};
use crate::scenarios::Scenarios;

#[test]
fn the_door() -> gate::Outcome {
    system("the_door", async {
        let model = ScriptedModel::start().await?;
        let mut stack = Stack::with(&model).await?;
        let mut all = Scenarios::default();
        all.check("nonsense by HTTP", nonsense_by_http(&stack)).await;
        all.check("a foreign host", foreign_host(&stack)).await;
        all.check("a foreign origin", foreign_origin(&stack)).await;
        all.check("nonsense by socket", nonsense_by_socket(&stack)).await;
        all.check("broken WebSocket frames", broken_frames(&stack)).await;
        all.check("messages that are not taken", refused_messages(&stack)).await;
        all.check("nothing has changed", nothing_changed(&stack, &model)).await;
        model.assert_done()?;

        stack.stop().await?;
        stack.set(&[("MODEL", "anthropic/scripted")]);
        stack.start_again().await?;
        all.check("no key", no_key(&stack)).await;

        stack.stop().await?;
        stack.set(&[("DEV_MODE", "false")]);
        stack.start_again().await?;
        all.check("not in development", not_in_development(&stack)).await;
        all.end(&stack)?;
        stack.stop().await
    })
}

/// A refusal with a 4xx status and a problem that a person can read.
fn is_clear(what: &str, answer: &Answer) -> Result<()> {
    let Answer { status, body, .. } = answer;
    ensure!((400..500).contains(status), "{what}: {status} {body}");
    let problem = answer.json();
    let message = problem["message"].as_str().unwrap_or_default();
    ensure!(message.ends_with('.'), "{what}: no problem in the body: {status} {body}");
    Ok(())
}

async fn nonsense_by_http(stack: &Stack) -> Result<()> {
    let long = format!("GET /{}", "long/".repeat(1600));
    let query = format!("GET /nope?{}", "x".repeat(8000));
    let lines = [
        "GET /nope",
        "GET //",
        "GET /index.html",
        "GET /assets/../settings",
        "GET /assets/%2e%2e/%2e%2e/etc/passwd",
        "GET /api/chat/socket/",
        "GET /api/chat/socket",
        "POST /",
        "PUT /",
        "DELETE /assets/chat.js",
        "PATCH /api/chat/socket",
        "OPTIONS /",
        "POST /api/chat/socket",
        "GET /session/web",
        "POST /session/web/records",
        "GET /chat/socket",
        "POST /grant/anthropic",
        "POST /model/anthropic/v1/messages",
        "POST /turns",
        "GET /%00%ff%zz",
        "GET /\u{e4}\u{1f980}",
        &long,
        &query,
    ];
    let noise = vec![0xff; 70_000];
    let mut wrong = Vec::new();
    for line in lines {
        for body in [&b""[..], b"{\"not\": \"expected\"}", &noise] {
            if line.starts_with("GET") && !body.is_empty() {
                continue;
            }
            let answer = http::send(&stack.url, line, &[], body).await;
            let answer = answer.with_context(|| format!("{line:.60} with {} bytes", body.len()));
            if let Err(error) = answer.and_then(|answer| is_clear(line, &answer)) {
                wrong.push(format!("{error:#}"));
            }
        }
    }
    // Headers that only the Worker itself may set are worth nothing from outside.
    let forged = [("x-pagurus-epoch", "1"), ("x-pagurus-agent", "main")];
    let answer = http::send(&stack.url, "GET /session/web", &forged, b"").await?;
    if let Err(error) = is_clear("forged headers", &answer) {
        wrong.push(format!("{error:#}"));
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));

    let head = http::send(&stack.url, "HEAD /", &[], b"").await?;
    ensure!(head.status == 200 && head.body.is_empty(), "HEAD / gives {}", head.status);
    // What is no HTTP at all is refused by the platform; all that counts is that it lives on.
    let garbage = http::raw(http::authority(&stack.url), b"\x16\x03\x01\x02\r\n\r\n").await;
    ensure!(garbage.is_err() || garbage.is_ok_and(|answer| answer.status >= 400));
    let page = http::send(&stack.url, "GET /", &[], b"").await?;
    ensure!(page.status == 200, "the page is gone: {}", page.status);
    Ok(())
}

async fn foreign_host(stack: &Stack) -> Result<()> {
    for path in ["/", "/assets/chat.js", "/api/chat/socket"] {
        let headers = [("host", "agent.example.com")];
        let answer = http::send(&stack.url, &format!("GET {path}"), &headers, b"").await?;
        ensure!(answer.status == 401, "{path}: {} {}", answer.status, answer.body);
        is_clear(path, &answer)?;
        let problem = answer.json();
        ensure!(problem["code"] == "unauthorized", "{path}: {problem}");
        ensure!(problem["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{problem}");
    }
    Ok(())
}

async fn foreign_origin(stack: &Stack) -> Result<()> {
    for origin in [Some("http://evil.example"), Some("null"), Some("http://127.0.0.1:1"), None] {
        let Err(refusal) = Socket::open(&stack.url, origin).await? else {
            anyhow::bail!("a socket was opened from {origin:?}");
        };
        ensure!(refusal.status == 403, "{origin:?}: {refusal:?}");
    }
    Ok(())
}

async fn open(stack: &Stack) -> Result<Socket> {
    let socket = Socket::open(&stack.url, Some(&stack.url)).await?;
    socket.map_err(|refusal| anyhow::anyhow!("refused: {refusal:?}"))
}

const HELLO: &str = r#"{"type":"hello","session":"door-step","after":0}"#;

async fn nonsense_by_socket(stack: &Stack) -> Result<()> {
    let deep = "[".repeat(10_000);
    let huge =
        format!(r#"{{"type":"send","id":"a","text":"{}"}}"#, "x".repeat(CHAT_FRAME_BYTES_MAX));
    let frames = [
        "",
        "hello",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"type":"become_admin"}"#,
        r#"{"type":"hello"}"#,
        r#"{"type":"hello","session":"../x"}"#,
        r#"{"type":"hello","session":"door-step","after":-1}"#,
        r#"{"type":"send","id":1,"text":[]}"#,
        r#"{"type":"welcome","head":9}"#,
        &deep,
        &huge,
    ];
    for frame in frames {
        let mut socket = open(stack).await?;
        socket.text(HELLO).await?;
        socket.frame().await?;
        socket.text(frame).await?;
        let told = socket.rest().await.with_context(|| format!("{frame:.60}"))?;
        ensure!(is_rejected(&told), "{frame:.60}: {told:?}");
    }
    let mut socket = open(stack).await?;
    socket.text(HELLO).await?;
    socket.frame().await?;
    socket.binary(HELLO.as_bytes()).await?;
    let told = socket.rest().await?;
    ensure!(is_rejected(&told), "a binary frame: {told:?}");
    Ok(())
}

fn is_rejected(told: &[ServerFrame]) -> bool {
    matches!(told, [ServerFrame::Rejected { problem, .. }]
        if problem.code == ProblemCode::BadRequest && problem.message.ends_with('.'))
}

/// Frames that break the WebSocket protocol itself: the connection ends and nothing else does.
async fn broken_frames(stack: &Stack) -> Result<()> {
    let upgrade = format!(
        "GET /api/chat/socket HTTP/1.1\r\nhost: {}\r\norigin: {}\r\nupgrade: websocket\r\n\
         connection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        http::authority(&stack.url),
        stack.url
    );
    let frames: [(&str, &[u8]); 5] = [
        ("an unmasked frame", b"\x81\x05hello"),
        ("a reserved opcode", b"\x83\x80\0\0\0\0"),
        ("a frame of 2^62 bytes", b"\x81\xff\x40\0\0\0\0\0\0\0\0\0\0\0abc"),
        ("no UTF-8", b"\x81\x82\0\0\0\0\xff\xfe"),
        ("a continuation of nothing", b"\x80\x80\0\0\0\0"),
    ];
    for (name, frame) in frames {
        let bytes = [upgrade.as_bytes(), frame].concat();
        let answer = http::raw_until(http::authority(&stack.url), &bytes, is_closed).await;
        let answer = answer.with_context(|| format!("{name}: the connection stays open"))?;
        ensure!(answer.status == 101, "{name}: {}", answer.status);
        ensure!(!answer.body.contains("welcome"), "{name}: {}", answer.body);
    }
    Ok(())
}

/// Whether a close frame (RFC 6455, section 5.5.1) has come after the handshake.
fn is_closed(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let mut frames = head.and_then(|end| answer.get(end + 4..)).unwrap_or_default();
    while let [opcode, length, rest @ ..] = frames {
        if *opcode == 0x88 {
            return true;
        }
        let (header_bytes, payload_bytes) = match (length, rest) {
            (126, [high, low, ..]) => (2, usize::from(u16::from_be_bytes([*high, *low]))),
            (126 | 127, _) => return false,
            (length, _) => (0, usize::from(*length)),
        };
        frames = rest.get(header_bytes + payload_bytes..).unwrap_or_default();
    }
    false
}

async fn refused_messages(stack: &Stack) -> Result<()> {
    let mut socket = open(stack).await?;
    socket.text(r#"{"type":"send","id":"early","text":"before hello"}"#).await?;
    let frame = socket.frame().await?;
    ensure!(is_rejected(std::slice::from_ref(&frame)), "before hello: {frame:?}");

    let mut chat = Chat::open(&stack.url, "door-step", 0).await?;
    let long = "x".repeat(MESSAGE_TEXT_BYTES_MAX + 1);
    let long_id = "i".repeat(200);
    let cases = [
        ("a/b", "a slash", ProblemCode::BadRequest),
        ("", "no id", ProblemCode::BadRequest),
        ("a b", "a space", ProblemCode::BadRequest),
        (&long_id, "a long id", ProblemCode::BadRequest),
        ("empty", "", ProblemCode::BadRequest),
        ("blank", " \n\t ", ProblemCode::BadRequest),
        ("long", &long, ProblemCode::TooLarge),
    ];
    for (id, text, code) in cases {
        chat.send_as(id, text).await?;
        let (rejected, problem) = chat.rejected().await?;
        ensure!(rejected == id, "{id:?}: told of {rejected:?}");
        ensure!(problem.code == code && problem.message.ends_with('.'), "{id:?}: {problem:?}");
    }
    Ok(())
}

/// After all that the log is empty, and an ordinary message, and the longest one, are answered.
async fn nothing_changed(stack: &Stack, model: &ScriptedModel) -> Result<()> {
    for session in ["door-step", "web"] {
        let chat = Chat::open(&stack.url, session, 0).await?;
        let ServerFrame::Welcome { head, queued, turn, .. } = &chat.welcome else {
            anyhow::bail!("no welcome");
        };
        ensure!(*head == 0 && queued.is_empty() && turn.is_none(), "{:?}", chat.welcome);
    }
    ensure!(model.calls().is_empty(), "the model was asked");
    model.says("Come in.").says("That was long.");
    let mut chat = Chat::open(&stack.url, "door-step", 0).await?;
    chat.ask("may I?").await?.completed()?;
    // The longest text, of characters that JSON must escape.
    chat.ask(&"\u{1}".repeat(MESSAGE_TEXT_BYTES_MAX)).await?.completed()?;
    Ok(())
}

async fn no_key(stack: &Stack) -> Result<()> {
    let mut chat = Chat::open(&stack.url, "no-key", 0).await?;
    let ServerFrame::Welcome { problems, .. } = &chat.welcome else { anyhow::bail!("no welcome") };
    let told = problems.iter().find(|problem| problem.code == ProblemCode::Misconfigured);
    let told = told.with_context(|| format!("not told before: {problems:?}"))?;
    ensure!(told.remedy.contains("ANTHROPIC_API_KEY"), "{told:?}");
    let answer = chat.ask("think!").await?;
    let problem = answer.problem()?;
    ensure!(problem.code == ProblemCode::Misconfigured, "{problem:?}");
    ensure!(problem.remedy.contains("ANTHROPIC_API_KEY"), "{problem:?}");
    Ok(())
}

async fn not_in_development(stack: &Stack) -> Result<()> {
    for path in ["/", "/assets/chat.js", "/api/chat/socket"] {
        let answer = http::send(&stack.url, &format!("GET {path}"), &[], b"").await?;
        ensure!(answer.status == 401, "{path}: {} {}", answer.status, answer.body);
        is_clear(path, &answer)?;
    }
    let Err(refusal) = Socket::open(&stack.url, Some(&stack.url)).await? else {
        anyhow::bail!("a socket was opened");
    };
    ensure!(refusal.status == 401, "{refusal:?}");
    Ok(())
}
