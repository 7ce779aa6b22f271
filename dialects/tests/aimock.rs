//! Our requests and our decoding against a mock provider that other people wrote: the npm package
//! `@copilotkit/aimock`. It checks, among other things, that signed thinking comes back in place.
//!
//! Skipped, with the reason printed, where Node.js or the package is missing. The package is looked
//! for in `$PAGURUS_NODE_MODULES`, then in the workspace's `node_modules`.

#![cfg(test)]
#![cfg(not(target_family = "wasm"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dialects::{
    Accent, AssistantBlock, Completion, DecodeError, Dialect, Message, ModelRequest,
    ProviderErrorKind, StopReason, StreamDecoder, ThinkingLevel, ToolArguments, ToolResult,
    ToolSpec, UserBlock, decode_error, encode, headers,
};
use serde_json::{Value, json};

/// The mock, alive as long as this is.
struct Mock {
    process: Child,
    address: SocketAddr,
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.process.kill().expect("the mock can be killed");
        self.process.wait().expect("the mock can be waited for");
    }
}

impl Mock {
    /// `None`, with the reason printed, when this machine has no mock.
    fn start() -> Option<Self> {
        let script = match find_script() {
            Ok(script) => script,
            Err(reason) => {
                println!("SKIPPED: dialects::aimock: {reason}");
                return None;
            }
        };
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aimock/dialects.json");
        let mut process = Command::new("node")
            .arg(script)
            .args(["--port", "0", "--strict", "--log-level", "info", "--fixtures"])
            .arg(fixtures)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("node was found");
        let mut output = BufReader::new(process.stdout.take().expect("the output is piped"));
        let address = loop {
            let mut line = String::new();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "the mock ended");
            if let Some((_, url)) = line.split_once("listening on http://") {
                break url.trim().parse().expect("the mock tells its address");
            }
        };
        // The mock must never block on its log.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Some(Self { process, address })
    }

    /// Status, header lines, body. HTTP/1.0 keeps the answer free of chunk framing.
    fn post(&self, dialect: Dialect, request: &ModelRequest) -> (u16, String, Vec<u8>) {
        let accent = accent(dialect, request);
        let body = encode(dialect, &accent, request).unwrap();
        let headers = headers(dialect, &accent);
        let fields = headers.iter().flat_map(|(name, value)| [*name, ": ", value, "\r\n"]);
        let fields: String = fields.collect();
        let (path, bytes) = (dialect.request_path(), body.len());
        let head = format!("POST {path} HTTP/1.0\r\n{fields}content-length: {bytes}\r\n\r\n");
        let mut connection = TcpStream::connect(self.address).unwrap();
        connection.write_all(&[head.as_bytes(), &body].concat()).unwrap();
        let mut answer = Vec::new();
        // A mock that cuts a stream may reset the connection; what came before it counts.
        let cut = connection.read_to_end(&mut answer).err();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.unwrap_or_else(|| panic!("no head came: {cut:?}"));
        let body = answer.split_off(end + 4);
        let head = String::from_utf8(answer).unwrap();
        (head[9..12].parse().unwrap(), head, body)
    }

    fn ask(&self, dialect: Dialect, messages: Vec<Message>) -> Result<Completion, DecodeError> {
        let (status, _, body) = self.post(dialect, &request(messages));
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        let mut decoder = StreamDecoder::new(dialect);
        for piece in body.chunks(7) {
            decoder.feed(piece)?;
        }
        decoder.finish()
    }
}

fn find_script() -> Result<PathBuf, String> {
    let modules = match std::env::var_os("PAGURUS_NODE_MODULES") {
        Some(path) => PathBuf::from(path),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../node_modules"),
    };
    let script = modules.join(".bin/llmock");
    if !script.exists() {
        return Err(format!("{} does not exist; run `npm ci`", script.display()));
    }
    match Command::new("node").arg("--version").output() {
        Ok(_) => Ok(script),
        Err(error) => Err(format!("cannot run node: {error}")),
    }
}

fn request(messages: Vec<Message>) -> ModelRequest {
    let tool = |name: &str| ToolSpec {
        name: name.into(),
        description: "A tool.".into(),
        input_schema: json!({"type": "object", "properties": {}}),
    };
    ModelRequest {
        model: "mock".into(),
        system: "Be brief.".into(),
        messages,
        tools: vec![tool("read"), tool("list_chats")],
        max_output_tokens: 1024,
        thinking: None,
        cache_key: None,
    }
}

fn accent(dialect: Dialect, request: &ModelRequest) -> Accent {
    let anthropic = dialect == Dialect::AnthropicMessages;
    Accent::of(if anthropic { "anthropic" } else { "openai" }, &request.model)
}

fn user(text: &str) -> Message {
    Message::User(vec![UserBlock::Text { text: text.into() }])
}

fn text(completion: &Completion) -> String {
    let text = |block: &AssistantBlock| match block {
        AssistantBlock::Text { text } => Some(text.clone()),
        _ => None,
    };
    completion.blocks.iter().filter_map(text).collect()
}

fn hears_text(mock: &Mock, dialect: Dialect) {
    let completion = mock.ask(dialect, vec![user("say hello")]).unwrap();
    assert_eq!(text(&completion), "Grüße, 🦀 crab. This is long enough for several chunks.");
    assert_eq!(completion.stop, StopReason::EndTurn);
}

fn goes_through_a_tool_turn(mock: &Mock, dialect: Dialect) {
    let mut messages = vec![user("read the notes")];
    let completion = mock.ask(dialect, messages.clone()).unwrap();
    assert_eq!(completion.stop, StopReason::ToolUse);
    assert_eq!(text(&completion), "Let me look.");
    let AssistantBlock::Thinking { text: thinking, signature } = &completion.blocks[0] else {
        panic!("{:?}", completion.blocks);
    };
    assert_eq!(thinking, "The notes are in a file.");
    match dialect {
        Dialect::AnthropicMessages => assert_eq!(signature.as_deref(), Some("EqQBCgIYAhIM+/==")),
        Dialect::OpenAiChat => assert_eq!(*signature, None),
        // The mock makes the encrypted content up.
        Dialect::OpenAiResponses => {
            assert!(signature.as_ref().is_some_and(|it| it.contains("encrypted_content")));
        }
    }
    let calls: Vec<_> = completion
        .blocks
        .iter()
        .filter_map(|block| match block {
            AssistantBlock::ToolCall { id, name, arguments: ToolArguments::Object(map) } => {
                Some((id.as_str(), name.as_str(), json!(map)))
            }
            _ => None,
        })
        .collect();
    let arguments = json!({"path": "notes/ü.md", "limit": 20});
    assert_eq!(calls, [("call_1", "read", arguments), ("call_2", "list_chats", json!({}))]);

    let result = |call_id: &str, content: &str| ToolResult {
        call_id: call_id.into(),
        content: content.into(),
        images: Vec::new(),
        is_error: false,
    };
    let results = vec![result("call_1", ""), result("call_2", "buy a shell")];
    messages.extend([Message::Assistant(completion.blocks), Message::ToolResults(results)]);
    let completion = mock.ask(dialect, messages).unwrap();
    assert_eq!(text(&completion), "You wanted to buy a shell.");
}

/// The JSON of each event of a stream.
fn events(stream: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(stream).unwrap().lines();
    let data = lines.filter_map(|line| line.strip_prefix("data: "));
    data.filter_map(|data| serde_json::from_str(data).ok()).collect()
}

/// The reasoning in an answer, as it must be sent back: read from the bytes, past our decoder.
fn reasoning_sent(dialect: Dialect, stream: &[u8]) -> Vec<Value> {
    let events = events(stream);
    let redacted = |event: &Value| event["content_block"]["type"] == "redacted_thinking";
    let joined = |member: &str| {
        events.iter().filter_map(|event| event["delta"][member].as_str()).collect::<String>()
    };
    let is_item = |event: &&Value| {
        event["type"] == "response.output_item.done" && event["item"]["type"] == "reasoning"
    };
    match dialect {
        Dialect::AnthropicMessages => {
            let data = events.iter().find(|event| redacted(event)).unwrap();
            let data = data["content_block"]["data"].clone();
            let (thinking, signature) = (joined("thinking"), joined("signature"));
            vec![
                json!({"type": "redacted_thinking", "data": data}),
                json!({"type": "thinking", "thinking": thinking, "signature": signature}),
            ]
        }
        Dialect::OpenAiChat => Vec::new(),
        Dialect::OpenAiResponses => {
            events.iter().filter(is_item).map(|event| event["item"].clone()).collect()
        }
    }
}

/// Reasoning goes back byte for byte, in place. Anthropic's rules for it are checked by the mock as
/// well: it refuses a tool loop that does not begin with signed thinking.
fn replays_reasoning(mock: &Mock, dialect: Dialect) {
    let anthropic = dialect == Dialect::AnthropicMessages;
    let model = if anthropic { "claude-sonnet-4-5" } else { "gpt-5.1" };
    let asks = |messages| ModelRequest {
        model: model.into(),
        thinking: Some(ThinkingLevel::High),
        max_output_tokens: 20_000,
        tools: if dialect == Dialect::OpenAiChat { Vec::new() } else { request(Vec::new()).tools },
        ..request(messages)
    };
    let mut messages = vec![user("think it over")];
    let (status, _, stream) = mock.post(dialect, &asks(messages.clone()));
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&stream));
    let mut decoder = StreamDecoder::new(dialect);
    decoder.feed(&stream).unwrap();
    let completion = decoder.finish().unwrap();
    let result = ToolResult {
        call_id: "call_4".into(),
        content: "found".into(),
        images: Vec::new(),
        is_error: false,
    };
    messages.extend([Message::Assistant(completion.blocks), Message::ToolResults(vec![result])]);
    let again = asks(messages);
    let body = encode(dialect, &accent(dialect, &again), &again).unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let sent = reasoning_sent(dialect, &stream);
    assert_eq!(sent.is_empty(), dialect == Dialect::OpenAiChat);
    let replayed = match dialect {
        Dialect::AnthropicMessages => &body["messages"][1]["content"],
        _ => &body["input"],
    };
    let skipped = usize::from(!anthropic);
    for (at, block) in sent.iter().enumerate() {
        assert_eq!(replayed[at + skipped], *block, "{body}");
    }
    let (status, _, stream) = mock.post(dialect, &again);
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&stream));
}

fn notices_a_cut_stream(mock: &Mock, dialect: Dialect) {
    let cut = mock.ask(dialect, vec![user("stop half way")]);
    assert!(matches!(cut, Err(DecodeError::EndedEarly { .. })), "{cut:?}");
}

fn reads_a_refusal(mock: &Mock, dialect: Dialect) {
    let (status, head, body) = mock.post(dialect, &request(vec![user("too much")]));
    let header = |asked: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(": "));
        let (_, value) = fields.find(|(name, _)| name.eq_ignore_ascii_case(asked))?;
        Some(value.to_owned())
    };
    let error = decode_error(status, header, &body);
    assert_eq!(error.kind, ProviderErrorKind::RateLimited);
    assert_eq!(error.message, "Slow down");
    assert!(error.is_retryable());
}

#[test]
fn a_foreign_mock_understands_us_and_we_it() {
    let Some(mock) = Mock::start() else {
        return;
    };
    for dialect in Dialect::ALL {
        hears_text(&mock, dialect);
        goes_through_a_tool_turn(&mock, dialect);
        replays_reasoning(&mock, dialect);
        notices_a_cut_stream(&mock, dialect);
        reads_a_refusal(&mock, dialect);
    }
}
