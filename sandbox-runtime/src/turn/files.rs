//! Which calls' changes to files are safe: a pure function of the log.
//!
//! Invariant: a call counts as safe only behind a record that says so. A call that was started may
//! have changed files, however it ended.

use std::collections::HashSet;

use protocol::session::{Item, ToolStatus};
use protocol::{CallId, Sequence};

use super::history::History;
use crate::tools;

/// The number of the first record whose changes to files are not known to be safe; `None` when all
/// are.
pub fn first_unsaved(history: &History) -> Option<Sequence> {
    let safe = safe_up_to(history);
    let mut unsafe_calls = numbered(history).filter(|(sequence, item)| {
        *sequence > safe
            && matches!(item, Item::ToolStarted { name, .. } if tools::changes_files(name))
    });
    unsafe_calls.next().map(|(sequence, _)| sequence)
}

/// The calls that a former life of the container finished and whose changes it did not save, in
/// order. What was interrupted is not among them: the model hears of that anyway.
pub fn lost_calls(history: &History) -> Vec<CallId> {
    let safe = safe_up_to(history);
    let mut started = HashSet::new();
    let mut lost = Vec::new();
    for (sequence, item) in numbered(history) {
        match item {
            Item::ToolStarted { call, name } if tools::changes_files(name) => {
                started.insert(call);
            }
            Item::ToolFinished(finished) => {
                let ran = matches!(finished.status, ToolStatus::Ok | ToolStatus::Failed);
                if started.remove(&finished.call) && ran && sequence > safe {
                    lost.push(finished.call.clone());
                }
            }
            _ => {}
        }
    }
    lost
}

/// Up to which record everything is safe or has been given up with a note to the model.
fn safe_up_to(history: &History) -> Sequence {
    let safe = numbered(history).filter_map(|(sequence, item)| match item {
        Item::FilesSaved { upto, .. } => Some(*upto),
        Item::FilesLost { .. } => Some(sequence),
        _ => None,
    });
    safe.max().unwrap_or(0)
}

fn numbered(history: &History) -> impl Iterator<Item = (Sequence, &Item)> {
    let first = history.head() + 1 - history.entries().len() as Sequence;
    (first..).zip(history.entries().map(|entry| &entry.item))
}

#[cfg(test)]
mod tests {
    use protocol::session::ToolFinished;

    use super::*;

    /// A history in words: `b1` starts a shell call, `r1` a reading one, `.1` is a call's end and
    /// `!1` its interruption, `s3` is the note that all is saved up to record 3, `L` the note that
    /// files were lost.
    fn history(words: &str) -> History {
        let mut history = History::after(10);
        for word in words.split_whitespace() {
            let (kind, name) = word.split_at(1);
            let call = || name.parse().unwrap();
            let end = |status| {
                let (output, images, duration_ms) = (String::new(), Vec::new(), 1);
                Item::ToolFinished(ToolFinished {
                    call: call(),
                    status,
                    output,
                    images,
                    duration_ms,
                })
            };
            let item = match kind {
                "b" => Item::ToolStarted { call: call(), name: "bash".into() },
                "r" => Item::ToolStarted { call: call(), name: "read".into() },
                "." => end(ToolStatus::Ok),
                "!" => end(ToolStatus::Interrupted),
                "s" => Item::FilesSaved { upto: name.parse().unwrap(), snapshot: None },
                "L" => Item::FilesLost { calls: vec![] },
                other => panic!("no such word: {other}"),
            };
            history.push("t".parse().unwrap(), item);
        }
        history
    }

    fn lost(words: &str) -> Vec<String> {
        lost_calls(&history(words)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_was_finished_and_not_saved_is_lost() {
        assert_eq!(lost("b1 .1 r2 .2 b3 .3"), ["1", "3"]);
        assert_eq!(lost("b1 .1 b3 !3 b4"), ["1"]);
    }

    #[test]
    fn what_was_saved_is_not() {
        assert!(lost("b1 .1 s12").is_empty());
        assert_eq!(lost("b1 .1 b2 .2 s12"), ["2"]);
        assert!(lost("").is_empty());
    }

    #[test]
    fn nothing_is_reported_twice() {
        assert!(lost("b1 .1 L").is_empty());
        assert_eq!(lost("b1 .1 L b2 .2"), ["2"]);
    }

    #[test]
    fn a_call_that_only_reads_needs_no_saving() {
        assert_eq!(first_unsaved(&history("r1 .1")), None);
        assert_eq!(first_unsaved(&history("r1 .1 b2 !2")), Some(13));
        assert_eq!(first_unsaved(&history("b1 .1 s12")), None);
    }
}
