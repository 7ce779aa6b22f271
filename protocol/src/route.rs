//! What the three internal surfaces share in naming their routes: methods, and splitting a path.

use std::fmt;

/// The HTTP methods that internal routes use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Asks what GET would answer, without the body.
    Head,
    /// Reads.
    Get,
    /// Changes.
    Post,
    /// Removes.
    Delete,
}

impl Method {
    /// The method as it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Head => "HEAD",
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The path split at its slashes, without the leading one; `None` when it does not start with one.
pub(crate) fn segments(path: &str) -> Option<Vec<&str>> {
    Some(path.strip_prefix('/')?.split('/').collect())
}

/// The number that a query string gives for `name`; `default` when the name is absent, `None` when
/// it is there and is no number.
pub(crate) fn number(query: &str, name: &str, default: u64) -> Option<u64> {
    for pair in query.split('&') {
        if let Some((key, value)) = pair.split_once('=')
            && key == name
        {
            return value.parse().ok();
        }
    }
    Some(default)
}
