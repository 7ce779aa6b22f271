//! How the process comes to its end: who may ask for it, and why.
//!
//! Invariant: the first reason counts; asking again changes nothing.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// Why the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitReason {
    /// It was asked to finish.
    Drained,
    /// Another life of the container has taken over; nothing that this one does counts.
    StaleEpoch,
}

/// The wish to end, shared by all who may have it.
#[derive(Debug, Clone)]
pub struct Shutdown(watch::Sender<Option<ExitReason>>);

impl Shutdown {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Self(watch::Sender::new(None))
    }

    /// Asks the process to end.
    pub fn request(&self, reason: ExitReason) {
        self.0.send_if_modified(|current| {
            let is_first = current.is_none();
            current.get_or_insert(reason);
            is_first
        });
    }

    /// Waits until somebody asks.
    pub async fn requested(&self) -> ExitReason {
        let mut receiver = self.0.subscribe();
        loop {
            if let Some(reason) = *receiver.borrow_and_update() {
                return reason;
            }
            // It fails when the sender is gone, which lives in `self`.
            if receiver.changed().await.is_err() {
                return ExitReason::Drained;
            }
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// The signals that ask the process to end: the platform's and the terminal's.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over from now on.
    pub fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one.
    pub async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
