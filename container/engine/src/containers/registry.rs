//! The registry and the calls on it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::hash::{BuildHasher, RandomState};
use std::io::Error;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::containers::filter::Filter;
use crate::containers::phase::{RemoveDecision, StartDecision, Status, WaitCondition};
use crate::containers::spec::{CreateBody, Name, Spec};
use crate::containers::{Refusal, phase::Phase};
use crate::containers::{orphans, run};
use crate::lifeline::Lifeline;
use crate::limits::{CONTAINERS_MAX, KILL_SECONDS_MAX, PORT_TRIES_MAX};
use crate::process::disk::Disks;
use crate::process::log::Logs;
use crate::process::signal_group;
use crate::sidecar::Sidecar;
use crate::terminal::report;

/// What an engine is made from.
#[derive(Debug)]
pub struct EngineSettings {
    /// The command of containers that are created without one.
    pub command: Vec<OsString>,
    /// Where output goes.
    pub logs: Logs,
    /// Where private folders are.
    pub disks: Disks,
    /// Ends what a killed engine would leave behind; absent where the engine is not a program of
    /// its own.
    pub lifeline: Option<Lifeline>,
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    pub(super) settings: EngineSettings,
    containers: Mutex<BTreeMap<Name, Arc<Container>>>,
}

/// One container.
#[derive(Debug)]
pub struct Container {
    /// Its name.
    pub name: Name,
    /// Its id: 64 hexadecimal digits.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// What it is made from.
    pub spec: Spec,
    pub(super) status: watch::Sender<Status>,
    /// What is there only while it runs.
    pub(super) running: Mutex<Running>,
}

/// What a container holds while it runs.
#[derive(Debug, Default)]
pub(super) enum Running {
    /// Nothing.
    #[default]
    Nothing,
    /// A process, listening on this port if it listens at all.
    App {
        /// The port it was given.
        port: u16,
    },
    /// A sidecar's servers.
    Sidecar(Arc<Sidecar>),
}

/// How a start went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOutcome {
    /// 204.
    Started,
    /// 304.
    AlreadyRunning,
}

impl Engine {
    /// An engine without containers.
    pub fn new(settings: EngineSettings) -> Arc<Self> {
        Arc::new(Self { settings, containers: Mutex::default() })
    }

    /// Makes a container and gives its id.
    pub fn create(self: &Arc<Self>, name: Name, body: CreateBody) -> Result<String, Refusal> {
        let spec = body.into_spec(&name, &self.settings.command)?;
        let mut containers = self.lock();
        if containers.contains_key(&name) {
            return Err(Refusal::NameInUse(name));
        }
        if containers.len() >= CONTAINERS_MAX {
            return Err(Refusal::TooMany);
        }
        if !name.is_sidecar() {
            self.settings.disks.fresh(&name)?;
        }
        let container = Arc::new(Container::new(name.clone(), spec));
        let id = container.id.clone();
        containers.insert(name, container.clone());
        drop(containers);
        tokio::spawn(orphans::remove(self.clone(), container));
        Ok(id)
    }

    /// Starts a container.
    pub fn start(self: &Arc<Self>, wanted: &str) -> Result<StartOutcome, Refusal> {
        let container = self.find(wanted)?;
        let status = *container.status.borrow();
        match status.on_start() {
            StartDecision::AlreadyRunning => return Ok(StartOutcome::AlreadyRunning),
            StartDecision::Start if container.name.is_sidecar() => {
                container.hold(Running::Sidecar(Sidecar::start()?));
                container.status.send_modify(|status| *status = status.started(0));
            }
            StartDecision::Start => {
                let sidecar = self.sidecar_of(&container)?;
                run::start(self, &container, sidecar.as_ref())?;
            }
        }
        Ok(StartOutcome::Started)
    }

    /// Waits until a container meets a condition; gives its exit code.
    pub async fn wait(&self, wanted: &str, condition: WaitCondition) -> Result<i32, Refusal> {
        let container = self.find(wanted)?;
        let mut status = container.status.subscribe();
        let from = *status.borrow();
        // Only this receiver is kept: the container itself may go.
        drop(container);
        let met = status.wait_for(|now| condition.is_met(&from, now)).await;
        // The channel closes after removal, which meets every condition.
        Ok(met.map_or(from.exit_code, |now| now.exit_code))
    }

    /// Sends a signal to a running container.
    pub fn kill(&self, wanted: &str, signal: Signal) -> Result<(), Refusal> {
        let container = self.find(wanted)?;
        let phase = container.status.borrow().phase;
        match phase {
            // The signals that end a process by default all end a sidecar.
            Phase::Running { pid: 0 } => {
                container.hold(Running::Nothing);
                let code = 128 + signal.as_raw();
                container.status.send_modify(|status| *status = status.exited(code));
                Ok(())
            }
            Phase::Running { pid } => Ok(signal_group(pid, signal)?),
            Phase::Created | Phase::Exited | Phase::Removed => {
                Err(Refusal::NotRunning(container.name.clone()))
            }
        }
    }

    /// Removes a container; with `force` its process is killed and reaped first.
    pub async fn remove(&self, wanted: &str, force: bool) -> Result<(), Refusal> {
        let container = self.find(wanted)?;
        let name = container.name.clone();
        let status = *container.status.borrow();
        match status.on_remove(force) {
            RemoveDecision::RefuseRunning => return Err(Refusal::StillRunning(name)),
            RemoveDecision::TakeAway => {}
            RemoveDecision::KillFirst { .. } => {
                self.kill(name.as_str(), Signal::KILL)?;
                let ended = self.wait(name.as_str(), WaitCondition::NotRunning);
                match timeout(Duration::from_secs(KILL_SECONDS_MAX), ended).await {
                    Ok(ended) => drop(ended?),
                    Err(_) => return Err(Refusal::Unkillable(name)),
                }
            }
        }
        self.take_away(&container)
    }

    /// The last step of a removal. While the process was being killed, another call may have
    /// removed the container or even made a new one of this name, which must stay.
    fn take_away(&self, container: &Arc<Container>) -> Result<(), Refusal> {
        let name = &container.name;
        let mut containers = self.lock();
        if !containers.get(name).is_some_and(|found| Arc::ptr_eq(found, container)) {
            return Err(Refusal::BeingRemoved(name.clone()));
        }
        if container.status.borrow().is_running() {
            return Err(Refusal::StillRunning(name.clone()));
        }
        self.settings.disks.discard(name)?;
        containers.remove(name);
        container.status.send_modify(|status| *status = status.removed());
        Ok(())
    }

    /// Finds a container by name or id.
    pub fn find(&self, wanted: &str) -> Result<Arc<Container>, Refusal> {
        let containers = self.lock();
        let by_name = Name::parse(wanted).ok().and_then(|name| containers.get(&name).cloned());
        by_name
            .or_else(|| containers.values().find(|container| container.id == wanted).cloned())
            .ok_or_else(|| Refusal::NoSuchContainer(wanted.to_owned()))
    }

    /// All containers that run, or all that exist, and that the filter lets through.
    pub fn list(&self, all: bool, filter: &Filter) -> Vec<Arc<Container>> {
        let containers = self.lock();
        let listed = containers.values().filter(|container| {
            (all || container.status().is_running()) && filter.matches(&container.spec.labels)
        });
        listed.cloned().collect()
    }

    /// Removes all containers, killing and reaping those that run, and their folders: the engine is
    /// about to end.
    pub async fn end_all(&self) {
        for container in self.list(true, &Filter::default()) {
            let name = container.name.as_str();
            if let Err(error) = self.remove(name, true).await {
                report(&format!("{name}: {error}"));
            }
        }
        self.settings.disks.settle().await;
    }

    /// The running sidecar whose network a container joins.
    fn sidecar_of(&self, container: &Container) -> Result<Option<Arc<Sidecar>>, Refusal> {
        let Some(network) = &container.spec.network_of else { return Ok(None) };
        let sidecar = self.find(network.as_str())?.sidecar();
        sidecar.map(Some).ok_or_else(|| Refusal::NetworkNotRunning(network.clone()))
    }

    /// Finds a loopback port that is free and that no other running container was given: that one
    /// may not listen yet.
    pub(super) fn free_port(&self) -> Result<u16, Refusal> {
        let taken: Vec<u16> =
            self.lock().values().filter_map(|container| container.app_port()).collect();
        let mut failure: Option<Error> = None;
        for _ in 0..PORT_TRIES_MAX {
            let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
            match bound.and_then(|listener| listener.local_addr()) {
                Ok(address) if !taken.contains(&address.port()) => return Ok(address.port()),
                Ok(_) => {}
                Err(error) => failure = Some(error),
            }
        }
        Err(Refusal::NoFreePort(failure))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Arc<Container>>> {
        self.containers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Container {
    fn new(name: Name, spec: Spec) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            name,
            id: random_id(),
            created: now.as_secs(),
            spec,
            status: watch::Sender::new(Status::created()),
            running: Mutex::default(),
        }
    }

    /// Its present status.
    pub fn status(&self) -> Status {
        *self.status.borrow()
    }

    /// The port on which workerd reaches a running sidecar.
    pub fn control_port(&self) -> Option<u16> {
        self.sidecar().map(|sidecar| sidecar.control_port())
    }

    /// Its servers, when it is a running sidecar.
    pub(super) fn sidecar(&self) -> Option<Arc<Sidecar>> {
        match &*self.lock_running() {
            Running::Sidecar(sidecar) => Some(sidecar.clone()),
            Running::Nothing | Running::App { .. } => None,
        }
    }

    fn app_port(&self) -> Option<u16> {
        match *self.lock_running() {
            Running::App { port } => Some(port),
            Running::Nothing | Running::Sidecar(_) => None,
        }
    }

    pub(super) fn hold(&self, running: Running) {
        *self.lock_running() = running;
    }

    fn lock_running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 64 hexadecimal digits, unlike any other id. They need not be secret, so the randomness that
/// the standard library seeds its hash tables with is enough.
pub(super) fn random_id() -> String {
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|part| RandomState::new().hash_one(part));
    format!("{first:016x}{second:016x}{third:016x}{fourth:016x}")
}
