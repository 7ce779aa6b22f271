//! The only place that writes to the terminal.
//!
//! *Invariant:* a terminal that is gone or full of nobody's lines never stops the engine: what
//! cannot be printed is dropped, since there is no one left to tell.

use std::io::Write;

/// Prints a line on standard error: something the developer should know.
pub fn report(line: &str) {
    let written = writeln!(std::io::stderr().lock(), "container-engine: {line}");
    drop(written);
}

/// Prints text on standard output: what was asked for.
pub fn say(text: &str) {
    let mut terminal = std::io::stdout().lock();
    let written = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
    drop(written);
}
