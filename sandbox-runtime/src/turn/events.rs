//! The events of one turn, kept so that a follower may come late, leave and come back.
//!
//! Invariants: numbers grow and none is used twice; an event is kept until the log's record, or the
//! next try of the question, supersedes it or the buffer's bound pushes it out, and only deltas are ever dropped; a follower
//! never holds up the turn.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use protocol::turn::{EventKind, TurnEvent};
use tokio::sync::watch;

use crate::limits::{EVENT_BUFFER_BYTES_MAX, EVENT_FRAME_BYTES_MAX};

/// The kept events of one turn. Pure: it knows no follower.
#[derive(Debug, Default)]
struct EventBuffer {
    lines: VecDeque<Line>,
    bytes: usize,
    last: u64,
    closed: bool,
}

#[derive(Debug)]
struct Line {
    n: u64,
    json: Bytes,
    is_delta: bool,
}

impl EventBuffer {
    fn push(&mut self, kind: EventKind) -> Result<(), serde_json::Error> {
        let is_delta = matches!(kind, EventKind::Text { .. } | EventKind::Thinking { .. });
        // What a try has said is void once it is known that another one begins.
        let supersedes = matches!(kind, EventKind::Appended { .. } | EventKind::Retrying { .. });
        let n = self.last + 1;
        let mut json = serde_json::to_vec(&TurnEvent { n, kind })?;
        json.push(b'\n');
        if supersedes {
            self.retain(|line| !line.is_delta);
        }
        self.last = n;
        self.bytes += json.len();
        self.lines.push_back(Line { n, json: json.into(), is_delta });
        if self.bytes > EVENT_BUFFER_BYTES_MAX {
            self.drop_oldest_deltas();
        }
        Ok(())
    }

    /// Makes room down to half of the bound, so that this is seldom done.
    fn drop_oldest_deltas(&mut self) {
        let mut excess = self.bytes.saturating_sub(EVENT_BUFFER_BYTES_MAX / 2);
        self.retain(|line| {
            let keep = !line.is_delta || excess == 0;
            if !keep {
                excess = excess.saturating_sub(line.json.len());
            }
            keep
        });
    }

    fn retain(&mut self, mut keep: impl FnMut(&Line) -> bool) {
        self.lines.retain(&mut keep);
        self.lines.shrink_to_fit();
        self.bytes = self.lines.iter().map(|line| line.json.len()).sum();
    }

    /// The lines numbered `from` and later, as many as one frame takes, and the next number.
    fn frame(&self, from: u64) -> Option<(Bytes, u64)> {
        let start = self.lines.partition_point(|line| line.n < from);
        let mut frame = BytesMut::new();
        let mut next = from;
        for line in self.lines.iter().skip(start) {
            if !frame.is_empty() && frame.len() + line.json.len() > EVENT_FRAME_BYTES_MAX {
                break;
            }
            frame.extend_from_slice(&line.json);
            next = line.n + 1;
        }
        (!frame.is_empty()).then(|| (frame.freeze(), next))
    }
}

/// The events of one turn, shared between the turn and its followers.
#[derive(Debug, Clone)]
pub struct Events {
    buffer: Arc<Mutex<EventBuffer>>,
    changed: watch::Sender<()>,
}

impl Events {
    /// No events yet.
    pub fn new() -> Self {
        Self { buffer: Arc::default(), changed: watch::Sender::new(()) }
    }

    /// Adds the next event.
    pub fn push(&self, kind: EventKind) {
        if let Err(error) = self.lock().push(kind) {
            tracing::error!(%error, "an event could not be written");
        }
        self.changed.send_replace(());
    }

    /// Says that nothing follows.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.send_replace(());
    }

    /// The events numbered `from` and later as NDJSON, to the turn's end.
    pub fn follow(&self, from: u64) -> impl Stream<Item = Bytes> + Send + use<> {
        let follower = (self.clone(), self.changed.subscribe(), from);
        stream::unfold(follower, |(events, mut changed, from)| async move {
            loop {
                changed.mark_unchanged();
                let (frame, closed) = {
                    let buffer = events.lock();
                    (buffer.frame(from), buffer.closed)
                };
                match frame {
                    Some((frame, next)) => return Some((frame, (events, changed, next))),
                    None if closed => return None,
                    // The sender lives in `events`, so this cannot fail while we hold it.
                    None => changed.changed().await.ok()?,
                }
            }
        })
    }

    /// A poisoned lock means that a push panicked; what the buffer holds is still whole lines.
    fn lock(&self) -> MutexGuard<'_, EventBuffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Events {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt;
    use protocol::session::Outcome;
    use protocol::turn::Timing;

    fn text(text: &str) -> EventKind {
        EventKind::Text { text: text.into() }
    }

    async fn all(events: &Events, from: u64) -> Vec<u64> {
        let bytes: Vec<Bytes> = events.follow(from).collect().await;
        let lines = bytes.concat();
        serde_json::Deserializer::from_slice(&lines)
            .into_iter::<TurnEvent>()
            .map(|event| event.unwrap().n)
            .collect()
    }

    #[tokio::test]
    async fn an_appended_record_supersedes_the_deltas_before_it() {
        let events = Events::new();
        events.push(EventKind::ModelCalled { step: 1 });
        events.push(text("a"));
        events.push(text("b"));
        events.push(EventKind::Appended { head: 2 });
        events.push(text("c"));
        events.push(EventKind::Finished { outcome: Outcome::Completed, timing: Timing::default() });
        events.close();
        assert_eq!(all(&events, 1).await, [1, 4, 5, 6]);
        assert_eq!(all(&events, 5).await, [5, 6]);
        assert_eq!(all(&events, 7).await, [0u64; 0]);
    }

    #[tokio::test]
    async fn a_retry_makes_void_what_was_said_before_it() {
        let events = Events::new();
        events.push(EventKind::ModelCalled { step: 1 });
        events.push(text("half an"));
        let (model, reason) = ("p/m".into(), "It broke off.".into());
        events.push(EventKind::Retrying { model, reason, after_ms: 0 });
        events.push(text("a whole answer"));
        events.close();
        assert_eq!(all(&events, 1).await, [1, 3, 4]);
    }

    #[tokio::test]
    async fn a_flood_of_deltas_stays_within_its_bound_and_keeps_the_newest() {
        let events = Events::new();
        let piece = "x".repeat(1000);
        for _ in 0..3 * EVENT_BUFFER_BYTES_MAX / 1000 {
            events.push(text(&piece));
            assert!(events.lock().bytes <= EVENT_BUFFER_BYTES_MAX);
        }
        let last = events.lock().last;
        events.close();
        assert_eq!(all(&events, 1).await.last(), Some(&last));
    }

    #[tokio::test]
    async fn a_follower_hears_what_comes_later() {
        let events = Events::new();
        let follower = tokio::spawn({
            let events = events.clone();
            async move { all(&events, 1).await }
        });
        tokio::task::yield_now().await;
        events.push(text("a"));
        tokio::task::yield_now().await;
        events.push(text("b"));
        events.close();
        assert_eq!(follower.await.unwrap(), [1, 2]);
    }
}
