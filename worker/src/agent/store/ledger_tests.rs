//! The ledger in the books: what counts, and what is booked.

use dialects::Usage;
use protocol::session::UserMessage;
use protocol::{SessionId, TurnId};

use super::inbox::{self, Origin};
use super::ledger::{self, By, NewCall, Settlement};
use super::memory::Memory;
use super::turns;
use crate::agent::ledger::{Reserved, Spent};
use crate::models::Money;

fn session(name: &str) -> SessionId {
    name.parse().unwrap()
}

fn turn(name: &str) -> TurnId {
    name.parse().unwrap()
}

/// Books with a running turn `t1` of the session `s`, begun by a message of the webhook.
fn books() -> Memory {
    let sql = Memory::new();
    let message = UserMessage { channel: "hook".into(), event: "e".into(), text: "hi".into() };
    inbox::accept(&sql, &session("s"), &message, Origin::default(), 1).unwrap();
    turns::begin(&sql, &session("s"), &turn("t1"), 1).unwrap();
    sql
}

fn call(day: &str, money: u64) -> NewCall {
    NewCall {
        day: day.into(),
        turn: turn("t1"),
        session: session("s"),
        channel: "hook".into(),
        provider: "p".into(),
        model: "m".into(),
        reserved: Reserved { input_tokens: 10, output_tokens: 5 },
        most: Spent { money: Money(money), tokens: 15 },
    }
}

fn settlement(money: u64) -> Settlement<'static> {
    let usage =
        Usage { input_tokens: 1, output_tokens: 2, cache_read_tokens: 3, cache_write_tokens: 4 };
    Settlement { model: "p/m", usage, money: Money(money), estimated: false }
}

fn counted(sql: &Memory, day: &str) -> [(u64, u64); 3] {
    let standing = ledger::standing(sql, &turn("t1"), day).unwrap();
    [standing.turn, standing.day, standing.month].map(|spent| (spent.money.0, spent.tokens))
}

#[test]
fn a_call_counts_from_its_grant_on_and_then_with_what_it_came_to() {
    let sql = books();
    assert_eq!(
        ledger::account(&sql, &turn("t1")).unwrap(),
        Some((session("s"), "hook".to_owned()))
    );
    let number = ledger::reserve(&sql, &call("2026-11-28", 100), 1).unwrap();
    assert_eq!(counted(&sql, "2026-11-28"), [(100, 15); 3]);
    ledger::settle(&sql, number, &settlement(7)).unwrap();
    assert_eq!(counted(&sql, "2026-11-28"), [(7, 10); 3]);
    // A second word about the same call changes nothing.
    ledger::settle(&sql, number, &settlement(7)).unwrap();
    assert_eq!(counted(&sql, "2026-11-28"), [(7, 10); 3]);
}

#[test]
fn days_and_months_end() {
    let sql = books();
    for day in ["2026-10-31", "2026-11-01", "2026-11-28"] {
        let number = ledger::reserve(&sql, &call(day, 100), 1).unwrap();
        ledger::settle(&sql, number, &settlement(10)).unwrap();
    }
    ledger::reserve(&sql, &call("2026-11-27", 100), 1).unwrap();
    assert_eq!(counted(&sql, "2026-11-28"), [(130, 45), (10, 10), (120, 35)]);
    assert_eq!(counted(&sql, "2026-12-01"), [(130, 45), (0, 0), (0, 0)]);
    ledger::forget_before(&sql, "2026-11-01").unwrap();
    assert_eq!(ledger::of_days(&sql, "2026-10").unwrap(), Spent::default());
}

#[test]
fn a_turn_that_does_not_run_has_no_account() {
    let sql = books();
    assert_eq!(ledger::account(&sql, &turn("t2")).unwrap(), None);
    let running = turns::running_in(&sql, &session("s")).unwrap().unwrap();
    turns::give_up(&sql, &running, &protocol::session::Outcome::Completed, 2).unwrap();
    assert_eq!(ledger::account(&sql, &turn("t1")).unwrap(), None);
}

#[test]
fn a_settlement_that_fails_leaves_the_call_open() {
    let sql = books();
    let number = ledger::reserve(&sql, &call("2026-11-28", 100), 1).unwrap();
    for statements in 0..3 {
        sql.fail_in.set(Some(statements));
        assert!(ledger::settle(&sql, number, &settlement(7)).is_err(), "{statements}");
        sql.fail_in.set(None);
        assert_eq!(counted(&sql, "2026-11-28"), [(100, 15); 3], "{statements}");
    }
}

#[test]
fn usage_is_listed_by_day_model_conversation_and_channel() {
    let sql = books();
    for (day, model, money) in
        [("2026-11-27", "p/m", 5), ("2026-11-28", "p/m", 6), ("2026-11-28", "p/n", 20)]
    {
        let number = ledger::reserve(&sql, &call(day, 100), 1).unwrap();
        let estimated = model == "p/n";
        ledger::settle(&sql, number, &Settlement { model, estimated, ..settlement(money) })
            .unwrap();
    }
    let listed = |by| {
        let lines = ledger::usage(&sql, by, "2026-11-27", 10).unwrap();
        let line = |line: ledger::Line| (line.name, line.calls, line.estimated, line.money.0);
        lines.into_iter().map(line).collect::<Vec<_>>()
    };
    let own = |name: &str, calls, estimated, money| (name.to_owned(), calls, estimated, money);
    assert_eq!(listed(By::Day), [own("2026-11-28", 2, 1, 26), own("2026-11-27", 1, 0, 5)]);
    assert_eq!(listed(By::Model), [own("p/n", 1, 1, 20), own("p/m", 2, 0, 11)]);
    assert_eq!(listed(By::Session), [own("s", 3, 1, 31)]);
    assert_eq!(listed(By::Channel), [own("hook", 3, 1, 31)]);
}

#[test]
fn calls_whose_end_was_never_told_are_found() {
    let sql = books();
    ledger::reserve(&sql, &call("2026-11-28", 100), 5).unwrap();
    assert_eq!(ledger::open_since_before(&sql, 5).unwrap(), []);
    let open = ledger::open_since_before(&sql, 6).unwrap();
    assert_eq!((open.len(), open[0].model.as_str(), open[0].at_ms), (1, "m", 5));
}
