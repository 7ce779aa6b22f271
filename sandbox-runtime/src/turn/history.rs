//! The records of a session as a turn holds them.
//!
//! Invariants: entries are numbered without gaps and the last one has the number `head`; the
//! oldest are forgotten first, and never those of a turn that must be kept.

use std::collections::VecDeque;
use std::io;

use protocol::{Item, Record, Sequence, TurnId};

/// One record, without what only the object needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The turn that it belongs to.
    pub turn: TurnId,
    /// What happened.
    pub item: Item,
    bytes: usize,
}

impl Entry {
    /// Bytes of JSON that it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a turn may begin with it.
    pub fn begins_turn(&self) -> bool {
        matches!(self.item, Item::User(_))
    }
}

/// The last records of a session.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    head: Sequence,
    entries: VecDeque<Entry>,
    bytes: usize,
}

/// Records that do not follow on those before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("record {found} stands where record {expected} should be")]
pub struct GapError {
    /// The number that should have come.
    pub expected: Sequence,
    /// The number that came.
    pub found: Sequence,
}

impl History {
    /// A history that knows nothing and goes on after `head`.
    pub fn after(head: Sequence) -> Self {
        Self { head, ..Self::default() }
    }

    /// Number of the last record.
    pub fn head(&self) -> Sequence {
        self.head
    }

    /// Bytes of JSON that the records have.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The records, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> + ExactSizeIterator {
        self.entries.iter()
    }

    /// Whether records before the oldest one have existed.
    pub fn is_trimmed(&self) -> bool {
        self.head > self.entries.len() as Sequence
    }

    /// Adds one item with the next number.
    pub fn push(&mut self, turn: TurnId, item: Item) {
        let bytes = json_bytes(&item);
        self.head += 1;
        self.bytes += bytes;
        self.entries.push_back(Entry { turn, item, bytes });
    }

    /// Adds those of `records` that are new. They must be in order and leave no gap.
    pub fn extend(&mut self, records: impl IntoIterator<Item = Record>) -> Result<(), GapError> {
        for record in records {
            if record.sequence <= self.head {
                continue;
            }
            let expected = self.head + 1;
            if record.sequence != expected {
                return Err(GapError { expected, found: record.sequence });
            }
            self.push(record.turn, record.item);
        }
        Ok(())
    }

    /// Forgets the oldest records until `bytes_max` are left, but nothing of `keep`.
    pub fn trim(&mut self, bytes_max: usize, keep: &TurnId) {
        while self.bytes > bytes_max
            && let Some(oldest) = self.entries.front()
            && oldest.turn != *keep
        {
            self.bytes -= oldest.bytes;
            self.entries.pop_front();
        }
    }
}

/// How many bytes an item has as JSON.
pub fn json_bytes(item: &Item) -> usize {
    /// Counts what is written and keeps nothing.
    struct Counter(usize);

    impl io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, item) {
        Ok(()) => counter.0,
        // An item that cannot be written cannot be appended either, and that call reports it.
        Err(error) => {
            tracing::error!(%error, "an item could not be measured");
            counter.0
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::session::{Outcome, UserMessage};

    fn turn(name: &str) -> TurnId {
        name.parse().unwrap()
    }

    fn user(text: &str) -> Item {
        Item::User(UserMessage { channel: "web".into(), event: "e".into(), text: text.into() })
    }

    fn record(sequence: Sequence) -> Record {
        Record { sequence, at_ms: 0, turn: turn("t"), item: user("x") }
    }

    #[test]
    fn extends_by_what_is_new() {
        let mut history = History::after(3);
        history.extend([record(2), record(3), record(4), record(5)]).unwrap();
        assert_eq!((history.head(), history.entries().len()), (5, 2));
        assert_eq!(history.extend([record(7)]), Err(GapError { expected: 6, found: 7 }));
    }

    #[test]
    fn forgets_the_oldest_but_keeps_the_running_turn() {
        let mut history = History::default();
        for name in ["a", "b", "c"] {
            history.push(turn(name), user(&"x".repeat(100)));
            history.push(turn(name), Item::TurnEnded { outcome: Outcome::Completed });
        }
        history.trim(0, &turn("b"));
        let left: Vec<_> = history.entries().map(|entry| entry.turn.as_str()).collect();
        assert_eq!(left, ["b", "b", "c", "c"]);
        let bytes: usize = history.entries().map(|entry| json_bytes(&entry.item)).sum();
        assert_eq!(history.bytes(), bytes);
        assert_eq!(history.head(), 6);
    }
}
