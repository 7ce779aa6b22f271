//! What each accent changes in a request.

use serde_json::json;

use super::*;
use crate::conversation::{AssistantBlock, Image, Message, ToolResult, ToolSpec, UserBlock};
use crate::dialect::Dialect::{self, AnthropicMessages, OpenAiChat, OpenAiResponses};

fn user(text: &str) -> Message {
    Message::User(vec![UserBlock::Text { text: text.into() }])
}

fn call(id: &str) -> AssistantBlock {
    AssistantBlock::ToolCall {
        id: id.into(),
        name: "read".into(),
        arguments: ToolArguments::Object(Map::new()),
    }
}

fn result(call_id: &str) -> ToolResult {
    ToolResult {
        call_id: call_id.into(),
        content: "found".into(),
        images: Vec::new(),
        is_error: false,
    }
}

fn thinking(signature: Option<&str>) -> AssistantBlock {
    AssistantBlock::Thinking { text: "hm".into(), signature: signature.map(Into::into) }
}

fn request(messages: Vec<Message>) -> ModelRequest {
    let input_schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "additionalProperties": {"type": "object", "additionalProperties": false},
        },
        "additionalProperties": false,
    });
    ModelRequest {
        model: "m".into(),
        system: "Be brief.".into(),
        messages,
        tools: vec![ToolSpec { name: "read".into(), description: "Reads.".into(), input_schema }],
        max_output_tokens: 64_000,
        thinking: None,
        cache_key: Some("k1".into()),
    }
}

fn tool_loop(answer: Vec<AssistantBlock>) -> Vec<Message> {
    vec![user("look"), Message::Assistant(answer), Message::ToolResults(vec![result("call_abc")])]
}

fn encoded(dialect: Dialect, accent: (&str, &str), request: &ModelRequest) -> Value {
    let accent = Accent::of(accent.0, accent.1);
    serde_json::from_slice(&encode(dialect, &accent, request).unwrap()).unwrap()
}

/// What is said of thinking at each level: nothing, off, low, medium and high.
fn asked(dialect: Dialect, accent: (&str, &str), with_tools: bool) -> Vec<Value> {
    use ThinkingLevel::{High, Low, Medium, Off};
    let levels = [None, Some(Off), Some(Low), Some(Medium), Some(High)];
    let ask = |thinking| {
        let mut request = ModelRequest { thinking, ..request(vec![user("x")]) };
        if !with_tools {
            request.tools.clear();
        }
        let body = encoded(dialect, accent, &request);
        let members = ["thinking", "output_config", "reasoning", "reasoning_effort"];
        let said = members.iter().filter_map(|it| Some(((*it).to_owned(), body.get(it)?.clone())));
        Value::Object(said.collect())
    };
    levels.into_iter().map(ask).collect()
}

#[test]
fn each_generation_of_claude_is_asked_in_its_way() {
    let asked = |model| asked(AnthropicMessages, ("anthropic", model), true);
    let adaptive = json!({"type": "adaptive", "display": "summarized"});
    let effort = |effort: &str| json!({"thinking": adaptive, "output_config": {"effort": effort}});
    let budget = |tokens: u32| json!({"thinking": {"type": "enabled", "budget_tokens": tokens}});
    let off = json!({"thinking": {"type": "disabled"}});
    assert_eq!(asked("claude-3-5-haiku"), vec![json!({}); 5]);
    assert_eq!(
        asked("claude-sonnet-4-5"),
        [json!({}), off.clone(), budget(2_048), budget(8_192), budget(24_576)]
    );
    let efforts = ["low", "medium", "high"].map(effort);
    let [low, medium, high] = efforts.clone();
    assert_eq!(asked("claude-opus-5"), [json!({}), off, low, medium, high]);
    let [low, medium, high] = efforts;
    assert_eq!(asked("claude-fable-5"), [json!({}), low.clone(), low, medium, high]);
}

#[test]
fn newer_claudes_are_told_to_drop_thinking_whose_past_has_changed() {
    let asked = asked(AnthropicMessages, ("anthropic", "claude-opus-5-5"), true);
    for said in &asked {
        assert_eq!(
            said["thinking"]["block_binding"],
            json!({"prefix_mismatch_behavior": "drop_block"})
        );
    }
    assert_eq!(asked[0].get("output_config"), None);
    let beta = |model: &str| {
        let headers = headers(AnthropicMessages, &Accent::of("anthropic", model));
        headers.into_iter().find(|(name, _)| *name == "anthropic-beta").map(|(_, value)| value)
    };
    assert_eq!(beta("claude-opus-5-5"), Some("thinking-binding-controls-2026-08-01"));
    assert_eq!(beta("claude-opus-5"), None);
}

#[test]
fn a_budget_leaves_room_for_the_answer() {
    for (max_output_tokens, expected) in [(8_000, json!(4_000)), (2_000, Value::Null)] {
        let request = ModelRequest {
            thinking: Some(ThinkingLevel::High),
            max_output_tokens,
            ..request(vec![user("x")])
        };
        let body = encoded(AnthropicMessages, ("anthropic", "claude-sonnet-4-5"), &request);
        assert_eq!(body["thinking"]["budget_tokens"], expected);
    }
}

#[test]
fn no_budget_inside_a_loop_that_began_without_thinking() {
    let thinks = |answer| {
        let thinking = Some(ThinkingLevel::High);
        let request = ModelRequest { thinking, ..request(tool_loop(answer)) };
        let body = encoded(AnthropicMessages, ("anthropic", "claude-sonnet-4-5"), &request);
        body.get("thinking").is_some()
    };
    assert!(thinks(vec![thinking(Some("s")), call("call_abc")]));
    assert!(!thinks(vec![thinking(None), call("call_abc")]));
    assert!(!thinks(vec![call("call_abc")]));
}

#[test]
fn effort_has_a_place_and_words_of_its_own_with_each_provider() {
    let flat = |words: [&str; 4]| {
        let said = words.map(|word| json!({"reasoning_effort": word}));
        [vec![json!({})], said.to_vec()].concat()
    };
    let nested = |words: [&str; 4]| {
        let said = words.map(|word| json!({"reasoning": {"effort": word}}));
        [vec![json!({})], said.to_vec()].concat()
    };
    let chat = |provider, model| asked(OpenAiChat, (provider, model), true);
    assert_eq!(chat("compatible", "m"), vec![json!({}); 5]);
    assert_eq!(chat("openai", "gpt-4.1"), vec![json!({}); 5]);
    assert_eq!(chat("openai", "gpt-5"), flat(["minimal", "low", "medium", "high"]));
    assert_eq!(chat("groq", "qwen/qwen3-32b"), flat(["none", "default", "default", "default"]));
    assert_eq!(chat("openrouter", "x/y"), nested(["none", "low", "medium", "high"]));
    let responses = asked(OpenAiResponses, ("openai", "gpt-5.1"), true);
    assert_eq!(responses, nested(["none", "low", "medium", "high"]));
    let on = |effort: &str| json!({"thinking": {"type": "enabled"}, "reasoning_effort": effort});
    let off = json!({"thinking": {"type": "disabled"}});
    assert_eq!(
        chat("deepseek", "deepseek-v4-pro"),
        [json!({}), off, on("low"), on("high"), on("max")]
    );
}

#[test]
fn tools_in_chat_completions_cost_newer_openai_models_their_thinking() {
    let none = json!({"reasoning_effort": "none"});
    assert_eq!(asked(OpenAiChat, ("openai", "gpt-5.6-terra"), true), vec![none; 5]);
    let bare = asked(OpenAiChat, ("openai", "gpt-5.6-terra"), false);
    assert_eq!(bare[4], json!({"reasoning_effort": "high"}));
    let responses = asked(OpenAiResponses, ("openai", "gpt-5.6-terra"), true);
    assert_eq!(responses[4], json!({"reasoning": {"effort": "high"}}));
}

#[test]
fn responses_asks_for_encrypted_reasoning_only_where_there_is_some() {
    for (model, asks) in [("gpt-5.1", true), ("o4-mini", true), ("gpt-4.1", false)] {
        let body = encoded(OpenAiResponses, ("openai", model), &request(vec![user("x")]));
        assert_eq!(body.get("include").is_some(), asks, "{model}");
    }
}

#[test]
fn the_output_limit_and_the_counts_are_asked_for_as_each_provider_knows_them() {
    for (provider, limit, counts) in [
        ("openai", "max_completion_tokens", true),
        ("groq", "max_completion_tokens", true),
        ("mistral", "max_tokens", false),
        ("ollama", "max_tokens", true),
        ("compatible", "max_tokens", true),
    ] {
        let body = encoded(OpenAiChat, (provider, "m"), &request(vec![user("x")]));
        let limits = ["max_completion_tokens", "max_tokens"].map(|it| body.get(it).map(|_| it));
        assert_eq!(limits.into_iter().flatten().collect::<Vec<_>>(), [limit]);
        assert_eq!(body.get("stream_options").is_some(), counts, "{provider}");
    }
}

#[test]
fn only_those_who_know_it_get_the_cache_key() {
    let key = |dialect, provider, model| {
        let body = encoded(dialect, (provider, model), &request(vec![user("x")]));
        body.get("prompt_cache_key").cloned()
    };
    assert_eq!(key(OpenAiChat, "openai", "gpt-4.1"), Some(json!("k1")));
    assert_eq!(key(OpenAiResponses, "openai", "gpt-5.1"), Some(json!("k1")));
    assert_eq!(key(OpenAiChat, "compatible", "m"), None);
    assert_eq!(key(AnthropicMessages, "anthropic", "claude-opus-5"), None);
}

#[test]
fn openrouter_passes_cache_breakpoints_on_to_anthropic() {
    let mark = json!({"type": "ephemeral"});
    let messages = vec![user("a"), Message::Assistant(vec![call("c")]), user("b"), user("c")];
    let body = encoded(OpenAiChat, ("openrouter", "anthropic/claude-opus-5"), &request(messages));
    let system = &body["messages"][0]["content"];
    assert_eq!(*system, json!([{"type": "text", "text": "Be brief.", "cache_control": mark}]));
    let last = &body["messages"][3]["content"];
    assert_eq!(*last, json!([{"type": "text", "text": "b\n\nc", "cache_control": mark}]));
    let plain = encoded(OpenAiChat, ("openrouter", "x/y"), &request(vec![user("a")]));
    assert_eq!(plain["messages"][0]["content"], "Be brief.");
}

#[test]
fn ids_get_the_form_that_the_provider_takes() {
    let body = encoded(
        OpenAiChat,
        ("mistral", "mistral-large-latest"),
        &request(tool_loop(vec![call("call_abc"), call("aB3dE5gH9"), call("call_abd")])),
    );
    let calls = body["messages"][2]["tool_calls"].as_array().unwrap();
    let ids: Vec<_> = calls.iter().map(|call| call["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric())));
    assert_eq!(ids[1], "aB3dE5gH9");
    assert_ne!(ids[0], ids[2]);
    assert_eq!(body["messages"][3]["tool_call_id"], ids[0]);
}

#[test]
fn deepseek_gets_the_thinking_of_its_tool_calls_back() {
    let accent = ("deepseek", "deepseek-v4-pro");
    let body =
        encoded(OpenAiChat, accent, &request(tool_loop(vec![thinking(None), call("call_abc")])));
    assert_eq!(body["messages"][2]["reasoning_content"], "hm");
    let body = encoded(OpenAiChat, accent, &request(tool_loop(vec![call("call_abc")])));
    assert_eq!(body["messages"][2]["reasoning_content"], "");
    let said = AssistantBlock::Text { text: "a".into() };
    let messages = vec![user("x"), Message::Assistant(vec![thinking(None), said]), user("y")];
    let body = encoded(OpenAiChat, accent, &request(messages.clone()));
    assert_eq!(body["messages"][2], json!({"role": "assistant", "content": "a"}));
    let body = encoded(OpenAiChat, ("compatible", "m"), &request(messages));
    assert_eq!(body["messages"][2], json!({"role": "assistant", "content": "a"}));
}

#[test]
fn gemini_gets_plain_schemas_and_signed_calls() {
    let accent = ("gemini", "gemini-3.5-flash");
    let body = encoded(OpenAiChat, accent, &request(tool_loop(vec![call("call_abc")])));
    assert_eq!(
        body["tools"][0]["function"]["parameters"],
        json!({"type": "object", "properties": {"additionalProperties": {"type": "object"}}})
    );
    assert_eq!(
        body["messages"][2]["tool_calls"][0]["extra_content"],
        json!({"google": {"thought_signature": "skip_thought_signature_validator"}})
    );
    let signed = AssistantBlock::Thinking {
        text: String::new(),
        signature: Some(r#"{"thought_signature":"Cg+/="}"#.into()),
    };
    let answer = vec![signed, call("call_abc"), call("call_abd")];
    let body = encoded(OpenAiChat, accent, &request(tool_loop(answer)));
    let calls = &body["messages"][2]["tool_calls"];
    assert_eq!(calls[0]["extra_content"], json!({"google": {"thought_signature": "Cg+/="}}));
    assert_eq!(calls[1].get("extra_content"), None);
    let body = encoded(OpenAiChat, ("compatible", "m"), &request(tool_loop(vec![call("a")])));
    assert_eq!(body["tools"][0]["function"]["parameters"]["additionalProperties"], false);
    assert_eq!(body["messages"][2]["tool_calls"][0].get("extra_content"), None);
}

#[test]
fn images_of_tool_results_go_in_each_dialects_form() {
    let image = Image { media_type: "image/png".into(), base64: "iVBO".into() };
    let mut messages = tool_loop(vec![call("call_abc")]);
    messages[2] =
        Message::ToolResults(vec![ToolResult { images: vec![image], ..result("call_abc") }]);
    let request = request(messages);
    let body = encoded(AnthropicMessages, ("anthropic", "claude-opus-5"), &request);
    let mut content = body["messages"][2]["content"][0]["content"].clone();
    content[1].as_object_mut().unwrap().remove("cache_control");
    assert_eq!(
        content,
        json!([{"type": "text", "text": "found"}, {"type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "iVBO"}}])
    );
    let url = "data:image/png;base64,iVBO";
    let body = encoded(OpenAiResponses, ("openai", "gpt-5.1"), &request);
    assert_eq!(
        body["input"][2]["output"],
        json!([{"type": "input_text", "text": "found"}, {"type": "input_image", "image_url": url}])
    );
    let body = encoded(OpenAiChat, ("openai", "gpt-4.1"), &request);
    assert_eq!(body["messages"][3]["content"], "found");
    assert_eq!(
        body["messages"][4],
        json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]})
    );
}
