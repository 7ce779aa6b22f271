//! Hosts as the owner names them: `api.example.com`, or `*.example.com` for all below it.

use std::fmt;

use super::guard::name_checked;

/// One or more hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostPattern {
    /// This host alone.
    Exact(String),
    /// Every host below this name, itself not among them.
    Below(String),
}

impl HostPattern {
    /// Reads a pattern; an error says in a few words what is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?} {why}");
        let (name, below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        if name.ends_with('.') {
            return Err(wrong("ends with a dot"));
        }
        // `*.com` would be half of the internet; a name of one label is refused here as well.
        let name = name_checked(name)
            .map_err(|_unsafe| wrong("is not like api.example.com or *.example.com"))?;
        Ok(if below { Self::Below(name) } else { Self::Exact(name) })
    }

    /// Whether a host is meant. It is in the form that `guard` gives.
    pub(crate) fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => host == name,
            Self::Below(name) => host
                .strip_suffix(name.as_str())
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Below(name) => write!(f, "*.{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_what_it_says() {
        let exact = HostPattern::parse("API.example.com").unwrap();
        assert!(exact.matches("api.example.com"));
        assert!(!exact.matches("a.api.example.com") && !exact.matches("xapi.example.com"));
        let below = HostPattern::parse("*.example.com").unwrap();
        assert!(below.matches("a.example.com") && below.matches("a.b.example.com"));
        for other in ["example.com", ".example.com", "badexample.com", "a.example.com.evil.org"] {
            assert!(!below.matches(other), "{other}");
        }
        assert_eq!(below.to_string(), "*.example.com");
    }

    #[test]
    fn what_is_no_host_is_no_pattern() {
        for text in [
            "",
            "*",
            "*.",
            "*.com",
            "com",
            "a.*.com",
            "*a.example.com",
            "https://example.com",
            "example.com/",
            "example.com:443",
            "a b.com",
            "example.com.",
            "localhost",
            "edge.internal",
            "*.edge.internal",
            "127.0.0.1",
            "*.0.0.1",
            "[::1]",
        ] {
            assert!(HostPattern::parse(text).is_err(), "{text}");
        }
    }
}
