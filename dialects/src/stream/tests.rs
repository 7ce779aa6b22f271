use super::*;
use crate::answer::StopReason;
use crate::conversation::{AssistantBlock, ToolArguments};
use crate::dialect::Dialect::{AnthropicMessages, OpenAiChat};

fn decode(dialect: Dialect, data: &[&str]) -> Result<Completion, DecodeError> {
    let mut decoder = StreamDecoder::new(dialect);
    for data in data {
        decoder.feed(format!("data: {data}\n\n").as_bytes())?;
    }
    decoder.finish()
}

#[track_caller]
fn broken_rule(dialect: Dialect, data: &[&str]) -> &'static str {
    match decode(dialect, data) {
        Err(DecodeError::Protocol { rule }) => rule,
        other => panic!("expected a broken rule, got {other:?}"),
    }
}

const TEXT_BLOCK: &str =
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const CALL_BLOCK: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t1","name":"read"}}"#;
const STOP_BLOCK: &str = r#"{"type":"content_block_stop","index":0}"#;
const TOOL_USE: &str = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"}}"#;
const END_TURN: &str = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
const MESSAGE_STOP: &str = r#"{"type":"message_stop"}"#;

#[test]
fn anthropic_blocks_follow_their_rules() {
    let text =
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"x"}}"#;
    let rule = |data: &[&str]| broken_rule(AnthropicMessages, data);
    assert_eq!(rule(&[text]), "a block must be started and not stopped");
    assert_eq!(rule(&[TEXT_BLOCK, STOP_BLOCK, text]), "a block must be started and not stopped");
    assert_eq!(rule(&[TEXT_BLOCK, TEXT_BLOCK]), "a block must start once");
    assert_eq!(rule(&[CALL_BLOCK, text]), "a delta must fit its block");
    assert_eq!(rule(&[CALL_BLOCK, TOOL_USE, MESSAGE_STOP]), "a tool call must be stopped");
    let nameless = CALL_BLOCK.replace("read", "");
    assert_eq!(rule(&[&nameless]), "a tool call must have an id and a name");
    let start = r#"{"type":"message_start","message":{"model":"m"}}"#;
    assert_eq!(rule(&[start, start]), "a message must start once");
}

#[test]
fn anthropic_end_needs_a_stop_reason() {
    let ended = decode(AnthropicMessages, &[TEXT_BLOCK, STOP_BLOCK, MESSAGE_STOP]);
    assert!(matches!(ended, Err(DecodeError::EndedEarly { events: 3 })), "{ended:?}");
}

#[test]
fn anthropic_says_why_it_declines() {
    let declined = r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","category":"cyber","explanation":"I cannot help with that."}}}"#;
    let mut decoder = StreamDecoder::new(AnthropicMessages);
    let events = decoder.feed(format!("data: {declined}\n\n").as_bytes()).unwrap();
    assert_eq!(events, [StreamEvent::TextDelta("I cannot help with that.".into())]);
    let completion = decode(AnthropicMessages, &[declined, MESSAGE_STOP]).unwrap();
    assert_eq!(completion.stop, StopReason::Refusal);
    assert_eq!(
        completion.blocks,
        [AssistantBlock::Text { text: "I cannot help with that.".into() }]
    );
    let silent = declined.replace("\"I cannot help with that.\"", "null");
    assert_eq!(decode(AnthropicMessages, &[&silent, MESSAGE_STOP]).unwrap().blocks, []);
}

#[test]
fn anthropic_input_may_come_with_the_start_of_a_call() {
    let call = CALL_BLOCK.replace(r#""name":"read""#, r#""name":"read","input":{"path":"a"}"#);
    let data = [&call, STOP_BLOCK, TOOL_USE, MESSAGE_STOP];
    let completion = decode(AnthropicMessages, &data).unwrap();
    let [AssistantBlock::ToolCall { arguments: ToolArguments::Object(map), .. }] =
        completion.blocks.as_slice()
    else {
        panic!("{completion:?}");
    };
    assert_eq!(map["path"], "a");
}

#[test]
fn tool_calls_decide_between_end_and_tool_use() {
    let stop = |data: &[&str]| decode(AnthropicMessages, data).unwrap().stop;
    assert_eq!(stop(&[CALL_BLOCK, STOP_BLOCK, END_TURN, MESSAGE_STOP]), StopReason::ToolUse);
    assert_eq!(stop(&[TEXT_BLOCK, STOP_BLOCK, TOOL_USE, MESSAGE_STOP]), StopReason::EndTurn);
}

#[test]
fn every_stop_reason_has_its_name() {
    for (name, stop) in [
        ("end_turn", StopReason::EndTurn),
        ("max_tokens", StopReason::MaxTokens),
        ("stop_sequence", StopReason::StopSequence),
        ("pause_turn", StopReason::PauseTurn),
        ("refusal", StopReason::Refusal),
        ("model_context_window_exceeded", StopReason::ContextWindowExceeded),
        ("tired", StopReason::Other("tired".into())),
    ] {
        let delta = END_TURN.replace("end_turn", name);
        assert_eq!(decode(AnthropicMessages, &[&delta, MESSAGE_STOP]).unwrap().stop, stop);
    }
    for (name, stop) in [
        ("stop", StopReason::EndTurn),
        ("length", StopReason::MaxTokens),
        ("content_filter", StopReason::ContentFilter),
        ("function_call", StopReason::EndTurn),
        ("tired", StopReason::Other("tired".into())),
    ] {
        let chunk = format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{name}"}}]}}"#);
        assert_eq!(decode(OpenAiChat, &[&chunk, "[DONE]"]).unwrap().stop, stop);
    }
}

#[test]
fn openai_done_without_a_finish_reason_is_no_end() {
    let chunk = r#"{"choices":[{"delta":{"content":"Hel"}}]}"#;
    let ended = decode(OpenAiChat, &[chunk, "[DONE]"]);
    assert!(matches!(ended, Err(DecodeError::EndedEarly { events: 2 })), "{ended:?}");
    let mut decoder = StreamDecoder::new(OpenAiChat);
    assert_eq!(decoder.feed(b"data: [DONE]\n\n").unwrap(), []);
    assert!(decoder.is_over());
}

#[test]
fn a_call_cut_before_its_arguments_is_not_a_call_without_arguments() {
    let max_tokens = END_TURN.replace("end_turn", "max_tokens");
    let anthropic =
        decode(AnthropicMessages, &[CALL_BLOCK, STOP_BLOCK, &max_tokens, MESSAGE_STOP]).unwrap();
    let call = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"t1","function":{"name":"read"}}]},"finish_reason":"length"}]}"#;
    let openai = decode(OpenAiChat, &[call, "[DONE]"]).unwrap();
    for completion in [anthropic, openai] {
        assert_eq!(completion.stop, StopReason::MaxTokens);
        let arguments = ToolArguments::Malformed(String::new());
        let (id, name) = ("t1".into(), "read".into());
        assert_eq!(completion.blocks, [AssistantBlock::ToolCall { id, name, arguments }]);
    }
}

fn openai_calls(chunks: &[&str]) -> Vec<(String, String, ToolArguments)> {
    let chunk = |calls: &&str| {
        format!(r#"{{"id":"c9","choices":[{{"index":0,"delta":{{"tool_calls":[{calls}]}}}}]}}"#)
    };
    let mut data: Vec<_> = chunks.iter().map(chunk).collect();
    data.push(r#"{"choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.into());
    let data: Vec<_> = data.iter().map(String::as_str).collect();
    let completion = decode(OpenAiChat, &data).unwrap();
    let call = |block| match block {
        AssistantBlock::ToolCall { id, name, arguments } => (id, name, arguments),
        other => panic!("{other:?}"),
    };
    completion.blocks.into_iter().map(call).collect()
}

#[test]
fn openai_calls_that_share_an_index_are_told_apart_by_id() {
    let calls = openai_calls(&[
        r#"{"index":0,"id":"a","function":{"name":"read","arguments":"{}"}}"#,
        r#"{"index":0,"id":"b","function":{"name":"read","arguments":"{}"}}"#,
    ]);
    assert_eq!(calls.iter().map(|call| call.0.as_str()).collect::<Vec<_>>(), ["a", "b"]);
}

#[test]
fn openai_repeated_ids_and_names_do_not_split_a_call() {
    let calls = openai_calls(&[
        r#"{"index":0,"id":"a","function":{"name":"read","arguments":"{\"p\""}}"#,
        r#"{"index":0,"id":"a","function":{"name":"read","arguments":":1}"}}"#,
        r#"{"id":"a","function":{"arguments":" "}}"#,
    ]);
    assert_eq!(calls.len(), 1);
    assert!(matches!(&calls[0].2, ToolArguments::Object(map) if map["p"] == 1));
}

#[test]
fn openai_interleaved_calls_are_sorted_by_index() {
    let calls = openai_calls(&[
        r#"{"index":0,"id":"a","function":{"name":"x","arguments":"{\"n\""}},{"index":1,"id":"b","function":{"name":"y","arguments":"{"}}"#,
        r#"{"index":1,"function":{"arguments":"\"m\":2}"}},{"index":0,"function":{"arguments":":1}"}}"#,
    ]);
    assert!(matches!(&calls[0].2, ToolArguments::Object(map) if map["n"] == 1));
    assert!(matches!(&calls[1].2, ToolArguments::Object(map) if map["m"] == 2));
}

#[test]
fn openai_duplicate_ids_are_replaced() {
    let calls = openai_calls(&[
        r#"{"index":0,"id":"a","function":{"name":"x"}}"#,
        r#"{"index":1,"id":"a","function":{"name":"y"}}"#,
    ]);
    assert_eq!((calls[0].0.as_str(), calls[1].0.as_str()), ("a", "call_c9_1"));
}

#[test]
fn openai_call_without_a_name_is_refused() {
    let call = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    assert_eq!(broken_rule(OpenAiChat, &[call]), "a tool call must have a name");
}

#[test]
fn openai_content_may_be_parts_and_a_refusal_is_said() {
    let data = [
        r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}}]}"#,
        r#"{"choices":[{"delta":{"refusal":"No."},"finish_reason":"stop"}]}"#,
    ];
    let completion = decode(OpenAiChat, &data).unwrap();
    assert_eq!(completion.stop, StopReason::Refusal);
    assert_eq!(completion.blocks, [AssistantBlock::Text { text: "abNo.".into() }]);
}

#[test]
fn gemini_signs_its_calls() {
    let call = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"x","arguments":"{}"},"extra_content":{"google":{"thought_signature":"Cg+/="}}},{"index":1,"id":"b","function":{"name":"y","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#;
    let blocks = decode(OpenAiChat, &[call]).unwrap().blocks;
    let signature = Some(r#"{"thought_signature":"Cg+/="}"#.to_owned());
    assert_eq!(blocks.len(), 3);
    assert_eq!(blocks[0], AssistantBlock::Thinking { text: String::new(), signature });
    assert!(matches!(&blocks[1], AssistantBlock::ToolCall { id, .. } if id == "a"));
}

#[test]
fn openai_thinking_may_be_parts_of_the_content() {
    let data = [
        r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}}]}"#,
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
    ];
    let thinking = AssistantBlock::Thinking { text: "hm".into(), signature: None };
    let text = AssistantBlock::Text { text: "a".into() };
    assert_eq!(decode(OpenAiChat, &data).unwrap().blocks, [thinking, text]);
}

#[test]
fn openai_other_choices_are_not_read() {
    let data = [
        r#"{"choices":[{"index":1,"delta":{"content":"other"}}]}"#,
        r#"{"choices":[{"index":1,"delta":{"content":"other"}},{"index":0,"delta":{"content":"mine"},"finish_reason":"stop"}]}"#,
    ];
    let completion = decode(OpenAiChat, &data).unwrap();
    assert_eq!(completion.blocks, [AssistantBlock::Text { text: "mine".into() }]);
}

#[test]
fn counts_of_blocks_and_calls_are_bounded() {
    let mut decoder = StreamDecoder::new(AnthropicMessages);
    let refused = (0..=crate::limits::BLOCKS_MAX).find_map(|index| {
        let block = TEXT_BLOCK.replace("\"index\":0", &format!("\"index\":{index}"));
        decoder.feed(format!("data: {block}\n\n").as_bytes()).err()
    });
    assert!(matches!(refused, Some(DecodeError::TooManyBlocks)), "{refused:?}");

    let mut decoder = StreamDecoder::new(OpenAiChat);
    let refused = (0..=crate::limits::TOOL_CALLS_MAX).find_map(|index| {
        let call = format!(r#"{{"index":{index},"id":"{index}","function":{{"name":"x"}}}}"#);
        let chunk = format!(r#"{{"choices":[{{"delta":{{"tool_calls":[{call}]}}}}]}}"#);
        decoder.feed(format!("data: {chunk}\n\n").as_bytes()).err()
    });
    assert!(matches!(refused, Some(DecodeError::TooManyToolCalls)), "{refused:?}");
}

#[test]
fn a_stream_is_bounded() {
    let mut decoder = StreamDecoder::new(OpenAiChat);
    let comment = format!(":{}\n", "x".repeat((1 << 20) - 2));
    for _ in 0..STREAM_BYTES_MAX / comment.len() {
        assert_eq!(decoder.feed(comment.as_bytes()).unwrap(), []);
    }
    assert!(matches!(decoder.feed(b":"), Err(DecodeError::StreamTooLong)));
}

#[test]
fn events_before_an_error_in_the_same_bytes_are_given_first() {
    let bytes = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}]}\n\ndata: {]\n\n";
    let mut decoder = StreamDecoder::new(OpenAiChat);
    let events = decoder.feed(bytes).unwrap();
    assert!(events.contains(&StreamEvent::TextDelta("a".into())));
    assert!(decoder.is_over());
    assert!(matches!(decoder.feed(b""), Err(DecodeError::Json(_))));
    assert!(matches!(decoder.feed(b""), Err(DecodeError::AlreadyFailed)));
    assert!(matches!(decoder.finish(), Err(DecodeError::AlreadyFailed)));
}
