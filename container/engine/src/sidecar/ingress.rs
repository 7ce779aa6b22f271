//! The way in: which port the app really listens on, and connecting to it.
//!
//! workerd names the port that the app has in production. All apps share this machine's ports, so
//! each run was given its own as `PORT`, and *every* port named by workerd means that one. An app
//! that listens on a second port can therefore not be reached on it here.

use std::io::{Error, ErrorKind};
use std::net::Ipv4Addr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::limits::CONNECT_SECONDS_MAX;

/// Where the app is, while one runs.
#[derive(Debug, Default)]
pub struct Ingress {
    app_port: Mutex<Option<u16>>,
}

/// Why a connection to the app was not made.
#[derive(Debug, thiserror::Error)]
pub enum IngressError {
    /// No app runs in this sidecar's network.
    #[error("no container is running here")]
    NoApp,
    /// The app does not listen yet, or no more.
    #[error("the container does not listen on its port {port} (given to it as PORT)")]
    NotListening {
        /// The port it was given.
        port: u16,
        /// Why.
        #[source]
        source: Error,
    },
}

impl Ingress {
    /// Lets connections through to this port.
    pub fn attach(&self, app_port: u16) {
        *self.lock() = Some(app_port);
    }

    /// Stops connections to this port; a newer run's port stays.
    pub fn detach(&self, app_port: u16) {
        let mut attached = self.lock();
        if *attached == Some(app_port) {
            *attached = None;
        }
    }

    /// Connects to the app.
    pub async fn connect(&self) -> Result<TcpStream, IngressError> {
        let port = *self.lock();
        let port = port.ok_or(IngressError::NoApp)?;
        match dial(port).await {
            Ok(stream) => Ok(stream),
            Err(source) => Err(IngressError::NotListening { port, source }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<u16>> {
        self.app_port.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to a loopback port.
pub async fn dial(port: u16) -> Result<TcpStream, Error> {
    let connect = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    let Ok(connected) = timeout(Duration::from_secs(CONNECT_SECONDS_MAX), connect).await else {
        return Err(Error::new(ErrorKind::TimedOut, "connecting took too long"));
    };
    let stream = connected?;
    // TCP lets a socket connect to itself when the port is free and the kernel picks the same one
    // for the near end. Polling a port that is not listened on yet meets that sooner or later.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(Error::new(ErrorKind::ConnectionRefused, "nothing listens there"));
    }
    stream.set_nodelay(true)?;
    Ok(stream)
}
