//! The commands that a person types instead of a message. Pure.

use super::schedule::{Missed, Schedule, parse_interval, parse_time};
use crate::limits::JOB_PROMPT_BYTES_MAX;

/// How commands are written.
pub(crate) const HELP: &str = "\
`/status` – the container, the schedule, what waits
`/stop` – stop the running turn
`/usage` – what was spent, and what may be
`/egress` – which hosts were called in the last days
`/schedule` – list jobs
`/schedule add at 2026-12-24T08:00 <prompt>` or `add in 20m <prompt>` – once
`/schedule add every 2h <prompt>` – again and again
`/schedule add … --skip <prompt>` – a missed run is left out, not made up for
`/schedule add cron \"0 8 * * 1-5\" [Europe/Berlin] <prompt>` – by a cron pattern
`/schedule heartbeat every 30m [08:00-22:00] [Europe/Berlin]` or `heartbeat off` – look at HEARTBEAT.md
`/schedule pause|resume|run|remove|history <id>`
`/workspace start-empty` – give up a saved workspace that cannot be restored";

/// What the agent is asked when its heart beats.
pub(crate) const HEARTBEAT_PROMPT: &str = include_str!("../../prompts/heartbeat.md");

/// The heartbeat's job.
pub(crate) const HEARTBEAT: &str = "heartbeat";

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// How commands are written.
    Help,
    /// How the agent is.
    Status,
    /// Stop the running turn.
    Stop,
    /// What was spent.
    Usage,
    /// Which hosts were called.
    Egress,
    /// The jobs.
    Jobs,
    /// A new job.
    Add {
        /// When.
        schedule: Schedule,
        /// What the agent is asked.
        prompt: String,
        /// What is done about missed runs.
        missed: Missed,
    },
    /// The heartbeat.
    Heartbeat(Schedule),
    /// No heartbeat.
    HeartbeatOff,
    /// Something with a job.
    Job(JobAction, String),
    /// Give up what was saved of the workspace.
    StartEmpty,
}

/// What is done with a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobAction {
    /// It does not run until it is resumed.
    Pause,
    /// It runs again.
    Resume,
    /// It runs now.
    Run,
    /// It goes.
    Remove,
    /// Its last runs.
    History,
}

/// The command in a text: `None` for a message, an error with how it is written for a command that
/// is none.
pub(crate) fn parse(text: &str, zone: &str, now_ms: u64) -> Option<Result<Command, String>> {
    let text = text.trim();
    let command = text.strip_prefix('/')?;
    if command.starts_with(char::is_whitespace) {
        return None;
    }
    let (word, rest) = split(command);
    // A path is a message, and so is a comment.
    if word.is_empty() || word.contains('/') || !word.chars().all(|c| c.is_ascii_alphanumeric()) {
        return None;
    }
    Some(match (word, rest) {
        ("help", _) => Ok(Command::Help),
        ("status", _) => Ok(Command::Status),
        ("stop", _) => Ok(Command::Stop),
        ("usage", _) => Ok(Command::Usage),
        ("egress", _) => Ok(Command::Egress),
        ("schedule", "") => Ok(Command::Jobs),
        ("schedule", rest) => schedule(rest, zone, now_ms),
        ("workspace", "start-empty") => Ok(Command::StartEmpty),
        _ => Err(format!("There is no command `/{word}`.\n\n{HELP}")),
    })
}

fn schedule(text: &str, zone: &str, now_ms: u64) -> Result<Command, String> {
    let (verb, rest) = split(text);
    let action = match verb {
        "list" => return Ok(Command::Jobs),
        "add" => return add(rest, zone, now_ms),
        "heartbeat" => return heartbeat(rest, zone, now_ms),
        "pause" => JobAction::Pause,
        "resume" => JobAction::Resume,
        "run" => JobAction::Run,
        "remove" => JobAction::Remove,
        "history" => JobAction::History,
        other => return Err(format!("`/schedule {other}` is not known.\n\n{HELP}")),
    };
    if rest.is_empty() || rest.contains(' ') {
        return Err(format!("Name one job: `/schedule {verb} <id>`."));
    }
    Ok(Command::Job(action, rest.to_owned()))
}

fn add(text: &str, zone: &str, now_ms: u64) -> Result<Command, String> {
    let (kind, rest) = split(text);
    let (schedule, prompt) = match kind {
        "at" | "in" => {
            let (time, prompt) = split(rest);
            let time = if kind == "in" { format!("in {time}") } else { time.to_owned() };
            (Schedule::At { at_ms: parse_time(&time, zone, now_ms)? }, prompt)
        }
        "every" => {
            let (interval, prompt) = split(rest);
            (Schedule::Every { interval_ms: parse_interval(interval)?, anchor_ms: now_ms }, prompt)
        }
        "cron" => {
            let (pattern, rest) = quoted(rest)?;
            let (zone, prompt) = zone_first(rest, zone);
            (Schedule::Cron { pattern, zone: zone.to_owned() }, prompt)
        }
        other => return Err(format!("`/schedule add {other}` is not known.\n\n{HELP}")),
    };
    let (missed, prompt) = match prompt.strip_prefix("--skip ") {
        Some(prompt) => (Missed::Skip, prompt.trim()),
        None => (Missed::Once, prompt),
    };
    if prompt.is_empty() || prompt.len() > JOB_PROMPT_BYTES_MAX {
        return Err(format!("Say what is to be done, in 1 to {JOB_PROMPT_BYTES_MAX} bytes."));
    }
    schedule.check(now_ms)?;
    Ok(Command::Add { schedule, prompt: prompt.to_owned(), missed })
}

fn heartbeat(text: &str, zone: &str, now_ms: u64) -> Result<Command, String> {
    let (verb, rest) = split(text);
    if verb == "off" {
        return Ok(Command::HeartbeatOff);
    }
    if verb != "every" {
        return Err(format!("Write `/schedule heartbeat every 30m` or `heartbeat off`.\n\n{HELP}"));
    }
    let (interval, rest) = split(rest);
    let (hours, rest) = match split(rest) {
        (hours, behind) if hours.contains(':') => (parse_hours(hours)?, behind),
        _ => ((0, 0), rest),
    };
    let (zone, rest) = zone_first(rest, zone);
    if !rest.is_empty() {
        return Err(format!("{rest:?} is neither hours nor a time zone."));
    }
    let schedule = Schedule::Heartbeat {
        interval_ms: parse_interval(interval)?,
        anchor_ms: now_ms,
        from_minute: hours.0,
        to_minute: hours.1,
        zone: zone.to_owned(),
    };
    schedule.check(now_ms)?;
    Ok(Command::Heartbeat(schedule))
}

/// `08:00-22:00` as minutes of the day.
fn parse_hours(text: &str) -> Result<(u32, u32), String> {
    let wrong = || format!("{text:?} is not like 08:00-22:00");
    let minute = |time: &str| -> Option<u32> {
        let (hour, minute) = time.split_once(':')?;
        let (hour, minute): (u32, u32) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let (from, to) = text.split_once('-').ok_or_else(wrong)?;
    Ok((minute(from).ok_or_else(wrong)?, minute(to).ok_or_else(wrong)?))
}

/// The time zone that a text begins with, if it begins with one.
fn zone_first<'a>(text: &'a str, default: &'a str) -> (&'a str, &'a str) {
    let (word, rest) = split(text);
    let is_zone = (word.contains('/') || word == "UTC") && super::schedule::is_zone(word);
    if is_zone { (word, rest) } else { (default, text) }
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let wrong = || "Put the cron pattern in quotes: `\"0 8 * * 1-5\"`.".to_owned();
    let (pattern, rest) =
        text.strip_prefix('"').and_then(|t| t.split_once('"')).ok_or_else(wrong)?;
    Ok((pattern.trim().to_owned(), rest.trim()))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (text, ""),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn parsed(text: &str) -> Command {
        parse(text, "UTC", NOW_MS).unwrap().unwrap()
    }

    #[test]
    fn messages_are_no_commands() {
        for message in
            ["hello", "", "/", "// a comment", "/etc/passwd is a file", "/ help", "a /help"]
        {
            assert_eq!(parse(message, "UTC", NOW_MS), None, "{message}");
        }
    }

    #[test]
    fn jobs_as_people_write_them() {
        let Command::Add { schedule, prompt, missed } =
            parsed("/schedule add in 20m water the plants")
        else {
            panic!("no job")
        };
        assert_eq!(schedule, Schedule::At { at_ms: NOW_MS + 1_200_000 });
        assert_eq!((prompt.as_str(), missed), ("water the plants", Missed::Once));
        let Command::Add { schedule, prompt, missed } =
            parsed("/schedule add cron \"0 8 * * 1-5\" Europe/Berlin --skip read the news")
        else {
            panic!("no job")
        };
        let zone = "Europe/Berlin".to_owned();
        assert_eq!(schedule, Schedule::Cron { pattern: "0 8 * * 1-5".into(), zone });
        assert_eq!((prompt.as_str(), missed), ("read the news", Missed::Skip));
        let beat = parsed("/schedule heartbeat every 30m 08:00-22:30 Europe/Berlin");
        let Command::Heartbeat(Schedule::Heartbeat { from_minute, to_minute, .. }) = beat else {
            panic!("no heartbeat")
        };
        assert_eq!((from_minute, to_minute), (480, 1350));
        assert_eq!(parsed("/schedule"), Command::Jobs);
        assert_eq!(parsed("/schedule pause j1"), Command::Job(JobAction::Pause, "j1".into()));
    }

    #[test]
    fn what_is_wrong_is_answered_with_how_it_is_right() {
        for (text, hint) in [
            ("/nonsense", "/status"),
            ("/schedule add every 10s hurry", "20m"),
            ("/schedule add every 2h", "what is to be done"),
            ("/schedule add cron 0 8 * * * news", "quotes"),
            ("/schedule add cron \"0 0 31 2 *\" never", "never"),
            ("/schedule add at yesterday x", "2026-12-24T08:00"),
            ("/schedule heartbeat every 30m 8-22", "neither hours"),
            ("/schedule run", "Name one job"),
        ] {
            let why = parse(text, "UTC", NOW_MS).unwrap().unwrap_err();
            assert!(why.contains(hint), "{text}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fall(text in "/(schedule|help|x) ?(add|heartbeat|run)? ?(cron|at|every|in)? ?\\PC{0,30}") {
            drop(parse(&text, "UTC", NOW_MS));
        }
    }
}
