//! Slow work, side by side, with progress on the terminal.
//!
//! Invariant: every step of every row is tried, whatever happens to the others; each failure is
//! returned.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use anyhow::{Error, Result};

use crate::console::{self, seconds};
use crate::limits::PROGRESS_INTERVAL_MAX;

/// Something slow, with a tag that says whose it is.
pub(crate) struct Step<T> {
    /// For the progress lines.
    pub(crate) name: String,
    /// Comes back with a failure.
    pub(crate) tag: T,
    /// What is done.
    pub(crate) work: Box<dyn FnOnce() -> Result<()> + Send>,
}

enum Event<T> {
    Begins(String),
    Ends(String, Option<(T, Error)>),
}

/// Does the rows at the same time and the steps of a row one after another.
pub(crate) fn side_by_side<T: Send + 'static>(rows: Vec<Vec<Step<T>>>) -> Vec<(T, Error)> {
    let (tell, events) = mpsc::channel();
    for row in rows {
        let tell = tell.clone();
        thread::spawn(move || {
            for step in row {
                let Step { name, tag, work } = step;
                let begun = tell.send(Event::Begins(name.clone()));
                let failure = work().err().map(|error| (tag, error));
                // The receiver is gone only when the program ends.
                if begun.and(tell.send(Event::Ends(name, failure))).is_err() {
                    return;
                }
            }
        });
    }
    drop(tell);
    let mut running: Vec<(String, Instant)> = Vec::new();
    let mut failures = Vec::new();
    loop {
        match events.recv_timeout(PROGRESS_INTERVAL_MAX) {
            Ok(Event::Begins(name)) => {
                console::note(&format!("  {name} …"));
                running.push((name, Instant::now()));
            }
            Ok(Event::Ends(name, failure)) => {
                let since = running.iter().position(|(other, _)| *other == name);
                let took = since.map(|at| running.swap_remove(at).1.elapsed()).unwrap_or_default();
                let verdict = if failure.is_some() { "failed after" } else { "ready after" };
                console::note(&format!("  {name}: {verdict} {}", seconds(took)));
                failures.extend(failure);
            }
            Err(RecvTimeoutError::Timeout) => console::note(&busy_with(&running)),
            Err(RecvTimeoutError::Disconnected) => return failures,
        }
    }
}

fn busy_with(running: &[(String, Instant)]) -> String {
    let each = running
        .iter()
        .map(|(name, since)| format!("{name} ({:.0} s)", since.elapsed().as_secs_f64()));
    format!("  still busy with {}", each.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    fn step(name: &str, result: Result<()>) -> Step<&'static str> {
        let tag = if result.is_ok() { "well" } else { "ill" };
        Step { name: name.to_owned(), tag, work: Box::new(move || result) }
    }

    #[test]
    fn a_failure_stops_nothing_and_comes_back() {
        let (done, seen) = mpsc::channel();
        let last = Step {
            name: "last".to_owned(),
            tag: "well",
            work: Box::new(move || done.send(()).map_err(Error::from)),
        };
        let rows = vec![
            vec![step("a", Err(anyhow!("no a"))), last],
            vec![step("b", Err(anyhow!("no b"))), step("c", Ok(()))],
        ];
        let mut failures: Vec<String> =
            side_by_side(rows).iter().map(|(tag, error)| format!("{tag}: {error}")).collect();
        failures.sort();
        assert_eq!(failures, ["ill: no a", "ill: no b"]);
        seen.recv().unwrap();
    }

    #[test]
    fn nothing_to_do_is_done_at_once() {
        assert!(side_by_side::<()>(vec![vec![], vec![]]).is_empty());
    }
}
