use proptest::prelude::*;

use super::*;

/// Everything that `chunks` bring, the unterminated rest included.
fn decode(chunks: &[&[u8]]) -> Result<Vec<String>, SseError> {
    let mut decoder = SseDecoder::default();
    let mut events = Vec::new();
    for chunk in chunks {
        let mut input = *chunk;
        while let Some(data) = decoder.next_event(&mut input)? {
            events.push(data);
        }
        assert!(input.is_empty(), "all the input is taken");
    }
    events.extend(decoder.take_unterminated()?);
    Ok(events.into_iter().map(|data| String::from_utf8(data).unwrap()).collect())
}

#[track_caller]
fn check(stream: &str, expected: &[&str]) {
    assert_eq!(decode(&[stream.as_bytes()]).unwrap(), expected);
}

#[test]
fn lines_end_in_any_of_three_ways() {
    check("data: a\n\ndata: b\n\n", &["a", "b"]);
    check("data: a\r\n\r\ndata: b\r\n\r\n", &["a", "b"]);
    check("data: a\r\rdata: b\r\r", &["a", "b"]);
    check("data: a\r\n\ndata: b\n\r", &["a", "b"]);
    check("data: a\r\ndata: b\r\n\r\n", &["a\nb"]);
}

#[test]
fn only_data_makes_an_event() {
    check(": hello\n\nevent: ping\nid: 3\nretry: 10\n\ndatum: x\n\ndatax\n\n", &[]);
    check("event: e\n: note\ndata: a\nid: 1\n\n", &["a"]);
    check("\n\n\n", &[]);
}

#[test]
fn data_lines_join_and_lose_one_space() {
    check("data: a\ndata:b\ndata:  c\n\n", &["a\nb\n c"]);
    check("data\n\n", &[""]);
    check("data:\ndata:\n\n", &["\n"]);
}

#[test]
fn a_byte_order_mark_is_skipped_once() {
    check("\u{feff}data: a\n\n\u{feff}data: b\n\n", &["a"]);
}

#[test]
fn the_last_event_may_lack_its_end() {
    check("data: a\n\ndata: b", &["a", "b"]);
    check("data: a\n\ndata: b\n", &["a", "b"]);
    check("data: a\n\nevent: b", &["a"]);
}

#[test]
fn a_line_is_bounded() {
    let line = format!("data: {}\n\n", "x".repeat(SSE_LINE_BYTES_MAX - "data: ".len()));
    assert_eq!(decode(&[line.as_bytes()]).unwrap().len(), 1);
    let line = format!("data: {line}");
    assert_eq!(decode(&[line.as_bytes()]), Err(SseError::LineTooLong));
    let endless = vec![b'x'; SSE_LINE_BYTES_MAX / 4];
    assert_eq!(decode(&[endless.as_slice(); 5]), Err(SseError::LineTooLong));
}

#[test]
fn an_event_of_many_lines_is_bounded() {
    let line = format!("data: {}\n", "x".repeat(SSE_EVENT_BYTES_MAX / 4));
    assert_eq!(decode(&[line.as_bytes(); 4]), Err(SseError::EventTooLong));
}

proptest! {
    #[test]
    fn splits_do_not_matter(
        lines in proptest::collection::vec(
            (r"(data: ?|data|event:|:|\u{feff}data:|)", "[a-zü🦀 :]{0,6}", r"(\n|\r|\r\n)"), 0..12),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let lines = lines.into_iter().flat_map(|(field, value, end)| [field, value, end]);
        let stream: String = lines.collect();
        let bytes = stream.as_bytes();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<_> = cuts.windows(2).map(|cut| &bytes[cut[0]..cut[1]]).collect();
        prop_assert_eq!(decode(&chunks), decode(&[bytes]));
    }
}
