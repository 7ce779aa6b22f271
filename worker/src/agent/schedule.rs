//! When jobs are due. Pure: it knows no clock and no database.
//!
//! Invariants: the next time of a job is always after the one before, so a clock that jumps back
//! runs nothing twice; however many runs were missed, one is made up for at the most.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use crate::limits::{JOB_HORIZON_MS, JOB_INTERVAL_MS_MIN, JOB_LATE_MS_MAX, JOB_WALL_TIMES_MAX};

const MINUTE_MS: u64 = 60_000;

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Schedule {
    /// Once.
    At {
        /// When.
        at_ms: u64,
    },
    /// Again and again.
    Every {
        /// The distance.
        interval_ms: u64,
        /// Where the counting begins, so that a late run moves no later one.
        anchor_ms: u64,
    },
    /// By a cron pattern of five fields.
    Cron {
        /// The pattern.
        pattern: String,
        /// The time zone's IANA name.
        zone: String,
    },
    /// Again and again, inside certain hours of the day.
    Heartbeat {
        /// The distance.
        interval_ms: u64,
        /// Where the counting begins.
        anchor_ms: u64,
        /// The first minute of the day.
        from_minute: u32,
        /// The minute before which it ends; smaller than the first one for hours over midnight.
        to_minute: u32,
        /// The time zone's IANA name.
        zone: String,
    },
}

/// What is done about runs that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missed {
    /// One run stands for all of them.
    Once,
    /// They are left out.
    Skip,
}

impl Missed {
    /// The policy as the books spell it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Skip => "skip",
        }
    }

    /// The policy that the books spell so.
    pub(crate) fn of(text: &str) -> Self {
        if text == "skip" { Self::Skip } else { Self::Once }
    }
}

/// What a job whose time has come does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Whether it runs.
    pub(crate) runs: bool,
    /// When it is due next; `None` when it is over.
    pub(crate) next_ms: Option<u64>,
}

impl Schedule {
    /// Refuses what never runs or runs too often.
    pub(crate) fn check(&self, now_ms: u64) -> Result<(), String> {
        match self {
            Self::At { at_ms } if *at_ms <= now_ms => Err("the time is over already".into()),
            Self::At { at_ms } if at_ms - now_ms > JOB_HORIZON_MS => {
                Err("it is too far away".into())
            }
            Self::Every { interval_ms, .. } | Self::Heartbeat { interval_ms, .. }
                if *interval_ms < JOB_INTERVAL_MS_MIN =>
            {
                Err("the shortest interval is one minute".into())
            }
            _ => match self.next_after(now_ms)? {
                Some(_) => Ok(()),
                None => Err("it never runs".into()),
            },
        }
    }

    /// The first time after this one; `None` when there is none.
    pub(crate) fn next_after(&self, after_ms: u64) -> Result<Option<u64>, String> {
        match self {
            Self::At { at_ms } => Ok((*at_ms > after_ms).then_some(*at_ms)),
            Self::Every { interval_ms, anchor_ms } => {
                Ok(Some(counted_after(after_ms, *interval_ms, *anchor_ms)))
            }
            Self::Cron { pattern, zone } => {
                let cron = minutes().parse(pattern).map_err(|error| error.to_string())?;
                let after = zoned(after_ms, zone)?;
                let next = if has_fixed_hours(pattern) {
                    next_by_the_wall(&cron, &after)
                } else {
                    cron.find_next_occurrence(&after, false).ok()
                };
                let next = next.map(|next: Zoned| next.timestamp().as_millisecond());
                Ok(next.and_then(|next| u64::try_from(next).ok()))
            }
            Self::Heartbeat { interval_ms, anchor_ms, from_minute, to_minute, zone } => {
                let at_ms = counted_after(after_ms, *interval_ms, *anchor_ms);
                heartbeat_after(at_ms, (*from_minute, *to_minute), zone).map(Some)
            }
        }
    }

    /// What a job does that was due at `due_ms`, not after `now_ms`.
    pub(crate) fn due(&self, due_ms: u64, missed: Missed, now_ms: u64) -> Result<Due, String> {
        let late = now_ms.saturating_sub(due_ms) > JOB_LATE_MS_MAX;
        Ok(Due {
            runs: !late || missed == Missed::Once,
            next_ms: self.next_after(now_ms.max(due_ms))?,
        })
    }
}

/// The first time after this one that is a multiple of the distance from where counting begins.
fn counted_after(after_ms: u64, interval_ms: u64, anchor_ms: u64) -> u64 {
    let interval_ms = interval_ms.max(1);
    let passed = after_ms.saturating_sub(anchor_ms) / interval_ms + 1;
    anchor_ms.saturating_add(passed.saturating_mul(interval_ms))
}

/// Patterns of five fields: no seconds, no years.
fn minutes() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

/// Whether a pattern names hours; others mean every so many minutes or hours, whatever the wall says.
fn has_fixed_hours(pattern: &str) -> bool {
    pattern.split_whitespace().nth(1).is_some_and(|hours| !hours.contains('*'))
}

/// The next of the pattern's times on the wall, each once: one that a day lacks is at the end of the
/// gap, of one that it has twice the first counts.
fn next_by_the_wall(cron: &Cron, after: &Zoned) -> Option<Zoned> {
    let mut wall = after.datetime();
    for _ in 0..JOB_WALL_TIMES_MAX {
        // Found in UTC, which lacks no time and has none twice.
        let next = cron.find_next_occurrence(&wall.to_zoned(TimeZone::UTC).ok()?, false).ok()?;
        wall = next.datetime();
        let at = placed(wall, after.time_zone())?;
        if at > *after {
            return Some(at);
        }
    }
    None
}

/// A time on the wall in a zone.
fn placed(wall: DateTime, zone: &TimeZone) -> Option<Zoned> {
    let at = wall.to_zoned(zone.clone()).ok()?;
    if at.datetime() == wall {
        return Some(at);
    }
    // It is in a gap, and was moved beyond its end, which is the last change up to there.
    let upto = at.timestamp().checked_add(SignedDuration::from_nanos(1)).ok()?;
    let end = zone.preceding(upto).next()?.timestamp();
    Some(end.to_zoned(zone.clone()))
}

fn zoned(ms: u64, zone: &str) -> Result<Zoned, String> {
    let zone = TimeZone::get(zone).map_err(|_error| format!("there is no time zone {zone:?}"))?;
    let ms = i64::try_from(ms).map_err(|error| error.to_string())?;
    let at = Timestamp::from_millisecond(ms).map_err(|error| error.to_string())?;
    Ok(at.to_zoned(zone))
}

/// The time itself when it is inside the hours, else their next beginning.
fn heartbeat_after(at_ms: u64, (from, to): (u32, u32), zone: &str) -> Result<u64, String> {
    let at = zoned(at_ms, zone)?;
    let minute =
        u32::try_from(at.hour()).unwrap_or(0) * 60 + u32::try_from(at.minute()).unwrap_or(0);
    let inside = if from <= to {
        (from..to).contains(&minute) || from == to
    } else {
        minute >= from || minute < to
    };
    if inside {
        return Ok(at_ms);
    }
    let begin = Schedule::Cron {
        pattern: format!("{} {} * * *", from % 60, from / 60),
        zone: zone.to_owned(),
    };
    // Also the very minute in which the hours begin.
    begin.next_after(at_ms - at_ms % MINUTE_MS - 1)?.ok_or_else(|| "it never runs".into())
}

/// A time as a person writes it: `2026-12-24T08:00` in `zone`, or `in 20m`.
pub(crate) fn parse_time(text: &str, zone: &str, now_ms: u64) -> Result<u64, String> {
    if let Some(distance) = text.strip_prefix("in ") {
        return Ok(now_ms + parse_interval(distance.trim())?);
    }
    let civil: DateTime = text
        .parse()
        .map_err(|_error| format!("{text:?} is not like 2026-12-24T08:00 or \"in 20m\""))?;
    let zone = TimeZone::get(zone).map_err(|_error| format!("there is no time zone {zone:?}"))?;
    let at = civil.to_zoned(zone).map_err(|error| error.to_string())?;
    u64::try_from(at.timestamp().as_millisecond()).map_err(|_error| "it is before 1970".into())
}

/// A distance as a person writes it: `20m`, `2h` or `1d`.
pub(crate) fn parse_interval(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is not like 20m, 2h or 1d");
    let unit_ms = match text.chars().last() {
        Some('m') => MINUTE_MS,
        Some('h') => 60 * MINUTE_MS,
        Some('d') => 24 * 60 * MINUTE_MS,
        _ => return Err(wrong()),
    };
    let number = text.get(..text.len() - 1).and_then(|text| text.parse::<u64>().ok());
    let ms = number.and_then(|number| number.checked_mul(unit_ms));
    ms.filter(|ms| (1..=JOB_HORIZON_MS).contains(ms)).ok_or_else(wrong)
}

/// A time for a person, in a zone; the number itself where the zone is not known.
pub(crate) fn show(ms: u64, zone: &str) -> String {
    match zoned(ms, zone) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M %Z").to_string(),
        Err(_) => ms.to_string(),
    }
}

/// The day of a time in a zone, as `2026-11-28`; in UTC where the zone is not known.
pub(crate) fn day(ms: u64, zone: &str) -> String {
    days_before(ms, zone, 0)
}

/// The day so many days before that of a time.
pub(crate) fn days_before(ms: u64, zone: &str, days: i32) -> String {
    let at = zoned(ms, zone).or_else(|_| zoned(ms, "UTC"));
    let date = at.map(|at| at.date()).unwrap_or_default();
    date.saturating_sub(jiff::Span::new().days(days)).to_string()
}

/// Whether there is such a time zone.
pub(crate) fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cron(pattern: &str, zone: &str) -> Schedule {
        Schedule::Cron { pattern: pattern.into(), zone: zone.into() }
    }

    fn ms(text: &str) -> u64 {
        let at: Timestamp = text.parse().unwrap();
        at.as_millisecond().unsigned_abs()
    }

    fn next(schedule: &Schedule, after: &str) -> String {
        let next = schedule.next_after(ms(after)).unwrap().unwrap();
        Timestamp::from_millisecond(next.cast_signed()).unwrap().to_string()
    }

    #[test]
    fn summer_time_in_berlin_and_new_york() {
        let berlin = cron("30 2 * * *", "Europe/Berlin");
        // 02:30 does not exist on 29 March 2026; it runs at the next instant there is.
        assert_eq!(next(&berlin, "2026-03-28T12:00:00Z"), "2026-03-29T01:00:00Z");
        assert_eq!(next(&berlin, "2026-03-29T01:30:00Z"), "2026-03-30T00:30:00Z");
        // It exists twice on 25 October 2026, and runs once.
        let first = next(&berlin, "2026-10-24T12:00:00Z");
        assert_eq!(first, "2026-10-25T00:30:00Z");
        assert_eq!(next(&berlin, &first), "2026-10-26T01:30:00Z");
        let york = cron("0 9 * * 1-5", "America/New_York");
        assert_eq!(next(&york, "2026-11-20T15:00:00Z"), "2026-11-23T14:00:00Z");
    }

    #[test]
    fn lists_of_hours_lost_a_run_when_the_clock_was_moved() {
        let runs = |pattern: &str, from: &str, count| {
            let schedule = cron(pattern, "Europe/Berlin");
            let mut at = from.to_owned();
            std::iter::repeat_with(|| {
                at = next(&schedule, &at);
                at.clone()
            })
            .take(count)
            .collect::<Vec<_>>()
        };
        // 02:00 and 03:00 are the same instant on 29 March 2026.
        let spring = runs("0 1,2,3 * * *", "2026-03-28T12:00:00Z", 3);
        assert_eq!(
            spring,
            ["2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T23:00:00Z"]
        );
        let autumn = runs("0 1-3 * * *", "2026-10-24T12:00:00Z", 4);
        assert_eq!(
            autumn,
            [
                "2026-10-24T23:00:00Z",
                "2026-10-25T00:00:00Z",
                "2026-10-25T02:00:00Z",
                "2026-10-26T00:00:00Z"
            ]
        );
        // Every twenty minutes is every twenty minutes, also in the hour that comes twice.
        let often = runs("*/20 * * * *", "2026-10-25T00:30:00Z", 4);
        assert_eq!(
            often,
            [
                "2026-10-25T00:40:00Z",
                "2026-10-25T01:00:00Z",
                "2026-10-25T01:20:00Z",
                "2026-10-25T01:40:00Z"
            ]
        );
    }

    #[test]
    fn a_heartbeat_keeps_its_hours() {
        let beat = |from_minute, to_minute| Schedule::Heartbeat {
            interval_ms: 30 * MINUTE_MS,
            anchor_ms: 0,
            from_minute,
            to_minute,
            zone: "UTC".into(),
        };
        let day = beat(8 * 60, 22 * 60);
        assert_eq!(next(&day, "2026-11-25T10:00:00Z"), "2026-11-25T10:30:00Z");
        assert_eq!(next(&day, "2026-11-25T21:45:00Z"), "2026-11-26T08:00:00Z");
        assert_eq!(next(&day, "2026-11-25T07:30:00Z"), "2026-11-25T08:00:00Z");
        let night = beat(22 * 60, 6 * 60);
        assert_eq!(next(&night, "2026-11-25T23:50:00Z"), "2026-11-26T00:00:00Z");
        assert_eq!(next(&night, "2026-11-26T05:50:00Z"), "2026-11-26T22:00:00Z");
        assert_eq!(next(&beat(0, 0), "2026-11-25T23:50:00Z"), "2026-11-26T00:00:00Z");
    }

    #[test]
    fn missed_runs_are_made_up_for_once_or_not_at_all() {
        let hourly = Schedule::Every { interval_ms: 60 * MINUTE_MS, anchor_ms: 0 };
        let day = 24 * 60 * MINUTE_MS;
        let due = |missed| hourly.due(MINUTE_MS, missed, day).unwrap();
        let next_ms = Some(day + 60 * MINUTE_MS);
        assert_eq!(due(Missed::Once), Due { runs: true, next_ms });
        assert_eq!(due(Missed::Skip), Due { runs: false, next_ms });
        let once = Schedule::At { at_ms: 5 }.due(5, Missed::Once, 6).unwrap();
        assert_eq!(once, Due { runs: true, next_ms: None });
    }

    #[test]
    fn a_late_run_moves_no_later_one() {
        let daily = Schedule::Every { interval_ms: 1000, anchor_ms: 300 };
        assert_eq!(daily.next_after(299).unwrap(), Some(1300));
        assert_eq!(daily.next_after(1300).unwrap(), Some(2300));
        assert_eq!(daily.next_after(1999).unwrap(), Some(2300));
    }

    #[test]
    fn nonsense_is_refused() {
        let now_ms = ms("2026-11-25T10:00:00Z");
        for bad in [
            cron("* * *", "UTC"),
            cron("61 * * * *", "UTC"),
            cron("0 0 31 2 *", "UTC"),
            cron("0 8 * * *", "Mars/Olympus"),
            cron("* * * * * *", "UTC"),
            cron("0 8 * * * 2027", "UTC"),
            Schedule::Every { interval_ms: 59_999, anchor_ms: 0 },
            Schedule::At { at_ms: u64::MAX },
            Schedule::At { at_ms: now_ms },
        ] {
            assert!(bad.check(now_ms).is_err(), "{bad:?}");
        }
        assert!(cron("0 8 * * *", "Asia/Tokyo").check(now_ms).is_ok());
    }

    #[test]
    fn times_and_distances_as_people_write_them() {
        let now_ms = ms("2026-11-25T10:00:00Z");
        let at = |text| parse_time(text, "Europe/Berlin", now_ms);
        assert_eq!(at("2026-12-24T08:00").unwrap(), ms("2026-12-24T07:00:00Z"));
        assert_eq!(at("in 20m").unwrap(), now_ms + 20 * MINUTE_MS);
        assert!(at("tomorrow").is_err() && at("in 20").is_err());
        assert_eq!(parse_interval("2h").unwrap(), 120 * MINUTE_MS);
        for bad in ["", "m", "-1m", "0m", "2w", "999999999999999999d", "307445734561825m"] {
            assert!(parse_interval(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn the_next_time_is_always_later(
            minute in 0_u32..60, hour in "[01]?[0-9]|2[0-3]|[0-9],1[0-9]|[0-4]-[5-9]", start in 1_700_000_000_000_u64..1_900_000_000_000,
            zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
        ) {
            let schedule = cron(&format!("{minute} {hour} * * *"), zone);
            let mut at_ms = start;
            for _ in 0..8 {
                let next = schedule.next_after(at_ms).unwrap().unwrap();
                prop_assert!(next > at_ms);
                prop_assert!(next - at_ms <= 49 * 60 * MINUTE_MS);
                at_ms = next;
            }
        }

        #[test]
        fn no_text_makes_the_parsers_fall(text in "\\PC{0,30}") {
            drop(cron(&text, "UTC").next_after(0));
            drop(parse_time(&text, "UTC", 0));
            drop(parse_interval(&text));
        }
    }
}
