//! Why a stream gave no answer.

use thiserror::Error;

use crate::limits::{
    BLOCKS_MAX, SSE_EVENT_BYTES_MAX, SSE_LINE_BYTES_MAX, STREAM_BYTES_MAX, TOOL_CALLS_MAX,
};
use crate::provider_error::ProviderError;
use crate::sse::SseError;

/// A stream that did not become an answer.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The body ended before the provider said that the answer is whole. With no event at all the
    /// address is probably not a streaming model API.
    #[error("the model's stream ended after {events} events, before the answer was whole")]
    EndedEarly {
        /// Events that had been read.
        events: u64,
    },
    /// The provider reported an error inside the stream.
    #[error("the provider stopped the stream with an error")]
    Provider(#[source] ProviderError),
    /// An event's data cannot be read.
    #[error("an event of the model's stream is not the JSON that its dialect asks for")]
    Json(#[source] serde_json::Error),
    /// The events do not fit together.
    #[error("the model's stream breaks its dialect's rules: {rule}")]
    Protocol {
        /// The rule that was broken.
        rule: &'static str,
    },
    /// A line is longer than [`SSE_LINE_BYTES_MAX`].
    #[error("a line of the model's stream is longer than {SSE_LINE_BYTES_MAX} bytes")]
    LineTooLong,
    /// An event is longer than [`SSE_EVENT_BYTES_MAX`].
    #[error("an event of the model's stream is longer than {SSE_EVENT_BYTES_MAX} bytes")]
    EventTooLong,
    /// The stream is longer than [`STREAM_BYTES_MAX`].
    #[error("the model's stream is longer than {STREAM_BYTES_MAX} bytes")]
    StreamTooLong,
    /// The answer has more blocks than [`BLOCKS_MAX`].
    #[error("the model's answer has more than {BLOCKS_MAX} blocks")]
    TooManyBlocks,
    /// The answer has more tool calls than [`TOOL_CALLS_MAX`].
    #[error("the model's answer has more than {TOOL_CALLS_MAX} tool calls")]
    TooManyToolCalls,
    /// The decoder was used after it had reported an error.
    #[error("the model's stream had failed before; its error was reported then")]
    AlreadyFailed,
}

impl From<SseError> for DecodeError {
    fn from(error: SseError) -> Self {
        match error {
            SseError::LineTooLong => Self::LineTooLong,
            SseError::EventTooLong => Self::EventTooLong,
        }
    }
}
