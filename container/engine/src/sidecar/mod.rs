//! The stand-in for the sidecar container that workerd puts beside every app: a loopback server
//! for workerd ([`control`]: ingress, and where egress goes) and, for each life of the app, a
//! loopback forward proxy ([`proxy`]).
//!
//! *Invariant:* nothing of a stopped sidecar goes on: its token ends every listener, connection
//! and tunnel that it started. In the same way nothing goes on through the proxy of a life that is
//! over, so what a former life left behind cannot speak for the present one.

pub mod address;
pub mod connection;
pub mod control;
pub mod egress;
pub mod ingress;
pub mod proxy;
pub mod tunnel;
pub mod upload;

use std::io::Error;
use std::net::Ipv4Addr;
use std::sync::Arc;

use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::limits::{INGRESS_CONNECTIONS_MAX, PROXY_CONNECTIONS_MAX};
use crate::sidecar::egress::Egress;
use crate::sidecar::ingress::Ingress;
use crate::terminal::report;

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    control_port: u16,
    ingress: Arc<Ingress>,
    egress: Arc<Egress>,
    token: CancellationToken,
    /// Ends everything of this sidecar when dropped.
    #[expect(dead_code, reason = "held for its drop")]
    stop: DropGuard,
}

/// Why a sidecar did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on a loopback port for the sidecar")]
pub struct SidecarError(#[from] Error);

impl Sidecar {
    /// Starts the server for workerd; it runs until this value is dropped.
    pub fn start() -> Result<Arc<Self>, SidecarError> {
        let token = CancellationToken::new();
        let (control_listener, control_port) = listen()?;
        let ingress = Arc::new(Ingress::default());
        let egress = Arc::new(Egress::default());

        let control = control::Control::new(ingress.clone(), egress.clone(), token.clone());
        let limit = INGRESS_CONNECTIONS_MAX;
        let server = connection::accept(control_listener, limit, token.clone(), Arc::new(control));
        tokio::spawn(token.clone().run_until_cancelled_owned(server));

        let stop = token.clone().drop_guard();
        Ok(Arc::new(Self { control_port, ingress, egress, token, stop }))
    }

    /// Opens a forward proxy for one life of the app. It ends with the sidecar at the latest.
    pub fn open_proxy(&self) -> Result<LifeProxy, SidecarError> {
        let token = self.token.child_token();
        let (listener, port) = listen()?;
        let proxy = Arc::new(proxy::Proxy::new(self.egress.clone(), token.clone()));
        let server = connection::accept(listener, PROXY_CONNECTIONS_MAX, token.clone(), proxy);
        let server = tokio::spawn(token.clone().run_until_cancelled_owned(server));
        Ok(LifeProxy { port, server, stop: token.drop_guard() })
    }

    /// The port workerd talks to.
    pub const fn control_port(&self) -> u16 {
        self.control_port
    }

    /// Whether the workerd that set up this sidecar is known to be gone.
    pub async fn is_deserted(&self) -> bool {
        let Some(port) = self.egress.port() else { return false };
        let dialled = ingress::dial(port).await;
        dialled.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
    }

    /// Lets ingress through to the app.
    pub fn attach(&self, app_port: u16) {
        self.ingress.attach(app_port);
    }

    /// Stops ingress to the app, unless another run has taken its place.
    pub fn detach(&self, app_port: u16) {
        self.ingress.detach(app_port);
    }
}

/// The forward proxy of one life of the app; dropping it closes it soon.
#[derive(Debug)]
pub struct LifeProxy {
    port: u16,
    server: JoinHandle<Option<()>>,
    /// Ends the listener and every connection that came through it.
    stop: DropGuard,
}

impl LifeProxy {
    /// The port it listens on.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Ends its connections, and returns when nothing listens on the port any more.
    pub async fn close(self) {
        drop(self.stop);
        if let Err(error) = self.server.await {
            report(&format!("a sidecar's proxy ended badly: {error}"));
        }
    }
}

fn listen() -> Result<(tokio::net::TcpListener, u16), Error> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let port = listener.local_addr()?.port();
    Ok((tokio::net::TcpListener::from_std(listener)?, port))
}
