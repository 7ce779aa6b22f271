//! The container's driver: brings it up, knows when it ends, sends it to sleep.
//!
//! Invariants: one start at a time, however many ask; the epoch is in the books before the process
//! exists; a container found running by a new object is used only when it answers with the epoch
//! that the books hold, and destroyed otherwise.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use futures_util::future::{FutureExt, LocalBoxFuture, Shared};
use protocol::edge::LastWords;
use protocol::problem::chain;
use protocol::runtime::{
    ENV_AGENT, ENV_EDGE_URL, ENV_EGRESS_HOSTS, ENV_EPOCH, ENV_INTERNET, ENV_PORT, Health,
    RUNTIME_PORT, RuntimeRoute,
};
use protocol::version::is_supported;
use protocol::{Epoch, Problem, ProblemCode};

use super::core::{Core, books_failed};
use super::lifecycle::{Lifecycle, Process, Purpose, Wake};
use super::restore::WorkspaceState;
use super::store::lifecycle as book;
use crate::limits::{
    CONTAINER_READY_MS_MAX, DRAIN_MS_MAX, HEALTH_PAUSE_MS_FIRST, HEALTH_PAUSE_MS_MAX,
    HEALTH_PROBE_MS_MAX, LAST_WORDS_BODY_BYTES_MAX, SLEEP_AFTER_MS_DEFAULT,
};
use crate::platform::State;
use crate::platform::clock::{now_ms, pause, within};
use crate::platform::container::{Container, ContainerError};
use crate::platform::http::{self, Request, Response};
use crate::platform::log as console;
use crate::platform::loopback::ContainerIdentity;
use crate::settings::egress::Internet;

type Waking = Shared<LocalBoxFuture<'static, Result<Epoch, Problem>>>;

/// The object's container and what is known of it in memory.
#[derive(Debug)]
pub(super) struct Sandbox {
    container: Option<Container>,
    /// The start in progress.
    waking: RefCell<Option<Waking>>,
    /// How the workspace of the current life is.
    pub(super) workspace: RefCell<WorkspaceState>,
    /// Whether a container that this object did not start itself has been looked at.
    pub(super) adopted: Cell<bool>,
    /// Whether the end of such a container would be heard.
    pub(super) watched: Cell<bool>,
}

impl Sandbox {
    /// The container of the object that `state` belongs to.
    pub(super) fn of(state: &State) -> Self {
        let container = Container::of(state);
        Self {
            container,
            waking: RefCell::default(),
            workspace: RefCell::default(),
            adopted: Cell::new(false),
            watched: Cell::new(false),
        }
    }

    /// The container, or the reason that there is none.
    pub(super) fn container(&self) -> Result<&Container, Problem> {
        self.container.as_ref().ok_or_else(|| {
            Problem::new(ProblemCode::Misconfigured, "This deployment has no container.")
                .remedy("Deploy with the [[containers]] section of wrangler.toml.")
        })
    }

    /// The container while this object has neither looked for one of a former life nor begun to.
    pub(super) fn unknown(&self) -> Option<&Container> {
        let is_known = self.adopted.get() || self.waking.borrow().is_some();
        if is_known { None } else { self.container.as_ref() }
    }
}

pub(super) fn container_failed(error: &ContainerError) -> Problem {
    Problem::new(ProblemCode::ContainerFailed, format!("The agent's container failed: {error}."))
}

impl Core {
    /// A healthy container's epoch, starting it when there is none.
    pub(super) async fn awake(self: &Rc<Self>) -> Result<Epoch, Problem> {
        let waking = self.sandbox.waking.borrow().clone();
        let waking = waking.unwrap_or_else(|| {
            let core = Rc::clone(self);
            let waking = async move {
                let result = core.wake().await;
                core.sandbox.waking.borrow_mut().take();
                result
            };
            let waking = waking.boxed_local().shared();
            self.sandbox.waking.borrow_mut().replace(waking.clone());
            waking
        });
        waking.await
    }

    async fn wake(self: &Rc<Self>) -> Result<Epoch, Problem> {
        let container = self.sandbox.container()?.clone();
        if !self.sandbox.adopted.get() {
            let taken = if container.running() { self.adopt(&container).await? } else { None };
            // Only now: a container that could be neither taken over nor destroyed is looked at
            // again, and never used as it is.
            self.sandbox.adopted.set(true);
            if let Some(epoch) = taken {
                return Ok(epoch);
            }
        }
        loop {
            let (epoch, state) = self.lifecycle()?;
            let process = match container.running() {
                false => Process::Gone,
                true if self.is_lame() => Process::Lame,
                true => Process::Running,
            };
            match state.wake(process, now_ms()) {
                Wake::Use => return Ok(epoch),
                Wake::Start => return self.start(&container, epoch.next(), Purpose::Turns).await,
                Wake::AwaitExit => self.await_exit(&container).await?,
                Wake::Interrupt => self.drain()?,
                Wake::Pause { until_ms } => pause(until_ms.saturating_sub(now_ms())).await,
            }
        }
    }

    /// Whether the container is of no use for lack of its workspace.
    pub(super) fn is_lame(&self) -> bool {
        self.sandbox.workspace.borrow().problem.is_some()
    }

    /// Takes over a container that a former life of this object started; destroys it when it is
    /// not the one in the books.
    async fn adopt(self: &Rc<Self>, container: &Container) -> Result<Option<Epoch>, Problem> {
        let (epoch, state) = self.lifecycle()?;
        if state.takes_turns() || matches!(state, Lifecycle::Starting { .. }) {
            match self.intercept(container, epoch).await {
                Ok(()) if probe(container).await.is_ok_and(|health| health.epoch == epoch) => {
                    self.watch_former(container, epoch);
                    self.enter(epoch, &state.healthy(Purpose::Turns, now_ms()))?;
                    self.begin_restore(container, epoch);
                    console::note(format_args!("container of epoch {epoch} taken over"));
                    return Ok(Some(epoch));
                }
                Ok(()) => {}
                Err(error) => console::trouble(format_args!("epoch {epoch}: {error}")),
            }
        }
        console::note(format_args!("a container that is not of epoch {epoch} is destroyed"));
        container.destroy().await.map_err(|error| container_failed(&error))?;
        Ok(None)
    }

    /// Starts a new life. Its end may follow at once; then it is a failure that the books hold.
    pub(super) async fn start(
        self: &Rc<Self>,
        container: &Container,
        epoch: Epoch,
        purpose: Purpose,
    ) -> Result<Epoch, Problem> {
        // Of a former life nothing is left from here on.
        self.sandbox.adopted.set(true);
        let (_, before) = self.lifecycle()?;
        let starting = before.starting(now_ms());
        self.enter(epoch, &starting)?;
        match self.start_process(container, epoch).await {
            Ok(()) => {
                self.enter(epoch, &starting.healthy(purpose, now_ms()))?;
                if purpose == Purpose::Turns {
                    self.begin_restore(container, epoch);
                }
                Ok(epoch)
            }
            Err(problem) => {
                let problem = self.with_last_words(epoch, problem)?;
                console::trouble(format_args!("epoch {epoch}: {problem}"));
                self.enter(epoch, &starting.failed(problem.message.clone(), now_ms()))?;
                Err(problem)
            }
        }
    }

    /// What is told of a life that ended: its own words where it left any.
    pub(super) fn with_last_words(
        &self,
        epoch: Epoch,
        problem: Problem,
    ) -> Result<Problem, Problem> {
        let words = book::last_words(&self.sql, epoch).map_err(|error| books_failed(&error))?;
        Ok(match words {
            Some(words) => told(&problem, &words),
            None => problem,
        })
    }

    /// Keeps why the container of `epoch` is about to end.
    pub(super) async fn hear_last_words(
        &self,
        epoch: Option<Epoch>,
        request: &mut Request,
    ) -> Result<Response, Problem> {
        self.check_epoch(epoch)?;
        let words: LastWords = http::read_json(request, LAST_WORDS_BODY_BYTES_MAX).await?;
        let (epoch, _) = self.lifecycle()?;
        console::trouble(format_args!("epoch {epoch} ends: {}", words.reason));
        book::note_last_words(&self.sql, epoch, &words).map_err(|error| books_failed(&error))?;
        Ok(http::empty(204))
    }

    async fn start_process(
        self: &Rc<Self>,
        container: &Container,
        epoch: Epoch,
    ) -> Result<(), Problem> {
        let failed = |error: ContainerError| container_failed(&error);
        let mut variables = vec![
            (ENV_PORT, RUNTIME_PORT.to_string()),
            (ENV_EDGE_URL, format!("http://{}", protocol::edge::EDGE_HOST)),
            (ENV_AGENT, self.agent()?.to_string()),
            (ENV_EPOCH, epoch.to_string()),
            (ENV_INTERNET, self.settings.egress.internet.as_str().to_owned()),
            (ENV_EGRESS_HOSTS, self.settings.egress.told()),
        ];
        variables.extend(self.settings.runtime_variables.iter().cloned());
        if container.running() {
            container.destroy().await.map_err(failed)?;
        }
        self.intercept(container, epoch).await.map_err(failed)?;
        container
            .start(&variables, self.settings.egress.internet == Internet::Open)
            .map_err(failed)?;
        self.watch_exit(container, epoch);
        healthy(container, epoch).await?;
        // Without this the platform ends the container as soon as the object itself is idle.
        let stay_ms = self.settings.sleep_after_ms.unwrap_or(SLEEP_AFTER_MS_DEFAULT);
        container.keep_for(stay_ms + DRAIN_MS_MAX).await.map_err(failed)
    }

    /// Makes this Worker the way out of the container, as far as the owner lets anything out.
    async fn intercept(&self, container: &Container, epoch: Epoch) -> Result<(), ContainerError> {
        let agent = self.agent().map_err(|problem| ContainerError::new("naming it", &problem))?;
        let identity = ContainerIdentity { agent, epoch, is_tls: false };
        let allowed: Vec<String> =
            self.settings.egress.allowed.iter().map(ToString::to_string).collect();
        container.intercept(&self.state, &identity, &allowed).await
    }

    /// Whether the container of `epoch` is the current one and still answers.
    pub(super) async fn answers_as(&self, epoch: Epoch) -> bool {
        match (self.sandbox.container(), self.lifecycle()) {
            (Ok(container), Ok((current, state))) if current == epoch && state.takes_turns() => {
                probe(container).await.is_ok_and(|health| health.epoch == epoch)
            }
            _ => false,
        }
    }

    /// The container's epoch and state in the books.
    pub(super) fn lifecycle(&self) -> Result<(Epoch, Lifecycle), Problem> {
        book::load(&self.sql).map_err(|error| books_failed(&error))
    }

    pub(super) fn enter(&self, epoch: Epoch, state: &Lifecycle) -> Result<(), Problem> {
        book::save(&self.sql, epoch, state).map_err(|error| books_failed(&error))
    }
}

/// A problem with what the container said of it.
fn told(problem: &Problem, words: &LastWords) -> Problem {
    let message = format!("{} It said: {}.", problem.message, words.reason.trim_end_matches('.'));
    let log = words.log.join("\n");
    let remedy = match log.trim() {
        "" => problem.remedy.clone(),
        log => format!("The end of its log:\n{log}"),
    };
    Problem::new(problem.code, message).remedy(remedy)
}

/// Waits until the runtime of `epoch` answers, within the bound.
async fn healthy(container: &Container, epoch: Epoch) -> Result<(), Problem> {
    let deadline_ms = now_ms() + CONTAINER_READY_MS_MAX;
    let mut pause_ms = HEALTH_PAUSE_MS_FIRST;
    loop {
        let why = match probe(container).await {
            Ok(health) if health.epoch == epoch && is_supported(health.protocol) => return Ok(()),
            Ok(health) => format!(
                "it answers as epoch {} with protocol {}, not as epoch {epoch}",
                health.epoch, health.protocol
            ),
            Err(why) => why,
        };
        if !container.running() {
            return Err(Problem::new(
                ProblemCode::ContainerFailed,
                "The agent's container ended right after its start.",
            )
            .remedy("See the container's log for its last words."));
        }
        if now_ms() >= deadline_ms {
            let seconds = CONTAINER_READY_MS_MAX / 1000;
            return Err(Problem::new(
                ProblemCode::ContainerFailed,
                format!("The agent's container was not ready within {seconds} seconds: {why}."),
            )
            .remedy("See the container's log."));
        }
        pause(pause_ms).await;
        pause_ms = (pause_ms + pause_ms / 2).min(HEALTH_PAUSE_MS_MAX);
    }
}

async fn probe(container: &Container) -> Result<Health, String> {
    let call = async {
        let mut response =
            container.call(&RuntimeRoute::Health, None).await.map_err(|error| chain(&error))?;
        response.json::<Health>().await.map_err(|error| error.to_string())
    };
    within(HEALTH_PROBE_MS_MAX, call).await.unwrap_or_else(|| Err("it does not answer".into()))
}
