//! A text that must not be seen.

use std::fmt;

/// A secret setting. Printing it prints a placeholder; it does not serialise.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// Wraps the secret.
    pub(crate) fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The secret itself, for the one request header that carries it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}
