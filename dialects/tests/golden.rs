//! The recorded streams in `streams/`, what they mean, and what no change to them may do.

#![cfg(test)]

use dialects::Dialect::{AnthropicMessages, OpenAiChat, OpenAiResponses};
use dialects::{
    AssistantBlock, Completion, DecodeError, Dialect, Metered, ProviderErrorKind, StopReason,
    StreamDecoder, StreamEvent, ToolArguments, Usage, UsageMeter,
};
use proptest::prelude::*;
use serde_json::{Value, json};

macro_rules! golden {
    ($dialect:ident, $name:literal) => {
        ($dialect, include_bytes!(concat!("streams/", $name, ".sse")).as_slice())
    };
}

const GOLDENS: [(Dialect, &[u8]); 18] = [
    golden!(AnthropicMessages, "anthropic_text"),
    golden!(AnthropicMessages, "anthropic_tool_use"),
    golden!(AnthropicMessages, "anthropic_thinking"),
    golden!(AnthropicMessages, "anthropic_unknown"),
    golden!(AnthropicMessages, "anthropic_cut_tool_use"),
    golden!(AnthropicMessages, "anthropic_overloaded"),
    golden!(OpenAiChat, "openai_text"),
    golden!(OpenAiChat, "openai_reasoning"),
    golden!(OpenAiChat, "openai_tool_calls"),
    golden!(OpenAiChat, "openai_quirks"),
    golden!(OpenAiChat, "openai_error"),
    golden!(OpenAiResponses, "responses_text"),
    golden!(OpenAiResponses, "responses_reasoning"),
    golden!(OpenAiResponses, "responses_tool_calls"),
    golden!(OpenAiResponses, "responses_cut_tool_call"),
    golden!(OpenAiResponses, "responses_refusal"),
    golden!(OpenAiResponses, "responses_failed"),
    golden!(OpenAiResponses, "responses_quirks"),
];

/// Events and outcome; an error is compared by what it prints.
type Decoded = (Vec<StreamEvent>, Result<Completion, String>);

fn decode<'a>(dialect: Dialect, chunks: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
    let (events, outcome) = try_decode(dialect, chunks);
    (events, outcome.map_err(|error| format!("{error:?}")))
}

fn try_decode<'a>(
    dialect: Dialect,
    chunks: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<StreamEvent>, Result<Completion, DecodeError>) {
    let mut decoder = StreamDecoder::new(dialect);
    let mut events = Vec::new();
    for chunk in chunks {
        match decoder.feed(chunk) {
            Ok(more) => events.extend(more),
            Err(error) => return (events, Err(error)),
        }
    }
    (events, decoder.finish())
}

#[track_caller]
fn whole((dialect, stream): (Dialect, &[u8])) -> (Vec<StreamEvent>, Completion) {
    let (events, outcome) = try_decode(dialect, [stream]);
    (events, outcome.unwrap())
}

fn call(id: &str, name: &str, arguments: Value) -> AssistantBlock {
    let Value::Object(map) = arguments else { panic!("not an object") };
    let arguments = ToolArguments::Object(map);
    AssistantBlock::ToolCall { id: id.into(), name: name.into(), arguments }
}

fn text(text: &str) -> AssistantBlock {
    AssistantBlock::Text { text: text.into() }
}

fn text_delta(text: &str) -> StreamEvent {
    StreamEvent::TextDelta(text.into())
}

fn started(model: &str) -> StreamEvent {
    StreamEvent::Started { model: model.into() }
}

fn call_started(index: usize, id: &str, name: &str) -> StreamEvent {
    StreamEvent::ToolCallStarted { index, id: id.into(), name: name.into() }
}

fn usage(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Usage {
    Usage {
        input_tokens: input,
        output_tokens: output,
        cache_read_tokens: cache_read,
        cache_write_tokens: cache_write,
    }
}

#[test]
fn anthropic_text() {
    let (events, completion) = whole(golden!(AnthropicMessages, "anthropic_text"));
    let expected = [
        started("claude-opus-5"),
        StreamEvent::Usage(usage(12, 1, 2048, 310)),
        text_delta("Grüße, "),
        text_delta("🦀 crab"),
        text_delta("."),
        StreamEvent::Usage(usage(12, 9, 2048, 310)),
        StreamEvent::Finished,
    ];
    assert_eq!(events, expected);
    assert_eq!(
        completion,
        Completion {
            blocks: vec![text("Grüße, 🦀 crab.")],
            stop: StopReason::EndTurn,
            usage: usage(12, 9, 2048, 310),
            model: "claude-opus-5".into(),
        }
    );
    assert_eq!(completion.usage.total_input_tokens(), 2370);
}

#[test]
fn anthropic_tool_use() {
    let (events, completion) = whole(golden!(AnthropicMessages, "anthropic_tool_use"));
    assert!(events.contains(&call_started(0, "toolu_01A", "read")));
    assert!(events.contains(&call_started(1, "toolu_01B", "list_chats")));
    assert_eq!(
        completion.blocks,
        [
            text("Let me look."),
            call("toolu_01A", "read", json!({"path": "notes/ü.md", "limit": 20})),
            call("toolu_01B", "list_chats", json!({})),
        ]
    );
    assert_eq!(completion.stop, StopReason::ToolUse);
}

#[test]
fn anthropic_thinking() {
    let (events, completion) = whole(golden!(AnthropicMessages, "anthropic_thinking"));
    assert!(events.contains(&StreamEvent::ThinkingDelta("First, ".into())));
    assert_eq!(
        completion.blocks,
        [
            AssistantBlock::Thinking {
                text: "First, consider \"it\".\n".into(),
                signature: Some("EqQBCgIYAhIM+/==".into()),
            },
            AssistantBlock::RedactedThinking { data: "EmwKAhgBEgy3va3p/+==".into() },
            text("So: yes."),
        ]
    );
    assert_eq!(completion.usage, usage(14, 40, 5, 0));
}

#[test]
fn what_the_api_adds_is_skipped() {
    let (_, completion) = whole(golden!(AnthropicMessages, "anthropic_unknown"));
    assert_eq!(completion.blocks, [text("So: yes.")]);
}

#[test]
fn a_call_cut_by_the_output_limit_is_malformed() {
    for (golden, ids) in [
        (golden!(AnthropicMessages, "anthropic_cut_tool_use"), ["toolu_01A", "toolu_01C"]),
        (golden!(OpenAiResponses, "responses_cut_tool_call"), ["call_A", "call_C"]),
    ] {
        let (_, completion) = whole(golden);
        assert_eq!(completion.stop, StopReason::MaxTokens);
        assert_eq!(
            completion.blocks,
            [
                call(ids[0], "read", json!({"path": "a"})),
                AssistantBlock::ToolCall {
                    id: ids[1].into(),
                    name: "write".into(),
                    arguments: ToolArguments::Malformed(r#"{"path":"b","content":"half of"#.into()),
                },
            ]
        );
    }
}

#[test]
fn errors_inside_a_stream_are_the_providers() {
    for (golden, kind) in [
        (golden!(AnthropicMessages, "anthropic_overloaded"), ProviderErrorKind::Overloaded),
        (golden!(OpenAiChat, "openai_error"), ProviderErrorKind::Server),
        (golden!(OpenAiResponses, "responses_failed"), ProviderErrorKind::Server),
    ] {
        let (events, outcome) = try_decode(golden.0, [golden.1]);
        assert!(events.contains(&text_delta("Well")));
        let Err(DecodeError::Provider(error)) = outcome else { panic!("{outcome:?}") };
        assert_eq!(error.kind, kind);
        assert!(error.is_retryable());
    }
}

#[test]
fn openai_text() {
    let (events, completion) = whole(golden!(OpenAiChat, "openai_text"));
    let expected = [
        started("gpt-5.1"),
        text_delta("Grüße, "),
        text_delta("🦀 crab"),
        text_delta("."),
        StreamEvent::Usage(usage(322, 9, 2048, 0)),
        StreamEvent::Finished,
    ];
    assert_eq!(events, expected);
    assert_eq!(completion.blocks, [text("Grüße, 🦀 crab.")]);
    assert_eq!(completion.stop, StopReason::EndTurn);
    assert_eq!(completion.usage.total_input_tokens(), 2370);
}

#[test]
fn openai_tool_calls() {
    let (events, completion) = whole(golden!(OpenAiChat, "openai_tool_calls"));
    assert!(events.contains(&call_started(1, "call_B", "list_chats")));
    assert_eq!(
        completion.blocks,
        [
            text("Let me look."),
            call("call_A", "read", json!({"path": "notes/ü.md", "limit": 20})),
            call("call_B", "list_chats", json!({})),
        ]
    );
    assert_eq!(completion.stop, StopReason::ToolUse);
}

#[test]
fn openai_reasoning() {
    let (events, completion) = whole(golden!(OpenAiChat, "openai_reasoning"));
    assert!(events.contains(&StreamEvent::ThinkingDelta("First, ".into())));
    let thinking = "First, consider \"it\".\n".into();
    assert_eq!(
        completion.blocks,
        [AssistantBlock::Thinking { text: thinking, signature: None }, text("So: yes.")]
    );
    assert_eq!(completion.usage, usage(14, 40, 5, 0));
}

#[test]
fn openai_quirks() {
    let (events, completion) = whole(golden!(OpenAiChat, "openai_quirks"));
    assert!(!events.contains(&StreamEvent::Finished), "there is no [DONE] in it");
    assert_eq!(
        completion.blocks,
        [
            AssistantBlock::Thinking { text: "Hm, so.".into(), signature: None },
            call("call_gen-7_0", "read", json!({"path": "a"})),
            call("call_gen-7_1", "list_chats", json!({})),
            call("x", "write", json!({"path": "b"})),
        ]
    );
    assert_eq!(completion.stop, StopReason::ToolUse);
    assert_eq!(completion.model, "vendor/model");
}

#[test]
fn responses_text() {
    let (events, completion) = whole(golden!(OpenAiResponses, "responses_text"));
    let expected = [
        started("gpt-5.1-2025-11-13"),
        text_delta("Grüße, "),
        text_delta("🦀 crab"),
        text_delta("."),
        StreamEvent::Usage(usage(322, 9, 2048, 0)),
        StreamEvent::Finished,
    ];
    assert_eq!(events, expected);
    assert_eq!(completion.blocks, [text("Grüße, 🦀 crab.")]);
    assert_eq!(completion.stop, StopReason::EndTurn);
}

#[test]
fn responses_reasoning() {
    let (events, completion) = whole(golden!(OpenAiResponses, "responses_reasoning"));
    assert!(events.contains(&StreamEvent::ThinkingDelta("\n\nThen the other.".into())));
    let signature = r#"{"id":"rs_01","encrypted_content":"gAAAAAB+/==","parts":[22,15]}"#;
    let thinking = AssistantBlock::Thinking {
        text: "First, consider \"it\".\n\n\nThen the other.".into(),
        signature: Some(signature.into()),
    };
    assert_eq!(completion.blocks, [thinking, text("So: yes.")]);
    assert_eq!(completion.usage, usage(14, 40, 5, 0));
}

#[test]
fn responses_tool_calls() {
    let (events, completion) = whole(golden!(OpenAiResponses, "responses_tool_calls"));
    assert!(events.contains(&call_started(1, "call_B", "list_chats")));
    let signature = r#"{"id":"rs_02","encrypted_content":"gAAAAAC+/==","parts":[]}"#;
    assert_eq!(
        completion.blocks,
        [
            AssistantBlock::Thinking { text: String::new(), signature: Some(signature.into()) },
            text("Let me look."),
            call("call_A", "read", json!({"path": "notes/ü.md", "limit": 20})),
            call("call_B", "list_chats", json!({})),
        ]
    );
    assert_eq!(completion.stop, StopReason::ToolUse);
}

#[test]
fn responses_refusal() {
    let (events, completion) = whole(golden!(OpenAiResponses, "responses_refusal"));
    assert!(events.contains(&text_delta("I cannot ")));
    assert_eq!(completion.blocks, [text("I cannot help.")]);
    assert_eq!(completion.stop, StopReason::Refusal);
}

#[test]
fn responses_quirks() {
    let (events, completion) = whole(golden!(OpenAiResponses, "responses_quirks"));
    assert!(events.contains(&text_delta("Done.")), "no delta has said it");
    assert_eq!(
        completion.blocks,
        [
            AssistantBlock::Thinking { text: "Hm, so.".into(), signature: None },
            text("Done."),
            call("x", "read", json!({"path": "a"})),
        ]
    );
    assert_eq!(completion.usage, usage(10, 4, 0, 0));
    assert_eq!(completion.model, "vendor/model");
}

#[test]
fn the_meter_counts_what_the_decoder_counts() {
    for (dialect, stream) in GOLDENS {
        let (events, outcome) = try_decode(dialect, [stream]);
        let counted = events.iter().rev().find_map(|event| match event {
            StreamEvent::Usage(usage) => Some(*usage),
            _ => None,
        });
        let metered = metered(dialect, [stream]);
        assert_eq!(metered.usage, counted);
        assert_eq!(metered.cost_usd, None);
        if let Ok(completion) = outcome {
            assert!(metered.ended);
            assert_eq!(metered.model, Some(completion.model).filter(|model| !model.is_empty()));
        }
    }
}

fn metered<'a>(dialect: Dialect, chunks: impl IntoIterator<Item = &'a [u8]>) -> Metered {
    let mut meter = UsageMeter::new(dialect);
    chunks.into_iter().for_each(|chunk| meter.feed(chunk));
    meter.finish()
}

#[test]
fn a_stream_cut_anywhere_gives_no_answer() {
    for (dialect, stream) in GOLDENS {
        let (_, Ok(full)) = decode(dialect, [stream]) else { continue };
        for end in 0..stream.len() {
            let (_, outcome) = try_decode(dialect, [&stream[..end]]);
            match outcome {
                Err(DecodeError::EndedEarly { .. }) => {}
                // Only the line's end, the usage chunk or [DONE] are missing.
                Ok(cut) => {
                    assert_eq!(cut.blocks, full.blocks);
                    assert_eq!(cut.stop, full.stop);
                }
                Err(error) => panic!("cut at {end}: {error:?}"),
            }
        }
    }
}

#[test]
fn line_ends_and_a_byte_order_mark_do_not_matter() {
    for (dialect, stream) in GOLDENS {
        let lines = std::str::from_utf8(stream).unwrap();
        let windows = format!("\u{feff}{}", lines.replace('\n', "\r\n"));
        let bare: String = lines
            .lines()
            .filter(|line| !line.starts_with("event:"))
            .fold(String::new(), |all, line| all + line + "\r");
        let expected = decode(dialect, [stream]);
        assert_eq!(decode(dialect, [windows.as_bytes()]), expected);
        assert_eq!(decode(dialect, [bare.as_bytes()]), expected);
    }
}

#[test]
fn byte_by_byte_is_the_same() {
    for (dialect, stream) in GOLDENS {
        assert_eq!(decode(dialect, stream.chunks(1)), decode(dialect, [stream]));
    }
}

#[test]
fn what_follows_the_end_is_not_read() {
    let (dialect, stream) = golden!(AnthropicMessages, "anthropic_text");
    let chunks = [stream, b"data: {]\n\n"];
    assert_eq!(decode(dialect, chunks), decode(dialect, [stream]));
    assert_eq!(decode(dialect, [chunks.concat().as_slice()]), decode(dialect, [stream]));
}

fn split<'a>(stream: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
    cuts.extend([0, stream.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]).collect()
}

fn any_cuts() -> impl Strategy<Value = Vec<prop::sample::Index>> {
    proptest::collection::vec(any::<prop::sample::Index>(), 0..12)
}

proptest! {
    // A failure prints its input; there is no file of seeds beside an integration test.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn splits_do_not_matter(golden in prop::sample::select(&GOLDENS), cuts in any_cuts()) {
        let (dialect, stream) = golden;
        prop_assert_eq!(decode(dialect, split(stream, &cuts)), decode(dialect, [stream]));
        prop_assert_eq!(metered(dialect, split(stream, &cuts)), metered(dialect, [stream]));
    }

    #[test]
    fn mutated_streams_fail_alike_however_split(
        golden in prop::sample::select(&GOLDENS),
        edits in proptest::collection::vec(
            (any::<prop::sample::Index>(), proptest::option::of(any::<u8>())), 1..6),
        cuts in any_cuts(),
    ) {
        let (dialect, stream) = golden;
        let mut stream = stream.to_vec();
        for (place, byte) in edits {
            let place = place.index(stream.len());
            match byte {
                Some(byte) => stream[place] = byte,
                None => drop(stream.remove(place)),
            }
        }
        prop_assert_eq!(decode(dialect, split(&stream, &cuts)), decode(dialect, [stream.as_slice()]));
    }

    #[test]
    fn reordered_lines_fail_alike_however_split(
        golden in prop::sample::select(&GOLDENS),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let (dialect, stream) = golden;
        let lines: Vec<_> = stream.split(|byte| *byte == b'\n').collect();
        let shuffled: Vec<u8> = order
            .iter()
            .flat_map(|line| [lines[line.index(lines.len())], b"\n\n"].concat())
            .collect();
        prop_assert_eq!(decode(dialect, shuffled.chunks(7)), decode(dialect, [shuffled.as_slice()]));
    }

    #[test]
    fn garbage_fails_alike_however_split(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        for dialect in Dialect::ALL {
            prop_assert_eq!(decode(dialect, bytes.chunks(3)), decode(dialect, [bytes.as_slice()]));
        }
    }
}
