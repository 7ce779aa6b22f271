//! `http://<host>.via.edge.internal/…`: another host is called for the container by HTTPS, with the
//! owner's secret where there is one; and what commands ask of hosts of the allowlist.
//!
//! Invariant: a redirect is handed back and never followed, so no secret goes where it leads.

use protocol::egress::{EgressVia, VIA_SUFFIX};
use protocol::{Problem, ProblemCode};
use url::Url;

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

/// The URL that is called for one below the edge. Pure.
fn secure(host: &str, url: &Url) -> Result<Url, Problem> {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    Url::parse(&format!("https://{host}{}{query}", url.path()))
        .map_err(|error| outbound::refused(&error))
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
    let url = secure(host, &url)?;
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
    let url = as_it_was(&url, caller.is_tls)?;
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

/// The URL as the command asked for it: of a request that came by TLS the platform may tell us
/// otherwise. Pure.
fn as_it_was(url: &Url, is_tls: bool) -> Result<Url, Problem> {
    let mut url = url.clone();
    let scheme = if is_tls { "https" } else { "http" };
    let changed = url.set_port(None).and_then(|()| url.set_scheme(scheme));
    changed.map(|()| url).map_err(|()| {
        Problem::new(ProblemCode::BadRequest, "A request names a URL that cannot be called.")
    })
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
    match (http::content_length(request), &body) {
        (Some(length), _) if length > OUTBOUND_REQUEST_BYTES_MAX => {
            let message = format!("A request has at most {OUTBOUND_REQUEST_BYTES_MAX} bytes.");
            return Err(Problem::new(ProblemCode::TooLarge, message));
        }
        (None, Body::Stream(_)) => {
            return Err(Problem::new(ProblemCode::BadRequest, "A request declares its length.")
                .remedy("Send the body with Content-Length, not in chunks."));
        }
        _ => {}
    }
    let headers = http::headers(request);
    let first_byte_ms = OUTBOUND_FIRST_BYTE_MS;
    Ok(Sending { method, url, headers, body, first_byte_ms })
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
    fn it_is_called_by_https_whatever_was_asked() {
        let asked = Url::parse("http://a.example.via.edge.internal/b/c?d=e#f").unwrap();
        assert_eq!(secure("a.example", &asked).unwrap().as_str(), "https://a.example/b/c?d=e");
        for host in ["127.0.0.1", "2130706433", "localhost", "user@a.example", "a.example:8080"] {
            let judged = secure(host, &asked).map(|url| crate::egress::guard::check(&url).is_ok());
            assert!(!judged.unwrap_or(false), "{host}");
        }
        let plain = Url::parse("http://a.example:443/b").unwrap();
        assert_eq!(as_it_was(&plain, true).unwrap().as_str(), "https://a.example/b");
        assert_eq!(as_it_was(&plain, false).unwrap().as_str(), "http://a.example/b");
    }
}
