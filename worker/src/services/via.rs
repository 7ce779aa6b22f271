//! `http://<host>.via.edge.internal/…`: another host is called for the container by HTTPS, with the
//! owner's secret where there is one; and what commands ask of hosts of the allowlist.
//!
//! Invariant: a redirect is handed back and never followed, so no secret goes where it leads.

use protocol::egress::{EgressVia, VIA_SUFFIX};
use protocol::{Problem, ProblemCode};
use url::{Position, Url};

use super::outbound::{self, Answer, Bounds, METHODS, Outbound, Sending, field, pass_back};
use crate::egress::headers::{comes_back, location};
use crate::limits::{
    OUTBOUND_ANSWER_BYTES_MAX, OUTBOUND_FIRST_BYTE_MS, OUTBOUND_REQUEST_BYTES_MAX,
};
use crate::platform::Env;
use crate::platform::http::{self, Body, Request, Response};
use crate::platform::loopback::ContainerIdentity;
use crate::settings::Settings;
use crate::settings::egress::Internet;

/// The host that a name below the edge stands for. Pure.
pub(super) fn host_of(name: &str) -> Option<&str> {
    let host = name.strip_suffix(VIA_SUFFIX)?.strip_suffix('.')?;
    (!host.is_empty()).then_some(host)
}

/// The URL of `host` that has the path and query of another. Pure.
fn at(scheme: &str, host: &str, url: &Url) -> Result<Url, Problem> {
    let path = &url[Position::BeforePath..Position::AfterQuery];
    Url::parse(&format!("{scheme}://{host}{path}")).map_err(|error| outbound::refused(&error))
}

/// Calls `host` for the container.
pub(super) async fn serve(
    request: &Request,
    env: &Env,
    caller: &ContainerIdentity,
    host: &str,
) -> Result<Response, Problem> {
    let settings = Settings::of(env);
    let way = Outbound { env, caller, egress: &settings.egress, via: EgressVia::Via };
    let url = request.url().map_err(|error| http::internal("Reading a URL", &error))?;
    let url = at("https", host, &url)?;
    let answer = way.send(sending(request, &url)?).await?;
    let mut fields = answer.fields();
    let allowed = |url: &Url| way.judge(url).is_ok();
    for (_, value) in fields.iter_mut().filter(|(name, _)| name == "location") {
        *value = location(&url, value, allowed, VIA_SUFFIX);
    }
    let bounds = Bounds { bytes_max: OUTBOUND_ANSWER_BYTES_MAX, cuts: false, until_ms: u64::MAX };
    let recorder = way.recorder(&answer.host);
    pass_back(answer, recorder, &fields, bounds).await
}

/// Passes a command's request on to a host of the allowlist, as it is and without a secret.
pub(super) async fn allowed(
    request: &Request,
    env: &Env,
    caller: &ContainerIdentity,
) -> Result<Response, Problem> {
    let settings = Settings::of(env);
    if settings.egress.internet != Internet::Allowlist {
        return Err(Problem::new(ProblemCode::NotFound, "The edge has no such host."));
    }
    let way = Outbound { env, caller, egress: &settings.egress, via: EgressVia::Allowlist };
    let url = request.url().map_err(|error| http::internal("Reading a URL", &error))?;
    // Of a request that came by TLS the platform may tell us otherwise.
    let scheme = if caller.is_tls { "https" } else { "http" };
    let url = at(scheme, url.host_str().unwrap_or_default(), &url)?;
    let Answer { response, host, .. } = way.send(sending(request, &url)?).await?;
    let all = http::response_headers(&response);
    let connection = field(&all, "connection").to_owned();
    let bytes = field(&all, "content-length").parse().unwrap_or(0);
    // Passed through unread, a body keeps its coding and its length.
    let keeps = |name: &str| name == "content-encoding" || comes_back(name, &connection, false);
    let fields: Vec<_> = all.iter().filter(|(name, _)| keeps(name)).cloned().collect();
    way.recorder(&host).ended(bytes, response.status_code()).await;
    Ok(http::with_fields(response, &fields))
}

/// What a request asks to be sent, its body unread and of a bounded length.
fn sending<'a>(request: &Request, url: &'a Url) -> Result<Sending<'a>, Problem> {
    let method = http::method(request);
    let method = METHODS.iter().find(|known| **known == method).ok_or_else(|| {
        Problem::new(ProblemCode::MethodNotAllowed, "This method is not passed on.")
            .remedy(format!("Use one of {}.", METHODS.join(", ")))
    })?;
    let body = match *method {
        "GET" | "HEAD" => Body::Empty,
        _ => http::unread_body(request),
    };
    check_length(http::content_length(request), matches!(body, Body::Stream(_)))?;
    let headers = http::headers(request);
    let first_byte_ms = OUTBOUND_FIRST_BYTE_MS;
    Ok(Sending { method, url, headers, body, first_byte_ms })
}

/// Refuses a body that is too large, or of unknown length, before it is read. Pure.
fn check_length(declared: Option<u64>, has_body: bool) -> Result<(), Problem> {
    match declared {
        Some(length) if length > OUTBOUND_REQUEST_BYTES_MAX => {
            let message = format!("A request has at most {OUTBOUND_REQUEST_BYTES_MAX} bytes.");
            Err(Problem::new(ProblemCode::TooLarge, message))
        }
        None if has_body => {
            Err(Problem::new(ProblemCode::BadRequest, "A request declares its length.")
                .remedy("Send the body with Content-Length, not in chunks."))
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_below_the_edge_stands_for_a_host() {
        assert_eq!(host_of("api.example.com.via.edge.internal"), Some("api.example.com"));
        assert_eq!(host_of("localhost.via.edge.internal"), Some("localhost"));
        for none in
            ["edge.internal", "via.edge.internal", ".via.edge.internal", "xvia.edge.internal"]
        {
            assert_eq!(host_of(none), None, "{none}");
        }
    }

    #[test]
    fn a_body_of_unknown_or_large_size_is_refused() {
        assert!(check_length(None, false).is_ok());
        assert!(check_length(Some(OUTBOUND_REQUEST_BYTES_MAX), true).is_ok());
        let code = |declared| check_length(declared, true).unwrap_err().code;
        assert_eq!(code(None), ProblemCode::BadRequest);
        assert_eq!(code(Some(OUTBOUND_REQUEST_BYTES_MAX + 1)), ProblemCode::TooLarge);
    }

    #[test]
    fn it_is_called_by_https_whatever_was_asked() {
        let asked = Url::parse("http://a.example.via.edge.internal/b/c?d=e#f").unwrap();
        assert_eq!(at("https", "a.example", &asked).unwrap().as_str(), "https://a.example/b/c?d=e");
        for host in ["127.0.0.1", "2130706433", "localhost", "user@a.example", "a.example:8080"] {
            let judged =
                at("https", host, &asked).map(|url| crate::egress::guard::check(&url).is_ok());
            assert!(!judged.unwrap_or(false), "{host}");
        }
        let plain = Url::parse("http://a.example:443/b").unwrap();
        assert_eq!(at("https", "a.example", &plain).unwrap().as_str(), "https://a.example/b");
    }
}
