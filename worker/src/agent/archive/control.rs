//! The control export as a file: everything of the books that is not in segments, one row a line.
//! Pure.
//!
//! Invariant: a file is used only whole. The first line says what must follow, the last one has the
//! hash of all lines before it, so that a file that was cut off or changed is known as one.

use std::collections::BTreeMap;

use protocol::AgentId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::segment::hex;

/// The version of this format.
const FORMAT: u32 = 1;

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    /// The version of the format.
    pub(crate) control_export: u32,
    /// The agent.
    pub(crate) agent: AgentId,
    /// As of when.
    pub(crate) at_ms: u64,
    /// Rows of each table.
    pub(crate) rows: BTreeMap<String, u64>,
}

/// A row of a table, by column names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableRow {
    /// The table.
    pub(crate) table: String,
    /// The columns.
    pub(crate) row: Map<String, Value>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
struct Seal {
    sha256: String,
}

/// The rows of an export, as they are collected.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    lines: Vec<u8>,
    counts: BTreeMap<String, u64>,
    /// Of the rows that make a difference to somebody who restores.
    content: Sha256,
}

impl Rows {
    /// Adds a row. `counts` says whether a change of it alone is worth another export.
    pub(crate) fn add(&mut self, row: &TableRow, counts: bool) -> Result<(), serde_json::Error> {
        let from = self.lines.len();
        serde_json::to_writer(&mut self.lines, row)?;
        self.lines.push(b'\n');
        *self.counts.entry(row.table.clone()).or_default() += 1;
        if counts {
            self.content.update(self.lines.get(from..).unwrap_or_default());
        }
        Ok(())
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> usize {
        self.lines.len()
    }

    /// The hash of the rows whose change is worth another export.
    pub(crate) fn fingerprint(&self) -> String {
        hex(&self.content.clone().finalize())
    }

    /// The whole file.
    pub(crate) fn seal(self, agent: &AgentId, at_ms: u64) -> Result<Vec<u8>, serde_json::Error> {
        let agent = agent.clone();
        let header = Header { control_export: FORMAT, agent, at_ms, rows: self.counts };
        let mut file = serde_json::to_vec(&header)?;
        file.push(b'\n');
        file.extend_from_slice(&self.lines);
        let seal = Seal { sha256: hex(&Sha256::digest(&file)) };
        serde_json::to_writer(&mut file, &seal)?;
        file.push(b'\n');
        Ok(file)
    }
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unusable {
    /// The end is not there.
    #[error("its end is missing")]
    Truncated,
    /// The hash is not that of the content.
    #[error("its content is not what was written")]
    Changed,
    /// The first line does not read.
    #[error("its first line does not read")]
    Header(#[source] serde_json::Error),
    /// A later version of this program wrote it.
    #[error("it has format {0}, which this version does not know")]
    Format(u32),
    /// It is another agent's.
    #[error("it is of the agent {0}")]
    Agent(AgentId),
    /// A line is no row.
    #[error("line {line} is no row")]
    Row {
        /// Which, from 1.
        line: usize,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// There are more or fewer rows than its first line says.
    #[error("it has not the rows that its first line says")]
    Counts,
}

/// A file that is whole.
#[derive(Debug)]
pub(crate) struct Control<'a> {
    /// The first line.
    pub(crate) header: Header,
    lines: &'a [u8],
}

impl<'a> Control<'a> {
    /// Checks a file.
    pub(crate) fn open(file: &'a [u8], agent: &AgentId) -> Result<Self, Unusable> {
        let whole = file.strip_suffix(b"\n").ok_or(Unusable::Truncated)?;
        let last = whole.iter().rposition(|byte| *byte == b'\n').ok_or(Unusable::Truncated)? + 1;
        let (before, seal) = whole.split_at(last);
        let seal: Seal = serde_json::from_slice(seal).map_err(|_seal| Unusable::Truncated)?;
        if seal.sha256 != hex(&Sha256::digest(before)) {
            return Err(Unusable::Changed);
        }
        let first = before.iter().position(|byte| *byte == b'\n').ok_or(Unusable::Truncated)? + 1;
        let (header, lines) = before.split_at(first);
        let header: Header = serde_json::from_slice(header).map_err(Unusable::Header)?;
        if header.control_export != FORMAT {
            return Err(Unusable::Format(header.control_export));
        }
        if header.agent != *agent {
            return Err(Unusable::Agent(header.agent));
        }
        let control = Self { header, lines };
        let mut counts = BTreeMap::<String, u64>::new();
        for row in control.rows() {
            *counts.entry(row?.table).or_default() += 1;
        }
        if counts != control.header.rows {
            return Err(Unusable::Counts);
        }
        Ok(control)
    }

    /// Its rows, read one by one.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Result<TableRow, Unusable>> {
        (2..).zip(self.lines.split_inclusive(|byte| *byte == b'\n')).map(|(line, text)| {
            serde_json::from_slice(text).map_err(|source| Unusable::Row { line, source })
        })
    }
}

/// When a file says that it was written, by the beginning of its content; `None` when that says
/// nothing.
pub(crate) fn written_at_ms(beginning: &[u8]) -> Option<u64> {
    let line = beginning.split(|byte| *byte == b'\n').next()?;
    serde_json::from_slice::<Header>(line).ok().map(|header| header.at_ms)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn main() -> AgentId {
        "main".parse().unwrap()
    }

    fn row(table: &str, value: &Value) -> TableRow {
        let row = json!({ "id": value, "none": null }).as_object().unwrap().clone();
        TableRow { table: table.into(), row }
    }

    fn file(rows: &[TableRow]) -> Vec<u8> {
        let mut all = Rows::default();
        for row in rows {
            all.add(row, row.table != "chores").unwrap();
        }
        all.seal(&main(), 7).unwrap()
    }

    #[test]
    fn rows_come_back_as_they_were() {
        let rows = [row("jobs", &json!(3)), row("jobs", &json!("a\nä")), row("log", &json!(null))];
        let file = file(&rows);
        let control = Control::open(&file, &main()).unwrap();
        assert_eq!((control.header.at_ms, control.header.rows["jobs"]), (7, 2));
        let back: Result<Vec<TableRow>, _> = control.rows().collect();
        assert_eq!(back.unwrap(), rows);
        let header = file.iter().position(|byte| *byte == b'\n').unwrap();
        assert_eq!(written_at_ms(&file[..header + 5]), Some(7));
        assert_eq!(written_at_ms(&file[..header - 5]), None);
        assert_eq!(written_at_ms(b"nothing"), None);
        let other: AgentId = "other".parse().unwrap();
        assert!(matches!(Control::open(&file, &other), Err(Unusable::Agent(_))));
        Control::open(&self::file(&[]), &main()).unwrap();
    }

    #[test]
    fn what_changes_by_itself_is_no_change() {
        let fingerprint = |rows: &[TableRow]| {
            let mut all = Rows::default();
            for row in rows {
                all.add(row, row.table != "chores").unwrap();
            }
            all.fingerprint()
        };
        let one = [row("jobs", &json!(1)), row("chores", &json!(1))];
        let two = [row("jobs", &json!(1)), row("chores", &json!(2))];
        let three = [row("jobs", &json!(2)), row("chores", &json!(2))];
        assert_eq!(fingerprint(&one), fingerprint(&two));
        assert_ne!(fingerprint(&two), fingerprint(&three));
    }

    proptest! {
        /// A file that lacks its end or has another byte anywhere is not used.
        #[test]
        fn only_a_whole_file_is_used(at in 0usize..400, flip in 1u8..=255) {
            let file = file(&[row("jobs", &json!(3)), row("log", &json!("text"))]);
            let at = at % file.len();
            prop_assert!(Control::open(&file[..at], &main()).is_err());
            let mut changed = file.clone();
            changed[at] ^= flip;
            prop_assert!(Control::open(&changed, &main()).is_err());
        }
    }
}
