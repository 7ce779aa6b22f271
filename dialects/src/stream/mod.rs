//! A model's stream: bytes in, events while it runs, the whole answer at the end.
//!
//! Invariants: how the bytes are split over calls changes neither the events nor their order nor
//! the error; a [`Completion`] exists only for a stream that its provider ended; what follows the
//! end is not looked at.

mod anthropic;
mod error;
mod openai;
mod responses;
#[cfg(test)]
mod tests;
mod tool_arguments;

pub use error::DecodeError;

use crate::answer::{Completion, StreamEvent};
use crate::dialect::Dialect;
use crate::limits::STREAM_BYTES_MAX;
use crate::sse::SseDecoder;

/// Decodes one answer.
#[derive(Debug)]
pub struct StreamDecoder {
    sse: SseDecoder,
    reader: Reader,
    /// How many more bytes the stream may have.
    allowance_bytes: usize,
    events_read: u64,
    status: Status,
}

/// What one dialect makes of an event's data.
#[derive(Debug)]
enum Reader {
    Anthropic(anthropic::AnswerReader),
    OpenAi(openai::AnswerReader),
    Responses(responses::AnswerReader),
}

#[derive(Debug)]
enum Status {
    Open,
    Ended,
    /// Kept for the next call when the failing bytes also brought events, so that no event is lost.
    Failing(DecodeError),
    Failed,
}

/// Whether more of the answer may follow an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Open,
    Ended,
}

impl StreamDecoder {
    /// A decoder for one answer in `dialect`.
    pub fn new(dialect: Dialect) -> Self {
        let reader = match dialect {
            Dialect::AnthropicMessages => Reader::Anthropic(anthropic::AnswerReader::default()),
            Dialect::OpenAiChat => Reader::OpenAi(openai::AnswerReader::default()),
            Dialect::OpenAiResponses => Reader::Responses(responses::AnswerReader::default()),
        };
        Self {
            sse: SseDecoder::default(),
            reader,
            allowance_bytes: STREAM_BYTES_MAX,
            events_read: 0,
            status: Status::Open,
        }
    }

    /// Takes the next bytes of the response body and gives the events in them.
    ///
    /// When bytes bring events and then an error, the events are given and the error comes from the
    /// next call; [`StreamDecoder::is_over`] tells at once.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Vec<StreamEvent>, DecodeError> {
        let mut events = Vec::new();
        match std::mem::replace(&mut self.status, Status::Failed) {
            Status::Open => self.status = Status::Open,
            Status::Ended => {
                self.status = Status::Ended;
                return Ok(events);
            }
            Status::Failing(error) => return Err(error),
            Status::Failed => return Err(DecodeError::AlreadyFailed),
        }
        match self.read(bytes, &mut events) {
            Ok(Progress::Open) => {}
            Ok(Progress::Ended) => self.status = Status::Ended,
            Err(error) if events.is_empty() => {
                self.status = Status::Failed;
                return Err(error);
            }
            Err(error) => self.status = Status::Failing(error),
        }
        Ok(events)
    }

    /// Whether reading on is pointless, because the answer has ended or has failed. Call
    /// [`StreamDecoder::finish`] then; there is no need to wait for the end of the body.
    pub fn is_over(&self) -> bool {
        !matches!(self.status, Status::Open)
    }

    /// The whole answer. Call it at the end of the body, or as soon as the answer is over.
    pub fn finish(mut self) -> Result<Completion, DecodeError> {
        match self.status {
            Status::Open => self.read_unterminated()?,
            Status::Ended => {}
            Status::Failing(error) => return Err(error),
            Status::Failed => return Err(DecodeError::AlreadyFailed),
        }
        let completion = match self.reader {
            Reader::Anthropic(reader) => reader.finish()?,
            Reader::OpenAi(reader) => reader.finish()?,
            Reader::Responses(reader) => reader.finish()?,
        };
        completion.ok_or(DecodeError::EndedEarly { events: self.events_read })
    }

    fn read(
        &mut self,
        bytes: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<Progress, DecodeError> {
        let (mut input, excess) = bytes.split_at(bytes.len().min(self.allowance_bytes));
        self.allowance_bytes -= input.len();
        while let Some(data) = self.sse.next_event(&mut input)? {
            if self.read_event(&data, events)? == Progress::Ended {
                return Ok(Progress::Ended);
            }
        }
        if excess.is_empty() { Ok(Progress::Open) } else { Err(DecodeError::StreamTooLong) }
    }

    fn read_event(
        &mut self,
        data: &[u8],
        events: &mut Vec<StreamEvent>,
    ) -> Result<Progress, DecodeError> {
        self.events_read += 1;
        match &mut self.reader {
            Reader::Anthropic(reader) => reader.read(data, events),
            Reader::OpenAi(reader) => reader.read(data, events),
            Reader::Responses(reader) => reader.read(data, events),
        }
    }

    /// Reads an event that the body's end left without its blank line. One that cannot be read was
    /// cut itself: the stream has ended early.
    fn read_unterminated(&mut self) -> Result<(), DecodeError> {
        let Some(data) = self.sse.take_unterminated()? else {
            return Ok(());
        };
        match self.read_event(&data, &mut Vec::new()) {
            Ok(_) => Ok(()),
            Err(DecodeError::Json(_)) => Err(DecodeError::EndedEarly { events: self.events_read }),
            Err(error) => Err(error),
        }
    }
}
