//! Why the engine refused a call; the API turns it into Docker's status codes.

use crate::containers::Name;
use crate::containers::spec::{InvalidName, SpecError};
use crate::limits::{CONTAINERS_MAX, KILL_SECONDS_MAX, PORT_TRIES_MAX};
use crate::process::ProcessError;
use crate::process::disk::DiskError;
use crate::process::log::LogError;
use crate::sidecar::SidecarError;

/// A refused call.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// 404.
    #[error("No such container: {0}")]
    NoSuchContainer(String),
    /// 409 at create.
    #[error("Conflict. The container name \"/{0}\" is already in use")]
    NameInUse(Name),
    /// 409 at kill.
    #[error("cannot kill container: {0}: container is not running")]
    NotRunning(Name),
    /// 409 at remove without force.
    #[error("cannot remove container \"{0}\": container is running: stop it or use force")]
    StillRunning(Name),
    /// 409 at remove.
    #[error("removal of container {0} is already in progress")]
    BeingRemoved(Name),
    /// 409 at start.
    #[error("cannot join network of a non running container: {0}")]
    NetworkNotRunning(Name),
    /// A name Docker would not take.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A create body Docker would not take.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The process did not start or was not signalled.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// The private folder failed.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The sidecar did not start.
    #[error(transparent)]
    Sidecar(#[from] SidecarError),
    /// No port was free.
    #[error("found no free loopback port in {PORT_TRIES_MAX} tries")]
    NoFreePort(#[source] Option<std::io::Error>),
    /// Too many containers.
    #[error("there are {CONTAINERS_MAX} containers already: remove some")]
    TooMany,
    /// SIGKILL did not end the process.
    #[error("container {0} was killed but did not end within {KILL_SECONDS_MAX} s")]
    Unkillable(Name),
}
