//! The terminal: progress and complaints on stderr, results on stdout.
//!
//! Invariant: nothing else prints, so that stdout holds results alone and can be piped.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a terminal program's one printer")]

use std::io::{self, Write as _};
use std::time::Duration;

/// A line of progress or complaint.
pub(crate) fn note(line: &str) {
    eprintln!("{line}");
}

/// A line of the result.
pub(crate) fn print(line: &str) {
    println!("{line}");
}

/// A piece of the result that streams; shown at once.
pub(crate) fn stream(piece: &str) -> io::Result<()> {
    print!("{piece}");
    io::stdout().flush()
}

/// A duration as a person reads it.
pub(crate) fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}
