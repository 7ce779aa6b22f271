//! Whether a model is asked again, and when: pure, with time and chance passed in.
//!
//! Invariants: what cannot succeed is not tried again; a wait that the provider asks for is kept or
//! not begun; tries and waits have bounds.

use std::time::Duration;

use crate::limits::{
    MODEL_ATTEMPTS_MAX, MODEL_RETRY_DELAY_MAX, MODEL_WAIT_MAX, MODEL_WAITS_TOTAL_MAX,
};

/// What may be done about a model that gave no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// Ask it again: the same question may be answered later.
    Again,
    /// Ask another one; this one will not answer.
    Another(Rest),
    /// Ask it with less of the history.
    Shorter,
    /// Ask nobody: no model would be let answer.
    Fail,
}

/// How long a model is left out by other turns too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// Not at all: only this question was too much for it.
    None,
    /// For a little, as after tries that were used up.
    Short,
    /// Until somebody has done something about it, such as set a key.
    Long,
}

/// The waits of one question so far, whichever models it was put to.
#[derive(Debug, Default)]
pub struct Waits {
    total: Duration,
}

impl Waits {
    /// How long to wait before the next try, after `tries` (from 1) by the same model; `None` when it
    /// is not asked again.
    ///
    /// `asked` is the wait that the provider wants. Without one, the wait is a random part of a delay
    /// that begins at `delay` and doubles (full jitter): clients that failed together do not come back
    /// together. `chance` is from 0 up to but without 1.
    pub fn next(
        &mut self,
        tries: u32,
        asked: Option<Duration>,
        delay: Duration,
        chance: f64,
    ) -> Option<Duration> {
        if tries >= MODEL_ATTEMPTS_MAX {
            return None;
        }
        let doubled = delay.saturating_mul(1 << tries.saturating_sub(1).min(16));
        let wait = match asked {
            Some(asked) if asked > MODEL_WAIT_MAX => return None,
            // A little later than asked, for the same reason.
            Some(asked) => asked + delay.min(MODEL_RETRY_DELAY_MAX).mul_f64(chance),
            None => doubled.min(MODEL_RETRY_DELAY_MAX).mul_f64(chance),
        };
        let total = self.total.saturating_add(wait);
        if total > MODEL_WAITS_TOTAL_MAX {
            return None;
        }
        self.total = total;
        Some(wait)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn delays_double_up_to_the_bound_on_tries() {
        let mut waits = Waits::default();
        let mut next = |tries| waits.next(tries, None, SECOND, 0.5);
        let half = |n: u32| Some(SECOND / 2 * n);
        assert_eq!([next(1), next(2), next(3), next(4)], [half(1), half(2), half(4), None]);
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_or_not_begun() {
        let mut waits = Waits::default();
        let asked = Duration::from_secs(7);
        assert_eq!(waits.next(1, Some(asked), SECOND, 0.0), Some(asked));
        assert_eq!(waits.next(1, Some(MODEL_WAIT_MAX + SECOND), SECOND, 0.0), None);
    }

    #[test]
    fn all_waits_together_are_bounded() {
        let mut waits = Waits::default();
        let fit = MODEL_WAITS_TOTAL_MAX.as_secs() / MODEL_WAIT_MAX.as_secs();
        for _ in 0..fit {
            assert!(waits.next(1, Some(MODEL_WAIT_MAX), SECOND, 0.0).is_some());
        }
        assert_eq!(waits.next(1, Some(MODEL_WAIT_MAX), SECOND, 0.0), None);
        assert!(waits.next(1, None, SECOND, 0.0).is_some(), "a shorter one still fits");
    }

    proptest! {
        #[test]
        fn no_wait_is_shorter_than_asked_or_longer_than_bounded(
            tries in 1_u32..12,
            asked in proptest::option::of(0_u64..120_000),
            delay_ms in 1_u64..5_000,
            chance in 0.0_f64..1.0,
        ) {
            let asked = asked.map(Duration::from_millis);
            let delay = Duration::from_millis(delay_ms);
            if let Some(wait) = Waits::default().next(tries, asked, delay, chance) {
                prop_assert!(tries < MODEL_ATTEMPTS_MAX);
                prop_assert!(asked.is_none_or(|asked| wait >= asked));
                let most = asked.unwrap_or_default() + MODEL_RETRY_DELAY_MAX;
                prop_assert!(wait <= most);
            }
        }
    }
}
