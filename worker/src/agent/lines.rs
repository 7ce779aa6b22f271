//! Cuts a byte stream into lines, whatever the pieces it arrives in. Pure.

use crate::limits::EVENT_LINE_BYTES_MAX;

/// A line grew past [`EVENT_LINE_BYTES_MAX`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line of the event stream is longer than {EVENT_LINE_BYTES_MAX} bytes")]
pub(crate) struct LineTooLong;

/// Holds the unfinished line between pieces.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    /// The lines that `piece` completes, without their line ends; empty lines are left out.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Result<Vec<Vec<u8>>, LineTooLong> {
        let mut lines = Vec::new();
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            if self.rest.len() + part.len() > EVENT_LINE_BYTES_MAX {
                return Err(LineTooLong);
            }
            self.rest.extend_from_slice(part);
            if self.rest.last() == Some(&b'\n') {
                self.rest.pop();
                let line = std::mem::take(&mut self.rest);
                lines.extend((!line.is_empty()).then_some(line));
            }
        }
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_split_gives_the_same_lines(
            lines in proptest::collection::vec("[a-zä]{1,8}", 0..8),
            cuts in proptest::collection::vec(0usize..100, 0..8),
        ) {
            let bytes: Vec<u8> = lines.iter().flat_map(|l| format!("{l}\n").into_bytes()).collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut splitter = Lines::default();
            let mut got = Vec::new();
            for pair in cuts.windows(2) {
                got.extend(splitter.feed(&bytes[pair[0]..pair[1]]).unwrap());
            }
            let got: Vec<String> =
                got.into_iter().map(|l| String::from_utf8(l).unwrap()).collect();
            prop_assert_eq!(got, lines);
        }
    }

    #[test]
    fn a_line_without_end_is_refused_in_time() {
        let mut lines = Lines::default();
        let piece = vec![b'x'; EVENT_LINE_BYTES_MAX / 2 + 1];
        assert_eq!(lines.feed(&piece), Ok(vec![]));
        assert_eq!(lines.feed(&piece), Err(LineTooLong));
    }
}
