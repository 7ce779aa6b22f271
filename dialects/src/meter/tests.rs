use proptest::prelude::*;

use super::*;
use crate::dialect::Dialect::{AnthropicMessages, OpenAiChat, OpenAiResponses};
use crate::limits::{METERED_NAME_BYTES_MAX, METERED_USAGE_BYTES_MAX};

fn metered(dialect: Dialect, pieces: &[&[u8]]) -> Metered {
    let mut meter = UsageMeter::new(dialect);
    for piece in pieces {
        meter.feed(piece);
        assert!(meter.scanner.held_bytes() <= METERED_USAGE_BYTES_MAX + METERED_NAME_BYTES_MAX + 1);
    }
    meter.finish()
}

fn whole(dialect: Dialect, body: &str) -> Metered {
    metered(dialect, &[body.as_bytes()])
}

fn tokens(input: u64, output: u64) -> Usage {
    Usage { input_tokens: input, output_tokens: output, ..Usage::default() }
}

#[test]
fn a_plain_json_answer_is_counted_too() {
    let body = r#"{
  "id": "gen-1", "model": "vendor/m\u00fcller",
  "choices": [ { "index": 0, "finish_reason": "stop", "message": { "content": "\"usage\":{" } } ],
  "usage": { "prompt_tokens": 12, "completion_tokens": 3, "cost": 0.00021 }
}"#;
    let expected = Metered {
        usage: Some(tokens(12, 3)),
        model: Some("vendor/müller".into()),
        cost_usd: Some(0.000_21),
        ended: true,
    };
    assert_eq!(whole(OpenAiChat, body), expected);

    let body = r#"{"type":"message","model":"m","stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#;
    let expected =
        Metered { model: Some("m".into()), cost_usd: None, usage: Some(tokens(1, 2)), ended: true };
    assert_eq!(whole(AnthropicMessages, body), expected);

    let body = r#"{"object":"response","status":"completed","model":"m","usage":{"input_tokens":1,"output_tokens":2}}"#;
    assert_eq!(whole(OpenAiResponses, body), expected);
}

#[test]
fn what_others_put_into_an_answer_is_not_counted() {
    for (dialect, body) in [
        (
            AnthropicMessages,
            r#"{"content":[{"type":"tool_use","input":{"usage":{"output_tokens":9}}}]}"#,
        ),
        (
            AnthropicMessages,
            r#"{"type":"content_block_start","content_block":{"input":{"usage":{"output_tokens":9}}}}"#,
        ),
        (
            OpenAiResponses,
            r#"{"response":{"tools":[{"parameters":{"usage":{"input_tokens":9}}}]}}"#,
        ),
        (OpenAiResponses, r#"{"response":{"metadata":{"usage":{"input_tokens":9}}}}"#),
        (OpenAiChat, r#"{"choices":[{"delta":{"content":"{\"usage\":{\"prompt_tokens\":9}}"}}]}"#),
        (OpenAiChat, r#"{"usage":{"type":"object"}}"#),
        (OpenAiChat, r#"["usage",{"prompt_tokens":9}]"#),
    ] {
        assert_eq!(whole(dialect, body), Metered::default(), "{body}");
    }
}

#[test]
fn each_dialect_takes_its_reports_together_in_its_way() {
    let report = |usage: &str| format!("data: {{\"usage\":{usage}}}\n\n");
    let anthropic = [
        report(r#"{"input_tokens":7,"output_tokens":1}"#),
        report(r#"{"input_tokens":0,"output_tokens":5}"#),
    ];
    assert_eq!(whole(AnthropicMessages, &anthropic.concat()).usage, Some(tokens(7, 5)));
    let chat = [
        report(r#"{"prompt_tokens":9,"completion_tokens":1}"#),
        report(
            r#"{"prompt_tokens":9,"completion_tokens":2,"prompt_tokens_details":{"cached_tokens":8}}"#,
        ),
    ];
    let usage = whole(OpenAiChat, &chat.concat()).usage.unwrap();
    assert_eq!((usage.input_tokens, usage.cache_read_tokens, usage.output_tokens), (1, 8, 2));
}

#[test]
fn a_report_beyond_the_bound_is_left_out_and_the_next_is_read() {
    let long = "x".repeat(METERED_USAGE_BYTES_MAX);
    let body = format!(
        "data: {{\"usage\":{{\"prompt_tokens\":1,\"x\":\"{long}\"}}}}\n\ndata: {{\"usage\":{{\"prompt_tokens\":2}}}}\n\n"
    );
    assert_eq!(whole(OpenAiChat, &body).usage, Some(tokens(2, 0)));
    let body = format!("{{\"model\":\"{}\"}}", &long[..=METERED_NAME_BYTES_MAX]);
    assert_eq!(whole(OpenAiChat, &body).model, None);
}

#[test]
fn a_broken_event_does_not_spoil_the_next() {
    for broken in
        ["data: {{{[[\"a\":", "data: {\"choices\":[{\"text\":\"cut", "data: {\"usage\":{\"x\":"]
    {
        let body = format!("{broken}\n\ndata: {{\"usage\":{{\"prompt_tokens\":2}}}}\n\n");
        assert_eq!(whole(OpenAiChat, &body).usage, Some(tokens(2, 0)), "{broken}");
    }
}

#[test]
fn it_can_be_looked_at_on_the_way() {
    let mut meter = UsageMeter::new(AnthropicMessages);
    meter.feed(br#"data: {"message":{"model":"m","usage":{"input_tokens":3}"#);
    assert_eq!(meter.metered().usage, Some(tokens(3, 0)));
    assert!(!meter.metered().ended);
    meter.feed(b"}}\n\ndata: {\"type\":\"message_stop\"}\n\n");
    assert!(meter.metered().ended);
}

fn any_token() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            " ",
            "\n",
            "\n\n",
            "\r",
            "\"",
            "\\",
            "data: ",
            "\"usage\":{",
            "\"prompt_tokens\":7",
            "\"input_tokens\":7",
            "\"model\":\"m\"",
            "\"type\":\"message_stop\"",
            "\"finish_reason\":\"stop\"",
            "\"status\":\"completed\"",
            "1",
            "null",
            "\"x\":",
        ])
        .prop_map(|token| token.as_bytes().to_vec()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #[test]
    fn splits_do_not_matter(
        tokens in proptest::collection::vec(any_token(), 0..40),
        chunk_bytes in 1_usize..9,
    ) {
        let body = tokens.concat();
        for dialect in Dialect::ALL {
            let pieces: Vec<_> = body.chunks(chunk_bytes).collect();
            prop_assert_eq!(metered(dialect, &pieces), metered(dialect, &[&body]));
        }
    }
}
