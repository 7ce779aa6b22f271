//! Every bound of this crate, with its reason. Reaching one is an error, never a silent cut.

/// One line of a stream. A tool call may come whole in one line: 128 k output tokens are about
/// 0.5 MiB of text, and JSON inside a JSON string may quadruple that.
pub const SSE_LINE_BYTES_MAX: usize = 4 << 20;

/// The data of one event, which may be several lines.
pub const SSE_EVENT_BYTES_MAX: usize = SSE_LINE_BYTES_MAX;

/// A whole stream. 128 k output tokens, one chunk of about 350 bytes for each, are 44 MiB. Only the
/// text inside is kept in memory.
pub const STREAM_BYTES_MAX: usize = 64 << 20;

/// Content blocks in one answer; a long interleaved answer has a few dozen.
pub const BLOCKS_MAX: usize = 512;

/// Tool calls in one answer; providers themselves stop near 128.
pub const TOOL_CALLS_MAX: usize = 128;

/// A `usage` object that the meter looks at. Real ones stay under 700 bytes.
pub const METERED_USAGE_BYTES_MAX: usize = 4 << 10;

/// A model's name that the meter keeps; the longest known ones have some 80 bytes.
pub const METERED_NAME_BYTES_MAX: usize = 256;

/// How much of an error body is looked at; real ones stay under 2 KiB, HTML pages under 64.
pub const ERROR_BODY_BYTES_MAX: usize = 64 << 10;

/// How much of a provider's message is kept: enough for its sentence, short enough for a chat.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 600;

/// The longest wait that is believed when a provider asks for one: one day.
pub const RETRY_AFTER_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// Cache breakpoints in one request to Anthropic; the API refuses a fifth.
pub const CACHE_BREAKPOINTS_MAX: usize = 4;

/// Cache breakpoints set on messages: this request's end, and the end of the request before it,
/// which is where the cache will be hit. One more goes to the system prompt or the tools.
pub const CACHED_MESSAGES_MAX: usize = 2;

/// Tokens that a model with a budget may think at [`ThinkingLevel`](crate::ThinkingLevel) low,
/// medium and high: a paragraph, a page, and what Anthropic's guide calls a thorough start.
pub const THINKING_BUDGETS: [u32; 3] = [2_048, 8_192, 24_576];

/// The least budget that the API takes
/// (<https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking>).
pub const THINKING_BUDGET_MIN: u32 = 1_024;

/// The part of the output limit, of which the budget is taken, that is left for the answer: half.
pub const THINKING_OUTPUT_DIVISOR: u32 = 2;

const _: () = assert!(CACHED_MESSAGES_MAX < CACHE_BREAKPOINTS_MAX);
const _: () = assert!(SSE_EVENT_BYTES_MAX <= STREAM_BYTES_MAX);
const _: () = assert!(METERED_NAME_BYTES_MAX < METERED_USAGE_BYTES_MAX);
