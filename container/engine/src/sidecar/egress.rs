//! Where egress goes, and the pool of tunnels that leads there.
//!
//! *Invariant:* a tunnel that was opened under one `PUT /egress` carries no request that comes
//! after the next: workerd may have been restarted on another port, or have changed its mind about
//! which hosts it intercepts. Requests under way stay on their tunnels.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use serde::Deserialize;
use tokio::sync::Semaphore;
use tower_service::Service;

use crate::limits::{
    HEAD_BYTES_MAX, IDLE_TUNNEL_MILLISECONDS_MAX, IDLE_TUNNELS_PER_HOST_MAX, TUNNELS_MAX,
};
use crate::sidecar::tunnel::{OpenTunnel, Opener, TunnelError};
use crate::sidecar::upload::Upload;

/// The body of `PUT /egress`. Fields that workerd may add are not this engine's business.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct EgressSettings {
    /// workerd's egress port on loopback.
    pub port: u16,
    /// Host names that workerd announces.
    #[serde(default)]
    pub dns: Dns,
    /// Whether workerd dials hosts that it does not intercept.
    #[serde(default)]
    pub internet: Internet,
}

/// What workerd says about names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Dns {
    /// Hosts, or patterns like `*.example.com`, that are served by interception.
    #[serde(default, rename = "allowHostnames")]
    pub allow_hostnames: Vec<String>,
}

/// What workerd says about the internet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub struct Internet {
    /// Whether the app may reach it.
    #[serde(default)]
    pub enabled: bool,
}

/// Where egress goes now.
#[derive(Debug)]
pub struct Egress {
    route: Mutex<Option<Route>>,
    permits: Arc<Semaphore>,
}

/// One setting of egress with its own pool.
#[derive(Debug, Clone)]
pub struct Route {
    /// Opens tunnels that are not pooled.
    pub opener: Opener,
    /// Sends HTTP requests over pooled tunnels.
    pub client: Client<Connector, Upload>,
    /// Whether the app may reach the internet; only explains failures, since workerd decides.
    pub internet: bool,
}

impl Default for Egress {
    fn default() -> Self {
        Self { route: Mutex::new(None), permits: Arc::new(Semaphore::new(TUNNELS_MAX)) }
    }
}

impl Egress {
    /// Takes new settings and leaves the old pool behind.
    pub fn set(&self, settings: EgressSettings) {
        let internet = settings.internet.enabled;
        let opener = Opener::new(Arc::new(settings), self.permits.clone());
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(IDLE_TUNNEL_MILLISECONDS_MAX))
            .pool_max_idle_per_host(IDLE_TUNNELS_PER_HOST_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX);
        let client = builder.build(Connector(opener.clone()));
        let route = Route { opener, client, internet };
        *self.route.lock().unwrap_or_else(PoisonError::into_inner) = Some(route);
    }

    /// workerd's egress port, once it is known.
    pub fn port(&self) -> Option<u16> {
        let route = self.route.lock().unwrap_or_else(PoisonError::into_inner);
        route.as_ref().map(|route| route.opener.port())
    }

    /// The present route.
    pub fn route(&self) -> Result<Route, TunnelError> {
        let route = self.route.lock().unwrap_or_else(PoisonError::into_inner).clone();
        route.ok_or(TunnelError::NoEgress)
    }
}

/// Makes the pool's connections: tunnels.
#[derive(Debug, Clone)]
pub struct Connector(Opener);

impl Service<Uri> for Connector {
    type Response = OpenTunnel;
    type Error = TunnelError;
    type Future = Pin<Box<dyn Future<Output = Result<OpenTunnel, TunnelError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TunnelError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let opener = self.0.clone();
        Box::pin(async move {
            // The proxy has checked that there is a host.
            let host = uri.host().unwrap_or_default();
            opener.open(host, uri.port_u16().unwrap_or(80)).await
        })
    }
}
