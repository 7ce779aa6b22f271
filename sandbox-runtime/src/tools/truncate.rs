//! Keeps the beginning and the end of what is too long, and says how much is missing.
//!
//! Invariants: memory never grows with the input; text is cut at the edges of characters.

use std::collections::VecDeque;

use crate::limits::TOOL_OUTPUT_BYTES_MAX;

/// Bytes kept of each end.
const END_BYTES: usize = TOOL_OUTPUT_BYTES_MAX / 2;

/// Gathers output of any length in bounded memory.
#[derive(Debug, Default)]
pub struct Ends {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    total: u64,
}

impl Ends {
    /// Takes the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.total = self.total.saturating_add(bytes.len() as u64);
        let (head, rest) = bytes.split_at(bytes.len().min(END_BYTES - self.head.len()));
        self.head.extend_from_slice(head);
        let newest = rest.get(rest.len().saturating_sub(END_BYTES)..).unwrap_or_default();
        let excess = (self.tail.len() + newest.len()).saturating_sub(END_BYTES);
        self.tail.drain(..excess);
        self.tail.extend(newest);
    }

    /// What was gathered, as text.
    pub fn into_text(self) -> String {
        let kept = self.head.len() + self.tail.len();
        let missing = self.total.saturating_sub(kept as u64);
        let tail = Vec::from(self.tail);
        if missing == 0 {
            let whole = [self.head, tail].concat();
            return String::from_utf8_lossy(&whole).into_owned();
        }
        let head = without_cut_end(&self.head);
        let tail = without_cut_start(&tail);
        let missing = self.total.saturating_sub((head.len() + tail.len()) as u64);
        let head = String::from_utf8_lossy(head);
        let tail = String::from_utf8_lossy(tail);
        format!("{head}\n[{missing} bytes left out here]\n{tail}")
    }
}

/// The text itself, or its two ends when it is too long.
pub fn text(text: &str) -> String {
    // What `Ends` has made already is a little longer than its bound and stays as it is.
    if text.len() <= TOOL_OUTPUT_BYTES_MAX + NOTICE_BYTES {
        return text.to_owned();
    }
    let mut ends = Ends::default();
    ends.push(text.as_bytes());
    ends.into_text()
}

/// Room for the line that says what is missing, and for a tool's own last line.
const NOTICE_BYTES: usize = 400;

/// Most bytes that a character goes on after its first.
const CONTINUATION_BYTES_MAX: usize = 3;

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

fn without_cut_start(bytes: &[u8]) -> &[u8] {
    let cut =
        bytes.iter().take(CONTINUATION_BYTES_MAX).take_while(|b| is_continuation(**b)).count();
    bytes.get(cut..).unwrap_or_default()
}

fn without_cut_end(bytes: &[u8]) -> &[u8] {
    let last = bytes.utf8_chunks().last();
    // An invalid end that could be the beginning of a character is shorter than a character.
    let cut = last.map_or(0, |chunk| chunk.invalid().len());
    if (1..=CONTINUATION_BYTES_MAX).contains(&cut) {
        bytes.get(..bytes.len() - cut).unwrap_or_default()
    } else {
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gather(input: &[u8], pieces: usize) -> String {
        let mut ends = Ends::default();
        input.chunks(pieces.max(1)).for_each(|piece| ends.push(piece));
        assert!(ends.head.len() <= END_BYTES && ends.tail.len() <= END_BYTES);
        ends.into_text()
    }

    #[test]
    fn what_fits_is_left_alone() {
        let text = "ä".repeat(TOOL_OUTPUT_BYTES_MAX / 2);
        assert_eq!(gather(text.as_bytes(), 7), text);
    }

    #[test]
    fn says_how_much_is_missing() {
        let text = format!("begin{}end", "x".repeat(100_000));
        let cut = gather(text.as_bytes(), 4096);
        assert!(cut.starts_with("begin") && cut.ends_with("end"));
        let missing = text.len() - 2 * END_BYTES;
        assert!(cut.contains(&format!("\n[{missing} bytes left out here]\n")), "{missing}");
    }

    proptest! {
        #[test]
        fn characters_are_never_cut(
            unit in "[a-zäß€😀]{1,7}",
            piece in 1_usize..9_000,
            times in 5_000_usize..9_000,
        ) {
            let text = unit.repeat(times);
            let cut = gather(text.as_bytes(), piece);
            prop_assert!(!cut.contains(char::REPLACEMENT_CHARACTER));
            prop_assert!(cut.len() <= TOOL_OUTPUT_BYTES_MAX + NOTICE_BYTES);
        }

        #[test]
        fn pieces_do_not_matter(input in proptest::collection::vec(any::<u8>(), 0..70_000), piece in 1_usize..9_000) {
            prop_assert_eq!(gather(&input, piece), gather(&input, usize::MAX));
        }
    }
}
