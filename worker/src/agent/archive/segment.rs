//! Segments: parts of a session's log as they lie in R2, one record a line. Pure.
//!
//! Invariants: where a log is cut depends on its records alone, and a line on its stored text alone;
//! so whoever tries again makes the same object, byte by byte. What is read back is a whole segment
//! or refused.

use protocol::edge::Page;
use protocol::limits::{PAGE_BYTES_MAX, PAGE_RECORDS_MAX};
use protocol::session::{Record, Sequence};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::limits::{SEGMENT_BYTES, SEGMENT_BYTES_MAX, SEGMENT_RECORDS, SEGMENT_RECORDS_MAX};

/// A record as the books store it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    /// Position in the log.
    pub(crate) sequence: Sequence,
    /// When it was appended.
    pub(crate) at_ms: u64,
    /// The turn.
    pub(crate) turn: String,
    /// The item's JSON.
    pub(crate) item: String,
}

impl Line {
    /// The record's JSON and a line end. From the stored text, so that a later version of this
    /// program writes the same.
    pub(crate) fn text(&self) -> String {
        // A turn's name is made of characters that need no escaping.
        let Self { sequence, at_ms, turn, item } = self;
        format!(
            "{{\"sequence\":{sequence},\"at_ms\":{at_ms},\"turn\":\"{turn}\",\"item\":{item}}}\n"
        )
    }

    fn ends_turn(&self) -> bool {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(rename = "type")]
            kind: String,
        }
        // What does not read ends nothing; the finished segment is read back before it is used.
        serde_json::from_str::<Kind>(&self.item).is_ok_and(|kind| kind.kind == "turn_ended")
    }
}

/// A segment that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Draft {
    /// Its first record.
    pub(crate) first: Sequence,
    /// Its last record.
    pub(crate) last: Sequence,
    /// Its bytes.
    pub(crate) content: Vec<u8>,
    /// Their hash.
    pub(crate) sha256: [u8; 32],
}

/// Finds where the next segment of a log ends: after whole turns, once they are enough; inside a
/// turn only when it is larger than any segment.
#[derive(Debug)]
pub(crate) struct Cutter {
    enough: usize,
    first: Sequence,
    content: Vec<u8>,
    lines: usize,
    /// Lines and bytes up to the last end of a turn.
    whole: (usize, usize),
}

impl Cutter {
    /// For a log whose next unsettled record is `first`; a segment is whole with so many `records`.
    pub(crate) fn new(first: Sequence, records: usize) -> Self {
        let enough = records.clamp(1, SEGMENT_RECORDS);
        Self { enough, first, content: Vec::new(), lines: 0, whole: (0, 0) }
    }

    /// Takes the next record; the segment when it is complete.
    pub(crate) fn push(&mut self, line: &Line) -> Option<Draft> {
        let text = line.text();
        let is_full = self.lines >= SEGMENT_RECORDS_MAX
            || self.content.len() + text.len() > SEGMENT_BYTES_MAX;
        if self.lines > 0 && is_full {
            let at = if self.whole.0 > 0 { self.whole } else { (self.lines, self.content.len()) };
            return Some(self.draft(at));
        }
        self.content.extend_from_slice(text.as_bytes());
        self.lines += 1;
        if line.ends_turn() {
            self.whole = (self.lines, self.content.len());
            if self.lines >= self.enough || self.content.len() >= SEGMENT_BYTES {
                return Some(self.draft(self.whole));
            }
        }
        None
    }

    fn draft(&mut self, (lines, bytes): (usize, usize)) -> Draft {
        let mut content = std::mem::take(&mut self.content);
        content.truncate(bytes);
        let sha256 = Sha256::digest(&content).into();
        Draft { first: self.first, last: self.first + lines as u64 - 1, content, sha256 }
    }
}

/// Why a segment cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    /// It is not there.
    #[error("it is not in the bucket")]
    Missing,
    /// Another size or hash than the books say.
    #[error("its {bytes} bytes are not those that were written")]
    Changed {
        /// The bytes that are there.
        bytes: usize,
    },
    /// The last line has no end.
    #[error("it breaks off in the middle of a line")]
    Truncated,
    /// A line is no record.
    #[error("line {line} is no record")]
    Line {
        /// Which, from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A record stands where another should.
    #[error("record {found} stands where {wanted} should")]
    Order {
        /// The record.
        found: Sequence,
        /// The one that should.
        wanted: Sequence,
    },
    /// It ends before its last record.
    #[error("it ends before record {wanted}")]
    Short {
        /// The first that lacks.
        wanted: Sequence,
    },
}

/// A segment that was read back: its records and the bytes of each.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Records {
    records: Vec<(Record, usize)>,
}

impl Records {
    /// Reads a segment that holds exactly the records from `first` to `last`.
    pub(crate) fn parse(content: &[u8], first: Sequence, last: Sequence) -> Result<Self, Broken> {
        if content.last().is_some_and(|byte| *byte != b'\n') {
            return Err(Broken::Truncated);
        }
        let mut records = Vec::new();
        let mut wanted = first;
        for (line, text) in (1..).zip(content.split_inclusive(|byte| *byte == b'\n')) {
            let record: Record =
                serde_json::from_slice(text).map_err(|source| Broken::Line { line, source })?;
            if record.sequence != wanted || wanted > last {
                return Err(Broken::Order { found: record.sequence, wanted });
            }
            wanted += 1;
            records.push((record, text.len()));
        }
        if wanted <= last {
            return Err(Broken::Short { wanted });
        }
        Ok(Self { records })
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Record> {
        self.records.iter().map(|(record, _)| record)
    }

    /// Those from `from` on, as many as fit a page, and their bytes.
    pub(crate) fn page(&self, from: Sequence, head: Sequence) -> (Page, usize) {
        let mut bytes = 0;
        let mut records: Vec<Record> = Vec::new();
        for (record, size) in &self.records {
            if record.sequence < from {
                continue;
            }
            let is_full = records.len() >= PAGE_RECORDS_MAX || bytes + size > PAGE_BYTES_MAX;
            if is_full && !records.is_empty() {
                break;
            }
            bytes += size;
            records.push(record.clone());
        }
        (Page { records, head }, bytes)
    }
}

/// Refuses bytes that are not those of a size and a hash.
pub(crate) fn check(content: &[u8], bytes: u64, sha256: &str) -> Result<(), Broken> {
    if content.len() as u64 == bytes && hex(&Sha256::digest(content)) == sha256 {
        return Ok(());
    }
    Err(Broken::Changed { bytes: content.len() })
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from_digit(value.into(), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::session::{Item, Outcome, UserMessage};

    use super::*;

    fn line(sequence: Sequence, ends: bool, bytes: usize) -> Line {
        let item = if ends {
            Item::TurnEnded { outcome: Outcome::Completed }
        } else {
            let (channel, event) = ("web".into(), "e\n\"ä".into());
            Item::User(UserMessage { channel, event, text: "x".repeat(bytes) })
        };
        let item = serde_json::to_string(&item).unwrap();
        Line { sequence, at_ms: 5, turn: "t-1:2".into(), item }
    }

    /// All segments of a log that are complete.
    fn cut(lines: &[Line], records: usize) -> Vec<Draft> {
        let mut drafts: Vec<Draft> = Vec::new();
        loop {
            let next = drafts.last().map_or(1, |draft| draft.last + 1);
            let mut cutter = Cutter::new(next, records);
            let rest = lines.iter().filter(|line| line.sequence >= next);
            match rest.into_iter().find_map(|line| cutter.push(line)) {
                Some(draft) => drafts.push(draft),
                None => return drafts,
            }
        }
    }

    #[test]
    fn a_line_is_the_record_as_it_is_written_elsewhere() {
        for line in [line(7, false, 3), line(8, true, 0)] {
            let record: Record = serde_json::from_str(&line.text()).unwrap();
            assert_eq!(serde_json::to_string(&record).unwrap() + "\n", line.text());
        }
    }

    #[test]
    fn turns_stay_whole_unless_one_is_larger_than_any_segment() {
        let ends = |lines: &[Line], records| -> Vec<Sequence> {
            cut(lines, records).iter().map(|draft| draft.last).collect()
        };
        let short: Vec<Line> = (1..=12).map(|n| line(n, n % 3 == 0, 1)).collect();
        assert_eq!(ends(&short, 4), [6, 12]);
        assert_eq!(ends(&short[..11], 4), [6]);
        let endless: Vec<Line> =
            (1..=SEGMENT_RECORDS_MAX as u64 + 1).map(|n| line(n, false, 1)).collect();
        assert_eq!(ends(&endless, 4), [SEGMENT_RECORDS_MAX as u64]);
        let heavy: Vec<Line> = (1..=9).map(|n| line(n, n == 2, 900_000)).collect();
        assert_eq!(ends(&heavy, 100), [2, 6]);
    }

    #[test]
    fn what_is_not_a_whole_segment_is_refused() {
        let lines: Vec<Line> = (1..=6).map(|n| line(n, n % 3 == 0, 1)).collect();
        let draft = &cut(&lines, 3)[1];
        let parse = |content: &[u8]| Records::parse(content, draft.first, draft.last);
        assert_eq!(parse(&draft.content).unwrap().iter().count(), 3);
        check(&draft.content, draft.content.len() as u64, &hex(&draft.sha256)).unwrap();
        let bytes = draft.content.len();
        assert!(matches!(parse(&draft.content[..bytes - 1]), Err(Broken::Truncated)));
        let second = 1 + draft.content.iter().position(|byte| *byte == b'\n').unwrap();
        assert!(matches!(parse(&draft.content[..second]), Err(Broken::Short { wanted: 5 })));
        assert!(matches!(
            parse(&draft.content[second..]),
            Err(Broken::Order { found: 5, wanted: 4 })
        ));
        let twice = [draft.content.as_slice(), &draft.content].concat();
        assert!(matches!(parse(&twice), Err(Broken::Order { .. })));
        assert!(matches!(parse(b"{}\n"), Err(Broken::Line { line: 1, .. })));
        assert!(matches!(parse(b""), Err(Broken::Short { wanted: 4 })));
        let mut flipped = draft.content.clone();
        flipped[second + 3] ^= 1;
        assert!(check(&flipped, bytes as u64, &hex(&draft.sha256)).is_err());
    }

    proptest! {
        /// However long the log has grown meanwhile, the segments that were complete stay the same.
        #[test]
        fn cuts_depend_on_the_records_alone(
            turns in proptest::collection::vec(1usize..9, 1..40),
            records in 1usize..30,
            until in 0usize..300,
        ) {
            let ends: Vec<bool> =
                turns.iter().flat_map(|n| (1..=*n).map(move |k| k == *n)).collect();
            let lines: Vec<Line> =
                (1..).zip(&ends).map(|(n, ends)| line(n, *ends, 2)).collect();
            let all = cut(&lines, records);
            let early = cut(&lines[..until.min(lines.len())], records);
            prop_assert_eq!(&early[..], &all[..early.len()]);
            let mut next = 1;
            for draft in &all {
                prop_assert_eq!(draft.first, next);
                prop_assert!(ends[usize::try_from(draft.last).unwrap() - 1]);
                let read = Records::parse(&draft.content, draft.first, draft.last).unwrap();
                prop_assert_eq!(read.iter().count() as u64, draft.last + 1 - draft.first);
                next = draft.last + 1;
            }
        }

        #[test]
        fn no_bytes_make_the_parser_fall(content in proptest::collection::vec(any::<u8>(), 0..200)) {
            drop(Records::parse(&content, 1, 3));
        }
    }
}
