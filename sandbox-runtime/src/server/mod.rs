//! The routes on the container's port.
//!
//! Invariants: a route is known before its body is read, and a body is bounded before it is
//! parsed; a response that nobody reads holds up nothing but its own connection.

mod reply;
mod request;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use protocol::runtime::{Health, RuntimeRoute, Steer};
use protocol::version::PROTOCOL_VERSION;
use protocol::{Epoch, Problem, ProblemCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::keeper::{self, Keeper};
use crate::limits::{ACCEPT_RETRY_DELAY, CONNECTIONS_MAX, REQUEST_HEAD_TIMEOUT};
use crate::shutdown::{ExitReason, Shutdown};
use crate::turn::registry::Registry;
use reply::Body;

/// The server.
#[derive(Debug)]
pub struct Server {
    registry: Arc<Registry>,
    keeper: Arc<Keeper>,
    shutdown: Shutdown,
    epoch: Epoch,
    began: Instant,
    closing: watch::Sender<bool>,
}

impl Server {
    /// A server over these turns.
    pub fn new(
        registry: Arc<Registry>,
        keeper: Arc<Keeper>,
        shutdown: Shutdown,
        epoch: Epoch,
        began: Instant,
    ) -> Arc<Self> {
        let closing = watch::Sender::new(false);
        Arc::new(Self { registry, keeper, shutdown, epoch, began, closing })
    }

    /// Lets connections end when their response has.
    pub fn close(&self) {
        self.closing.send_replace(true);
    }

    async fn closed(&self) {
        let mut closing = self.closing.subscribe();
        if let Err(error) = closing.wait_for(|closing| *closing).await {
            tracing::debug!(%error, "nobody is left who could close the server");
        }
    }

    /// Accepts connections until the server is closed, and then waits for the last one.
    pub async fn serve(self: Arc<Self>, listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = self.closed() => break,
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
                accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(Arc::clone(&self).connection(stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    }
                },
            }
        }
        drop(listener);
        while connections.join_next().await.is_some() {}
    }

    async fn connection(self: Arc<Self>, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection could not be set to send at once");
        }
        let service = service_fn(|request| {
            let server = Arc::clone(&self);
            async move { Ok::<_, Infallible>(server.answer(request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(REQUEST_HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let result = tokio::select! {
            result = connection.as_mut() => result,
            () = self.closed() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = result {
            tracing::debug!(error = %crate::chain(&error), "a connection ended early");
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        match self.route(request).await {
            Ok(response) => response,
            Err(problem) => {
                tracing::info!(code = ?problem.code, %problem, "a request is refused");
                reply::problem(&problem)
            }
        }
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Body>, Problem> {
        let uri = request.uri();
        let Some(route) = RuntimeRoute::parse(uri.path(), uri.query().unwrap_or_default()) else {
            return Err(Problem::new(ProblemCode::NotFound, "There is no such route."));
        };
        if route.method().as_str() != request.method() {
            let message = format!("This route takes {}, not {}.", route.method(), request.method());
            return Err(Problem::new(ProblemCode::MethodNotAllowed, message));
        }
        match route {
            RuntimeRoute::Health => reply::json(StatusCode::OK, &self.health()),
            RuntimeRoute::Turns => {
                let turn = request::turn(request).await?;
                Ok(reply::events(self.registry.post(turn)?.follow(1)))
            }
            RuntimeRoute::Events { turn, from } => {
                Ok(reply::events(self.registry.events(&turn)?.follow(from)))
            }
            RuntimeRoute::Cancel { turn } => {
                self.registry.cancel(&turn)?;
                Ok(reply::accepted())
            }
            RuntimeRoute::Steer { turn } => {
                let steer = request::json::<Steer>(request).await?;
                self.registry.steer(&turn, steer.messages)?;
                Ok(reply::accepted())
            }
            RuntimeRoute::Workspace => {
                self.keeper.open(request::json(request).await?);
                Ok(reply::events(self.keeper.follow()))
            }
            RuntimeRoute::Maintenance => {
                let order = request::json(request).await?;
                let keeper = Arc::clone(&self.keeper);
                let end = async move { keeper::line(&keeper.maintain(order).await) };
                Ok(reply::events(futures_util::stream::once(end)))
            }
            RuntimeRoute::Drain => {
                self.registry.drain();
                self.shutdown.request(ExitReason::Drained);
                Ok(reply::accepted())
            }
        }
    }

    fn health(&self) -> Health {
        Health {
            protocol: PROTOCOL_VERSION,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch: self.epoch,
            uptime_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        }
    }
}
