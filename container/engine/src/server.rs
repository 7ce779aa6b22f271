//! Serving the API on a unix socket, and ending in order.
//!
//! *Invariant:* the socket is private to the user, and no container outlives `serve`.

use std::convert::Infallible;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustix::fs::Mode;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api;
use crate::containers::Engine;
use crate::limits::{ACCEPT_RETRY_MILLISECONDS, API_CONNECTIONS_MAX, HEAD_BYTES_MAX};
use crate::terminal::report;

/// Why the API is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// Somebody answers on the socket.
    #[error("another engine is listening on {0:?}; stop it or give another --socket")]
    InUse(PathBuf),
    /// There is something that is no socket.
    #[error("{0:?} exists and is no socket; give another --socket")]
    NotASocket(PathBuf),
    /// The stale socket cannot be removed.
    #[error("cannot remove the stale socket {path:?}")]
    Remove {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
    /// The socket cannot be made.
    #[error("cannot listen on {path:?}")]
    Bind {
        /// The socket.
        path: PathBuf,
        /// Why.
        #[source]
        source: Error,
    },
}

/// A bound socket; its file is removed when this is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Binds the socket, replacing one that nobody listens on.
    pub fn bind(path: &Path) -> Result<Self, ServerError> {
        remove_stale(path)?;
        // Private from its first moment: changing the mode afterwards would leave a gap.
        let mask = rustix::process::umask(Mode::RWXG | Mode::RWXO | Mode::XUSR);
        let bound = UnixListener::bind(path);
        rustix::process::umask(mask);
        let path = path.to_owned();
        match bound {
            Ok(listener) => Ok(Self { listener, path }),
            Err(source) => Err(ServerError::Bind { path, source }),
        }
    }

    /// Serves the API until `stop` is done; then ends all containers.
    pub async fn serve(self, engine: Arc<Engine>, stop: impl Future<Output = ()>) {
        tokio::select! {
            () = self.accept(engine.clone()) => {}
            () = stop => {}
        }
        engine.end_all().await;
    }

    async fn accept(&self, engine: Arc<Engine>) {
        let permits = Arc::new(Semaphore::new(API_CONNECTIONS_MAX));
        // The semaphore is never closed, so this ends only with its caller.
        while let Ok(permit) = permits.clone().acquire_owned().await {
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    report(&format!("cannot accept a connection: {error}"));
                    tokio::time::sleep(Duration::from_millis(ACCEPT_RETRY_MILLISECONDS)).await;
                    continue;
                }
            };
            tokio::spawn(serve_connection(stream, engine.clone(), permit));
        }
    }
}

async fn serve_connection(stream: UnixStream, engine: Arc<Engine>, permit: OwnedSemaphorePermit) {
    let service = service_fn(move |request| {
        let engine = engine.clone();
        async move { Ok::<_, Infallible>(api::answer(engine, request).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    // A client that hangs up, as in the middle of a wait, is its own affair.
    drop(served);
    drop(permit);
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            report(&format!("cannot remove {}: {error}", self.path.display()));
        }
    }
}

fn remove_stale(path: &Path) -> Result<(), ServerError> {
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => Err(ServerError::InUse(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            let is_socket = std::fs::symlink_metadata(path).is_ok_and(|metadata| {
                std::os::unix::fs::FileTypeExt::is_socket(&metadata.file_type())
            });
            if !is_socket {
                return Err(ServerError::NotASocket(path.to_owned()));
            }
            let removed = std::fs::remove_file(path);
            removed.map_err(|source| ServerError::Remove { path: path.to_owned(), source })
        }
        Err(source) => Err(ServerError::Bind { path: path.to_owned(), source }),
    }
}
