//! Signals as the Docker API names them: `SIGTERM`, `TERM` or `15`.

use rustix::process::Signal;

/// The signals that Docker clients send, by their name without `SIG`.
const NAMES: &[(&str, Signal)] = &[
    ("HUP", Signal::HUP),
    ("INT", Signal::INT),
    ("QUIT", Signal::QUIT),
    ("ILL", Signal::ILL),
    ("TRAP", Signal::TRAP),
    ("ABRT", Signal::ABORT),
    ("BUS", Signal::BUS),
    ("FPE", Signal::FPE),
    ("KILL", Signal::KILL),
    ("USR1", Signal::USR1),
    ("SEGV", Signal::SEGV),
    ("USR2", Signal::USR2),
    ("PIPE", Signal::PIPE),
    ("ALRM", Signal::ALARM),
    ("TERM", Signal::TERM),
    ("CHLD", Signal::CHILD),
    ("CONT", Signal::CONT),
    ("STOP", Signal::STOP),
    ("TSTP", Signal::TSTP),
    ("TTIN", Signal::TTIN),
    ("TTOU", Signal::TTOU),
    ("URG", Signal::URG),
    ("XCPU", Signal::XCPU),
    ("XFSZ", Signal::XFSZ),
    ("VTALRM", Signal::VTALARM),
    ("PROF", Signal::PROF),
    ("WINCH", Signal::WINCH),
    ("IO", Signal::IO),
    ("SYS", Signal::SYS),
];

/// Reads a signal; `None` when there is no such signal. Docker's default is `SIGKILL`.
pub fn parse(text: Option<&str>) -> Option<Signal> {
    let Some(text) = text.filter(|text| !text.is_empty()) else { return Some(Signal::KILL) };
    if let Ok(number) = text.parse::<i32>() {
        return Signal::from_named_raw(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, signal)| *signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_spellings_and_the_default() {
        for text in ["SIGTERM", "term", "15"] {
            assert_eq!(parse(Some(text)), Some(Signal::TERM), "{text}");
        }
        assert_eq!(parse(None), Some(Signal::KILL));
    }

    #[test]
    fn nonsense_is_no_signal() {
        for text in ["SIGNOPE", "0", "-9", "999", "SIG"] {
            assert_eq!(parse(Some(text)), None, "{text}");
        }
    }
}
