use protocol::session::{
    AssistantMessage, Block, Item, Record, Stop, ToolArguments, Usage, UserMessage,
};
use protocol::{Problem, ProblemCode, TurnId};

use super::*;

fn turn(name: &str) -> TurnId {
    name.parse().unwrap()
}

fn record(of: &str, item: Item) -> ServerFrame {
    ServerFrame::Record { record: Record { sequence: 1, at_ms: 0, turn: turn(of), item } }
}

fn asked(of: &str, event: &str) -> ServerFrame {
    let message = UserMessage { channel: "web".into(), event: event.into(), text: "hi".into() };
    record(of, Item::User(message))
}

fn answered(of: &str, blocks: Vec<Block>) -> ServerFrame {
    let (model, usage) = ("demo/x".into(), Usage::default());
    record(
        of,
        Item::Assistant(AssistantMessage {
            blocks,
            stop: Stop::EndTurn,
            model,
            usage,
            instead_of: None,
        }),
    )
}

fn text(text: &str) -> Block {
    Block::Text { text: text.into() }
}

fn streamed(of: &str, piece: &str) -> ServerFrame {
    ServerFrame::Text { turn: turn(of), text: piece.into() }
}

fn ended(of: &str) -> ServerFrame {
    let timing = TurnTiming::default();
    ServerFrame::Ended { turn: turn(of), outcome: Outcome::Completed, timing }
}

fn heard(exchange: &mut Exchange, frames: Vec<ServerFrame>) -> Vec<Heard> {
    frames.into_iter().flat_map(|frame| exchange.hear(frame)).collect()
}

fn end() -> Heard {
    Heard::Ended { outcome: Outcome::Completed, timing: TurnTiming::default() }
}

#[test]
fn streamed_text_is_heard_once() {
    let mut exchange = Exchange::new("m".into());
    let frames = vec![
        asked("t", "m"),
        streamed("t", "Hel"),
        streamed("t", "lo"),
        answered("t", vec![text("Hello")]),
        ended("t"),
    ];
    let expected = [Heard::Text("Hel".into()), Heard::Text("lo".into()), end()];
    assert_eq!(heard(&mut exchange, frames), expected);
    assert_eq!(exchange.into_text(), "Hello");
}

#[test]
fn a_command_was_waited_for_as_if_it_were_a_message() {
    let mut exchange = Exchange::new("m".into());
    let notice = |id: &str, text: &str| ServerFrame::Notice { id: id.into(), text: text.into() };
    let frames = vec![notice("other", "not ours"), notice("m", "asleep")];
    assert_eq!(heard(&mut exchange, frames), [Heard::Text("asleep".into()), end()]);
    assert_eq!(exchange.into_text(), "asleep");
}

#[test]
fn text_that_was_not_streamed_comes_from_the_record() {
    let mut exchange = Exchange::new("m".into());
    let call = Block::ToolCall {
        call: "c".parse().unwrap(),
        name: "bash".into(),
        arguments: ToolArguments::Object(serde_json::Map::new()),
    };
    let frames = vec![
        asked("t", "m"),
        streamed("t", "I look."),
        answered("t", vec![text("I look."), call]),
        answered("t", vec![text("Found.")]),
        ended("t"),
    ];
    let all = heard(&mut exchange, frames);
    assert_eq!(all.first(), Some(&Heard::Text("I look.".into())));
    assert!(matches!(&all[1], Heard::Aside(line) if line.contains("bash")));
    assert_eq!(all[2..], [Heard::Text("\n\nFound.".into()), end()]);
    assert_eq!(exchange.into_text(), "I look.\n\nFound.");
}

#[test]
fn other_turns_are_not_heard() {
    let mut exchange = Exchange::new("m".into());
    let frames = vec![
        asked("old", "x"),
        streamed("old", "noise"),
        answered("old", vec![text("noise")]),
        ended("old"),
        asked("t", "m"),
        ended("old"),
        ended("t"),
    ];
    assert_eq!(heard(&mut exchange, frames), [end()]);
}

#[test]
fn a_refusal_is_ours_by_its_id() {
    let mut exchange = Exchange::new("m".into());
    let problem = Problem::new(ProblemCode::TooLarge, "Too long.");
    let rejected = |id: &str| ServerFrame::Rejected { id: id.into(), problem: problem.clone() };
    assert_eq!(heard(&mut exchange, vec![rejected("x")]), []);
    assert_eq!(heard(&mut exchange, vec![rejected("m")]), [Heard::Refused(problem.clone())]);
}

#[test]
fn message_ids_are_identifiers_and_differ() {
    assert_ne!(message_id(1), message_id(2));
    assert!(message_id(1).parse::<protocol::CallId>().is_ok());
}
