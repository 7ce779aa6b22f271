//! Every bound of this program, with its reason.

use std::time::Duration;

/// Bytes of a request: larger than any context that the runtime sends (128,000 tokens of about four
/// bytes, escaped).
pub(crate) const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Between two pieces of an answer: about eighty pieces a second, as models stream.
pub(crate) const DELAY_DEFAULT: Duration = Duration::from_millis(12);

/// Longest such wait that can be asked for, milliseconds.
pub(crate) const DELAY_MS_MAX: u64 = 10_000;

/// Bytes of a piece of an answer; a word or two, as models stream.
pub(crate) const PIECE_BYTES_MAX: usize = 12;

/// Bytes of a tool's output, or of the user's words, that an answer repeats: a screenful.
pub(crate) const QUOTE_BYTES_MAX: usize = 2_000;
