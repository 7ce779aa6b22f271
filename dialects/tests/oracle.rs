//! The same bytes read by an independent client, `genai`: both must hear the same words, the same
//! tool calls and the same counts.
//!
//! Left out are the streams that `genai` does not read: it fails on what the API adds, and needs a
//! `[DONE]` where some providers send none. Where reasoning has several parts it runs them together,
//! so that stream is left out as well.

#![cfg(test)]
#![cfg(not(target_family = "wasm"))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use dialects::{AssistantBlock, Completion, Dialect, StreamDecoder, ToolArguments};
use futures_util::StreamExt;
use genai::adapter::AdapterKind;
use genai::chat::{ChatMessage, ChatOptions, ChatRequest, ChatStreamEvent, StreamEnd};
use genai::resolver::{AuthData, Endpoint};
use genai::{Client, ModelIden, ServiceTarget};
use serde_json::{Map, Value};

/// What both clients can tell of an answer.
#[derive(Debug, Default, PartialEq)]
struct Heard {
    text: String,
    thinking: String,
    /// Id, name, arguments.
    tool_calls: Vec<(String, String, Map<String, Value>)>,
    input_tokens: u64,
    output_tokens: u64,
}

impl From<Completion> for Heard {
    fn from(completion: Completion) -> Self {
        let mut heard = Self {
            input_tokens: completion.usage.total_input_tokens(),
            output_tokens: completion.usage.output_tokens,
            ..Self::default()
        };
        for block in completion.blocks {
            match block {
                AssistantBlock::Text { text } => heard.text.push_str(&text),
                AssistantBlock::Thinking { text, .. } => heard.thinking.push_str(&text),
                AssistantBlock::RedactedThinking { .. } => {}
                AssistantBlock::ToolCall { id, name, arguments } => {
                    let ToolArguments::Object(map) = arguments else { panic!("{arguments:?}") };
                    heard.tool_calls.push((id, name, map));
                }
            }
        }
        heard
    }
}

impl From<StreamEnd> for Heard {
    fn from(end: StreamEnd) -> Self {
        let usage = end.captured_usage.unwrap_or_default();
        let count = |tokens: Option<i32>| u64::try_from(tokens.unwrap_or(0)).unwrap();
        let content = end.captured_content.unwrap_or_default();
        let object = |value: &Value| value.as_object().cloned().unwrap();
        let tool_calls = content.tool_calls().into_iter();
        Self {
            text: content.texts().concat(),
            thinking: end.captured_reasoning_content.unwrap_or_default(),
            tool_calls: tool_calls
                .map(|it| (it.call_id.clone(), it.fn_name.clone(), object(&it.fn_arguments)))
                .collect(),
            input_tokens: count(usage.prompt_tokens),
            output_tokens: count(usage.completion_tokens),
        }
    }
}

/// Answers one request on a free port with `stream`, and closes.
fn serve(stream: &'static [u8]) -> (SocketAddr, thread::JoinHandle<std::io::Result<()>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let answer = move || {
        let (mut connection, _) = listener.accept()?;
        read_request(&connection)?;
        connection.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n",
        )?;
        connection.write_all(stream)
    };
    (address, thread::spawn(answer))
}

fn read_request(connection: &TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection);
    let mut body_bytes = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(length) = line.strip_prefix("content-length:") {
            body_bytes = length.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; body_bytes])
}

fn ours(dialect: Dialect, stream: &[u8]) -> Heard {
    let mut decoder = StreamDecoder::new(dialect);
    decoder.feed(stream).unwrap();
    decoder.finish().unwrap().into()
}

/// What `genai` makes of the stream.
fn theirs(dialect: Dialect, stream: &'static [u8]) -> Result<Heard, String> {
    let (address, server) = serve(stream);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let end = runtime.block_on(exchange(dialect, address));
    server.join().unwrap().unwrap();
    end.map(Heard::from)
}

async fn exchange(dialect: Dialect, address: SocketAddr) -> Result<StreamEnd, String> {
    let (kind, model) = match dialect {
        Dialect::AnthropicMessages => (AdapterKind::Anthropic, "claude-opus-5"),
        Dialect::OpenAiChat => (AdapterKind::OpenAI, "gpt-5.1"),
        Dialect::OpenAiResponses => (AdapterKind::OpenAIResp, "gpt-5.1"),
    };
    let resolve = move |_: ServiceTarget| -> Result<ServiceTarget, genai::resolver::Error> {
        Ok(ServiceTarget {
            endpoint: Endpoint::from_owned(format!("http://{address}/v1/")),
            auth: AuthData::from_single("unused"),
            model: ModelIden::new(kind, model),
        })
    };
    let direct = reqwest::Client::builder().no_proxy().build().unwrap();
    let client = Client::builder()
        .with_reqwest(direct)
        .with_service_target_resolver_fn(resolve)
        .build()
        .unwrap();
    let options = ChatOptions::default()
        .with_capture_content(true)
        .with_capture_tool_calls(true)
        .with_capture_reasoning_content(true)
        .with_capture_usage(true);
    let request = ChatRequest::new(vec![ChatMessage::user("hello")]);
    let mut stream = client.exec_chat_stream(model, request, Some(&options)).await.unwrap().stream;
    let mut end = Err("the stream has no end".to_owned());
    while let Some(event) = stream.next().await {
        match event {
            Ok(ChatStreamEvent::End(it)) => end = Ok(it),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    end
}

macro_rules! agree {
    ($($name:ident: $dialect:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            let stream = include_bytes!(concat!("streams/", stringify!($name), ".sse"));
            let ours = ours(Dialect::$dialect, stream);
            assert_eq!(theirs(Dialect::$dialect, stream), Ok(ours));
        }
    )*};
}

agree! {
    anthropic_text: AnthropicMessages,
    anthropic_tool_use: AnthropicMessages,
    anthropic_thinking: AnthropicMessages,
    openai_text: OpenAiChat,
    openai_tool_calls: OpenAiChat,
    openai_reasoning: OpenAiChat,
    responses_text: OpenAiResponses,
    responses_tool_calls: OpenAiResponses,
}

#[test]
fn errors_are_errors_to_both() {
    for (dialect, stream) in [
        (Dialect::AnthropicMessages, include_bytes!("streams/anthropic_overloaded.sse").as_slice()),
        (Dialect::OpenAiChat, include_bytes!("streams/openai_error.sse")),
    ] {
        assert!(theirs(dialect, stream).is_err());
    }
}
