//! Which address to name to workerd for a host that the app wants to reach.
//!
//! workerd decides by the host name whether a request is intercepted, but wants an address too. In
//! a real container the app has resolved the name itself by then.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;

use crate::limits::RESOLVE_SECONDS_MAX;

/// Named for hosts that exist by interception only. Private, so that it leads nowhere if workerd
/// passes the bytes on after all.
const PLACEHOLDER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));

/// Why there is no address.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// The resolver failed.
    #[error("cannot resolve the host {host:?}; is there a network, or is it not intercepted?")]
    Resolve {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The resolver knows the host but no address.
    #[error("the host {host:?} has no address")]
    NoAddress {
        /// The host.
        host: String,
    },
    /// The resolver took too long.
    #[error("resolving the host {host:?} took more than {RESOLVE_SECONDS_MAX} s")]
    Slow {
        /// The host.
        host: String,
    },
}

/// What is known of a host without asking anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is an address, or a name that only interception serves.
    Address(IpAddr),
    /// The resolver must be asked; `intercepted` hosts need no answer from it.
    Ask {
        /// workerd has announced this host.
        intercepted: bool,
    },
}

/// Classifies a host by its text and the patterns that workerd announced.
pub fn classify(host: &str, announced: &[String]) -> Known {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return Known::Address(address);
    }
    // `internal` is reserved for private use (ICANN, 2024): no resolver will ever know it.
    let top = host.trim_end_matches('.').rsplit('.').next().unwrap_or(host);
    if top.eq_ignore_ascii_case("internal") {
        return Known::Address(PLACEHOLDER);
    }
    Known::Ask { intercepted: announced.iter().any(|pattern| matches(pattern, host)) }
}

/// `*.example.com` stands for every host that ends so; anything else stands for itself.
fn matches(pattern: &str, host: &str) -> bool {
    let (pattern, host) = (pattern.to_ascii_lowercase(), host.to_ascii_lowercase());
    match pattern.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => pattern == host,
    }
}

/// Finds the address for a host and port.
pub async fn resolve(
    host: &str,
    port: u16,
    announced: &[String],
) -> Result<SocketAddr, AddressError> {
    let intercepted = match classify(host, announced) {
        Known::Address(address) => return Ok(SocketAddr::new(address, port)),
        Known::Ask { intercepted } => intercepted,
    };
    let asked = timeout(Duration::from_secs(RESOLVE_SECONDS_MAX), ask(host, port)).await;
    match asked.unwrap_or_else(|_| Err(AddressError::Slow { host: host.to_owned() })) {
        // Interception works whatever the resolver says.
        Err(_) if intercepted => Ok(SocketAddr::new(PLACEHOLDER, port)),
        answer => answer,
    }
}

async fn ask(host: &str, port: u16) -> Result<SocketAddr, AddressError> {
    let host_text = || host.to_owned();
    let found = tokio::net::lookup_host((host, port)).await;
    let mut addresses: Vec<SocketAddr> = match found {
        Ok(addresses) => addresses.collect(),
        Err(source) => return Err(AddressError::Resolve { host: host_text(), source }),
    };
    // workerd binds its egress for IPv4 here, and IPv4 is what a container's bridge offers.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.first().copied().ok_or_else(|| AddressError::NoAddress { host: host_text() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_names_and_literals_need_no_resolver() {
        assert_eq!(classify("edge.internal", &[]), Known::Address(PLACEHOLDER));
        assert_eq!(classify("Edge.INTERNAL.", &[]), Known::Address(PLACEHOLDER));
        assert_eq!(classify("127.0.0.9", &[]), Known::Address([127, 0, 0, 9].into()));
        assert_eq!(classify("[::1]", &[]), Known::Address(IpAddr::V6(1.into())));
        assert_eq!(classify("internal.example.com", &[]), Known::Ask { intercepted: false });
    }

    #[test]
    fn announced_patterns() {
        let announced = ["api.example.com".to_owned(), "*.test.example".to_owned()];
        let intercepted = |host| classify(host, &announced) == Known::Ask { intercepted: true };
        assert!(intercepted("API.example.com"));
        assert!(intercepted("a.test.example"));
        assert!(!intercepted("example.com"));
        assert!(!intercepted(".test.example"));
        assert!(!intercepted("test.example"));
    }
}
