//! The one shape in which any part says what failed, why, and what to do.
//!
//! Invariant: a [`Problem`] is safe to show: it holds no secret, no stack and no raw provider body.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A failure as data. `message` is one sentence for a person; `remedy` says what to do next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What kind of failure, for programs.
    pub code: ProblemCode,
    /// What failed and why, in one sentence.
    pub message: String,
    /// What to do about it; empty when there is nothing to do but try again.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Problem {
    /// A problem without a remedy.
    pub fn new(code: ProblemCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), remedy: String::new() }
    }

    /// The same problem, with what to do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, " {}", self.remedy) }
    }
}

impl std::error::Error for Problem {}

/// An error with all its causes, as one line for a log. Never for a person: causes may hold paths
/// and addresses.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

/// The kinds of failure that cross a wire. Each has one HTTP status, see [`ProblemCode::status`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ProblemCode {
    /// The request is not what the route expects.
    BadRequest,
    /// Nobody proved who they are.
    Unauthorized,
    /// Known, but not allowed here.
    Forbidden,
    /// No such route or thing.
    NotFound,
    /// The route exists, the method does not.
    MethodNotAllowed,
    /// A body or field is larger than its bound.
    TooLarge,
    /// The writer belongs to a former life of the container.
    StaleEpoch,
    /// The log's head is not where the writer thought it was.
    SequenceConflict,
    /// The other side speaks a protocol version that this one does not.
    UnsupportedProtocol,
    /// Shutting down; ask the next life.
    Draining,
    /// At its bound; try again later.
    Busy,
    /// Settings are missing or wrong.
    Misconfigured,
    /// The model's provider refused the key.
    ModelAuthentication,
    /// The model's provider asks to slow down.
    ModelRateLimited,
    /// The model's provider is overloaded or failing.
    ModelUnavailable,
    /// The model's provider refused the request itself.
    ModelRejectedRequest,
    /// The conversation does not fit the model.
    ModelContextTooLong,
    /// The model's answer broke off or made no sense.
    ModelStreamBroken,
    /// The model declined, or said nothing.
    ModelNoAnswer,
    /// The owner's cap on spending would be passed; the provider was not called.
    SpendingCap,
    /// The turn reached one of its bounds.
    TurnBound,
    /// The container did not start or keeps dying.
    ContainerFailed,
    /// A service that the edge relies on failed.
    UpstreamFailed,
    /// Our own fault.
    Internal,
}

impl ProblemCode {
    /// The HTTP status under which this code travels.
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest => 400,
            Self::Unauthorized => 401,
            Self::SpendingCap => 402,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::StaleEpoch | Self::SequenceConflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedProtocol => 426,
            Self::Busy | Self::ModelRateLimited => 429,
            Self::Internal | Self::Misconfigured => 500,
            Self::UpstreamFailed
            | Self::ModelAuthentication
            | Self::ModelRejectedRequest
            | Self::ModelContextTooLong
            | Self::ModelStreamBroken
            | Self::ModelNoAnswer => 502,
            Self::Draining | Self::ModelUnavailable | Self::ContainerFailed => 503,
            Self::TurnBound => 508,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_as_what_and_what_to_do() {
        let problem = Problem::new(ProblemCode::NotFound, "There is no route /x.").remedy("See /.");
        assert_eq!(problem.to_string(), "There is no route /x. See /.");
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            r#"{"code":"not_found","message":"There is no route /x.","remedy":"See /."}"#
        );
    }
}
