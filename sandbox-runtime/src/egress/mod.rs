//! What commands call on the internet, noted by host: a small forward proxy that commands are told of
//! by `HTTP_PROXY` and its like, and the reporting of what it saw to the edge.
//!
//! It is a record and not a wall: a program that does not ask the proxy goes out all the same. What
//! must not go out is stopped by the platform, outside the container.
//!
//! Invariant: noting never stands in a command's way; what cannot be noted is dropped and counted.

mod proxy;
mod tally;

use std::sync::Arc;

use protocol::edge::EdgeRoute;
use protocol::egress::EgressReport;
use protocol::version::PROTOCOL_VERSION;

pub use proxy::Upstream;
pub use tally::Tally;

use crate::edge::Http;
use crate::limits::{EGRESS_REPORT_PAUSE, EGRESS_REPORT_TIMEOUT};
use crate::process::CommandVariables;

/// Where the platform puts the certificate of those who take TLS apart for an allowlist:
/// <https://developers.cloudflare.com/containers/configuration/outbound-traffic/>.
const PLATFORM_CERTIFICATE: &str = "/etc/cloudflare/certs/cloudflare-containers-ca.crt";

/// The variables by which programs are told whom to trust: OpenSSL's, curl's, Python requests',
/// Node's and git's.
const CERTIFICATE_VARIABLES: [&str; 5] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "GIT_SSL_CAINFO",
];

/// The variables by which programs are told of a proxy, and of what needs none.
const PROXY_VARIABLES: [&str; 4] = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];
const NO_PROXY_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// How far commands reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Internet {
    /// Everywhere; it is noted.
    Open,
    /// The owner's list, through the platform, which takes TLS apart.
    Allowlist,
    /// Nowhere but the edge.
    Closed,
}

impl std::str::FromStr for Internet {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "open" => Ok(Self::Open),
            "allowlist" => Ok(Self::Allowlist),
            "closed" => Ok(Self::Closed),
            _ => Err("it is none of open, allowlist and closed"),
        }
    }
}

/// What commands are told, after making it true: in an open container the proxy runs from now on.
pub async fn prepare(
    internet: Internet,
    upstream: Option<Upstream>,
    tally: &Arc<Tally>,
) -> CommandVariables {
    match internet {
        Internet::Closed => Vec::new(),
        Internet::Allowlist => {
            CERTIFICATE_VARIABLES.map(|name| (name, PLATFORM_CERTIFICATE.to_owned())).into()
        }
        Internet::Open => match proxy::open(upstream, Arc::clone(tally)).await {
            Ok(port) => {
                let url = format!("http://127.0.0.1:{port}");
                let proxies = PROXY_VARIABLES.map(|name| (name, url.clone()));
                let none = NO_PROXY_VARIABLES.map(|name| (name, NO_PROXY.to_owned()));
                proxies.into_iter().chain(none).collect()
            }
            Err(error) => {
                tracing::warn!(%error, "what commands call is not noted: there is no proxy");
                Vec::new()
            }
        },
    }
}

/// Reports what was noted, from time to time while there is something. Never ends by itself.
pub async fn keep_reporting(http: Http, tally: Arc<Tally>) {
    loop {
        tally.changed().await;
        tokio::time::sleep(EGRESS_REPORT_PAUSE).await;
        report(&http, &tally).await;
    }
}

/// Reports what is noted now. What the edge does not take is noted again.
pub async fn report(http: &Http, tally: &Tally) {
    let hosts = tally.take();
    if hosts.is_empty() {
        return;
    }
    let report = EgressReport { protocol: PROTOCOL_VERSION, hosts };
    let body = match serde_json::to_vec(&report) {
        Ok(body) => body,
        Err(error) => {
            tracing::warn!(%error, "a report of what commands called could not be written");
            return;
        }
    };
    let headers = [("content-type", "application/json")];
    let sent =
        tokio::time::timeout(EGRESS_REPORT_TIMEOUT, http.send(&EdgeRoute::Egress, &headers, body));
    match sent.await {
        Ok(Ok(answer)) if answer.status().is_success() => {}
        // A former life's word is not wanted, and one that is refused is not wanted later either.
        Ok(Ok(answer)) if answer.status().is_client_error() => {
            tracing::debug!(status = %answer.status(), "a report of what commands called was refused");
        }
        Ok(Ok(_) | Err(_)) | Err(_) => tally.put_back(report.hosts),
    }
}
