//! Which URLs may be fetched, as far as the URL itself tells. What its name resolves to is the
//! business of `resolve`.
//!
//! Invariant: every spelling of a host (decimal, hexadecimal, octal, short, percent-encoded, full
//! width) is judged as what the URL's parser makes of it, which is what is fetched.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::is_public;

/// Longest name of a host (RFC 1035 section 2.3.4).
const NAME_BYTES_MAX: usize = 253;
/// Longest label of a name.
const LABEL_BYTES_MAX: usize = 63;

/// Names under which nothing public is, with all that is below them: RFC 6761, RFC 6762, RFC 8375,
/// and `internal`, which ICANN reserved for private use. The edge's own names are among them.
const NAMES_REFUSED: &[&str] = &["localhost", "internal", "local", "home.arpa"];

/// Where a URL leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A name, in lower case and without a dot at its end, that is still to be resolved.
    Name(String),
    /// A public address.
    Address(IpAddr),
}

impl Destination {
    /// The host as one writes it.
    pub(crate) fn host(&self) -> String {
        match self {
            Self::Name(name) => name.clone(),
            Self::Address(address) => address.to_string(),
        }
    }
}

/// Why a URL is not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unsafe {
    /// Neither `http` nor `https`.
    #[error("only http and https are fetched")]
    Scheme,
    /// A user name or password in the URL.
    #[error("a URL with a user name or password is not fetched")]
    UserInfo,
    /// Another port than the scheme's own.
    #[error("only the ports 80 (http) and 443 (https) are reached")]
    Port,
    /// An address that is not on the public internet.
    #[error("the address {0} is not on the public internet")]
    Address(IpAddr),
    /// A name that is not on the public internet.
    #[error("the host {0:?} is not on the public internet")]
    Name(String),
}

/// Looks at a URL.
pub(crate) fn check(url: &Url) -> Result<Destination, Unsafe> {
    let port = match url.scheme() {
        "http" => 80,
        "https" => 443,
        _ => return Err(Unsafe::Scheme),
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Unsafe::UserInfo);
    }
    if url.port().is_some_and(|given| given != port) {
        return Err(Unsafe::Port);
    }
    let address = match url.host() {
        Some(Host::Domain(name)) => return name_checked(name).map(Destination::Name),
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        None => return Err(Unsafe::Name(String::new())),
    };
    if is_public(address) {
        Ok(Destination::Address(address))
    } else {
        Err(Unsafe::Address(address))
    }
}

/// A host's name in its one form: lower case, no dot at the end, and public as far as a name can be.
pub(crate) fn name_checked(name: &str) -> Result<String, Unsafe> {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let is_name =
        name.len() <= NAME_BYTES_MAX && name.contains('.') && name.split('.').all(is_label);
    let is_refused = NAMES_REFUSED.iter().any(|refused| is_or_is_below(&name, refused));
    // A last label of digits is an address to some resolvers.
    let is_number =
        name.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()));
    if !is_name || is_refused || is_number {
        return Err(Unsafe::Name(name.chars().take(NAME_BYTES_MAX).collect()));
    }
    Ok(name)
}

/// Whether `name` is `parent` or one of the names below it.
pub(crate) fn is_or_is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn checked(text: &str) -> Result<Destination, String> {
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        check(&url).map_err(|why| why.to_string())
    }

    #[test]
    fn public_hosts_pass_in_one_form() {
        for (text, host) in [
            ("https://api.example.com/a?b", "api.example.com"),
            ("http://API.Example.COM./", "api.example.com"),
            ("https://example.com:443/", "example.com"),
            ("http://example.com:80/", "example.com"),
            ("https://xn--bcher-kva.example/", "xn--bcher-kva.example"),
            ("https://b\u{fc}cher.example/", "xn--bcher-kva.example"),
            ("https://1.1.1.1/", "1.1.1.1"),
            ("https://localhost.example.com/", "localhost.example.com"),
            ("https://notlocalhost.com/", "notlocalhost.com"),
        ] {
            assert_eq!(checked(text).map(|to| to.host()), Ok(host.to_owned()), "{text}");
        }
    }

    /// The spellings by which such guards are commonly got round.
    #[test]
    fn known_ways_round_are_closed() {
        for text in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0x7f.0x0.0x0.0x1/",
            "http://0177.0.0.1/",
            "http://017700000001/",
            "http://127.0.0.1./",
            "http://0/",
            "http://0.0.0.0/",
            "http://\u{ff11}\u{ff12}\u{ff17}.0.0.1/",
            "http://\u{2460}\u{2461}\u{2466}.0.0.1/",
            "http://127\u{3002}0\u{3002}0\u{3002}1/",
            "http://%31%32%37.0.0.1/",
            "http://[::1]/",
            "http://[::]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://[64:ff9b::7f00:1]/",
            "http://[2002:7f00:1::]/",
            "http://[fe80::1]/",
            "http://[fd00:ec2::254]/",
            "http://169.254.169.254/latest/meta-data/",
            "http://2852039166/",
            "http://0xa9fea9fe/",
            "http://10.0.0.1/",
            "http://192.168.0.1/",
            "http://100.64.0.1/",
            "http://localhost/",
            "http://LOCALHOST/",
            "http://localhost./",
            "http://a.localhost/",
            "http://\u{24d8}nternal/",
            "http://edge.internal/",
            "http://EDGE.internal./",
            "http://api.example.com.via.edge.internal/",
            "http://metadata.google.internal/",
            "http://printer.local/",
            "http://router.home.arpa/",
            "http://router/",
            "http://router./",
            "http://example.com../",
            "http://example..com/",
            "http://.example.com/",
            "http://user@example.com/",
            "http://user:password@example.com/",
            "http://127.0.0.1:80@example.com/",
            "http://example.com:8080/",
            "https://example.com:80/",
            "http://example.com:443/",
            "https://example.com:22/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "gopher://127.0.0.1/",
            "data:text/plain,x",
            "javascript:1",
            "ws://example.com/",
            "http:///",
            "http://",
            "//example.com",
        ] {
            assert!(checked(text).is_err(), "{text} passed as {:?}", checked(text));
        }
    }

    /// What some parsers and people take for the host and what the URL's parser makes of it.
    #[test]
    fn the_parsers_host_is_the_host() {
        assert_eq!(
            checked("http:\\\\example.com\\@127.0.0.1/").map(|to| to.host()).unwrap(),
            "example.com"
        );
        assert!(checked("http://example.com#@127.0.0.1/").is_ok());
        assert!(checked("http://127.0.0.1#@example.com/").is_err());
        assert!(checked("http://127.0.0.1\\@example.com/").is_err());
        assert!(checked("http://127.0.0.1?@example.com/").is_err());
        assert!(checked("http://127.0.0.1%2f@example.com/").is_err());
    }

    fn spelt(address: u32, form: u8) -> String {
        let [a, b, c, d] = address.to_be_bytes();
        match form {
            0 => format!("{a}.{b}.{c}.{d}"),
            1 => address.to_string(),
            2 => format!("{address:#x}"),
            3 => format!("0{address:o}"),
            4 => format!("{a:#x}.{b:#o}.{c}.{d}").replace("0o", "0"),
            5 => format!("{a}.{}", address & 0xff_ffff),
            6 => format!("{a}.{b}.{}.", address & 0xffff),
            7 => format!("[::ffff:{a}.{b}.{c}.{d}]"),
            8 => format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
            _ => format!("[2002:{:x}:{:x}::]", address >> 16, address & 0xffff),
        }
    }

    proptest! {
        /// No spelling of an address that is not public passes.
        #[test]
        fn no_spelling_of_a_refused_address_passes(address in any::<u32>(), form in 0u8..10, tls in any::<bool>()) {
            let scheme = if tls { "https" } else { "http" };
            let result = checked(&format!("{scheme}://{}/", spelt(address, form)));
            let public = is_public(IpAddr::V4(address.into()));
            if form >= 7 || !public {
                prop_assert!(result.is_err(), "{result:?}");
            } else {
                prop_assert_eq!(result.unwrap(), Destination::Address(IpAddr::V4(address.into())));
            }
        }

        /// Whatever passes is a public address or a name of several labels outside the refused ones.
        #[test]
        fn whatever_passes_is_public(text in "(https?|ftp)://[a-z0-9.:@%\\[\\]x/\\\\-]{0,24}(localhost|internal|local|example.com|127.0.0.1)?[.:/0-9]{0,4}") {
            let Ok(url) = Url::parse(&text) else { return Ok(()) };
            match check(&url) {
                Ok(Destination::Address(address)) => prop_assert!(is_public(address)),
                Ok(Destination::Name(name)) => {
                    prop_assert!(name.contains('.') && !name.ends_with('.'));
                    prop_assert!(name.parse::<IpAddr>().is_err());
                    prop_assert!(!NAMES_REFUSED.iter().any(|refused| is_or_is_below(&name, refused)));
                }
                Err(_) => {}
            }
        }
    }
}
