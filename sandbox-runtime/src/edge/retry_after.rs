//! When a provider wants to be asked again, in the one form that the dialects read.
//!
//! `Retry-After` is a number of seconds or a date
//! (<https://www.rfc-editor.org/rfc/rfc9110#name-retry-after>). A date needs a clock, which the
//! dialects have not: here it becomes seconds.

use std::time::SystemTime;

/// The header's value as seconds from `now`. What is no date stays as it is.
pub(super) fn seconds(value: &str, now: SystemTime) -> String {
    let Ok(date) = httpdate::parse_http_date(value.trim()) else {
        return value.to_owned();
    };
    // A date that is over asks for no wait.
    let wait = date.duration_since(now).unwrap_or_default();
    format!("{:.3}", wait.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_date_becomes_seconds_and_a_number_stays() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(784_111_776_500);
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT", now), "0.500");
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:00 GMT", now), "0.000");
        for other in ["12", "0.5", "soon", ""] {
            assert_eq!(seconds(other, now), other);
        }
    }
}
