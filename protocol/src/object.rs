//! Worker → agent object: the routes of the Durable Object's own `fetch`.
//!
//! Only the Worker can reach them. What the Worker has established about the caller travels in
//! headers that it sets itself ([`EPOCH_HEADER`]); it never forwards such a header from outside.

use serde::{Deserialize, Serialize};

use crate::edge::EdgeRoute;
use crate::ids::{SessionId, TurnId};
use crate::route::{Method, segments};
use crate::session::Usage;
use crate::workspace::FileName;

/// Header: the epoch of the container that asks, from the interception's properties.
pub const EPOCH_HEADER: &str = "x-pagurus-epoch";

/// Header: the agent's id, since an object is not told the name it was looked up by.
pub const AGENT_HEADER: &str = "x-pagurus-agent";

/// One route of the agent object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectRoute {
    /// Open the web chat's socket.
    ChatSocket,
    /// May the container of this epoch make this model call ([`CallRequest`])? 200 with a
    /// [`CallGrant`] when it may; what it can cost at most is set aside then.
    ModelGrant,
    /// A granted model call is over ([`CallSettled`]).
    ModelSettle,
    /// A session service on behalf of a container; only the session routes of [`EdgeRoute`].
    Session(EdgeRoute),
    /// May the container of this epoch use the workspace's repository so? 204 when it may.
    WorkspaceGrant(Access),
    /// May the owner's own client add to the workspace's repository now? 204 when it may.
    OwnerGrant,
    /// A snapshot of the workspace is safe in R2.
    SnapshotStored {
        /// Its name.
        name: FileName,
    },
    /// The password of the workspace's repository, as text.
    WorkspacePassword,
    /// The container's last words ([`LastWords`](crate::edge::LastWords)).
    Report,
    /// What was spent on models and what may be ([`UsageReport`]).
    Usage,
    /// Something leaves for the internet, or has left
    /// ([`EgressNotes`](crate::egress::EgressNotes)): 204 when the container of this epoch may.
    Egress,
    /// Accept a message of a channel ([`Envelope`]); 200 with [`Accepted`] once it is durable.
    Accept,
    /// The whole log of one session, or of all, as JSON lines.
    Export {
        /// One session; `None` for all.
        session: Option<SessionId>,
    },
    /// Write the control tables to R2 now.
    ControlExport,
    /// Fill the books of an empty object from what R2 holds.
    ControlRestore,
    /// Set faults; served in fault mode only.
    Faults,
}

/// What is done with the workspace's repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Add what is not there.
    Add,
    /// Delete: only in a life of the container that is there for maintenance.
    Delete,
}

impl Access {
    const ALL: [Self; 3] = [Self::Read, Self::Add, Self::Delete];

    fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Add => "add",
            Self::Delete => "delete",
        }
    }
}

/// A message as a channel brings it, verified and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The channel, such as `hook`.
    pub channel: String,
    /// The channel's id of the message; accepted once per channel.
    pub event: String,
    /// The conversation in the channel: where the answer goes.
    pub chat: String,
    /// The conversation here.
    pub session: SessionId,
    /// Who wrote, as the channel names them.
    pub sender: String,
    /// The text.
    pub text: String,
}

/// The answer to [`ObjectRoute::Accept`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Whether it was accepted before; nothing has changed then.
    pub before: bool,
}

/// The answer to [`ObjectRoute::ControlRestore`]: what an agent has got back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restored {
    /// The control export that was used, by its name in the bucket.
    pub control: String,
    /// When it was written, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Sessions with a log.
    pub sessions: u64,
    /// Records in all logs.
    pub records: u64,
    /// Segments taken in that are newer than the export.
    pub adopted: u64,
    /// Messages that wait for an answer.
    pub waiting: u64,
    /// Jobs of the schedule.
    pub jobs: u64,
    /// What could not be used, a sentence each.
    pub warnings: Vec<String>,
}

/// A model call that is about to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallRequest {
    /// The running turn that it belongs to.
    pub turn: TurnId,
    /// The provider's name in the settings.
    pub provider: String,
    /// The model's name at the provider.
    pub model: String,
    /// The most that it takes in, in tokens.
    pub input_tokens: u64,
    /// The most that it may give out, in tokens.
    pub output_tokens: u64,
}

/// Leave to make a model call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallGrant {
    /// The call's number, to settle it by.
    pub call: u64,
    /// The conversation that it belongs to.
    pub session: SessionId,
    /// The channel that the turn's first message came by.
    pub channel: String,
}

/// What became of a granted call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallSettled {
    /// The call's number.
    pub call: u64,
    /// What is owed for it.
    pub bill: Bill,
}

/// What is owed for a model call, as far as the edge could see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "bill", rename_all = "snake_case")]
pub enum Bill {
    /// Nothing: the provider refused it or was not reached, or a gateway answered by itself.
    Nothing,
    /// The answer was whole, and this was counted.
    Counted {
        /// Tokens.
        usage: Usage,
        /// The cost in billionths of a dollar, where the provider or a gateway says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost_nanodollars: Option<u64>,
        /// The `provider/model` that a gateway's route led to, where it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        answered_by: Option<String>,
    },
    /// The answer broke off, or nobody counted.
    Uncounted {
        /// Tokens counted by then.
        usage: Usage,
        /// How long the provider had been writing.
        elapsed_ms: u64,
    },
}

/// Money and tokens together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Billionths of a US dollar; absent in a cap that does not count money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nanodollars: Option<u64>,
    /// Tokens, in and out; absent in a cap that does not count them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
}

/// A line of a list of usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLine {
    /// The day, `provider/model`, conversation or channel.
    pub name: String,
    /// Calls of models.
    pub calls: u64,
    /// Those of them that nobody counted, and that count with what they can have cost.
    pub estimated: u64,
    /// Tokens.
    pub usage: Usage,
    /// Billionths of a US dollar.
    pub nanodollars: u64,
}

/// The answer to [`ObjectRoute::Usage`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageReport {
    /// Today, in the owner's time zone, as `2026-11-28`.
    pub day: String,
    /// Counted today, calls under way included.
    pub today: Amount,
    /// Counted this month, calls under way included.
    pub month: Amount,
    /// The most of one turn.
    pub turn_cap: Amount,
    /// The most of one day.
    pub day_cap: Amount,
    /// The most of one month.
    pub month_cap: Amount,
    /// How many days the lists below cover.
    pub days: u32,
    /// By day, newest first.
    pub by_day: Vec<UsageLine>,
    /// By `provider/model`, dearest first.
    pub by_model: Vec<UsageLine>,
    /// By conversation, dearest first.
    pub by_session: Vec<UsageLine>,
    /// By channel, dearest first.
    pub by_channel: Vec<UsageLine>,
}

impl ObjectRoute {
    /// The method of the route.
    pub fn method(&self) -> Method {
        match self {
            Self::ChatSocket | Self::Export { .. } | Self::WorkspacePassword | Self::Usage => {
                Method::Get
            }
            Self::Session(route) => route.method(),
            Self::ModelGrant
            | Self::ModelSettle
            | Self::WorkspaceGrant(_)
            | Self::OwnerGrant
            | Self::SnapshotStored { .. }
            | Self::Report
            | Self::Egress
            | Self::Accept
            | Self::ControlExport
            | Self::ControlRestore
            | Self::Faults => Method::Post,
        }
    }

    /// Path and query.
    pub fn path(&self) -> String {
        match self {
            Self::ChatSocket => "/chat/socket".into(),
            Self::ModelGrant => "/model/grant".into(),
            Self::ModelSettle => "/model/settle".into(),
            Self::Session(route) => route.path(),
            Self::WorkspaceGrant(access) => format!("/workspace/grant/{}", access.as_str()),
            Self::OwnerGrant => "/workspace/owner".into(),
            Self::SnapshotStored { name } => format!("/workspace/snapshots/{name}"),
            Self::WorkspacePassword => "/workspace/password".into(),
            Self::Report => "/report".into(),
            Self::Usage => "/usage".into(),
            Self::Egress => "/egress".into(),
            Self::Accept => "/inbox".into(),
            Self::Export { session: None } => "/export".into(),
            Self::Export { session: Some(session) } => format!("/export/{session}"),
            Self::ControlExport => "/control/export".into(),
            Self::ControlRestore => "/control/restore".into(),
            Self::Faults => "/faults".into(),
        }
    }

    /// The route that a method, path and query name.
    pub fn parse(method: &str, path: &str, query: &str) -> Option<Self> {
        let route = match segments(path)?.as_slice() {
            ["chat", "socket"] => Self::ChatSocket,
            ["model", "grant"] => Self::ModelGrant,
            ["model", "settle"] => Self::ModelSettle,
            ["session", ..] => Self::Session(EdgeRoute::parse(method, path, query)?),
            ["workspace", "grant", access] => Self::WorkspaceGrant(
                Access::ALL.into_iter().find(|known| known.as_str() == *access)?,
            ),
            ["workspace", "owner"] => Self::OwnerGrant,
            ["workspace", "snapshots", name] => Self::SnapshotStored { name: name.parse().ok()? },
            ["workspace", "password"] => Self::WorkspacePassword,
            ["report"] => Self::Report,
            ["usage"] => Self::Usage,
            ["egress"] => Self::Egress,
            ["inbox"] => Self::Accept,
            ["export"] => Self::Export { session: None },
            ["export", session] => Self::Export { session: Some(session.parse().ok()?) },
            ["control", "export"] => Self::ControlExport,
            ["control", "restore"] => Self::ControlRestore,
            ["faults"] => Self::Faults,
            _ => return None,
        };
        (route.method().as_str() == method).then_some(route)
    }
}
