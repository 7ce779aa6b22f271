//! The outbox over a plain SQLite: one answer per chat, in order, never sent twice without a label.

use protocol::session::{AssistantMessage, Block, Item, Outcome, Stop, Usage, UserMessage};
use protocol::version::PROTOCOL_VERSION;
use protocol::{Problem, ProblemCode, SessionId, TurnId};

use super::inbox::{self, Origin};
use super::memory::Memory;
use super::outbox::{self, Outgoing};
use super::{log, turns};
use crate::agent::outbox::Next;

fn session() -> SessionId {
    "hook:ci".parse().unwrap()
}

fn hear(sql: &Memory, channel: &str, event: &str, reply: Option<(&str, &str)>) {
    let message =
        UserMessage { channel: channel.into(), event: event.into(), text: "hello".into() };
    let chat = if channel == "hook" { "hook:ci" } else { "" };
    let origin = Origin { chat, sender: "", reply };
    inbox::accept(sql, &session(), &message, origin, 1).unwrap();
}

fn says(text: &str) -> Item {
    let blocks = vec![Block::Text { text: text.into() }];
    let (stop, usage) = (Stop::EndTurn, Usage::default());
    Item::Assistant(AssistantMessage { blocks, stop, model: "m".into(), usage, instead_of: None })
}

fn works(text: &str) -> Item {
    let Item::Assistant(message) = says(text) else { unreachable!() };
    Item::Assistant(AssistantMessage { stop: Stop::ToolUse, ..message })
}

fn run(sql: &Memory, name: &str, items: Vec<Item>, outcome: Outcome) {
    turns::begin(sql, &session(), &name.parse().unwrap(), 2).unwrap().unwrap();
    finish(sql, name, items, outcome);
}

fn finish(sql: &Memory, name: &str, mut items: Vec<Item>, outcome: Outcome) {
    let turn: TurnId = name.parse().unwrap();
    items.push(Item::TurnEnded { outcome });
    let expected = log::head(sql, &session()).unwrap();
    let append = protocol::edge::Append { protocol: PROTOCOL_VERSION, turn, expected, items };
    assert!(matches!(log::append(sql, &session(), &append, 3).unwrap(), log::Appended::At(_)));
}

fn due(sql: &Memory) -> Vec<Outgoing> {
    outbox::due(sql, "web", 10).unwrap()
}

#[test]
fn an_answer_goes_to_every_chat_that_asked_and_to_no_other() {
    let sql = Memory::new();
    hear(&sql, "hook", "a", None);
    hear(&sql, "hook", "b", None);
    hear(&sql, "web", "c", None);
    hear(&sql, "schedule", "d", Some(("hook", "hook:other")));
    hear(&sql, "hook", "e", Some((inbox::NOWHERE, "")));
    run(&sql, "t", vec![works("working"), says("the answer")], Outcome::Completed);
    let chats: Vec<(String, String)> =
        due(&sql).into_iter().map(|row| (row.chat, row.text)).collect();
    let answer = || "the answer".to_owned();
    assert_eq!(chats, [("hook:ci".to_owned(), answer()), ("hook:other".to_owned(), answer())]);
    let pages = outbox::open(&sql, "web", &session()).unwrap();
    assert_eq!(pages.len(), 1);
    outbox::received(&sql, &pages[0].key, 9).unwrap();
    assert!(outbox::open(&sql, "web", &session()).unwrap().is_empty());
}

#[test]
fn an_answer_before_a_late_message_was_told_to_nobody() {
    let sql = Memory::new();
    hear(&sql, "hook", "a", None);
    turns::begin(&sql, &session(), &"t".parse().unwrap(), 2).unwrap().unwrap();
    hear(&sql, "hook", "b", None);
    hear(&sql, "hook", "c", None);
    let late = UserMessage { channel: "hook".into(), event: "b".into(), text: "hello".into() };
    let items = vec![
        works("looking"),
        says("the first answer"),
        Item::User(late.clone()),
        works("looking again"),
        Item::User(UserMessage { event: "c".into(), ..late }),
        says("the second answer"),
    ];
    finish(&sql, "t", items, Outcome::Completed);
    assert_eq!(due(&sql)[0].text, "the first answer\n\nthe second answer");
}

#[test]
fn an_answer_that_was_cut_or_came_from_another_model_says_so() {
    let sql = Memory::new();
    let answer = |text: &str| {
        let Item::Assistant(message) = says(text) else { unreachable!() };
        let (model, instead_of) = ("b/y".into(), Some("a/x".into()));
        AssistantMessage { model, instead_of, ..message }
    };
    hear(&sql, "hook", "a", None);
    let cut = AssistantMessage { stop: Stop::MaxTokens, ..answer("a long st") };
    run(&sql, "t1", vec![Item::Assistant(cut)], Outcome::Completed);
    hear(&sql, "schedule", "b", Some(("hook", "hook:ci")));
    let quiet = Item::Assistant(answer("HEARTBEAT_OK"));
    run(&sql, "t2", vec![quiet], Outcome::Completed);
    let texts: Vec<String> = due(&sql).into_iter().map(|row| row.text).collect();
    assert_eq!(
        texts,
        ["a long st\n\n(Cut at the output limit; say \"go on\".)\n\
          (Answered by b/y; a/x did not answer.)"]
    );
}

#[test]
fn a_failed_turn_says_why_and_a_quiet_one_nothing() {
    let sql = Memory::new();
    hear(&sql, "hook", "a", None);
    let problem = Problem::new(ProblemCode::ModelUnavailable, "No model.");
    run(&sql, "t1", vec![], Outcome::Failed { problem });
    hear(&sql, "schedule", "b", Some(("hook", "hook:ci")));
    run(&sql, "t2", vec![says("HEARTBEAT_OK\n")], Outcome::Completed);
    let texts: Vec<String> = due(&sql).into_iter().map(|row| row.text).collect();
    assert_eq!(texts, ["No model."]);
    // A person who gets that very word as an answer hears it.
    hear(&sql, "hook", "c", None);
    run(&sql, "t3", vec![says("HEARTBEAT_OK")], Outcome::Completed);
    outbox::settle(&sql, due(&sql)[0].id, &Next::Sent, 9).unwrap();
    assert_eq!(due(&sql)[0].text, "HEARTBEAT_OK");
}

#[test]
fn a_chat_keeps_its_order_and_holds_up_no_other() {
    let sql = Memory::new();
    for (event, turn) in [("a", "t1"), ("b", "t2")] {
        hear(&sql, "hook", event, None);
        run(&sql, turn, vec![says(turn)], Outcome::Completed);
    }
    hear(&sql, "schedule", "c", Some(("hook", "hook:other")));
    run(&sql, "t3", vec![says("t3")], Outcome::Completed);
    let texts = |sql: &Memory| due(sql).into_iter().map(|row| row.text).collect::<Vec<_>>();
    assert_eq!(texts(&sql), ["t1", "t3"]);
    let first = due(&sql)[0].id;
    outbox::begin(&sql, first, 99).unwrap();
    assert_eq!(texts(&sql), ["t3"]);
    let retry = Next::Retry { at_ms: 500, uncertain: false, why: "busy".into() };
    outbox::settle(&sql, first, &retry, 9).unwrap();
    assert_eq!(texts(&sql), ["t3"]);
    assert_eq!(outbox::next_due_ms(&sql, "web", 10).unwrap(), Some(3));
    outbox::settle(&sql, first, &Next::Park { why: "gone".into() }, 9).unwrap();
    assert_eq!(texts(&sql), ["t2", "t3"]);
    assert_eq!(outbox::parked(&sql).unwrap(), 1);
}

#[test]
fn what_may_have_arrived_is_labelled_ever_after() {
    let sql = Memory::new();
    hear(&sql, "hook", "a", None);
    run(&sql, "t", vec![says("x")], Outcome::Completed);
    outbox::begin(&sql, due(&sql)[0].id, 99).unwrap();
    assert_eq!(outbox::next_due_ms(&sql, "web", 10).unwrap(), Some(99), "nobody would look again");
    // The object ends here, and another one begins.
    outbox::recover(&sql).unwrap();
    assert!(due(&sql)[0].uncertain);
    let row = due(&sql)[0].id;
    outbox::begin(&sql, row, 99).unwrap();
    assert!(due(&sql).is_empty(), "it is being sent");
    let retry = Next::Retry { at_ms: 4, uncertain: false, why: "busy".into() };
    outbox::settle(&sql, row, &retry, 9).unwrap();
    assert!(due(&sql)[0].uncertain, "a later certain failure does not take the label away");
}

#[test]
fn an_alarm_does_not_ring_for_what_waits_for_a_place() {
    let sql = Memory::new();
    assert_eq!(outbox::try_over_ms(&sql).unwrap(), None);
    hear(&sql, "hook", "a", None);
    run(&sql, "t1", vec![says("sent")], Outcome::Completed);
    hear(&sql, "schedule", "b", Some(("hook", "hook:other")));
    run(&sql, "t2", vec![says("waits")], Outcome::Completed);
    outbox::begin(&sql, due(&sql)[0].id, 99).unwrap();
    assert_eq!(outbox::next_due_ms(&sql, "web", 10).unwrap(), Some(3), "it could be sent at once");
    assert_eq!(outbox::try_over_ms(&sql).unwrap(), Some(99), "when there were a place");
}

#[test]
fn an_answer_of_a_clock_that_ran_ahead_waited_for_hours() {
    let sql = Memory::new();
    hear(&sql, "hook", "a", None);
    run(&sql, "t", vec![says("x")], Outcome::Completed);
    let row = due(&sql)[0].id;
    outbox::begin(&sql, row, 99).unwrap();
    let retry = Next::Retry { at_ms: 5_000, uncertain: false, why: "busy".into() };
    outbox::settle(&sql, row, &retry, 4_000).unwrap();
    let next_ms = |now_ms| outbox::next_due_ms(&sql, "web", now_ms).unwrap();
    assert_eq!(next_ms(4_000), Some(5_000));
    // The clock is set right.
    assert_eq!((next_ms(10), due(&sql).len()), (Some(0), 1));
    outbox::begin(&sql, row, 99).unwrap();
    assert_eq!(next_ms(10), Some(99), "it is being sent");
    outbox::settle(&sql, row, &Next::Retry { at_ms: 50, uncertain: false, why: "busy".into() }, 10)
        .unwrap();
    assert_eq!((next_ms(10), due(&sql).len()), (Some(50), 0), "it is tried without a pause");
}
