//! What leaves an agent for the rest of the internet: asked for by way of the edge, and recorded.

use serde::{Deserialize, Serialize};

/// Below this name the edge calls other hosts for the container: `http://api.github.com.via.edge.internal/…`
/// is `https://api.github.com/…`, with the owner's secret where there is one.
pub const VIA_SUFFIX: &str = "via.edge.internal";

/// Header of an answer to `POST /fetch`: where it came from, behind all redirects.
pub const FINAL_URL_HEADER: &str = "x-pagurus-url";

/// The body of `POST /fetch`: a page to be fetched with GET. The answer has the status, the type and
/// the body of the page, at most [`limits::FETCH_BODY_BYTES_MAX`] bytes of it and one more when there
/// is more.
///
/// [`limits::FETCH_BODY_BYTES_MAX`]: crate::limits::FETCH_BODY_BYTES_MAX
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchRequest {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// The URL, `http` or `https`.
    pub url: String,
}

/// The body of `POST /egress`: what the container's own commands have called since the last report.
/// A record, not a wall: it is the container's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressReport {
    /// Protocol version of the sender.
    pub protocol: u32,
    /// At most [`limits::EGRESS_REPORT_HOSTS_MAX`].
    ///
    /// [`limits::EGRESS_REPORT_HOSTS_MAX`]: crate::limits::EGRESS_REPORT_HOSTS_MAX
    pub hosts: Vec<HostTally>,
}

/// What went to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostTally {
    /// The host, with its port where that is neither 80 nor 443.
    pub host: String,
    /// Connections.
    pub calls: u64,
    /// Bytes that came back.
    pub bytes: u64,
}

/// By which way a call left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EgressVia {
    /// A command's own connection, as the container tells it.
    Shell,
    /// `http://<host>.via.edge.internal/`.
    Via,
    /// The tool `web_fetch`.
    Fetch,
    /// A command's request to a host of the allowlist.
    Allowlist,
}

impl EgressVia {
    /// Its name in the books.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Via => "via",
            Self::Fetch => "fetch",
            Self::Allowlist => "allowlist",
        }
    }
}

/// Worker → agent object: calls that leave, or that have left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressNotes {
    /// The notes.
    pub notes: Vec<EgressNote>,
}

/// What is added to the record of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EgressNote {
    /// The host.
    pub host: String,
    /// The way.
    pub via: EgressVia,
    /// Calls that begin.
    pub calls: u64,
    /// Bytes that came back.
    pub bytes: u64,
    /// The status of the answer; 0 for none.
    pub status: u16,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::EDGE_HOST;

    #[test]
    fn the_ways_out_are_below_the_edge() {
        assert!(VIA_SUFFIX.ends_with(&format!(".{EDGE_HOST}")));
    }
}
