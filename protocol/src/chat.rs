//! The web chat's socket: JSON text frames between a browser and the agent object.
//!
//! A client says [`ClientFrame::Hello`] first, with the last record it shows; it hears
//! [`ServerFrame::Welcome`], the records it lacks, then what happens. A message is safe when its
//! [`ServerFrame::Accepted`] arrives; a client that did not hear it sends the same `id` again, and
//! the object accepts it once.

use serde::{Deserialize, Serialize};

use crate::ids::{SessionId, TurnId};
use crate::problem::Problem;
use crate::session::{Outcome, Record, Sequence};

/// From the browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// Who am I talking to, and what have I missed?
    Hello {
        /// The conversation to follow.
        session: SessionId,
        /// The last record that the page shows, 0 for none.
        #[serde(default)]
        after: Sequence,
    },
    /// A message.
    Send {
        /// The client's own id of the message, unique (a UUID).
        id: String,
        /// The text.
        text: String,
    },
    /// Stop the running turn.
    Stop,
    /// The page has an answer ([`ServerFrame::Answer`]).
    Received {
        /// The answer's key.
        key: String,
    },
}

/// To the browser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to hello. Records from `after + 1` to `head` follow as [`ServerFrame::Record`].
    Welcome {
        /// Number of the log's last record.
        head: Sequence,
        /// `provider/model` that answers; `demo/…` is the built-in demonstration.
        model: String,
        /// Messages that are accepted and not yet in the log.
        queued: Vec<Queued>,
        /// The running turn, if any.
        turn: Option<LiveTurn>,
        /// What is wrong with the settings, if anything: shown before the first message fails.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        problems: Vec<Problem>,
    },
    /// One record of the log.
    Record {
        /// The record.
        record: Record,
    },
    /// A message is safe: it will be answered whatever happens now.
    Accepted {
        /// The client's id of the message.
        id: String,
    },
    /// A message or frame was not taken.
    Rejected {
        /// The client's id of the message; empty when the frame had none.
        id: String,
        /// Why, and what to do.
        problem: Problem,
    },
    /// A turn has begun or has got further.
    Progress {
        /// The turn.
        turn: TurnId,
        /// How far it is.
        phase: Phase,
    },
    /// The model says something. Superseded by the next record of the turn.
    Text {
        /// The turn.
        turn: TurnId,
        /// The next piece.
        text: String,
    },
    /// The model thinks aloud. Superseded by the next record of the turn.
    Thinking {
        /// The turn.
        turn: TurnId,
        /// The next piece.
        text: String,
    },
    /// What was streamed of this turn since its last record is void: it is being asked again.
    Restarted {
        /// The turn.
        turn: TurnId,
    },
    /// The model did not answer and is asked again, or another one is; what was streamed of this turn
    /// since its last record is void.
    Retrying {
        /// The turn.
        turn: TurnId,
        /// The `provider/model` that is asked next.
        model: String,
        /// Why the last one did not answer, in one sentence.
        reason: String,
        /// How long from now.
        after_ms: u64,
    },
    /// The answer to a command, for the page that gave it; it is not part of the conversation.
    Notice {
        /// The client's id of the command.
        id: String,
        /// The answer, Markdown.
        text: String,
    },
    /// A turn's answer that no page has said to have. Its text is in the log.
    Answer {
        /// The same however often it is offered.
        key: String,
        /// The turn.
        turn: TurnId,
        /// Whether it may have been shown before.
        #[serde(default)]
        possible_duplicate: bool,
    },
    /// The turn is over.
    Ended {
        /// The turn.
        turn: TurnId,
        /// How it ended.
        outcome: Outcome,
        /// Where the time went.
        timing: TurnTiming,
    },
}

/// A message that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queued {
    /// The client's id of the message.
    pub id: String,
    /// The text.
    pub text: String,
}

/// What a page that comes late must know of a running turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveTurn {
    /// The turn.
    pub turn: TurnId,
    /// How far it is.
    pub phase: Phase,
    /// What has been said since the turn's last record.
    pub text: String,
    /// What has been thought since the turn's last record.
    pub thinking: String,
}

/// How far a turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Accepted; nothing asked yet.
    Waiting,
    /// The container is being started.
    Starting,
    /// The model or a tool is at work.
    Working,
    /// The answer is there; changed files are being saved.
    Saving,
    /// The container was lost; a new one is being started for the same turn.
    Recovering,
}

/// Where a turn's time went, as the object and the runtime saw it. Milliseconds with fractions
/// where the clock gives them (a Worker's clock stands still between I/O).
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TurnTiming {
    /// From the message's acceptance to the turn's posting to the runtime (a cold start is here).
    pub wake_ms: f64,
    /// From the posting to the end of the stream.
    pub turn_ms: f64,
    /// The runtime's own account.
    pub runtime: crate::turn::Timing,
}
