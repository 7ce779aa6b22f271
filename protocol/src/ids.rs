//! Identities as types, so that one kind cannot stand in for another.
//!
//! Invariant: a value of these types has passed its check; an identifier that appears in a path is
//! made of characters that need no escaping there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::ID_BYTES_MAX;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing, or more than [`ID_BYTES_MAX`] bytes.
    #[error("an identifier has 1 to {ID_BYTES_MAX} characters, this one has {0}")]
    Length(usize),
    /// A character outside the set.
    #[error("an identifier holds only a-z, A-Z, 0-9, '-', '_', '.' and ':', not {0:?}")]
    Character(char),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() || text.len() > ID_BYTES_MAX {
        return Err(IdError::Length(text.len()));
    }
    match text.chars().find(|c| !(c.is_ascii_alphanumeric() || "-_.:".contains(*c))) {
        Some(c) => Err(IdError::Character(c)),
        None => Ok(()),
    }
}

/// Declares one identifier type over a checked string. A table, not logic.
macro_rules! identifiers {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
    )+};
}

identifiers! {
    /// One agent: one Durable Object, one container, one R2 prefix. `main` by default.
    AgentId,
    /// One conversation of an agent, with its own append-only log.
    SessionId,
    /// One run of the loop: from accepted messages to an end that the user sees.
    TurnId,
    /// One tool call, as the model named it (or as the decoder named it for a model that did not).
    CallId,
}

/// One life of the container. Grows by one at each start; only the current one may write.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of the next start.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Epoch {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_providers_and_we_use() {
        for good in ["main", "web", "toolu_01A09q90qw90lq917835lq9", "call_abc", "t-12:3", "a.b"] {
            assert_eq!(good.parse::<CallId>().unwrap().as_str(), good);
        }
    }

    #[test]
    fn refuses_what_would_need_escaping_in_a_path() {
        for bad in ["", "a/b", "a b", "a?b", "ä", "a%2f", "a\n"] {
            assert!(bad.parse::<SessionId>().is_err(), "{bad:?} was accepted");
        }
        assert!("x".repeat(ID_BYTES_MAX + 1).parse::<AgentId>().is_err());
    }

    #[test]
    fn json_goes_through_the_same_check() {
        assert!(serde_json::from_str::<AgentId>("\"main\"").is_ok());
        assert!(serde_json::from_str::<AgentId>("\"../x\"").is_err());
    }
}
