//! From settings to a served port, and from a wish to end to the end.
//!
//! Invariants: the port is bound before anything else is done, so a request that comes early waits
//! instead of failing; after a wish to end the process is gone within the drain timeouts.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::context::Prompt;
use crate::edge::{Edge, EdgeError, Http};
use crate::egress::{self, Tally};
use crate::keeper::Keeper;
use crate::limits::{DRAIN_CONNECTIONS_TIMEOUT, DRAIN_SAVE_TIMEOUT, DRAIN_TURNS_TIMEOUT};
use crate::repository::store::EdgeStore;
use crate::repository::vault::RepositoryOpener;
use crate::server::Server;
use crate::settings::Settings;
use crate::shutdown::{ExitReason, Shutdown, Signals};
use crate::tools::Gateway;
use crate::turn::Agent;
use crate::turn::registry::Registry;
use crate::workspace::Workspace;

/// Why the runtime did not start.
#[derive(Debug, thiserror::Error)]
pub enum BootError {
    /// The port is taken or not allowed.
    #[error("port {port} could not be bound; set PORT to a free one")]
    Bind {
        /// The port.
        port: u16,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// The workspace cannot be used.
    #[error("the workspace {} cannot be used; set WORKSPACE_DIR to a folder that can", .folder.display())]
    Workspace {
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        #[source]
        source: io::Error,
    },
    /// A tool's file is broken.
    #[error("a tool's description is no valid JSON")]
    Tools(#[source] serde_json::Error),
    /// No client.
    #[error("the client of the edge could not be made")]
    Edge(#[source] EdgeError),
    /// No signals.
    #[error("signals cannot be received")]
    Signals(#[source] io::Error),
}

/// A runtime that has its port and is ready to serve.
#[derive(Debug)]
pub struct Runtime {
    address: SocketAddr,
    listener: TcpListener,
    server: Arc<Server>,
    registry: Arc<Registry>,
    keeper: Arc<Keeper>,
    shutdown: Shutdown,
    signals: Signals,
    calls: Calls,
}

/// What commands called, and those who report it.
#[derive(Debug)]
struct Calls {
    http: Http,
    tally: Arc<Tally>,
    reporting: JoinHandle<()>,
}

impl Runtime {
    /// Binds the port, then prepares the rest. `began` is when the process began.
    pub async fn start(settings: Settings, began: Instant) -> Result<Self, BootError> {
        let port = settings.port;
        let bind = |source| BootError::Bind { port, source };
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let signals = Signals::listen().map_err(BootError::Signals)?;
        let folder = &settings.workspace;
        let workspace = Workspace::open(folder)
            .map_err(|source| BootError::Workspace { folder: folder.clone(), source })?;
        let http = Http::new(settings.edge_url).map_err(BootError::Edge)?;
        let tally = Arc::new(Tally::default());
        let commands = egress::prepare(settings.internet, settings.upstream, &tally).await;
        let reporting = tokio::spawn(egress::keep_reporting(http.clone(), Arc::clone(&tally)));
        let tools = Gateway::new(workspace.clone(), http.clone(), commands);
        let tools = tools.map_err(BootError::Tools)?;
        let prompt = Prompt::new(&workspace, tools.specs(), &settings.services);
        let store = Arc::new(EdgeStore::new(http.clone(), Handle::current()));
        let root = workspace.root().to_owned();
        let opener = Arc::new(RepositoryOpener::new(store, settings.agent.clone(), root));
        let edge = Edge::new(http.clone());
        let shutdown = Shutdown::new();
        let keeper = Keeper::new(opener, workspace, shutdown.clone());
        let agent = Agent::new(edge, tools, prompt, settings.model, Arc::clone(&keeper));
        let registry = Registry::new(agent, shutdown.clone());
        let server = Server::new(
            Arc::clone(&registry),
            Arc::clone(&keeper),
            shutdown.clone(),
            settings.epoch,
            began,
        );
        tracing::info!(%address, agent = %settings.agent, epoch = %settings.epoch, "listening");
        let calls = Calls { http, tally, reporting };
        Ok(Self { address, listener, server, registry, keeper, shutdown, signals, calls })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until somebody wants the process to end.
    pub async fn run(mut self) -> ExitReason {
        let connections = tokio::spawn(Arc::clone(&self.server).serve(self.listener));
        let reason = tokio::select! {
            reason = self.shutdown.requested() => reason,
            () = self.signals.received() => ExitReason::Drained,
        };
        tracing::info!(?reason, "ending");
        self.registry.drain();
        self.keeper.cancel();
        if timeout(DRAIN_TURNS_TIMEOUT, self.registry.idle()).await.is_err() {
            tracing::warn!("turns still run and are abandoned; the log knows how far they came");
        }
        if reason == ExitReason::Drained {
            save_last(&self.keeper).await;
            self.calls.reporting.abort();
            egress::report(&self.calls.http, &self.calls.tally).await;
        }
        self.server.close();
        match timeout(DRAIN_CONNECTIONS_TIMEOUT, connections).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "the server broke down"),
            Err(_elapsed) => tracing::debug!("connections are still open and are dropped"),
        }
        reason
    }
}

async fn save_last(keeper: &Arc<Keeper>) {
    match timeout(DRAIN_SAVE_TIMEOUT, keeper.save_last()).await {
        Ok(Ok(())) => {}
        Ok(Err(problem)) => tracing::error!(%problem, "the workspace could not be saved"),
        Err(_elapsed) => tracing::error!("the workspace could not be saved in time"),
    }
}
