//! A model that gave no answer: what the user is told, and what may be done about it.
//!
//! Invariants: an answer of which a part is missing is asked for again, never used; what the owner's
//! cap, a key or the request itself forbids is not tried again.

use std::time::Duration;

use dialects::{DecodeError, ProviderError, ProviderErrorKind};
use protocol::turn::ModelChoice;
use protocol::{Problem, ProblemCode};

use super::failure;
use super::retry::{Course, Rest};
use crate::edge::model::ModelError;

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// What the user is told when nothing helps.
    pub problem: Problem,
    /// What may be done.
    pub course: Course,
    /// How long the provider asks to wait.
    pub retry_after: Option<Duration>,
}

impl Fault {
    fn new(problem: Problem, course: Course) -> Self {
        Self { problem, course, retry_after: None }
    }

    /// The provider refused, in an answer of its own or inside a stream.
    pub fn refused(choice: &ModelChoice, error: &ProviderError) -> Self {
        let course = if error.is_retryable() {
            Course::Again
        } else {
            match error.kind {
                ProviderErrorKind::Authentication
                | ProviderErrorKind::Permission
                | ProviderErrorKind::QuotaExhausted
                | ProviderErrorKind::NotFound => Course::Another(Rest::Long),
                ProviderErrorKind::RateLimited
                | ProviderErrorKind::Overloaded
                | ProviderErrorKind::Server => Course::Another(Rest::Short),
                ProviderErrorKind::ContextTooLong | ProviderErrorKind::RequestTooLarge => {
                    Course::Shorter
                }
                _ => Course::Another(Rest::None),
            }
        };
        let retry_after = error.retry_after_ms.map(Duration::from_millis);
        Self { problem: failure::refused(choice, error), course, retry_after }
    }

    /// The edge itself refused.
    pub fn of_edge(problem: Problem) -> Self {
        let course = match problem.code {
            ProblemCode::Busy
            | ProblemCode::Draining
            | ProblemCode::UpstreamFailed
            | ProblemCode::ContainerFailed
            | ProblemCode::ModelRateLimited
            | ProblemCode::ModelUnavailable
            | ProblemCode::Internal => Course::Again,
            ProblemCode::Misconfigured | ProblemCode::NotFound => Course::Another(Rest::Long),
            ProblemCode::TooLarge => Course::Shorter,
            _ => Course::Fail,
        };
        Self::new(problem, course)
    }

    /// The request did not get through, or no byte came back.
    pub fn not_asked(choice: &ModelChoice, error: &ModelError) -> Self {
        let problem = match error {
            ModelError::FirstByte(waited) | ModelError::Idle(waited) => {
                failure::no_first_byte(choice, *waited)
            }
            ModelError::Edge(_) => failure::no_connection(choice),
        };
        Self::new(problem, Course::Again)
    }

    /// The answer stopped coming.
    pub fn broken(choice: &ModelChoice, error: &ModelError) -> Self {
        let problem = match error {
            ModelError::FirstByte(waited) => failure::no_first_byte(choice, *waited),
            ModelError::Idle(waited) => failure::fell_silent(choice, *waited),
            ModelError::Edge(_) => failure::broke_off(choice),
        };
        Self::new(problem, Course::Again)
    }

    /// What came is no whole answer.
    pub fn undecodable(choice: &ModelChoice, error: &DecodeError) -> Self {
        match error {
            DecodeError::Provider(error) => Self::refused(choice, error),
            error => Self::new(failure::undecodable(choice, error), Course::Again),
        }
    }

    /// The model says that its context is full.
    pub fn context_full(choice: &ModelChoice) -> Self {
        Self::new(failure::context_full(choice), Course::Shorter)
    }

    /// A fault of our own, with which no model can help.
    pub fn ours(problem: Problem) -> Self {
        Self::new(problem, Course::Fail)
    }
}

#[cfg(test)]
mod tests {
    use protocol::turn::ModelApi;

    use super::*;

    fn choice() -> ModelChoice {
        ModelChoice {
            provider: "p".into(),
            api: ModelApi::AnthropicMessages,
            model: "m".into(),
            max_output_tokens: 1,
            context_tokens: 1,
            thinking: None,
            images: false,
        }
    }

    fn course(status: u16, advice: Option<&str>, body: &str) -> Course {
        let header = |name: &str| (name == "x-should-retry").then_some(advice).flatten();
        let error =
            dialects::decode_error(status, |name| header(name).map(str::to_owned), body.as_bytes());
        Fault::refused(&choice(), &error).course
    }

    #[test]
    fn only_what_may_succeed_later_is_tried_again() {
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            assert_eq!(course(status, None, "{}"), Course::Again, "{status}");
        }
        for status in [401, 403, 404] {
            assert_eq!(course(status, None, "{}"), Course::Another(Rest::Long), "{status}");
        }
        for status in [400, 422] {
            assert_eq!(course(status, None, "{}"), Course::Another(Rest::None), "{status}");
        }
        assert_eq!(course(413, None, "{}"), Course::Shorter);
        let quota = r#"{"error":{"code":"insufficient_quota","message":"none left"}}"#;
        assert_eq!(course(429, None, quota), Course::Another(Rest::Long));
        let context = r#"{"error":{"message":"prompt is too long: 3 tokens > 2 maximum"}}"#;
        assert_eq!(course(400, None, context), Course::Shorter);
    }

    #[test]
    fn the_providers_advice_stands_above_the_status() {
        assert_eq!(course(400, Some("true"), "{}"), Course::Again);
        assert_eq!(course(529, Some("false"), "{}"), Course::Another(Rest::Short));
        assert_eq!(course(429, Some("false"), "{}"), Course::Another(Rest::Short));
    }

    #[test]
    fn the_edges_own_refusals() {
        let course = |code| Fault::of_edge(Problem::new(code, "x")).course;
        assert_eq!(course(ProblemCode::Busy), Course::Again);
        assert_eq!(course(ProblemCode::Draining), Course::Again);
        assert_eq!(course(ProblemCode::UpstreamFailed), Course::Again);
        assert_eq!(course(ProblemCode::SpendingCap), Course::Fail);
        assert_eq!(course(ProblemCode::Misconfigured), Course::Another(Rest::Long));
    }
}
