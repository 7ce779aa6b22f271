//! Jobs over a plain SQLite: a run happens once, whatever rings, fails or is full.

use protocol::session::{Item, Outcome, UserMessage};
use protocol::version::PROTOCOL_VERSION;
use protocol::{Problem, ProblemCode, SessionId, TurnId};

use super::inbox::{self, Origin};
use super::jobs::{self, Job};
use super::memory::Memory;
use super::{log, outbox, turns};
use crate::agent::schedule::{Due, Missed, Schedule};
use crate::limits::{JOB_FAILURES_MAX, JOB_INTERVAL_MS_MIN, WAITING_MESSAGES_MAX};

fn session() -> SessionId {
    "web".parse().unwrap()
}

fn job(id: &str) -> Job {
    Job {
        id: id.into(),
        schedule: Schedule::Every { interval_ms: 60_000, anchor_ms: 0 },
        prompt: "water the plants".into(),
        session: session(),
        channel: "hook".into(),
        chat: "hook:home".into(),
        missed: Missed::Once,
        enabled: true,
        next_ms: Some(60_000),
        failures: 0,
    }
}

fn world() -> Memory {
    let sql = Memory::new();
    jobs::put(&sql, &job("j"), 1).unwrap();
    sql
}

fn waiting(sql: &Memory) -> Vec<String> {
    inbox::waiting(sql, &session()).unwrap().into_iter().map(|message| message.event).collect()
}

const GO_ON: Due = Due { runs: true, next_ms: Some(120_000) };

/// Runs the turn of what waits.
fn run(sql: &Memory, name: &str, outcome: Outcome) {
    let turn: TurnId = name.parse().unwrap();
    turns::begin(sql, &session(), &turn, 2).unwrap().unwrap();
    let expected = log::head(sql, &session()).unwrap();
    let items = vec![Item::TurnEnded { outcome }];
    let append = protocol::edge::Append { protocol: PROTOCOL_VERSION, turn, expected, items };
    log::append(sql, &session(), &append, 3).unwrap();
}

fn failure() -> Outcome {
    Outcome::Failed { problem: Problem::new(ProblemCode::ModelUnavailable, "No model.") }
}

#[test]
fn a_run_happens_once_however_often_the_alarm_rings() {
    let sql = world();
    for _ in 0..3 {
        jobs::advance(&sql, &job("j"), 60_000, GO_ON, 60_001).unwrap();
    }
    assert_eq!(waiting(&sql), ["j@60000"]);
    assert_eq!(jobs::next_due_ms(&sql).unwrap(), Some(120_000));
}

#[test]
fn a_failing_statement_leaves_the_job_due() {
    for failing in 0..8 {
        let sql = world();
        sql.fail_in.set(Some(failing));
        let result = jobs::advance(&sql, &job("j"), 60_000, GO_ON, 60_001);
        sql.fail_in.set(None);
        let is_moved = jobs::next_due_ms(&sql).unwrap() == Some(120_000);
        assert_eq!(result.is_ok(), is_moved, "statement {failing}");
        assert_eq!(waiting(&sql).len(), usize::from(is_moved), "statement {failing}");
    }
}

#[test]
fn while_a_run_is_open_the_next_one_is_left_out() {
    let sql = world();
    jobs::advance(&sql, &job("j"), 60_000, GO_ON, 60_001).unwrap();
    let later = Due { runs: true, next_ms: Some(180_000) };
    jobs::advance(&sql, &job("j"), 120_000, later, 120_001).unwrap();
    assert_eq!(waiting(&sql), ["j@60000"]);
    run(&sql, "t", Outcome::Completed);
    let later = Due { runs: true, next_ms: Some(240_000) };
    jobs::advance(&sql, &job("j"), 180_000, later, 180_001).unwrap();
    assert_eq!(waiting(&sql), ["j@180000"]);
    let history = jobs::history(&sql, "j", 9).unwrap();
    assert_eq!(history, [(180_000, "running".into()), (60_000, "done".into())]);
}

#[test]
fn a_run_that_finds_no_room_is_due_again_and_not_lost() {
    let sql = world();
    for n in 0..WAITING_MESSAGES_MAX {
        let message = UserMessage { channel: "web".into(), event: n.to_string(), text: "x".into() };
        inbox::accept(&sql, &session(), &message, Origin::default(), 1).unwrap();
    }
    let last = Due { runs: true, next_ms: None };
    jobs::advance(&sql, &job("j"), 60_000, last, 70_000).unwrap();
    assert_eq!(jobs::next_due_ms(&sql).unwrap(), Some(70_000 + JOB_INTERVAL_MS_MIN));
}

#[test]
fn a_job_that_is_over_makes_room_for_others() {
    let sql = world();
    jobs::advance(&sql, &job("j"), 60_000, Due { runs: true, next_ms: None }, 60_001).unwrap();
    assert!(jobs::all(&sql).unwrap().is_empty());
    assert_eq!(waiting(&sql), ["j@60000"]);
}

#[test]
fn a_failure_is_told_once_in_a_row_and_then_with_the_pause() {
    let sql = world();
    for n in 1..=JOB_FAILURES_MAX {
        let due_ms = n * 60_000;
        let due = Due { runs: true, next_ms: Some(due_ms + 60_000) };
        jobs::advance(&sql, &job("j"), due_ms, due, due_ms).unwrap();
        run(&sql, &format!("t{n}"), failure());
    }
    let texts = || {
        let mut texts = Vec::new();
        while let Some(row) = outbox::due(&sql, "web", u64::MAX >> 12).unwrap().into_iter().next() {
            let next = crate::agent::outbox::Next::Sent;
            outbox::settle(&sql, row.id, &next, 9).unwrap();
            texts.push(row.text);
        }
        texts
    };
    let told = texts();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].contains("/schedule resume j"), "{told:?}");
    assert!(!jobs::all(&sql).unwrap()[0].enabled);
    jobs::enable(&sql, "j", true, Some(1)).unwrap();
    assert_eq!(jobs::all(&sql).unwrap()[0].failures, 0);
}
