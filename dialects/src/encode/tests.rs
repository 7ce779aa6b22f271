use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::conversation::{AssistantBlock, Image, Message, ToolResult, ToolSpec, UserBlock};
use crate::dialect::Dialect::{AnthropicMessages, OpenAiChat, OpenAiResponses};
use crate::limits::CACHE_BREAKPOINTS_MAX;

fn user(text: &str) -> Message {
    Message::User(vec![UserBlock::Text { text: text.into() }])
}

fn text(text: &str) -> AssistantBlock {
    AssistantBlock::Text { text: text.into() }
}

fn thinking(text: &str, signature: Option<&str>) -> AssistantBlock {
    AssistantBlock::Thinking { text: text.into(), signature: signature.map(Into::into) }
}

fn call(id: &str, arguments: &Value) -> AssistantBlock {
    let arguments = match arguments {
        Value::Object(map) => ToolArguments::Object(map.clone()),
        other => ToolArguments::Malformed(other.as_str().unwrap().into()),
    };
    AssistantBlock::ToolCall { id: id.into(), name: "read".into(), arguments }
}

fn result(call_id: &str, content: &str, is_error: bool) -> ToolResult {
    ToolResult { call_id: call_id.into(), content: content.into(), images: Vec::new(), is_error }
}

fn request(system: &str, messages: Vec<Message>) -> ModelRequest {
    let input_schema = json!({"type": "object", "properties": {"path": {"type": "string"}}});
    ModelRequest {
        model: "m".into(),
        system: system.into(),
        messages,
        tools: vec![ToolSpec {
            name: "read".into(),
            description: "Reads a file.".into(),
            input_schema,
        }],
        max_output_tokens: 1024,
        thinking: None,
        cache_key: None,
    }
}

fn compatible() -> Accent {
    Accent::of("compatible", "m")
}

fn encoded(dialect: Dialect, request: &ModelRequest) -> Value {
    accented(dialect, &compatible(), request)
}

fn accented(dialect: Dialect, accent: &Accent, request: &ModelRequest) -> Value {
    serde_json::from_slice(&encode(dialect, accent, request).unwrap()).unwrap()
}

fn tool_turn() -> Vec<Message> {
    vec![
        user("look"),
        Message::Assistant(vec![
            thinking("hm \"ü\"", Some("Eq+/==")),
            AssistantBlock::RedactedThinking { data: "Em+/==".into() },
            text("Looking."),
            call("functions.read:0", &json!({"path": "a"})),
            call("b", &json!("{\"path\": ")),
        ]),
        user("and be quick"),
        Message::ToolResults(vec![
            result("functions.read:0", "found", false),
            result("b", "bad", true),
        ]),
    ]
}

#[test]
fn anthropic_request_as_a_whole() {
    let body = encoded(AnthropicMessages, &request("Be brief.", tool_turn()));
    let mark = json!({"type": "ephemeral"});
    assert_eq!(
        body,
        json!({
            "model": "m", "max_tokens": 1024, "stream": true,
            "tools": [{"name": "read", "description": "Reads a file.", "input_schema":
                {"type": "object", "properties": {"path": {"type": "string"}}}}],
            "system": [{"type": "text", "text": "Be brief.", "cache_control": mark}],
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "look", "cache_control": mark}]},
                {"role": "assistant", "content": [
                    {"type": "thinking", "thinking": "hm \"ü\"", "signature": "Eq+/=="},
                    {"type": "redacted_thinking", "data": "Em+/=="},
                    {"type": "text", "text": "Looking."},
                    {"type": "tool_use", "id": "functions_read_0", "name": "read", "input": {"path": "a"}},
                    {"type": "tool_use", "id": "b", "name": "read",
                        "input": {"malformed_arguments": "{\"path\": "}},
                ]},
                {"role": "user", "content": [
                    {"type": "tool_result", "tool_use_id": "functions_read_0", "content": "found"},
                    {"type": "tool_result", "tool_use_id": "b", "content": "bad", "is_error": true},
                    {"type": "text", "text": "and be quick", "cache_control": mark},
                ]},
            ],
        })
    );
}

#[test]
fn openai_request_as_a_whole() {
    let body = encoded(OpenAiChat, &request("Be brief.", tool_turn()));
    assert_eq!(
        body,
        json!({
            "model": "m", "max_tokens": 1024, "stream": true,
            "stream_options": {"include_usage": true},
            "tools": [{"type": "function", "function": {"name": "read", "description": "Reads a file.",
                "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}}],
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "look"},
                {"role": "assistant", "content": "Looking.", "tool_calls": [
                    {"id": "functions.read:0", "type": "function",
                        "function": {"name": "read", "arguments": "{\"path\":\"a\"}"}},
                    {"id": "b", "type": "function", "function": {"name": "read",
                        "arguments": "{\"malformed_arguments\":\"{\\\"path\\\": \"}"}},
                ]},
                {"role": "tool", "tool_call_id": "functions.read:0", "content": "found"},
                {"role": "tool", "tool_call_id": "b", "content": "Error: bad"},
                {"role": "user", "content": "and be quick"},
            ],
        })
    );
}

/// A thinking block as the stream's reader makes it of a reasoning item.
const PACKED: &str = r#"{"id":"rs_1","encrypted_content":"gAAA+/==","parts":[2,7]}"#;

#[test]
fn responses_request_as_a_whole() {
    let messages = vec![
        user("look"),
        Message::Assistant(vec![
            thinking("hm\n\nso \"ü\"", Some("Eq+/==")),
            thinking("hm\n\nso \"ü\"", Some(PACKED)),
            AssistantBlock::RedactedThinking { data: "Em+/==".into() },
            text("Looking."),
            call("functions.read:0", &json!({"path": "a"})),
            call("b", &json!("{\"path\": ")),
        ]),
        user("and be quick"),
        Message::ToolResults(vec![
            result("functions.read:0", "found", false),
            result("b", "bad", true),
        ]),
    ];
    let body = encoded(OpenAiResponses, &request("Be brief.", messages));
    assert_eq!(
        body,
        json!({
            "model": "m", "max_output_tokens": 1024, "stream": true, "store": false,
            "instructions": "Be brief.",
            "tools": [{"type": "function", "name": "read", "description": "Reads a file.",
                "strict": false,
                "parameters": {"type": "object", "properties": {"path": {"type": "string"}}}}],
            "input": [
                {"type": "message", "role": "user", "content": "look"},
                {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA+/==", "summary": [
                    {"type": "summary_text", "text": "hm"},
                    {"type": "summary_text", "text": "so \"ü\""},
                ]},
                {"type": "message", "role": "assistant", "content": "Looking."},
                {"type": "function_call", "call_id": "functions.read:0", "name": "read",
                    "arguments": "{\"path\":\"a\"}"},
                {"type": "function_call", "call_id": "b", "name": "read",
                    "arguments": "{\"malformed_arguments\":\"{\\\"path\\\": \"}"},
                {"type": "function_call_output", "call_id": "functions.read:0", "output": "found"},
                {"type": "function_call_output", "call_id": "b", "output": "Error: bad"},
                {"type": "message", "role": "user", "content": "and be quick"},
            ],
        })
    );
}

#[test]
fn reasoning_without_anything_after_it_is_left_out() {
    let cut = Message::Assistant(vec![text("a"), thinking("hm\n\nso \"ü\"", Some(PACKED))]);
    let body = encoded(OpenAiResponses, &request("", vec![user("x"), cut, user("y")]));
    assert_eq!(body["input"].as_array().unwrap().len(), 3);
}

#[test]
fn blank_and_unsigned_blocks_leave_no_trace() {
    let messages = vec![
        user("one"),
        Message::Assistant(vec![text(" \n"), thinking("foreign", None)]),
        Message::User(vec![UserBlock::Text { text: String::new() }]),
        user("two"),
        Message::Assistant(vec![text("three"), thinking("never answered", Some("s"))]),
        Message::Assistant(vec![text("four")]),
        user("five"),
    ];
    let body = encoded(AnthropicMessages, &request(" ", messages.clone()));
    assert_eq!(body.get("system"), None);
    assert_eq!(body["tools"][0]["cache_control"]["type"], "ephemeral");
    let said = |message: &Value| {
        let blocks = message["content"].as_array().unwrap().iter();
        blocks.map(|block| block["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let said: Vec<_> = body["messages"].as_array().unwrap().iter().map(said).collect();
    assert_eq!(said, [vec!["one", "two"], vec!["three", "four"], vec!["five"]]);

    let body = encoded(OpenAiChat, &request(" ", messages));
    let content: Vec<_> =
        body["messages"].as_array().unwrap().iter().map(|message| &message["content"]).collect();
    assert_eq!(content, ["one\n\ntwo", "three\n\nfour", "five"]);
}

#[test]
fn openai_content_is_null_beside_tool_calls_only() {
    let messages = vec![user("x"), Message::Assistant(vec![call("a", &json!({}))])];
    let body = encoded(OpenAiChat, &request("", messages));
    assert_eq!(body["messages"][1]["content"], Value::Null);
    assert_eq!(body["messages"][1]["tool_calls"][0]["function"]["arguments"], "{}");
}

fn png() -> Image {
    Image { media_type: "image/png".into(), base64: "iVBO".into() }
}

#[test]
fn images_go_in_each_dialects_form() {
    let image = UserBlock::Image(png());
    let messages = vec![Message::User(vec![UserBlock::Text { text: "see".into() }, image])];
    let body = encoded(AnthropicMessages, &request("", messages.clone()));
    assert_eq!(
        body["messages"][0]["content"][1]["source"],
        json!({"type": "base64", "media_type": "image/png", "data": "iVBO"})
    );
    let body = encoded(OpenAiChat, &request("", messages.clone()));
    assert_eq!(
        body["messages"][0]["content"],
        json!([{"type": "text", "text": "see"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBO"}}])
    );
    let body = encoded(OpenAiResponses, &request("", messages));
    assert_eq!(
        body["input"][0]["content"],
        json!([{"type": "input_text", "text": "see"},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBO"}])
    );
}

#[test]
fn a_conversation_without_words_is_refused() {
    for dialect in Dialect::ALL {
        let refused = encode(dialect, &compatible(), &request("system", vec![user(" ")]));
        assert!(matches!(refused, Err(EncodeError::NothingToSend)));
    }
}

#[test]
fn headers_hold_no_key() {
    for dialect in Dialect::ALL {
        for (name, _) in headers(dialect, &Accent::of("anthropic", "claude-opus-6")) {
            assert!(!["authorization", "x-api-key"].contains(&name));
        }
    }
}

fn any_block() -> impl Strategy<Value = AssistantBlock> {
    prop_oneof![
        "[a ]{0,3}".prop_map(|it| text(&it)),
        ("[a ]{0,3}", proptest::option::of("[s]{1,2}"))
            .prop_map(|(it, signature)| thinking(&it, signature.as_deref())),
        Just(AssistantBlock::RedactedThinking { data: "d".into() }),
        "[a.:-]{1,3}".prop_map(|id| call(&id, &json!({}))),
    ]
}

fn any_message() -> impl Strategy<Value = Message> {
    prop_oneof![
        "[a ]{0,3}".prop_map(|it| user(&it)),
        proptest::collection::vec(any_block(), 0..5).prop_map(Message::Assistant),
        proptest::collection::vec(Just(result("a", "", false)), 0..3)
            .prop_map(Message::ToolResults),
    ]
}

/// The messages without their cache breakpoints.
fn unmarked(body: &Value) -> Vec<Value> {
    let messages = body.get("messages").or(body.get("input")).unwrap();
    let mut messages = messages.as_array().unwrap().clone();
    for message in &mut messages {
        if let Some(blocks) = message["content"].as_array_mut() {
            for block in blocks {
                block.as_object_mut().unwrap().remove("cache_control");
            }
        }
    }
    messages
}

proptest! {
    #[test]
    fn anthropic_accepts_the_shape(messages in proptest::collection::vec(any_message(), 0..8)) {
        let request = request("s", messages);
        let Ok(bytes) = encode(AnthropicMessages, &compatible(), &request) else {
            return Ok(());
        };
        prop_assert_eq!(&bytes, &encode(AnthropicMessages, &compatible(), &request).unwrap());
        let breakpoints = String::from_utf8(bytes.clone()).unwrap().matches("cache_control").count();
        prop_assert!(breakpoints <= CACHE_BREAKPOINTS_MAX);
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        let messages = body["messages"].as_array().unwrap();
        for pair in messages.windows(2) {
            prop_assert_ne!(&pair[0]["role"], &pair[1]["role"]);
        }
        for message in messages {
            let blocks = message["content"].as_array().unwrap();
            prop_assert!(!blocks.is_empty());
            let is_result = |block: &Value| block["type"] == "tool_result";
            prop_assert!(blocks.is_sorted_by_key(|block| !is_result(block)));
            for block in blocks {
                prop_assert!(block["text"].as_str().is_none_or(|text| !text.trim().is_empty()));
                let is_thinking = block["type"].as_str().unwrap().contains("thinking");
                prop_assert!(!is_thinking || block.get("cache_control").is_none());
            }
        }
    }

    #[test]
    fn an_answer_and_a_reply_leave_the_prefix_alone(
        messages in proptest::collection::vec(any_message(), 0..8),
        dialect in prop::sample::select(Dialect::ALL.to_vec()),
    ) {
        let mut messages = messages;
        messages.push(user("last"));
        let before = unmarked(&encoded(dialect, &request("s", messages.clone())));
        messages.extend([Message::Assistant(vec![text("answer")]), user("reply")]);
        let after = unmarked(&encoded(dialect, &request("s", messages)));
        prop_assert_eq!(before.as_slice(), &after[..before.len()]);
    }
}
