//! Model APIs as data: what to send to a model and what its stream says, as pure functions.
//!
//! Invariants: nothing here does I/O, knows a clock or holds a key; every input from the network
//! is bounded by [`limits`]; an answer is returned only when the provider has said that it is
//! whole.

#![forbid(unsafe_code)]

mod accent;
mod answer;
mod conversation;
mod count;
mod dialect;
mod encode;
pub mod limits;
mod meter;
mod provider_error;
mod reasoning;
mod sse;
mod stream;

pub use accent::Accent;
pub use answer::{Completion, StopReason, StreamEvent, Usage};
pub use conversation::{
    AssistantBlock, Image, Message, ModelRequest, ThinkingLevel, ToolArguments, ToolResult,
    ToolSpec, UserBlock,
};
pub use dialect::Dialect;
pub use encode::{EncodeError, encode, headers};
pub use meter::{Metered, UsageMeter};
pub use provider_error::{ProviderError, ProviderErrorKind, decode_error};
pub use stream::{DecodeError, StreamDecoder};
