//! The forward proxy that an app is given as `HTTP_PROXY`: it stands for the transparent
//! interception of a real sidecar.
//!
//! - A request in absolute form goes out in origin form over a pooled tunnel. Bodies stream in both
//!   directions as they come, and no read has a timeout: a model may think for minutes.
//! - `CONNECT host:port` becomes a tunnel of its own. On port 443 TLS is spoken, which cannot be
//!   taken apart here, so a host that the Worker intercepts there is refused with the reason.
//!
//! *Invariant:* a body that breaks off on one side breaks off on the other: it never looks whole.
//! An answer that comes before the request is sent whole reaches the app all the same ([`Upload`],
//! and the tunnel's `Write`).

use std::sync::Arc;

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;

use crate::sidecar::connection::{
    Body, Handler, chain, empty, join_after_upgrade, join_upgrades, text,
};
use crate::sidecar::egress::{Egress, Route};
use crate::sidecar::tunnel::{FarEnd, TunnelError};
use crate::sidecar::upload::Upload;

/// Fields that belong to one connection (RFC 9110, section 7.6.1, and the names that older
/// clients use). `Transfer-Encoding` and `Upgrade` are restored where they apply.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The server's state.
#[derive(Debug)]
pub struct Proxy {
    egress: Arc<Egress>,
    token: CancellationToken,
}

impl Proxy {
    /// A proxy over this egress.
    pub const fn new(egress: Arc<Egress>, token: CancellationToken) -> Self {
        Self { egress, token }
    }

    async fn forward(&self, request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let mut request = Upload::wrap(request, &self.token);
        let route = self.egress.route()?;
        let near = prepare(&mut request)?.then(|| hyper::upgrade::on(&mut request));
        let sent = route.client.request(request).await;
        let mut response = sent.map_err(|error| Failure::sending(error, route.internet))?;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS
            && let Some(near) = near
        {
            join_upgrades(&self.token, near, hyper::upgrade::on(&mut response));
        } else {
            strip(response.headers_mut());
        }
        Ok(response.map(Either::Right))
    }

    async fn connect(&self, mut request: Request<Incoming>) -> Result<Response<Body>, Failure> {
        let route: Route = self.egress.route()?;
        let target = request.uri().authority().and_then(|target| {
            let port = target.port_u16()?;
            Some((target.host().to_owned(), port))
        });
        let (host, port) = target.ok_or(Failure::Target)?;
        let tunnel = route.opener.open(&host, port).await?;
        if port == 443 && tunnel.far_end() == FarEnd::Worker {
            return Err(Failure::InterceptedTls { host });
        }
        let near = hyper::upgrade::on(&mut request);
        join_after_upgrade(&self.token, near, TokioIo::new(tunnel));
        Ok(empty(StatusCode::OK))
    }
}

impl Handler for Proxy {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let answer = if request.method() == Method::CONNECT {
            self.connect(request).await
        } else {
            self.forward(request).await
        };
        answer.unwrap_or_else(|failure| text(failure.status(), chain(&failure)))
    }
}

/// Why a request was not forwarded.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("container-engine's proxy takes absolute http:// URLs and CONNECT host:port only")]
    Target,
    #[error("container-engine cannot open a tunnel")]
    Tunnel(#[from] TunnelError),
    #[error("container-engine got no answer{hint}")]
    Sending {
        hint: &'static str,
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    #[error(
        "the Worker intercepts https://{host}, which container-engine cannot do: use http://{host}"
    )]
    InterceptedTls { host: String },
}

impl Failure {
    const fn sending(source: hyper_util::client::legacy::Error, internet: bool) -> Self {
        let hint = if internet {
            ""
        } else {
            " (this container has no internet access; only intercepted hosts answer)"
        };
        Self::Sending { hint, source }
    }

    fn status(&self) -> StatusCode {
        let tunnel = match self {
            Self::Target => return StatusCode::BAD_REQUEST,
            Self::InterceptedTls { .. } => return StatusCode::BAD_GATEWAY,
            Self::Tunnel(error) => Some(error),
            Self::Sending { source, .. } => {
                std::error::Error::source(source).and_then(|cause| cause.downcast_ref())
            }
        };
        match tunnel {
            Some(TunnelError::TooMany) => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_GATEWAY,
        }
    }
}

/// Makes the request fit for the next hop; tells whether it asks for another protocol.
fn prepare(request: &mut Request<Upload>) -> Result<bool, Failure> {
    let uri = request.uri();
    let Some(authority) = uri.authority().filter(|_| uri.scheme_str() == Some("http")) else {
        return Err(Failure::Target);
    };
    // RFC 9112, section 3.2.2: the target decides, whatever Host says. Credentials in it do not
    // belong into Host.
    let host = authority.as_str().rsplit('@').next().unwrap_or_default();
    let host = HeaderValue::from_str(host);
    let host = host.map_err(|error| Failure::Tunnel(TunnelError::HostName(error)))?;
    let upgrade = request.headers().get(UPGRADE).cloned();
    strip(request.headers_mut());
    request.headers_mut().insert(HOST, host);
    let Some(upgrade) = upgrade else { return Ok(false) };
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
    request.headers_mut().insert(UPGRADE, upgrade);
    Ok(true)
}

/// Removes what belongs to the connection it came on.
fn strip(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::try_from(name.trim()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_the_connection_stay_on_it() {
        let mut headers = HeaderMap::new();
        let fields = [
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("proxy-authorization", "Basic eA=="),
            ("authorization", "Bearer t"),
            ("content-length", "3"),
        ];
        for (name, value) in fields {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip(&mut headers);
        let mut left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "content-length"]);
    }
}
