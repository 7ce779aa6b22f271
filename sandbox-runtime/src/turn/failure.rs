//! Every way in which a turn fails, as one sentence for the user.
//!
//! Invariant: a sentence names who failed and, where there is something to do, what to do. It
//! repeats a provider's own sentence only where nothing else says what to mend.

use std::time::Duration;

use dialects::{DecodeError, ProviderError, ProviderErrorKind};
use protocol::turn::ModelChoice;
use protocol::{Problem, ProblemCode};

const AGAIN: &str = "Send the message again.";
const LATER: &str = "Try again in a few minutes.";
const NEW_SESSION: &str = "Start a new session with /new, or choose a model with more context.";

/// The turn has no message.
pub fn nothing_to_do() -> Problem {
    Problem::new(ProblemCode::BadRequest, "The turn holds no message to answer.")
}

/// The model stopped without a word.
pub fn empty_answer() -> Problem {
    Problem::new(ProblemCode::ModelNoAnswer, "The model returned an empty answer.").remedy(AGAIN)
}

/// The model declined.
pub fn declined() -> Problem {
    Problem::new(ProblemCode::ModelNoAnswer, "The model declined to answer.")
        .remedy("Ask in other words.")
}

/// The output limit was reached before there was any text.
pub fn output_limit() -> Problem {
    Problem::new(
        ProblemCode::ModelNoAnswer,
        "The model reached its output limit before it said anything.",
    )
    .remedy("Ask for less at once, or raise the output limit in the settings.")
}

/// The context window is full.
pub fn context_full(choice: &ModelChoice) -> Problem {
    Problem::new(
        ProblemCode::ModelContextTooLong,
        format!("The conversation is too long for {}.", choice.model),
    )
    .remedy(NEW_SESSION)
}

/// The same problem, with what was done against it: how often the model was asked, and whether others
/// were.
pub fn in_spite_of(mut problem: Problem, tries: u32, others: bool) -> Problem {
    let tries = if tries > 1 { format!(", after {tries} tries") } else { String::new() };
    let others = if others { "; no other model answered either" } else { "" };
    if !(tries.is_empty() && others.is_empty()) {
        problem.message = format!("{}{tries}{others}.", problem.message.trim_end_matches('.'));
    }
    problem
}

/// One answer is larger than the log takes.
pub fn answer_too_large() -> Problem {
    Problem::new(ProblemCode::ModelStreamBroken, "The model's answer is too large to be kept.")
        .remedy("Ask for less at once.")
}

/// The request could not be built.
pub fn request_not_built() -> Problem {
    Problem::new(ProblemCode::Internal, "The request to the model could not be built.")
}

/// No connection, or it broke before an answer came.
pub fn no_connection(choice: &ModelChoice) -> Problem {
    Problem::new(
        ProblemCode::ModelUnavailable,
        format!("The connection to {} failed.", choice.provider),
    )
    .remedy(LATER)
}

/// No first byte in time.
pub fn no_first_byte(choice: &ModelChoice, waited: Duration) -> Problem {
    let seconds = waited.as_secs_f32();
    Problem::new(
        ProblemCode::ModelUnavailable,
        format!("{} did not begin to answer within {seconds} s.", choice.provider),
    )
    .remedy(LATER)
}

/// Silence in the middle of an answer.
pub fn fell_silent(choice: &ModelChoice, waited: Duration) -> Problem {
    let seconds = waited.as_secs_f32();
    Problem::new(
        ProblemCode::ModelStreamBroken,
        format!("{} fell silent for {seconds} s in the middle of its answer.", choice.provider),
    )
    .remedy(AGAIN)
}

/// The connection broke in the middle of an answer.
pub fn broke_off(choice: &ModelChoice) -> Problem {
    Problem::new(
        ProblemCode::ModelStreamBroken,
        format!("The answer of {} broke off.", choice.provider),
    )
    .remedy(AGAIN)
}

/// The stream could not be decoded.
pub fn undecodable(choice: &ModelChoice, error: &DecodeError) -> Problem {
    match error {
        DecodeError::EndedEarly { events } if *events > 0 => broke_off(choice),
        _ => Problem::new(
            ProblemCode::ModelStreamBroken,
            format!("The answer of {} could not be understood.", choice.provider),
        )
        .remedy("Check that the provider's base URL and API are set right, then try again."),
    }
}

/// The provider answered with an error, or reported one inside a stream.
pub fn refused(choice: &ModelChoice, error: &ProviderError) -> Problem {
    let provider = &choice.provider;
    let at = error.status.map(|status| format!(" ({status})")).unwrap_or_default();
    match error.kind {
        ProviderErrorKind::Authentication => Problem::new(
            ProblemCode::ModelAuthentication,
            format!("{provider} refused the API key{at}."),
        )
        .remedy(format!("Set a valid {} and try again.", key_name(provider))),
        ProviderErrorKind::Permission => Problem::new(
            ProblemCode::ModelAuthentication,
            format!("{provider} does not allow this key to use {}{at}.", choice.model),
        )
        .remedy(format!("Set another {}, or choose another model.", key_name(provider))),
        ProviderErrorKind::QuotaExhausted => Problem::new(
            ProblemCode::ModelRateLimited,
            format!("The account at {provider} has no credit or quota left{at}."),
        )
        .remedy(format!("Add credit at {provider}, or choose another model.")),
        ProviderErrorKind::NotFound => Problem::new(
            ProblemCode::ModelRejectedRequest,
            format!("{provider} does not know the model {}{at}.", choice.model),
        )
        .remedy("Choose another model in the settings."),
        ProviderErrorKind::RateLimited => Problem::new(
            ProblemCode::ModelRateLimited,
            format!("{provider} asks to slow down{at}."),
        )
        .remedy(wait(error.retry_after_ms)),
        ProviderErrorKind::ContextTooLong => context_full(choice),
        ProviderErrorKind::RequestTooLarge => Problem::new(
            ProblemCode::ModelContextTooLong,
            format!("The conversation is too large for {provider}{at}."),
        )
        .remedy(NEW_SESSION),
        ProviderErrorKind::Overloaded => {
            Problem::new(ProblemCode::ModelUnavailable, format!("{provider} is overloaded{at}."))
                .remedy(LATER)
        }
        ProviderErrorKind::Server => {
            Problem::new(ProblemCode::ModelUnavailable, format!("{provider} failed{at}."))
                .remedy(LATER)
        }
        // The provider's sentence is the only hint at what to mend; it is short and printable.
        _ => Problem::new(
            ProblemCode::ModelRejectedRequest,
            format!("{provider} rejected the request{at}: {}", error.message),
        )
        .remedy("Check the model's settings, or start a new session with /new."),
    }
}

fn wait(retry_after_ms: Option<u64>) -> String {
    match retry_after_ms {
        Some(ms) => format!("Wait {} s and send the message again.", ms.div_ceil(1000).max(1)),
        None => LATER.to_owned(),
    }
}

/// The name under which a provider's key is set, by the rule that all providers follow.
fn key_name(provider: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{}_API_KEY", provider.chars().map(upper).collect::<String>())
}

/// The log could not be read.
pub fn log_unreadable() -> Problem {
    Problem::new(ProblemCode::UpstreamFailed, "The session's log could not be read.").remedy(LATER)
}

/// The log could not be written.
pub fn log_unwritable() -> Problem {
    Problem::new(ProblemCode::UpstreamFailed, "The session's log could not be written.")
        .remedy(LATER)
}

/// Somebody else wrote to the log.
pub fn log_moved() -> Problem {
    Problem::new(
        ProblemCode::SequenceConflict,
        "The session's log was changed by someone else while the turn ran.",
    )
    .remedy(AGAIN)
}

/// A fault of this program.
pub fn internal() -> Problem {
    Problem::new(ProblemCode::Internal, "The agent's runtime failed.").remedy(AGAIN)
}
