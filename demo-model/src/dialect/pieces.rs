//! Cuts a text as models stream it.

use crate::limits::PIECE_BYTES_MAX;

/// The pieces of a text, in order; together they are the text.
pub(super) fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // A character is at most four bytes, so a piece is never empty.
        let (piece, after) = rest.split_at_checked(rest.floor_char_boundary(PIECE_BYTES_MAX))?;
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_make_the_text() {
        for text in ["", "a", "exactly 12 b", "Grüße aus dem Meer, 海 und 🦀🦀🦀🦀"] {
            let all: Vec<&str> = pieces(text).collect();
            assert_eq!(all.concat(), text);
            assert!(all.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE_BYTES_MAX));
        }
    }
}
