//! What is left of a process that ends badly: its reason and the tail of its log, told to the edge.
//!
//! Invariants: the kept lines are bounded; telling is bounded in time and never the reason for
//! anything; what cannot be told is at least in the log.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use protocol::edge::{EdgeRoute, LastWords};
use protocol::limits::LAST_WORDS_BYTES_MAX;
use protocol::version::PROTOCOL_VERSION;
use tracing_subscriber::fmt::MakeWriter;

use crate::edge::{EdgeError, Http};
use crate::limits::LAST_WORDS_TIMEOUT;

/// Standard error as the log's destination, with its tail kept.
#[derive(Debug, Clone, Default)]
pub struct LogTail(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
}

impl LogTail {
    /// The kept lines, oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.lock().lines.iter().cloned().collect()
    }

    /// No code that can panic runs under this lock.
    fn lock(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn keep(&mut self, line: &str) {
        let end = line.floor_char_boundary(LAST_WORDS_BYTES_MAX / 4);
        let line = line.get(..end).unwrap_or_default();
        self.bytes += line.len();
        self.lines.push_back(line.to_owned());
        while self.bytes > LAST_WORDS_BYTES_MAX
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }
}

impl Write for LogTail {
    /// One event of the log is one call.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for line in String::from_utf8_lossy(bytes).lines() {
            self.lock().keep(line);
        }
        io::stderr().write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for LogTail {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Tells the edge why the process ends.
pub async fn report(edge: &Http, reason: &str, log: Vec<String>) {
    let words = LastWords { protocol: PROTOCOL_VERSION, reason: reason.to_owned(), log };
    let told = async {
        let body = serde_json::to_vec(&words).map_err(EdgeError::Request)?;
        let headers = [("content-type", "application/json")];
        edge.send(&EdgeRoute::Report, &headers, body).await
    };
    match tokio::time::timeout(LAST_WORDS_TIMEOUT, told).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the edge could not be told"),
        Err(_elapsed) => tracing::debug!("the edge does not answer"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_lines_are_kept_within_the_bound() {
        let mut tail = LogTail::default();
        for n in 0..1_000 {
            let line = format!("line {n} {}\n", "x".repeat(n));
            tail.write_all(line.as_bytes()).unwrap();
        }
        let lines = tail.lines();
        assert!(lines.last().unwrap().starts_with("line 999"));
        assert!(lines.iter().map(String::len).sum::<usize>() <= LAST_WORDS_BYTES_MAX);
        assert!(lines.len() > 1);
    }
}
