//! How many bytes of requests to models are held at once in this isolate.
//!
//! Invariant: what was taken is given back when the value goes, however that comes.

use std::cell::Cell;

use protocol::{Problem, ProblemCode};

use crate::limits::MODEL_REQUESTS_BYTES_MAX;

thread_local! {
    static HELD_BYTES: Cell<usize> = const { Cell::new(0) };
}

/// Room for one request.
#[derive(Debug)]
pub(super) struct Room {
    bytes: usize,
}

impl Room {
    /// Takes room for so many bytes, if there is any.
    pub(super) fn take(bytes: usize) -> Result<Self, Problem> {
        let held = HELD_BYTES.get().saturating_add(bytes);
        if held > MODEL_REQUESTS_BYTES_MAX {
            return Err(Problem::new(
                ProblemCode::Busy,
                "The edge holds as many requests to models as it can.",
            )
            .remedy("Try again in a moment."));
        }
        HELD_BYTES.set(held);
        Ok(Self { bytes })
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        HELD_BYTES.set(HELD_BYTES.get().saturating_sub(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_given_back() {
        let half = MODEL_REQUESTS_BYTES_MAX / 2;
        let (first, second) = (Room::take(half).unwrap(), Room::take(half).unwrap());
        assert_eq!(Room::take(2).unwrap_err().code, ProblemCode::Busy);
        drop(first);
        assert!(Room::take(2).is_ok());
        drop(second);
        assert!(Room::take(MODEL_REQUESTS_BYTES_MAX).is_ok());
    }
}
