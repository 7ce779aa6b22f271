//! The sidecar's server for workerd: `CONNECT` is ingress, `PUT /egress` says where egress goes,
//! `GET /ca` would hand out the certificate for HTTPS interception.

use std::sync::Arc;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Request, Response, StatusCode};
use tokio_util::sync::CancellationToken;

use crate::limits::EGRESS_BODY_BYTES_MAX;
use crate::sidecar::connection::{Body, Handler, chain, empty, join_after_upgrade, text};
use crate::sidecar::egress::{Egress, EgressSettings};
use crate::sidecar::ingress::Ingress;

/// The header in which workerd names the app's address.
const DESTINATION: &str = "x-dst-addr";

/// HTTPS is not intercepted here, so there is no certificate; workerd only passes the text on.
const NO_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
-----END CERTIFICATE-----
# container-engine does not intercept HTTPS: use plain http:// for intercepted hosts.";

/// The server's state.
#[derive(Debug)]
pub struct Control {
    ingress: Arc<Ingress>,
    egress: Arc<Egress>,
    token: CancellationToken,
}

impl Control {
    /// A server over these two ways.
    pub const fn new(ingress: Arc<Ingress>, egress: Arc<Egress>, token: CancellationToken) -> Self {
        Self { ingress, egress, token }
    }

    async fn connect(&self, mut request: Request<Incoming>) -> Response<Body> {
        let destination = request.headers().get(DESTINATION).and_then(|value| value.to_str().ok());
        if !destination.is_some_and(names_a_loopback_port) {
            let message = "X-Dst-Addr must be 127.0.0.1:<port>: a sidecar reaches only its app";
            return text(StatusCode::FORBIDDEN, message);
        }
        match self.ingress.connect().await {
            Ok(app) => {
                let near: OnUpgrade = hyper::upgrade::on(&mut request);
                join_after_upgrade(&self.token, near, app);
                empty(StatusCode::OK)
            }
            // workerd takes 400, and only 400, to mean that the app does not listen yet.
            Err(error) => text(StatusCode::BAD_REQUEST, chain(&error)),
        }
    }

    async fn put_egress(&self, request: Request<Incoming>) -> Response<Body> {
        let body = Limited::new(request.into_body(), EGRESS_BODY_BYTES_MAX).collect().await;
        let bytes = match body {
            Ok(body) => body.to_bytes(),
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("egress body: {error}")),
        };
        match serde_json::from_slice::<EgressSettings>(&bytes) {
            Ok(settings) => {
                self.egress.set(settings);
                empty(StatusCode::OK)
            }
            Err(error) => text(StatusCode::BAD_REQUEST, format!("egress body: {error}")),
        }
    }
}

impl Handler for Control {
    async fn handle(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        match (request.method(), request.uri().path()) {
            (&Method::CONNECT, _) => self.connect(request).await,
            (&Method::PUT, "/egress") => self.put_egress(request).await,
            (&Method::GET, "/ca") => text(StatusCode::OK, NO_CERTIFICATE),
            (method, path) => {
                let message = format!("the sidecar knows no {method} {path}");
                text(StatusCode::NOT_FOUND, message)
            }
        }
    }
}

fn names_a_loopback_port(address: &str) -> bool {
    let Ok(address) = address.parse::<std::net::SocketAddr>() else { return false };
    address.ip().is_loopback() && address.port() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_can_be_a_destination() {
        assert!(names_a_loopback_port("127.0.0.1:8080"));
        assert!(names_a_loopback_port("[::1]:8080"));
        for address in ["10.0.0.1:8080", "127.0.0.1", "127.0.0.1:0", "localhost:80", ""] {
            assert!(!names_a_loopback_port(address), "{address}");
        }
    }
}
