//! The books over a plain SQLite: accepted once, logged in order, ended once, and nothing lost when
//! a statement in the middle fails.

use proptest::prelude::*;
use protocol::edge::Append;
use protocol::session::{Item, Outcome, ToolFinished, ToolStatus, UserMessage};
use protocol::version::PROTOCOL_VERSION;
use protocol::workspace::{Expected, FileName};
use protocol::{Epoch, SessionId, TurnId};

use super::inbox::{self, Accepted, Origin, sessions_to_run, waiting};
use super::log::{Appended, append, head, read};
use super::memory::Memory;
use super::turns::{
    Attempts, ask_stop, begin, count_attempt, give_up, is_running, running_in, stop_asked,
};
use super::{identity, lifecycle, schema, workspace};
use crate::agent::lifecycle::Lifecycle;
use crate::limits::WAITING_MESSAGES_MAX;
use crate::ports::{Sql, SqlError};

fn accept(
    sql: &dyn Sql,
    session: &SessionId,
    message: &UserMessage,
    now_ms: u64,
) -> Result<Accepted, SqlError> {
    inbox::accept(sql, session, message, Origin::default(), now_ms)
}

fn session() -> SessionId {
    "web".parse().unwrap()
}

fn turn(name: &str) -> TurnId {
    name.parse().unwrap()
}

fn message(event: &str) -> UserMessage {
    UserMessage { channel: "web".into(), event: event.into(), text: format!("text of {event}") }
}

fn ended() -> Item {
    Item::TurnEnded { outcome: Outcome::Completed }
}

fn tool_finished(output: &str) -> Item {
    Item::ToolFinished(ToolFinished {
        call: "c".parse().unwrap(),
        status: ToolStatus::Ok,
        output: output.to_owned(),
        duration_ms: 1,
    })
}

fn appending(name: &str, expected: u64, items: Vec<Item>) -> Append {
    Append { protocol: PROTOCOL_VERSION, turn: turn(name), expected, items }
}

#[test]
fn migrating_twice_changes_nothing() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("a"), 1).unwrap();
    schema::migrate(&sql, 2).unwrap();
    assert_eq!(waiting(&sql, &session()).unwrap().len(), 1);
    let again = sql.run("SELECT version FROM migrations WHERE applied_at_ms <> 1", &[]).unwrap();
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn a_message_joins_a_turn_once_and_only_while_it_waits() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("first"), 1).unwrap();
    begin(&sql, &session(), &turn("t"), 1).unwrap();
    accept(&sql, &session(), &message("second"), 2).unwrap();
    let joins = |expected| appending("t", expected, vec![Item::User(message("second"))]);
    assert_eq!(append(&sql, &session(), &joins(1), 3).unwrap(), Appended::At(2));
    assert!(waiting(&sql, &session()).unwrap().is_empty());

    assert_eq!(append(&sql, &session(), &joins(2), 4).unwrap(), Appended::NotWaiting);
    assert_eq!(head(&sql, &session()).unwrap(), 2);
}

#[test]
fn a_message_is_accepted_once() {
    let sql = Memory::new();
    assert_eq!(accept(&sql, &session(), &message("a"), 1).unwrap(), Accepted::New);
    assert_eq!(accept(&sql, &session(), &message("a"), 2).unwrap(), Accepted::Before);
    begin(&sql, &session(), &turn("t"), 3).unwrap().unwrap();
    assert_eq!(accept(&sql, &session(), &message("a"), 4).unwrap(), Accepted::Before);
    assert_eq!(head(&sql, &session()).unwrap(), 1);
}

#[test]
fn a_session_holds_a_bounded_number_of_waiting_messages() {
    let sql = Memory::new();
    for n in 0..WAITING_MESSAGES_MAX {
        accept(&sql, &session(), &message(&format!("e{n}")), 1).unwrap();
    }
    assert_eq!(accept(&sql, &session(), &message("late"), 1).unwrap(), Accepted::Full);
    begin(&sql, &session(), &turn("t"), 2).unwrap().unwrap();
    assert_eq!(accept(&sql, &session(), &message("late"), 3).unwrap(), Accepted::New);
}

#[test]
fn a_turn_takes_all_that_waits_and_a_session_has_one_turn() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("a"), 1).unwrap();
    accept(&sql, &session(), &message("b"), 2).unwrap();
    assert_eq!(sessions_to_run(&sql).unwrap(), [session()]);
    let running = begin(&sql, &session(), &turn("t"), 3).unwrap().unwrap();
    assert_eq!(running.before, 0);
    let records = read(&sql, &session(), 1).unwrap().records;
    let items: Vec<Item> = records.into_iter().map(|record| record.item).collect();
    assert_eq!(items, [Item::User(message("a")), Item::User(message("b"))]);

    accept(&sql, &session(), &message("c"), 4).unwrap();
    assert_eq!(begin(&sql, &session(), &turn("u"), 5).unwrap(), None);
    assert!(sessions_to_run(&sql).unwrap().is_empty());
    assert_eq!(waiting(&sql, &session()).unwrap(), [message("c")]);
}

#[test]
fn the_end_in_the_log_is_the_end_of_the_turn() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("a"), 1).unwrap();
    begin(&sql, &session(), &turn("t"), 2).unwrap().unwrap();
    let result = append(&sql, &session(), &appending("t", 1, vec![ended()]), 3).unwrap();
    assert_eq!(result, Appended::At(2));
    assert!(!is_running(&sql, &session(), &turn("t")).unwrap());
    let again = append(&sql, &session(), &appending("t", 2, vec![ended()]), 4).unwrap();
    assert_eq!(again, Appended::NotRunning);
}

#[test]
fn an_append_behind_a_wrong_head_writes_nothing() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("a"), 1).unwrap();
    begin(&sql, &session(), &turn("t"), 2).unwrap().unwrap();
    for expected in [0, 2, 9] {
        let result = append(&sql, &session(), &appending("t", expected, vec![ended()]), 3).unwrap();
        assert_eq!(result, Appended::Conflict { head: 1 });
    }
    assert!(is_running(&sql, &session(), &turn("t")).unwrap());
}

#[test]
fn giving_up_an_ended_turn_adds_nothing() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("a"), 1).unwrap();
    let running = begin(&sql, &session(), &turn("t"), 2).unwrap().unwrap();
    give_up(&sql, &running, &Outcome::Cancelled, 3).unwrap();
    give_up(&sql, &running, &Outcome::Cancelled, 4).unwrap();
    assert_eq!(head(&sql, &session()).unwrap(), 2);
}

#[test]
fn asking_the_same_life_again_is_one_attempt() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("a"), 1).unwrap();
    begin(&sql, &session(), &turn("t"), 2).unwrap().unwrap();
    let count = |epoch, head| count_attempt(&sql, &turn("t"), Epoch(epoch), head).unwrap();
    let fruitless = [1, 1, 2, 2, 5].map(|epoch| count(epoch, 1).fruitless);
    assert_eq!(fruitless, [1, 1, 2, 2, 3]);
}

#[test]
fn a_turn_that_gets_further_may_lose_its_container_again() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("a"), 1).unwrap();
    begin(&sql, &session(), &turn("t"), 2).unwrap().unwrap();
    let count = |epoch, head| count_attempt(&sql, &turn("t"), Epoch(epoch), head).unwrap();
    assert_eq!([count(1, 1), count(2, 1)].map(|attempts| attempts.fruitless), [1, 2]);
    assert_eq!(count(3, 4), Attempts { fruitless: 1, lives: 3 });
}

#[test]
fn a_failed_restore_is_never_taken_for_an_empty_workspace() {
    let sql = Memory::new();
    let load = || workspace::load(&sql, "fresh").unwrap();
    assert_eq!((load().expected(), load().password.as_str()), (Expected::New, "fresh"));
    workspace::note_master_key(&sql, "{}").unwrap();
    assert_eq!(load().expected(), Expected::Repository);
    let name: FileName = "a".repeat(64).parse().unwrap();
    workspace::note_snapshot(&sql, &name, 5).unwrap();
    assert_eq!(load().expected(), Expected::Snapshot { id: name.clone() });

    workspace::ask_start_empty(&sql).unwrap();
    assert_eq!(load().expected(), Expected::StartEmpty);
    workspace::note_snapshot(&sql, &name, 6).unwrap();
    assert_eq!(load().expected(), Expected::Snapshot { id: name });
    assert_eq!(workspace::load(&sql, "another").unwrap().password, "fresh");
}

#[test]
fn a_wish_to_stop_outlives_the_container() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("a"), 1).unwrap();
    begin(&sql, &session(), &turn("t"), 2).unwrap().unwrap();
    assert!(!stop_asked(&sql, &turn("t")).unwrap());
    ask_stop(&sql, &turn("t")).unwrap();
    assert!(stop_asked(&sql, &turn("t")).unwrap());
}

#[test]
fn pages_are_bounded_and_meet() {
    let sql = Memory::new();
    accept(&sql, &session(), &message("a"), 1).unwrap();
    begin(&sql, &session(), &turn("t"), 2).unwrap().unwrap();
    let long = tool_finished(&"x".repeat(100_000));
    for n in 1..=40 {
        append(&sql, &session(), &appending("t", n, vec![long.clone()]), 3).unwrap();
    }
    let mut seen = Vec::new();
    let mut from = 1;
    loop {
        let page = read(&sql, &session(), from).unwrap();
        let Some(last) = page.records.last() else { break };
        assert!(page.records.len() < 30, "a page of {} large records", page.records.len());
        from = last.sequence + 1;
        seen.extend(page.records.iter().map(|record| record.sequence));
    }
    assert_eq!(seen, (1..=41).collect::<Vec<u64>>());
}

#[test]
fn identity_and_lifecycle_survive() {
    let sql = Memory::new();
    assert_eq!(identity::load(&sql).unwrap(), None);
    identity::note(&sql, &"main".parse().unwrap()).unwrap();
    identity::note(&sql, &"other".parse().unwrap()).unwrap();
    assert_eq!(identity::load(&sql).unwrap(), Some("main".parse().unwrap()));
    assert_eq!(lifecycle::load(&sql).unwrap(), (Epoch(0), Lifecycle::Cold));
    let failed = Lifecycle::Cold.failed("it died".into(), 5);
    lifecycle::save(&sql, Epoch(3), &failed).unwrap();
    assert_eq!(lifecycle::load(&sql).unwrap(), (Epoch(3), failed));
}

/// What may happen to the books from outside.
#[derive(Debug, Clone)]
enum Step {
    Accept(u8),
    Begin,
    Append { end: bool, off: u64 },
    GiveUp,
}

fn step() -> impl Strategy<Value = (Step, Option<u32>)> {
    let step = prop_oneof![
        (0u8..12).prop_map(Step::Accept),
        Just(Step::Begin),
        (any::<bool>(), 0u64..2).prop_map(|(end, off)| Step::Append { end, off }),
        Just(Step::GiveUp),
    ];
    (step, proptest::option::weighted(0.3, 0u32..6))
}

proptest! {
    /// Whatever order things happen in and whichever statement fails: an accepted message waits or
    /// is in the log, once; the log has no gap; a turn has one end, at which it stops running.
    #[test]
    fn nothing_is_lost_and_nothing_happens_twice(
        steps in proptest::collection::vec(step(), 1..40),
    ) {
        let sql = Memory::new();
        let mut accepted = std::collections::BTreeSet::new();
        for (n, (step, fail_in)) in steps.into_iter().enumerate() {
            sql.fail_in.set(fail_in);
            let now = n as u64;
            match step {
                Step::Accept(id) => {
                    let result = accept(&sql, &session(), &message(&format!("e{id}")), now);
                    if matches!(result, Ok(Accepted::New)) {
                        prop_assert!(accepted.insert(format!("e{id}")), "accepted twice");
                    }
                }
                Step::Begin => {
                    begin(&sql, &session(), &turn(&format!("t{n}")), now).ok();
                }
                Step::Append { end, off } => {
                    sql.fail_in.set(None);
                    let running = running_in(&sql, &session()).unwrap();
                    let at = head(&sql, &session()).unwrap() + off;
                    sql.fail_in.set(fail_in);
                    if let Some(running) = running {
                        let item = if end { ended() } else { tool_finished("x") };
                        let request = Append {
                            protocol: PROTOCOL_VERSION,
                            turn: running.turn,
                            expected: at,
                            items: vec![item],
                        };
                        append(&sql, &session(), &request, now).ok();
                    }
                }
                Step::GiveUp => {
                    sql.fail_in.set(None);
                    let running = running_in(&sql, &session()).unwrap();
                    sql.fail_in.set(fail_in);
                    if let Some(running) = running {
                        give_up(&sql, &running, &Outcome::Cancelled, now).ok();
                    }
                }
            }
            sql.fail_in.set(None);
        }
        let records = read(&sql, &session(), 1).unwrap().records;
        let numbers: Vec<u64> = records.iter().map(|record| record.sequence).collect();
        prop_assert_eq!(&numbers, &(1..=records.len() as u64).collect::<Vec<_>>());
        let mut found: Vec<String> = records
            .iter()
            .filter_map(|record| match &record.item {
                Item::User(user) => Some(user.event.clone()),
                _ => None,
            })
            .collect();
        found.extend(waiting(&sql, &session()).unwrap().into_iter().map(|m| m.event));
        found.sort();
        let mut wanted: Vec<String> = accepted.into_iter().collect();
        wanted.sort();
        prop_assert_eq!(found, wanted);
        let mut ends = std::collections::BTreeMap::new();
        for record in &records {
            let end = matches!(record.item, Item::TurnEnded { .. });
            let ended = ends.entry(record.turn.clone()).or_insert(false);
            prop_assert!(!*ended, "a record behind the end of its turn");
            *ended = end;
        }
        for (turn, ended) in ends {
            prop_assert_eq!(is_running(&sql, &session(), &turn).unwrap(), !ended);
        }
    }
}
