//! Server-sent events: bytes in, the data of whole events out
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! Invariants: how the bytes are split over calls never matters; memory is bounded by one line plus
//! one event.
//!
//! Two departures from the specification: the `event`, `id` and `retry` fields are skipped, since
//! model APIs repeat the event's name inside the data; and an event that the end of the stream
//! cuts before its blank line is still given out by [`SseDecoder::take_unterminated`], since some
//! providers leave the last blank line away.

#[cfg(test)]
mod tests;

use crate::limits::{SSE_EVENT_BYTES_MAX, SSE_LINE_BYTES_MAX};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SseError {
    LineTooLong,
    EventTooLong,
}

/// The state between bytes.
#[derive(Debug, Default)]
pub(crate) struct SseDecoder {
    line: Vec<u8>,
    /// `None` until a `data` field was seen: an event without data is not an event.
    data: Option<Vec<u8>>,
    after_carriage_return: bool,
    past_first_line: bool,
}

impl SseDecoder {
    /// Takes bytes off the front of `input` until an event is whole, and gives its data. `None`
    /// means that all the input was taken.
    pub(crate) fn next_event(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, SseError> {
        while !input.is_empty() {
            let ended = std::mem::take(&mut self.after_carriage_return);
            if let Some(rest) = input.strip_prefix(b"\n").filter(|_| ended) {
                *input = rest;
                continue;
            }
            let event = self.take_line(input)?;
            if event.is_some() {
                return Ok(event);
            }
        }
        Ok(None)
    }

    /// The data of an event whose blank line never came. Call it at the end of the stream.
    pub(crate) fn take_unterminated(&mut self) -> Result<Option<Vec<u8>>, SseError> {
        if !self.line.is_empty() {
            self.end_line()?;
        }
        Ok(self.data.take())
    }

    fn take_line(&mut self, input: &mut &[u8]) -> Result<Option<Vec<u8>>, SseError> {
        let end = input.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
        let (part, rest) = input.split_at(end.unwrap_or(input.len()));
        if self.line.len() + part.len() > SSE_LINE_BYTES_MAX {
            return Err(SseError::LineTooLong);
        }
        self.line.extend_from_slice(part);
        *input = rest;
        let Some((terminator, rest)) = rest.split_first() else {
            return Ok(None);
        };
        *input = rest;
        self.after_carriage_return = *terminator == b'\r';
        self.end_line()
    }

    fn end_line(&mut self) -> Result<Option<Vec<u8>>, SseError> {
        let mut line = std::mem::take(&mut self.line);
        let content = if std::mem::replace(&mut self.past_first_line, true) {
            line.as_slice()
        } else {
            line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&line)
        };
        let event = if content.is_empty() { self.data.take() } else { None };
        if let Some(value) = data_field(content) {
            let separator = usize::from(self.data.is_some());
            let data = self.data.get_or_insert_default();
            if data.len() + separator + value.len() > SSE_EVENT_BYTES_MAX {
                return Err(SseError::EventTooLong);
            }
            if separator > 0 {
                data.push(b'\n');
            }
            data.extend_from_slice(value);
        }
        line.clear();
        self.line = line;
        Ok(event)
    }
}

/// The value, when the line is a `data` field.
fn data_field(line: &[u8]) -> Option<&[u8]> {
    let rest = line.strip_prefix(b"data")?;
    match rest.split_first() {
        None => Some(rest),
        Some((b':', value)) => Some(value.strip_prefix(b" ").unwrap_or(value)),
        Some(_) => None,
    }
}
