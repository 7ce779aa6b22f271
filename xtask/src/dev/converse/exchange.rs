//! One message and what is heard until it is answered, as a pure state machine.
//!
//! Invariant: only what belongs to the message's own turn is heard; text is heard once, streamed or
//! from the record that supersedes the stream.

use protocol::chat::{Phase, ServerFrame, TurnTiming};
use protocol::session::{AssistantMessage, Block, Item, Outcome, Record};
use protocol::{Problem, TurnId};

/// Between two texts of one reply.
const BREAK: &str = "\n\n";

/// Something to show.
#[derive(Debug, PartialEq)]
pub(super) enum Heard {
    /// More of the reply.
    Text(String),
    /// Something on the way.
    Aside(String),
    /// The message was not taken.
    Refused(Problem),
    /// The reply is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// Where the time went.
        timing: TurnTiming,
    },
}

/// A message on its way.
#[derive(Debug)]
pub(super) struct Exchange {
    id: String,
    turn: Option<TurnId>,
    /// Whether text was streamed since the turn's last record.
    streamed: bool,
    text: String,
}

impl Exchange {
    /// A message that was sent with this id.
    pub(super) fn new(id: String) -> Self {
        Self { id, turn: None, streamed: false, text: String::new() }
    }

    /// The reply's whole text.
    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// What a frame means for this message.
    pub(super) fn hear(&mut self, frame: ServerFrame) -> Vec<Heard> {
        match frame {
            ServerFrame::Welcome { problems, .. } => {
                problems.iter().map(|problem| Heard::Aside(format!("[{problem}]"))).collect()
            }
            ServerFrame::Rejected { id, problem } if id == self.id => vec![Heard::Refused(problem)],
            ServerFrame::Record { record } => self.hear_record(record),
            ServerFrame::Text { turn, text } if self.is_ours(&turn) => {
                // A later message of the turn begins a paragraph of its own.
                let begins = !std::mem::replace(&mut self.streamed, true) && !self.text.is_empty();
                vec![Heard::Text(if begins { format!("{BREAK}{text}") } else { text })]
            }
            ServerFrame::Restarted { turn } if self.is_ours(&turn) => {
                self.streamed = false;
                vec![Heard::Aside(
                    "[asked again; what was said since the last step is void]".into(),
                )]
            }
            ServerFrame::Retrying { turn, model, reason, after_ms } if self.is_ours(&turn) => {
                self.streamed = false;
                let after_s = after_ms.div_ceil(1000);
                vec![Heard::Aside(format!("[{reason} Asking {model} in {after_s} s]"))]
            }
            ServerFrame::Progress { turn, phase } if self.is_ours(&turn) => match phase {
                Phase::Recovering => {
                    vec![Heard::Aside("[the container was lost; starting anew]".into())]
                }
                Phase::Waiting | Phase::Starting | Phase::Working | Phase::Saving => Vec::new(),
            },
            ServerFrame::Ended { turn, outcome, timing } if self.is_ours(&turn) => {
                vec![Heard::Ended { outcome, timing }]
            }
            // A command is answered at once and runs no turn.
            ServerFrame::Notice { id, text } if id == self.id => {
                self.text.push_str(&text);
                let (outcome, timing) = (Outcome::Completed, TurnTiming::default());
                vec![Heard::Text(text), Heard::Ended { outcome, timing }]
            }
            ServerFrame::Accepted { .. }
            | ServerFrame::Rejected { .. }
            | ServerFrame::Text { .. }
            | ServerFrame::Thinking { .. }
            | ServerFrame::Restarted { .. }
            | ServerFrame::Retrying { .. }
            | ServerFrame::Progress { .. }
            | ServerFrame::Answer { .. }
            | ServerFrame::Notice { .. }
            | ServerFrame::Ended { .. } => Vec::new(),
        }
    }

    fn is_ours(&self, turn: &TurnId) -> bool {
        self.turn.as_ref() == Some(turn)
    }

    fn hear_record(&mut self, record: Record) -> Vec<Heard> {
        match record.item {
            Item::User(message) if message.event == self.id => {
                self.turn = Some(record.turn);
                Vec::new()
            }
            Item::Assistant(message) if self.is_ours(&record.turn) => self.hear_answer(message),
            _ => Vec::new(),
        }
    }

    fn hear_answer(&mut self, message: AssistantMessage) -> Vec<Heard> {
        let streamed = std::mem::take(&mut self.streamed);
        let mut heard = Vec::new();
        for block in message.blocks {
            match block {
                Block::Text { text } => {
                    let text = if self.text.is_empty() { text } else { format!("{BREAK}{text}") };
                    self.text.push_str(&text);
                    if !streamed {
                        heard.push(Heard::Text(text));
                    }
                }
                Block::ToolCall { name, .. } => heard.push(Heard::Aside(format!("[{name}]"))),
                Block::Thinking { .. } | Block::RedactedThinking { .. } => {}
            }
        }
        heard
    }
}
