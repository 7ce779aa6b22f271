//! Has the runtime restore the workspace, and hears how far it is.
//!
//! Invariants: a life of the container restores once; what the books know to be saved must be
//! found, so that a failed restore is never taken for an empty workspace; the repository's key goes
//! to the runtime in a body and nowhere else.

use std::rc::Rc;

use futures_util::StreamExt;
use protocol::problem::chain;
use protocol::runtime::RuntimeRoute;
use protocol::version::PROTOCOL_VERSION;
use protocol::workspace::{WorkspaceEvent, WorkspaceOpening};
use protocol::{Epoch, Problem, ProblemCode};

use super::core::{Core, books_failed};
use super::lines::Lines;
use super::store::workspace::{self as book, Workspace};
use crate::limits::POST_ANSWER_MS_MAX;
use crate::platform::clock::{now_ms, unique, within};
use crate::platform::container::Container;
use crate::platform::http::Response;
use crate::platform::log as console;

/// How the workspace of the current life is, as far as this object has heard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct WorkspaceState {
    /// The last that was heard.
    pub(super) last: Option<WorkspaceEvent>,
    /// Why it cannot be used.
    pub(super) problem: Option<Problem>,
}

impl Core {
    /// Has the runtime of `epoch` restore the workspace, in the background.
    pub(super) fn begin_restore(self: &Rc<Self>, container: &Container, epoch: Epoch) {
        self.sandbox.workspace.replace(WorkspaceState::default());
        let (core, container) = (Rc::clone(self), container.clone());
        self.spawn(async move {
            if let Err(problem) = core.restore(&container, epoch).await {
                console::trouble(format_args!("epoch {epoch}, workspace: {problem}"));
                core.sandbox.workspace.borrow_mut().problem = Some(problem);
                core.arm().await;
            }
        });
    }

    /// What the books hold of the workspace's repository.
    pub(super) fn workspace(&self) -> Result<Workspace, Problem> {
        // Two version 4 UUIDs hold 244 random bits.
        let fresh = format!("{}{}", unique(), unique()).replace('-', "");
        book::load(&self.sql, &fresh).map_err(|error| books_failed(&error))
    }

    async fn restore(&self, container: &Container, epoch: Epoch) -> Result<(), Problem> {
        let workspace = self.workspace()?;
        let opening = WorkspaceOpening {
            protocol: PROTOCOL_VERSION,
            key: workspace.key(),
            expected: workspace.expected(),
        };
        let response = post(container, &RuntimeRoute::Workspace, &opening).await?;
        self.hear_workspace(epoch, response).await
    }

    /// Hears the events of a restore or a maintenance to the last.
    pub(super) async fn hear_workspace(
        &self,
        epoch: Epoch,
        mut response: Response,
    ) -> Result<(), Problem> {
        let broken = |why: String| {
            Problem::new(ProblemCode::ContainerFailed, format!("The container broke off: {why}."))
        };
        let mut stream = response.stream().map_err(|error| broken(error.to_string()))?;
        let mut lines = Lines::default();
        while let Some(piece) = stream.next().await {
            let piece = piece.map_err(|error| broken(error.to_string()))?;
            for line in lines.feed(&piece).map_err(|error| broken(error.to_string()))? {
                let event = serde_json::from_slice(&line)
                    .map_err(|error| broken(format!("an event does not read: {error}")))?;
                if self.on_workspace_event(epoch, event)? {
                    return Ok(());
                }
            }
        }
        Err(broken("its answer ended early".into()))
    }

    /// Acts on an event; true for the last one.
    fn on_workspace_event(&self, epoch: Epoch, event: WorkspaceEvent) -> Result<bool, Problem> {
        if self.lifecycle()?.0 != epoch {
            // Another life has begun; what this one says no longer counts.
            return Ok(true);
        }
        let last = match &event {
            WorkspaceEvent::Opened { master_key } => {
                if let Some(json) = master_key {
                    book::note_master_key(&self.sql, json).map_err(|e| books_failed(&e))?;
                }
                false
            }
            WorkspaceEvent::Progress { .. } => false,
            WorkspaceEvent::Restored { snapshot, files, bytes } => {
                let name = snapshot.as_ref().map_or("nothing", |name| name.as_str());
                console::note(format_args!("workspace: {name}, {files} files, {bytes} bytes"));
                self.note_restored(epoch)?;
                true
            }
            WorkspaceEvent::Maintained { .. } => true,
            WorkspaceEvent::Failed { problem } => return Err(problem.clone()),
        };
        self.sandbox.workspace.borrow_mut().last = Some(event);
        Ok(last)
    }

    fn note_restored(&self, epoch: Epoch) -> Result<(), Problem> {
        let (current, state) = self.lifecycle()?;
        match state.restored(now_ms()) {
            Some(ready) if current == epoch => self.enter(epoch, &ready),
            _ => Ok(()),
        }
    }
}

/// Posts a document whose answer is a stream of events.
pub(super) async fn post<T: serde::Serialize>(
    container: &Container,
    route: &RuntimeRoute,
    document: &T,
) -> Result<Response, Problem> {
    let failed = |why: String| Problem::new(ProblemCode::ContainerFailed, why);
    let body = serde_json::to_string(document).map_err(|error| failed(format!("{error}.")))?;
    match within(POST_ANSWER_MS_MAX, container.call(route, Some(body))).await {
        Some(Ok(response)) if response.status_code() == 200 => Ok(response),
        Some(Ok(mut response)) => Err(response.json::<Problem>().await.unwrap_or_else(|error| {
            failed(format!("The container answered {}: {error}.", response.status_code()))
        })),
        Some(Err(error)) => Err(failed(format!("{}.", chain(&error)))),
        None => Err(failed("The container does not answer.".into())),
    }
}
