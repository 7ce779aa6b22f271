//! Finds a handful of members in JSON that comes in pieces, without building anything.
//!
//! Invariants: [`Scanner::captured`] and [`Scanner::text`] stay within their bounds; a blank line,
//! which ends an event and cannot be inside a string, puts the scanner back to its start, so that
//! one broken event does not spoil the next.

use memchr::memchr3;

use crate::limits::{METERED_NAME_BYTES_MAX, METERED_USAGE_BYTES_MAX};

/// The depth of a document's own members.
const TOP: u32 = 1;
/// The depth of the members of Anthropic's `message` and of Responses' `response`.
const INNER: u32 = 2;
/// The depth of the members of a choice of Chat Completions: document, list, choice.
const CHOICE: u32 = 3;

/// A member that was found.
#[derive(Debug, Clone, Copy)]
pub(super) enum Found<'a> {
    /// A `usage` object, as JSON.
    Usage(&'a [u8]),
    /// A `model`, with its escapes.
    Model(&'a [u8]),
    /// The document's `type`.
    Type(&'a [u8]),
    /// The document's `status`.
    Status(&'a [u8]),
    /// A reason why the model stopped.
    Stop,
}

/// The members that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Usage,
    Model,
    Type,
    Status,
    Stop,
}

#[derive(Debug, Default)]
pub(super) struct Scanner {
    place: Place,
    /// Objects and lists that are open.
    depth: u32,
    /// The string that is being read, or that was read last; only as far as names are long.
    text: Vec<u8>,
    /// Whether the last token was a string, so that a colon makes it a key.
    after_string: bool,
    /// The wanted key whose value comes next.
    key: Option<Key>,
    /// Whether the last byte outside a string ended a line.
    at_line_start: bool,
    capture: Option<Capture>,
    captured: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Outside,
    String,
    /// After a backslash in a string.
    Escape,
}

/// A `usage` object on its way.
#[derive(Debug, Clone, Copy)]
struct Capture {
    /// The depth outside of it.
    depth: u32,
}

impl Scanner {
    /// Reads on, and tells `found` of every member that is complete.
    pub(super) fn scan(&mut self, mut bytes: &[u8], found: &mut impl FnMut(Found<'_>)) {
        while let Some((&byte, rest)) = bytes.split_first() {
            match self.place {
                Place::Outside => {
                    self.keep(&[byte]);
                    self.outside(byte, found);
                    bytes = rest;
                }
                Place::Escape => {
                    self.keep(&[byte]);
                    self.push_text(&[byte]);
                    self.place = Place::String;
                    bytes = rest;
                }
                Place::String => {
                    let end = memchr3(b'"', b'\\', b'\n', bytes).unwrap_or(bytes.len());
                    let (text, rest) = bytes.split_at(end);
                    self.keep(text);
                    self.push_text(text);
                    bytes = rest;
                    if let Some((&byte, rest)) = bytes.split_first() {
                        self.keep(&[byte]);
                        self.leave_text(byte, found);
                        bytes = rest;
                    }
                }
            }
        }
    }

    #[cfg(test)]
    pub(super) fn held_bytes(&self) -> usize {
        self.text.len() + self.captured.len()
    }

    fn leave_text(&mut self, byte: u8, found: &mut impl FnMut(Found<'_>)) {
        match byte {
            b'\\' => {
                self.push_text(b"\\");
                self.place = Place::Escape;
            }
            b'"' => {
                self.place = Place::Outside;
                self.end_string(found);
            }
            // No JSON string holds a line's end: what was open was cut.
            _ => {
                self.reset();
                self.at_line_start = true;
            }
        }
    }

    fn outside(&mut self, byte: u8, found: &mut impl FnMut(Found<'_>)) {
        if byte == b'\n' {
            if std::mem::replace(&mut self.at_line_start, true) {
                self.reset();
            }
            return;
        }
        if byte == b'\r' {
            return;
        }
        self.at_line_start = false;
        match byte {
            b' ' | b'\t' => {}
            b'"' => {
                self.place = Place::String;
                self.after_string = false;
                self.text.clear();
            }
            b':' => {
                self.key = if std::mem::take(&mut self.after_string) { self.key() } else { None };
            }
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => self.close(found),
            _ => {
                self.after_string = false;
                self.key = None;
            }
        }
    }

    fn open(&mut self, byte: u8) {
        let is_usage = byte == b'{' && self.key.take() == Some(Key::Usage);
        if is_usage && self.capture.is_none() {
            self.capture = Some(Capture { depth: self.depth });
            self.captured.clear();
            self.captured.push(byte);
        }
        self.after_string = false;
        self.depth = self.depth.saturating_add(1);
    }

    fn close(&mut self, found: &mut impl FnMut(Found<'_>)) {
        self.after_string = false;
        self.key = None;
        self.depth = self.depth.saturating_sub(1);
        if self.capture.is_some_and(|capture| self.depth <= capture.depth) {
            self.capture = None;
            found(Found::Usage(&self.captured));
        }
    }

    fn end_string(&mut self, found: &mut impl FnMut(Found<'_>)) {
        self.after_string = true;
        let text = &self.text;
        let key = self.key.take().filter(|_| text.len() <= METERED_NAME_BYTES_MAX);
        match key {
            Some(Key::Model) => found(Found::Model(text)),
            Some(Key::Type) => found(Found::Type(text)),
            Some(Key::Status) => found(Found::Status(text)),
            Some(Key::Stop) if !text.is_empty() => found(Found::Stop),
            Some(Key::Stop | Key::Usage) | None => {}
        }
    }

    /// The wanted key that the last string is, where it stands.
    fn key(&self) -> Option<Key> {
        match (self.text.as_slice(), self.depth) {
            (b"usage", TOP | INNER) => Some(Key::Usage),
            (b"model", TOP | INNER) => Some(Key::Model),
            (b"type", TOP) => Some(Key::Type),
            (b"status", TOP) => Some(Key::Status),
            (b"stop_reason", TOP) | (b"finish_reason", CHOICE) => Some(Key::Stop),
            _ => None,
        }
    }

    /// One byte more than a name may have shows that the text is none.
    fn push_text(&mut self, more: &[u8]) {
        let room = (METERED_NAME_BYTES_MAX + 1).saturating_sub(self.text.len());
        self.text.extend_from_slice(more.get(..room).unwrap_or(more));
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.capture.is_none() {
            return;
        }
        if self.captured.len() + bytes.len() > METERED_USAGE_BYTES_MAX {
            self.capture = None;
            return;
        }
        self.captured.extend_from_slice(bytes);
    }

    fn reset(&mut self) {
        self.place = Place::Outside;
        self.depth = 0;
        self.after_string = false;
        self.key = None;
        self.capture = None;
    }
}
