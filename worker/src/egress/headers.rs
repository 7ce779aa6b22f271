//! Which header fields pass, out and back.

use url::{Position, Url};

/// Fields of one connection (RFC 9110 section 7.6.1), and those that this side sets itself.
const OF_THE_CONNECTION: &[&str] = &[
    "connection",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Fields in which the platform and proxies say who asks. What a container puts there is forged.
const FORGEABLE: &[&str] = &["forwarded", "true-client-ip", "via", "x-real-ip"];

/// Whether a field belongs to the platform, to us, or says who asks.
fn is_ours(name: &str) -> bool {
    name.starts_with("cf-")
        || name.starts_with("x-pagurus-")
        || name.starts_with("x-forwarded-")
        || FORGEABLE.contains(&name)
}

/// Whether a field of a request goes out. `names` are lower case, as the platform gives them;
/// `connection` is the value of that field, which may name more of its kind.
pub(crate) fn goes_out(name: &str, connection: &str) -> bool {
    // The platform knows the length of the body that it streams.
    !OF_THE_CONNECTION.contains(&name)
        && name != "content-length"
        && !is_ours(name)
        && !names(connection, name)
}

/// Whether a field of an answer comes back. A cookie that was given for a secret stands for it, and
/// would let the container go on without the edge.
pub(crate) fn comes_back(name: &str, connection: &str, with_secret: bool) -> bool {
    let is_cookie = matches!(name, "set-cookie" | "set-cookie2");
    // The platform decodes a body that is read, and a mask changes its length.
    !OF_THE_CONNECTION.contains(&name)
        && !matches!(name, "content-length" | "content-encoding" | "alt-svc")
        && !is_ours(name)
        && !names(connection, name)
        && (!is_cookie || !with_secret)
}

fn names(connection: &str, name: &str) -> bool {
    connection.split(',').any(|token| token.trim().eq_ignore_ascii_case(name))
}

/// Whether the owner may have a secret put into this field: a token (RFC 9110 section 5.6.2) in lower
/// case that has no meaning to the transport or to us.
pub(crate) fn may_hold_a_secret(name: &str) -> bool {
    let is_token = !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
    is_token
        && !OF_THE_CONNECTION.contains(&name)
        && !matches!(
            name,
            "content-length" | "content-type" | "content-encoding" | "accept-encoding"
        )
        && !is_ours(name)
}

/// The codings of a body that the platform takes apart when it is read
/// (<https://developers.cloudflare.com/workers/runtime-apis/fetch/>); any other would carry a
/// secret through the mask.
pub(crate) fn is_readable(content_encoding: &str) -> bool {
    matches!(content_encoding.trim().to_ascii_lowercase().as_str(), "" | "identity" | "gzip" | "br")
}

/// A redirect's target as the container is to call it: by way of the edge when it leads to a host
/// for which `is_allowed`, else as it is.
pub(crate) fn location(
    base: &Url,
    target: &str,
    is_allowed: impl Fn(&Url) -> bool,
    via_suffix: &str,
) -> String {
    let Ok(url) = base.join(target) else { return target.to_owned() };
    match url.host_str() {
        Some(host) if url.scheme() == "https" && is_allowed(&url) => {
            let host = host.trim_end_matches('.');
            let fragment = url.fragment().map(|fragment| format!("#{fragment}"));
            let path = &url[Position::BeforePath..Position::AfterQuery];
            format!("http://{host}.{via_suffix}{path}{}", fragment.unwrap_or_default())
        }
        _ => url.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_the_connection_or_forged_stays_behind() {
        for name in [
            "host",
            "connection",
            "content-length",
            "transfer-encoding",
            "cf-connecting-ip",
            "cf-worker",
            "x-pagurus-epoch",
            "x-forwarded-for",
            "x-named",
            "expect",
            "te",
        ] {
            assert!(!goes_out(name, "close, X-Named"), "{name}");
        }
        for name in ["accept", "content-type", "cookie", "authorization", "x-github-api-version"] {
            assert!(goes_out(name, "close"), "{name}");
        }
    }

    #[test]
    fn a_cookie_given_for_a_secret_stays_at_the_edge() {
        assert!(comes_back("set-cookie", "", false));
        assert!(!comes_back("set-cookie", "", true));
        assert!(comes_back("etag", "", true) && !comes_back("content-encoding", "", false));
    }

    #[test]
    fn secrets_go_into_fields_without_other_meaning() {
        for name in ["authorization", "x-api-key", "private-token"] {
            assert!(may_hold_a_secret(name), "{name}");
        }
        for name in [
            "",
            "host",
            "content-length",
            "connection",
            "cf-access-token",
            "x-pagurus-epoch",
            "Authorization",
            "x api",
            "x:y",
            "x\r\ny",
            "accept-encoding",
        ] {
            assert!(!may_hold_a_secret(name), "{name:?}");
        }
    }

    #[test]
    fn a_redirect_leads_back_through_the_edge_where_it_may() {
        let base = Url::parse("https://api.example.com/a/b").unwrap();
        let to = |target| {
            let allowed = |url: &Url| url.host_str() == Some("api.example.com");
            location(&base, target, allowed, "via.edge.internal")
        };
        assert_eq!(to("c?d"), "http://api.example.com.via.edge.internal/a/c?d");
        assert_eq!(to("?d#e"), "http://api.example.com.via.edge.internal/a/b?d#e");
        assert_eq!(to("/x"), "http://api.example.com.via.edge.internal/x");
        assert_eq!(to("https://other.example/x"), "https://other.example/x");
        assert_eq!(to("http://api.example.com/x"), "http://api.example.com/x");
    }
}
