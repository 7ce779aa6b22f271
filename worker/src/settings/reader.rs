//! Reads single settings and gathers what is wrong with them.
//!
//! Invariant: a value that is wrong is reported with its name and its remedy, never with itself
//! where it may be a secret.

use protocol::{Problem, ProblemCode};

use super::Secret;

/// Shortest and longest key that is believed, in characters.
const KEY_CHARS: std::ops::RangeInclusive<usize> = 1..=4096;

/// The texts of the environment, and everything that was wrong with them.
pub(super) struct Reader<'a> {
    get: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

impl<'a> Reader<'a> {
    /// Reads through `get`, which returns the text of a variable or secret.
    pub(super) fn new(get: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self { get, problems: Vec::new() }
    }

    /// Everything that was wrong.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// A text, trimmed; an empty one counts as absent.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        (self.get)(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// Notes that a setting is wrong, in words that fit behind "The setting X is wrong:".
    pub(super) fn wrong(&mut self, name: &str, why: impl std::fmt::Display) {
        self.note(wrong(name, why));
    }

    /// Notes a problem, once.
    pub(super) fn note(&mut self, problem: Problem) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// What `check` makes of a text, or `default` where there is none or a wrong one.
    pub(super) fn checked<T>(
        &mut self,
        name: &str,
        default: T,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        match self.text(name).map(|text| check(&text)) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(why)) => {
                self.wrong(name, why);
                default
            }
        }
    }

    /// What `check` makes of a text; nothing where there is none or a wrong one.
    pub(super) fn optional<T>(
        &mut self,
        name: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.checked(name, None, |text| check(text).map(Some))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&mut self, name: &str, default: bool) -> bool {
        self.checked(name, default, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            other => Err(format!("{other:?} is neither true nor false")),
        })
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, name: &str, words: &[(&str, T)]) -> Option<T> {
        self.optional(name, |text| {
            let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
            found.ok_or_else(|| {
                let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                format!("{text:?} is none of {}", words.join(", "))
            })
        })
    }

    /// A key. What people paste often has quotes or a line's end in it, which no provider's has.
    pub(super) fn key(&mut self, name: &str) -> Option<Secret> {
        self.optional(name, |text| {
            let is_quoted = text.starts_with(['"', '\'', '`']) || text.ends_with(['"', '\'', '`']);
            if is_quoted {
                return Err("it begins or ends with a quotation mark".into());
            }
            if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("it holds a space, a line's end or a letter that no key has".into());
            }
            if !KEY_CHARS.contains(&text.len()) {
                return Err(format!("it has more than {} characters", KEY_CHARS.end()));
            }
            Ok(Secret::new(text.to_owned()))
        })
    }

    /// The beginning of an address that paths are appended to, without a slash at its end.
    pub(super) fn base_url(&mut self, name: &str) -> Option<String> {
        self.optional(name, base_url_checked)
    }
}

/// The problem of a setting.
pub(super) fn wrong(name: &str, why: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemCode::Misconfigured, format!("The setting {name} is wrong: {why}."))
        .remedy(format!("Set {name} again, or remove it to use the default."))
}

/// A base URL without a slash at its end, or why the text is none.
pub(super) fn base_url_checked(text: &str) -> Result<String, String> {
    let after_scheme = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    match after_scheme {
        None => Err("it does not begin with https:// or http://".into()),
        Some(rest) if rest.is_empty() || rest.starts_with('/') => Err("it names no host".into()),
        Some(rest) if rest.contains(['?', '#', '@', ' ']) => {
            Err("it holds a query, a fragment, a user name or a space".into())
        }
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
    }
}
