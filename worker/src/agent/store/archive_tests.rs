//! Logs that settle and books that are rebuilt, over a plain SQLite: whichever statement fails,
//! nothing is lost, and a reader finds every record where it was.

use std::collections::BTreeMap;

use proptest::prelude::*;
use protocol::edge::Append;
use protocol::session::{Item, Outcome, Record, ToolFinished, ToolStatus, UserMessage};
use protocol::version::PROTOCOL_VERSION;
use protocol::{AgentId, Epoch, SessionId, TurnId};

use super::control::{self, Adopted, FillError, Filling};
use super::inbox::{self, Accepted, Origin};
use super::memory::Memory;
use super::segments::{self, Segment};
use super::{chores, lifecycle, log, outbox, turns, workspace};
use crate::agent::archive::control::TableRow;
use crate::agent::archive::segment::{self, Draft, Records, hex};
use crate::agent::archive::settle::next_draft;
use crate::agent::lifecycle::Lifecycle;
use crate::limits::RESTORE_EPOCHS;
use crate::ports::{Sql, Value};

/// What stands for R2: the segments by session and first record.
type Bucket = BTreeMap<(SessionId, u64), Vec<u8>>;

fn session(name: &str) -> SessionId {
    name.parse().unwrap()
}

fn turn(name: &str) -> TurnId {
    name.parse().unwrap()
}

fn main() -> AgentId {
    "main".parse().unwrap()
}

fn hear(sql: &Memory, session: &SessionId, event: &str) -> Accepted {
    let (channel, text) = ("web".to_owned(), format!("text of {event}"));
    let message = UserMessage { channel, event: event.to_owned(), text };
    inbox::accept(sql, session, &message, Origin::default(), 1).unwrap()
}

/// Begins a turn and gives it so many records behind its message.
fn begin(sql: &Memory, session: &SessionId, name: &str, records: usize) {
    hear(sql, session, name);
    turns::begin(sql, session, &turn(name), 2).unwrap().unwrap();
    for n in 0..records {
        let finished = ToolFinished {
            call: "c".parse().unwrap(),
            status: ToolStatus::Ok,
            output: format!("output {n} of {name}: \"ä\"\n"),
            images: Vec::new(),
            duration_ms: 1,
        };
        append(sql, session, name, Item::ToolFinished(finished));
    }
}

fn append(sql: &Memory, session: &SessionId, name: &str, item: Item) {
    let expected = log::head(sql, session).unwrap();
    let items = vec![item];
    let append = Append { protocol: PROTOCOL_VERSION, turn: turn(name), expected, items };
    let result = log::append(sql, session, &append, 3).unwrap();
    assert_eq!(result, log::Appended::At(expected + 1));
}

fn end(sql: &Memory, session: &SessionId, name: &str) {
    append(sql, session, name, Item::TurnEnded { outcome: Outcome::Completed });
}

/// A whole turn of `records` records and two more.
fn talk(sql: &Memory, session: &SessionId, name: &str, records: usize) {
    begin(sql, session, name, records);
    end(sql, session, name);
}

fn booked(session: &SessionId, draft: &Draft) -> Segment {
    Segment {
        session: session.clone(),
        first: draft.first,
        last: draft.last,
        bytes: draft.content.len() as u64,
        sha256: hex(&draft.sha256),
    }
}

/// Settles what is complete, as the driver does; an error of the books ends it.
fn settle(sql: &Memory, bucket: &mut Bucket, session: &SessionId, kept: u64) -> bool {
    loop {
        match next_draft(sql, session, kept) {
            Err(_) => return false,
            Ok(None) => return true,
            Ok(Some(draft)) => {
                let segment = booked(session, &draft);
                let there = bucket
                    .entry((session.clone(), draft.first))
                    .or_insert_with(|| draft.content.clone());
                assert_eq!(*there, draft.content, "another try makes another object");
                if !matches!(segments::settle(sql, &segment, kept), Ok(true)) {
                    return false;
                }
            }
        }
    }
}

/// Reads a whole log as the object's readers do.
fn read_all(sql: &Memory, bucket: &Bucket, session: &SessionId) -> Vec<Record> {
    let mut records = Vec::new();
    let mut from = 1;
    loop {
        let page = match segments::holding(sql, session, from).unwrap() {
            None => log::read(sql, session, from).unwrap(),
            Some(segment) => {
                let content = &bucket[&(session.clone(), segment.first)];
                segment::check(content, segment.bytes, &segment.sha256).unwrap();
                let head = log::head(sql, session).unwrap();
                Records::parse(content, segment.first, segment.last).unwrap().page(from, head).0
            }
        };
        let Some(last) = page.records.last().map(|record| record.sequence) else { break };
        from = last + 1;
        let head = page.head;
        records.extend(page.records);
        if last >= head {
            break;
        }
    }
    records
}

fn count(sql: &Memory, table: &str) -> Value {
    sql.run(&format!("SELECT COUNT(*) FROM {table}"), &[]).unwrap()[0][0].clone()
}

#[test]
fn numbers_go_on_when_no_row_is_left() {
    let (sql, web) = (Memory::new(), session("web"));
    let mut bucket = Bucket::new();
    for n in 1..=4 {
        talk(&sql, &web, &format!("t{n}"), 3);
    }
    let before = read_all(&sql, &bucket, &web);
    assert!(settle(&sql, &mut bucket, &web, 1));
    sql.run("DELETE FROM log", &[]).unwrap();
    assert_eq!(log::head(&sql, &web).unwrap(), 20);
    assert_eq!(read_all(&sql, &bucket, &web), before);
    talk(&sql, &web, "t5", 0);
    let records = read_all(&sql, &bucket, &web);
    assert_eq!(records.last().unwrap().sequence, 22);
    assert_eq!(segments::sessions(&sql).unwrap(), [web]);
}

#[test]
fn what_a_reader_begins_with_stays_in_rows_and_the_rest_goes() {
    let (sql, web) = (Memory::new(), session("web"));
    let mut bucket = Bucket::new();
    for n in 1..=10 {
        talk(&sql, &web, &format!("t{n}"), 8);
    }
    assert!(settle(&sql, &mut bucket, &web, 25));
    assert_eq!(segments::covered(&sql, &web).unwrap(), 90);
    assert_eq!(segments::rows_begin(&sql, &web).unwrap(), 61);
    assert!(segments::holding(&sql, &web, 60).unwrap().is_some());
    assert!(segments::holding(&sql, &web, 61).unwrap().is_none());
    // A turn that runs keeps everything as it is.
    begin(&sql, &web, "t11", 60);
    assert_eq!(next_draft(&sql, &web, 25).unwrap(), None);
    segments::trim(&sql, &web, 25).unwrap();
    assert_eq!(segments::rows_begin(&sql, &web).unwrap(), 61);
    end(&sql, &web, "t11");
    segments::trim(&sql, &web, 25).unwrap();
    assert_eq!(segments::rows_begin(&sql, &web).unwrap(), 91);
}

#[test]
fn whichever_statement_fails_settling_is_done_or_not_begun() {
    for fails in 0..12 {
        let (sql, web) = (Memory::new(), session("web"));
        let mut bucket = Bucket::new();
        for n in 1..=3 {
            talk(&sql, &web, &format!("t{n}"), 3);
        }
        let before = read_all(&sql, &bucket, &web);
        sql.fail_in.set(Some(fails));
        let done = settle(&sql, &mut bucket, &web, 4);
        sql.fail_in.set(None);
        assert_eq!(read_all(&sql, &bucket, &web), before, "after {fails} statements");
        // Nobody knows that the object was written; the same is made again.
        assert!(settle(&sql, &mut bucket, &web, 4), "done before: {done}");
        assert_eq!(read_all(&sql, &bucket, &web), before, "again after {fails} statements");
        assert_eq!(segments::covered(&sql, &web).unwrap(), 15);
    }
}

#[test]
fn a_segment_that_the_books_have_left_behind_changes_nothing() {
    let (sql, web) = (Memory::new(), session("web"));
    talk(&sql, &web, "t1", 3);
    let draft = next_draft(&sql, &web, 1).unwrap().unwrap();
    let segment = booked(&web, &draft);
    assert!(segments::settle(&sql, &segment, 1).unwrap());
    assert!(!segments::settle(&sql, &segment, 1).unwrap());
    let beyond = Segment { first: 6, last: 9, ..segment };
    assert!(!segments::settle(&sql, &beyond, 1).unwrap());
    assert_eq!(count(&sql, "segments"), Value::Integer(1));
}

#[test]
fn a_log_with_a_gap_is_refused_at_the_gap() {
    let (sql, web) = (Memory::new(), session("web"));
    talk(&sql, &web, "t1", 3);
    sql.run("DELETE FROM log WHERE sequence = 3", &[]).unwrap();
    let error = log::read(&sql, &web, 1).unwrap_err();
    assert_eq!(error.to_string(), "the log of session web lacks record 3");
    assert!(next_draft(&sql, &web, 1).is_err());
    sql.run("DELETE FROM log WHERE sequence < 3", &[]).unwrap();
    assert!(log::read(&sql, &web, 2).unwrap_err().to_string().contains("record 2"));
}

/// An agent with some of everything.
fn lived(bucket: &mut Bucket) -> Memory {
    let sql = Memory::new();
    super::identity::note(&sql, &main()).unwrap();
    lifecycle::save(&sql, Epoch(7), &Lifecycle::Ready { since_ms: 5, failures: 0 }).unwrap();
    workspace::load(&sql, "the password").unwrap();
    workspace::note_master_key(&sql, "{\"key\":1}").unwrap();
    chores::note_done(&sql, "settling", "n", 5).unwrap();
    for name in ["web", "hook:ci"] {
        for n in 1..=4 {
            talk(&sql, &session(name), &format!("{name}-t{n}"), 3);
        }
        assert!(settle(&sql, bucket, &session(name), 6));
        talk(&sql, &session(name), &format!("{name}-t5"), 1);
    }
    begin(&sql, &session("web"), "web-runs", 1);
    hear(&sql, &session("web"), "waits");
    sql.run(
        "INSERT INTO jobs (id, schedule, prompt, session, channel, chat, missed, enabled, next_ms,
            failures, created_at_ms)
         VALUES ('j', '{}', 'water the plants', 'web', 'web', 'web', 'once', 1, 99, 0, 1)",
        &[],
    )
    .unwrap();
    sql
}

fn dumped(sql: &Memory) -> Vec<TableRow> {
    let mut rows = Vec::new();
    control::dump(sql, 0, &mut |row, _| {
        rows.push(row.clone());
        Ok(())
    })
    .unwrap();
    rows
}

fn fill(sql: &Memory, rows: &[TableRow], adopted: &[Adopted]) -> Result<Vec<Segment>, FillError> {
    let agent = main();
    let rows = || -> Box<dyn Iterator<Item = TableRow>> { Box::new(rows.iter().cloned()) };
    control::fill(sql, &Filling { agent: &agent, rows: &rows, adopted, now_ms: 50 })
}

#[test]
fn empty_books_get_everything_back() {
    let mut bucket = Bucket::new();
    let old = lived(&mut bucket);
    let rows = dumped(&old);
    let new = Memory::new();
    workspace::load(&new, "another password").unwrap();
    assert!(fill(&new, &rows, &[]).unwrap().is_empty());
    for name in ["web", "hook:ci"] {
        let name = session(name);
        assert_eq!(read_all(&new, &bucket, &name), read_all(&old, &bucket, &name));
    }
    assert_eq!(workspace::load(&new, "x").unwrap().password, "the password");
    let (epoch, state) = lifecycle::load(&new).unwrap();
    assert_eq!((epoch, state), (Epoch(7 + RESTORE_EPOCHS), Lifecycle::Cold));
    let web = session("web");
    assert_eq!(turns::running_in(&new, &web).unwrap().unwrap().turn, turn("web-runs"));
    assert_eq!(inbox::waiting(&new, &web).unwrap()[0].text, "text of waits");
    assert_eq!(hear(&new, &web, "web-t1"), Accepted::Before);
    assert_eq!(count(&new, "jobs"), Value::Integer(1));
    let open = outbox::open(&new, "web", &web).unwrap();
    assert!(!open.is_empty() && open.iter().all(|row| row.uncertain));
    // What was filled is not filled again.
    assert!(matches!(fill(&new, &rows, &[]), Err(FillError::NotEmpty)));
}

#[test]
fn whichever_statement_fails_the_books_stay_empty() {
    let rows = dumped(&lived(&mut Bucket::new()));
    let mut fails = 0;
    loop {
        let new = Memory::new();
        new.fail_in.set(Some(fails));
        let filled = fill(&new, &rows, &[]);
        new.fail_in.set(None);
        if filled.is_ok() {
            break;
        }
        assert!(control::is_empty(&new).unwrap(), "after {fails} statements");
        fails += 1;
    }
    assert!(fails > 50, "only {fails} statements");
}

#[test]
fn what_this_version_does_not_know_is_refused() {
    let new = Memory::new();
    let row = |text: &str| serde_json::from_str::<TableRow>(text).unwrap();
    let jobs = row(r#"{"table":"jobs","row":{"id":"j","colour":"red"}}"#);
    let error = fill(&new, &[jobs], &[]).unwrap_err();
    assert!(error.to_string().contains("the column colour of jobs"), "{error}");
    let feelings = row(r#"{"table":"feelings","row":{"id":1}}"#);
    let error = fill(&new, &[feelings], &[]).unwrap_err();
    assert!(error.to_string().contains("the table feelings"), "{error}");
    let nested = row(r#"{"table":"jobs","row":{"id":[1]}}"#);
    assert!(matches!(fill(&new, &[nested], &[]), Err(FillError::Value(_))));
    assert!(control::is_empty(&new).unwrap());
}

/// The segments that were written after an export, as a restore sees them.
fn newer(bucket: &Bucket, exported: &Memory) -> Vec<Adopted> {
    let mut adopted = Vec::new();
    for ((session, first), content) in bucket {
        if *first > segments::covered(exported, session).unwrap() {
            let lines = content.split_inclusive(|byte| *byte == b'\n').count() as u64;
            let head = log::head(exported, session).unwrap();
            let (last, bytes) = (first + lines - 1, content.len() as u64);
            adopted.push(examined(session, (*first, last, bytes), content, head));
        }
    }
    adopted
}

fn examined(
    session: &SessionId,
    (first, last, bytes): (u64, u64, u64),
    content: &[u8],
    head: u64,
) -> Adopted {
    use crate::agent::archive::adoption::{Listed, examine};
    let listed = Listed { session: session.clone(), first, last, bytes };
    examine(&listed, content, head).unwrap()
}

#[test]
fn segments_newer_than_the_export_are_taken_in() {
    let mut bucket = Bucket::new();
    let old = lived(&mut bucket);
    let exported = dumped(&old);
    // After the export: the turn ends, the message that waited is answered, another comes.
    let web = session("web");
    end(&old, &web, "web-runs");
    turns::begin(&old, &web, &turn("late"), 9).unwrap().unwrap();
    end(&old, &web, "late");
    talk(&old, &web, "later", 9);
    let at_export = Memory::new();
    fill(&at_export, &exported, &[]).unwrap();
    assert!(settle(&old, &mut bucket, &web, 6));

    let adopted = newer(&bucket, &at_export);
    assert!(!adopted.is_empty() && adopted[0].overlap_upto > 0, "{adopted:?}");
    let new = Memory::new();
    assert!(fill(&new, &exported, &adopted).unwrap().is_empty());
    assert_eq!(read_all(&new, &bucket, &web), read_all(&old, &bucket, &web));
    assert_eq!(turns::running_in(&new, &web).unwrap(), None);
    assert!(inbox::waiting(&new, &web).unwrap().is_empty());
    assert_eq!(hear(&new, &web, "later"), Accepted::Before);

    // A segment that tells another story than the export is left out, and all behind it.
    let mut other = adopted.clone();
    other[0].overlap = [0; 32];
    let new = Memory::new();
    let left_out = fill(&new, &exported, &other).unwrap();
    assert_eq!(left_out.len(), adopted.len());
    assert_eq!(read_all(&new, &bucket, &web), read_all(&at_export, &bucket, &web));
}

#[test]
fn a_turn_in_which_the_bucket_breaks_off_is_ended() {
    let mut bucket = Bucket::new();
    let sql = Memory::new();
    let web = session("web");
    begin(&sql, &web, "runs", 2);
    let exported = dumped(&sql);
    let lines = segments::lines(&sql, &web, 1).unwrap();
    let content: String = lines.iter().map(segment::Line::text).collect();
    let bytes = content.len() as u64;
    bucket.insert((web.clone(), 1), content.clone().into_bytes());
    let adopted = examined(&web, (1, 3, bytes), content.as_bytes(), 3);
    assert_eq!(adopted.open, Some(turn("runs")));
    let new = Memory::new();
    fill(&new, &exported, &[adopted]).unwrap();
    let last = read_all(&new, &bucket, &web).pop().unwrap();
    assert!(matches!(last.item, Item::TurnEnded { outcome: Outcome::Failed { .. } }), "{last:?}");
    assert_eq!(turns::running_in(&new, &web).unwrap(), None);
    talk(&new, &web, "next", 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Turns of any length, settled at any time with any statement failing: a reader sees the same
    /// log as if nothing had ever settled.
    #[test]
    fn segments_and_rows_are_one_log(
        steps in proptest::collection::vec((0usize..9, proptest::option::of(0u32..14)), 1..25),
        kept in 1u64..20,
    ) {
        let (settled, plain, web) = (Memory::new(), Memory::new(), session("web"));
        let mut bucket = Bucket::new();
        for (n, (records, fails)) in steps.into_iter().enumerate() {
            let name = format!("t{n}");
            begin(&settled, &web, &name, records);
            begin(&plain, &web, &name, records);
            // In mid-turn nothing settles.
            prop_assert_eq!(next_draft(&settled, &web, kept).unwrap(), None);
            end(&settled, &web, &name);
            end(&plain, &web, &name);
            settled.fail_in.set(fails);
            settle(&settled, &mut bucket, &web, kept);
            settled.fail_in.set(None);
            segments::trim(&settled, &web, kept).unwrap();
            let head = log::head(&settled, &web).unwrap();
            prop_assert_eq!(head, log::head(&plain, &web).unwrap());
            prop_assert!(segments::rows_begin(&settled, &web).unwrap() + kept <= head + 1
                || segments::rows_begin(&settled, &web).unwrap() == 1);
        }
        let read = read_all(&settled, &bucket, &web);
        prop_assert_eq!(read, read_all(&plain, &Bucket::new(), &web));
    }
}
