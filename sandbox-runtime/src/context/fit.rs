//! What is left out when the history is larger than the room for it.
//!
//! Invariants: the newest turn is never left out; what is left out is the oldest; the cut moves in
//! steps, so that between two steps the beginning of the request stays the same and the provider's
//! cache holds.

use protocol::session::{Item, ToolFinished};

use crate::limits::{BYTES_PER_TOKEN, CONTEXT_DROP_DIVISOR, IMAGE_TOKENS};
use crate::turn::history::Entry;

/// How much of the history is sent. The estimate of what fits is rough; a model that refuses the
/// whole as too long is asked once more with half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// What the estimate says fits.
    Whole,
    /// Half of that.
    Halved,
}

impl Fit {
    /// How many of `turns` are left out, when the estimate leaves out `dropped`, and the room for what
    /// is left. Where only the newest turn is left, its own oldest outputs must make the room.
    pub(super) fn apply(self, dropped: usize, turns: usize, room: usize) -> (usize, usize) {
        match self {
            Self::Whole => (dropped, room),
            Self::Halved => {
                let older = turns.saturating_sub(dropped).saturating_sub(1);
                (dropped + older.div_ceil(2), room / 2)
            }
        }
    }
}

/// The bytes that a record is taken to have in a request: its own, but an image's tokens do not grow
/// with its bytes.
pub(super) fn size(entry: &Entry) -> usize {
    let Item::ToolFinished(finished) = &entry.item else {
        return entry.bytes();
    };
    let base64: usize = finished.images.iter().map(|image| image.base64.len()).sum();
    entry.bytes().saturating_sub(base64) + images_size(finished)
}

/// The bytes that a call's images are taken to have.
pub(super) fn images_size(finished: &ToolFinished) -> usize {
    finished.images.len() * IMAGE_TOKENS * BYTES_PER_TOKEN
}

/// How many of the oldest turns are left out, given all sizes, oldest first.
pub(super) fn turns_to_drop(sizes: &[usize], room: usize) -> usize {
    let target = bytes_to_drop(sizes.iter().sum(), room);
    let mut dropped_bytes = 0;
    let droppable = sizes.len().saturating_sub(1);
    sizes
        .iter()
        .take(droppable)
        .take_while(|size| {
            let needed = dropped_bytes < target;
            dropped_bytes += **size;
            needed
        })
        .count()
}

/// How many bytes must go so that `total` fits, rounded up to a whole step.
pub(super) fn bytes_to_drop(total: usize, room: usize) -> usize {
    let excess = total.saturating_sub(room);
    let step = (room / CONTEXT_DROP_DIVISOR).max(1);
    excess.div_ceil(step).saturating_mul(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_is_dropped_while_all_fits() {
        assert_eq!(turns_to_drop(&[10, 20, 30], 60), 0);
        assert_eq!(turns_to_drop(&[], 0), 0);
    }

    #[test]
    fn the_cut_stays_while_the_history_grows_within_a_step() {
        let cut = |turns: usize| turns_to_drop(&vec![10; turns], 100);
        assert_eq!([cut(10), cut(11), cut(12), cut(13), cut(14)], [0, 3, 3, 5, 5]);
    }

    #[test]
    fn halving_drops_the_older_half_and_never_the_newest() {
        assert_eq!(Fit::Whole.apply(1, 5, 100), (1, 100));
        assert_eq!(Fit::Halved.apply(0, 5, 100), (2, 50));
        assert_eq!(Fit::Halved.apply(1, 5, 100), (3, 50));
        assert_eq!(Fit::Halved.apply(0, 2, 100), (1, 50));
        assert_eq!(Fit::Halved.apply(0, 1, 100), (0, 50));
    }

    proptest! {
        #[test]
        fn what_is_left_fits_or_is_the_newest_turn(
            sizes in proptest::collection::vec(0_usize..5_000, 1..40),
            room in 0_usize..20_000,
        ) {
            let dropped = turns_to_drop(&sizes, room);
            prop_assert!(dropped < sizes.len());
            let left: usize = sizes[dropped..].iter().sum();
            prop_assert!(left <= room || dropped == sizes.len() - 1);
            if sizes.iter().sum::<usize>() <= room {
                prop_assert_eq!(dropped, 0);
            }
        }
    }
}
