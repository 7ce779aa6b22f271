//! What goes out: whether it has arrived, and when it is tried again. Pure.
//!
//! Invariants: what was not heard to arrive is tried again until it is too old; a try whose outcome
//! nobody knows marks the next one as a possible duplicate, for ever.

use crate::limits::{OUTBOX_AGE_MS_MAX, OUTBOX_PAUSE_MS_FIRST, OUTBOX_PAUSE_MS_MAX};

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It arrived.
    Arrived,
    /// It did not, and may later; not before `after_ms` from now where the receiver said so.
    Later {
        /// Why.
        why: String,
        /// How long the receiver wants to be left alone.
        after_ms: Option<u64>,
    },
    /// Nobody knows.
    Unknown {
        /// Why.
        why: String,
    },
    /// It never will.
    Refused {
        /// Why.
        why: String,
    },
}

/// What becomes of the row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is done.
    Sent,
    /// It is tried again.
    Retry {
        /// When.
        at_ms: u64,
        /// Whether the try may have arrived.
        uncertain: bool,
        /// Why it was not the last.
        why: String,
    },
    /// It is set aside for the owner.
    Park {
        /// Why.
        why: String,
    },
}

/// What becomes of a row after its try number `attempts`; `jitter` is a number from 0 to 255.
pub(crate) fn after(
    tried: Tried,
    attempts: u64,
    created_at_ms: u64,
    now_ms: u64,
    jitter: u8,
) -> Next {
    let (why, after_ms, uncertain) = match tried {
        Tried::Arrived => return Next::Sent,
        Tried::Refused { why } => return Next::Park { why },
        Tried::Later { why, after_ms } => (why, after_ms, false),
        Tried::Unknown { why } => (why, None, true),
    };
    let doublings = attempts.saturating_sub(1).min(20);
    let pause_ms = (OUTBOX_PAUSE_MS_FIRST << doublings).min(OUTBOX_PAUSE_MS_MAX);
    // Between half and all of it, so that many do not come back at once.
    let pause_ms = pause_ms / 2 + pause_ms / 2 * u64::from(jitter) / 255;
    let at_ms = now_ms + after_ms.unwrap_or(0).min(OUTBOX_AGE_MS_MAX).max(pause_ms);
    if at_ms > created_at_ms + OUTBOX_AGE_MS_MAX {
        return Next::Park { why: format!("It was tried {attempts} times: {why}") };
    }
    Next::Retry { at_ms, uncertain, why }
}

/// What an HTTP status says of a try; `retry_after` is the header as it came.
pub(crate) fn of_status(status: u16, retry_after: Option<&str>) -> Tried {
    let why = format!("the receiver answered {status}");
    match status {
        200..=299 => Tried::Arrived,
        408 | 409 | 425 | 429 | 503 => {
            let seconds = retry_after.and_then(|text| text.trim().parse::<u64>().ok());
            Tried::Later { why, after_ms: seconds.map(|seconds| seconds.saturating_mul(1000)) }
        }
        // It may have failed before or after it took the message.
        500..=599 => Tried::Unknown { why },
        _ => Tried::Refused { why },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn statuses_mean_what_they_say() {
        assert_eq!(of_status(204, None), Tried::Arrived);
        let later = |after_ms| Tried::Later { why: "the receiver answered 429".into(), after_ms };
        assert_eq!(of_status(429, Some("7")), later(Some(7000)));
        assert_eq!(of_status(429, Some("soon")), later(None));
        assert!(matches!(of_status(502, None), Tried::Unknown { .. }));
        for status in [301, 400, 401, 404, 410, 413] {
            assert!(matches!(of_status(status, None), Tried::Refused { .. }), "{status}");
        }
    }

    #[test]
    fn a_receiver_that_asks_for_time_gets_it() {
        let tried = Tried::Later { why: "busy".into(), after_ms: Some(90_000) };
        let next = after(tried, 1, 0, 1000, 0);
        assert_eq!(next, Next::Retry { at_ms: 91_000, uncertain: false, why: "busy".into() });
    }

    proptest! {
        #[test]
        fn every_row_comes_to_an_end(jitter: u8, unknown: bool) {
            let mut now_ms = 0;
            for attempts in 1..10_000 {
                let why = "no".to_owned();
                let tried = if unknown {
                    Tried::Unknown { why }
                } else {
                    Tried::Later { why, after_ms: None }
                };
                match after(tried, attempts, 0, now_ms, jitter) {
                    Next::Retry { at_ms, uncertain, .. } => {
                        prop_assert!(at_ms > now_ms && at_ms <= OUTBOX_AGE_MS_MAX);
                        prop_assert_eq!(uncertain, unknown);
                        now_ms = at_ms;
                    }
                    Next::Park { .. } => return Ok(()),
                    Next::Sent => prop_assert!(false, "it never arrived"),
                }
            }
            prop_assert!(false, "it never ended");
        }
    }
}
