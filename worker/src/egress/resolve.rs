//! What a name resolves to, asked over HTTPS in Cloudflare's JSON form:
//! <https://developers.cloudflare.com/1.1.1.1/encryption/dns-over-https/make-api-requests/dns-json/>.
//!
//! Invariant: a name passes only when both questions (A and AAAA) were answered, there is an address,
//! and every address is public. What is not known is refused.

use std::collections::VecDeque;
use std::net::IpAddr;

use serde_json::Value;

use super::address::is_public;
use crate::limits::{RESOLVED_KEPT_MS_MAX, RESOLVED_NAMES_MAX};

/// The two questions about a name.
pub(crate) const KINDS: [&str; 2] = ["A", "AAAA"];

/// The media type of an answer.
pub(crate) const MEDIA_TYPE: &str = "application/dns-json";

/// No such name (RFC 1035 section 4.1.1).
const NXDOMAIN: u64 = 3;
/// Record types of addresses (RFC 1035, RFC 3596).
const ADDRESS_KINDS: [u64; 2] = [1, 28];

/// Why a name is not fetched from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unresolved {
    /// The resolver gave no good answer.
    #[error("the resolver did not answer well: {0}")]
    Resolver(String),
    /// There is no such name, or it has no address.
    #[error("the host {0:?} does not exist or has no address")]
    Unknown(String),
    /// One of its addresses is not public.
    #[error("the host {name:?} has the address {address}, which is not on the public internet")]
    Private {
        /// The name.
        name: String,
        /// The address.
        address: IpAddr,
    },
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    addresses: Vec<IpAddr>,
    ttl_seconds: u64,
}

/// The URL of a question. The name is one that `guard` let through, so nothing in it needs escaping.
pub(crate) fn question(resolver: &str, name: &str, kind: &str) -> String {
    format!("{resolver}?name={name}&type={kind}")
}

/// Reads an answer. By hand, since a derived reader of it would be half as large as all of this room.
pub(crate) fn read(body: &[u8]) -> Result<Answer, Unresolved> {
    let wrong = |why: String| Unresolved::Resolver(why);
    let message: Value = serde_json::from_slice(body)
        .map_err(|error| wrong(format!("it does not read: {error}")))?;
    if message.get("TC").and_then(Value::as_bool) == Some(true) {
        return Err(wrong("it is cut off".into()));
    }
    let status = message.get("Status").and_then(Value::as_u64);
    if status != Some(0) && status != Some(NXDOMAIN) {
        return Err(wrong(format!("it failed with code {status:?}")));
    }
    let mut answer = Answer { addresses: Vec::new(), ttl_seconds: u64::MAX };
    for record in message.get("Answer").and_then(Value::as_array).into_iter().flatten() {
        let kind = record.get("type").and_then(Value::as_u64);
        if !kind.is_some_and(|kind| ADDRESS_KINDS.contains(&kind)) {
            continue;
        }
        let data = record.get("data").and_then(Value::as_str).unwrap_or_default();
        let address = data.parse().map_err(|error| wrong(format!("an address: {error}")))?;
        answer.addresses.push(address);
        let ttl_seconds = record.get("TTL").and_then(Value::as_u64).unwrap_or(0);
        answer.ttl_seconds = answer.ttl_seconds.min(ttl_seconds);
    }
    Ok(answer)
}

/// Whether a name with these answers may be fetched from, and for how long that is known, in
/// milliseconds.
pub(crate) fn verdict(name: &str, answers: &[Answer]) -> Result<u64, Unresolved> {
    let mut addresses = answers.iter().flat_map(|answer| &answer.addresses).peekable();
    if addresses.peek().is_none() {
        return Err(Unresolved::Unknown(name.to_owned()));
    }
    if let Some(address) = addresses.find(|address| !is_public(**address)) {
        return Err(Unresolved::Private { name: name.to_owned(), address: *address });
    }
    let seconds = answers.iter().map(|answer| answer.ttl_seconds).min().unwrap_or(0);
    Ok(seconds.saturating_mul(1000).min(RESOLVED_KEPT_MS_MAX))
}

/// Names that were found public a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<(String, u64)>);

impl Recent {
    /// Nothing yet.
    pub(crate) const fn new() -> Self {
        Self(VecDeque::new())
    }

    /// Whether a name is known to be public at `now_ms`.
    pub(crate) fn knows(&self, name: &str, now_ms: u64) -> bool {
        self.0.iter().any(|(known, until_ms)| known == name && now_ms < *until_ms)
    }

    /// Remembers a name for `for_ms`; the oldest makes way.
    pub(crate) fn note(&mut self, name: &str, now_ms: u64, for_ms: u64) {
        self.0.retain(|(known, until_ms)| known != name && now_ms < *until_ms);
        while self.0.len() >= RESOLVED_NAMES_MAX {
            self.0.pop_front();
        }
        self.0.push_back((name.to_owned(), now_ms + for_ms));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(a: &str, aaaa: &str) -> Result<u64, Unresolved> {
        let answers = [read(a.as_bytes())?, read(aaaa.as_bytes())?];
        verdict("h.example", &answers)
    }

    const NONE: &str = r#"{"Status":0}"#;

    #[test]
    fn every_address_must_be_public() {
        let a = r#"{"Status":0,"TC":false,"Answer":[
            {"name":"h.example","type":5,"TTL":1,"data":"g.example."},
            {"name":"g.example","type":1,"TTL":20,"data":"93.184.216.34"}]}"#;
        assert_eq!(judged(a, NONE), Ok(20_000));
        let inside = r#"{"Status":0,"Answer":[
            {"name":"h.example","type":1,"TTL":9,"data":"93.184.216.34"},
            {"name":"h.example","type":1,"TTL":9,"data":"10.0.0.1"}]}"#;
        assert!(matches!(judged(inside, NONE), Err(Unresolved::Private { .. })));
        let v6 = r#"{"Status":0,"Answer":[{"name":"h","type":28,"TTL":9000,"data":"::1"}]}"#;
        assert!(matches!(judged(a, v6), Err(Unresolved::Private { .. })));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert_eq!(judged(NONE, NONE), Err(Unresolved::Unknown("h.example".into())));
        assert!(matches!(judged(r#"{"Status":3}"#, NONE), Err(Unresolved::Unknown(_))));
        for bad in [
            "",
            "{}",
            r#"{"Status":2}"#,
            r#"{"Status":0,"TC":true}"#,
            r#"{"Status":0,"Answer":[{"type":1,"TTL":1,"data":"x"}]}"#,
        ] {
            assert!(matches!(judged(bad, NONE), Err(Unresolved::Resolver(_))), "{bad}");
            assert!(judged(NONE, bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_verdict_is_kept_briefly_and_not_for_too_many() {
        let mut recent = Recent::new();
        recent.note("a.example", 0, 10);
        assert!(recent.knows("a.example", 9) && !recent.knows("a.example", 10));
        for n in 0..2 * RESOLVED_NAMES_MAX {
            recent.note(&format!("h{n}.example"), 5, 100);
        }
        assert!(recent.0.len() <= RESOLVED_NAMES_MAX);
        assert!(!recent.knows("a.example", 6));
    }
}
