//! What is being said right now, for pages that join in mid-turn: pure, in memory only.
//!
//! Invariant: nothing here needs to survive; the next durable record has it all.

use protocol::TurnId;
use protocol::chat::{LiveTurn, Phase, ServerFrame};
use protocol::turn::EventKind;

use crate::limits::LIVE_TEXT_BYTES_MAX;

/// The running turn of one session as its watchers see it.
#[derive(Debug)]
pub(crate) struct Live {
    turn: TurnId,
    phase: Phase,
    text: String,
    thinking: String,
}

impl Live {
    /// A turn that has just begun.
    pub(crate) fn new(turn: TurnId) -> Self {
        Self { turn, phase: Phase::Waiting, text: String::new(), thinking: String::new() }
    }

    /// What a page that joins now must know.
    pub(crate) fn snapshot(&self) -> LiveTurn {
        LiveTurn {
            turn: self.turn.clone(),
            phase: self.phase,
            text: self.text.clone(),
            thinking: self.thinking.clone(),
        }
    }

    /// The turn gets further; `None` when it was there already.
    pub(crate) fn enter(&mut self, phase: Phase) -> Option<ServerFrame> {
        if self.phase == phase {
            return None;
        }
        self.phase = phase;
        Some(ServerFrame::Progress { turn: self.turn.clone(), phase })
    }

    /// What watchers are told of an event of the runtime, if anything. [`EventKind::Appended`] and
    /// [`EventKind::Finished`] are the driver's to show, since they stand for records.
    pub(crate) fn hear(&mut self, event: &EventKind) -> Option<ServerFrame> {
        match event {
            EventKind::ModelCalled { .. } => self.enter(Phase::Working),
            EventKind::Text { text } => {
                push_bounded(&mut self.text, text);
                Some(ServerFrame::Text { turn: self.turn.clone(), text: text.clone() })
            }
            EventKind::Thinking { text } => {
                push_bounded(&mut self.thinking, text);
                Some(ServerFrame::Thinking { turn: self.turn.clone(), text: text.clone() })
            }
            EventKind::Saving => self.enter(Phase::Saving),
            EventKind::Retrying { model, reason, after_ms } => {
                self.clear();
                Some(ServerFrame::Retrying {
                    turn: self.turn.clone(),
                    model: model.clone(),
                    reason: reason.clone(),
                    after_ms: *after_ms,
                })
            }
            EventKind::Appended { .. } | EventKind::Finished { .. } => {
                self.clear();
                None
            }
        }
    }

    /// What was streamed since the last record is void.
    pub(crate) fn restart(&mut self) -> ServerFrame {
        self.clear();
        ServerFrame::Restarted { turn: self.turn.clone() }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.thinking.clear();
    }
}

fn push_bounded(kept: &mut String, piece: &str) {
    kept.push_str(piece);
    if kept.len() > LIVE_TEXT_BYTES_MAX {
        let from = kept.ceil_char_boundary(kept.len() - LIVE_TEXT_BYTES_MAX);
        kept.drain(..from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live() -> Live {
        Live::new("t".parse().unwrap())
    }

    #[test]
    fn a_page_that_joins_late_gets_what_was_said_since_the_last_record() {
        let mut live = live();
        live.hear(&EventKind::Text { text: "old".into() });
        live.hear(&EventKind::Appended { head: 2 });
        live.hear(&EventKind::Text { text: "new ".into() });
        live.hear(&EventKind::Text { text: "words".into() });
        assert_eq!(live.snapshot().text, "new words");
    }

    #[test]
    fn progress_is_told_once() {
        let mut live = live();
        assert!(live.enter(Phase::Starting).is_some());
        assert!(live.enter(Phase::Starting).is_none());
        assert!(live.hear(&EventKind::ModelCalled { step: 1 }).is_some());
        assert!(live.hear(&EventKind::ModelCalled { step: 2 }).is_none());
    }

    #[test]
    fn kept_text_is_bounded_and_stays_text() {
        let mut live = live();
        let piece = "ä€".repeat(1000);
        for _ in 0..LIVE_TEXT_BYTES_MAX / 1000 {
            live.hear(&EventKind::Text { text: piece.clone() });
        }
        let text = live.snapshot().text;
        assert!(text.len() <= LIVE_TEXT_BYTES_MAX && text.ends_with("ä€"));
    }
}
