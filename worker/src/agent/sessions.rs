//! What a container may do at the object: read and grow session logs, and ask whether it may call a
//! model.
//!
//! Invariant: a container of a former epoch reads and changes nothing.

use protocol::edge::{Append, EdgeRoute, Head};
use protocol::limits::{APPEND_BODY_BYTES_MAX, APPEND_ITEMS_MAX, ITEM_BYTES_MAX};
use protocol::runtime::RuntimeRoute;
use protocol::version::is_supported;
use protocol::{Epoch, Problem, ProblemCode, SessionId};

use super::core::{Core, books_failed};
use super::store::log::{self, Appended};
use super::store::turns::Running;
use crate::limits::HEALTH_PROBE_MS_MAX;
use crate::platform::clock::{now_ms, within};
use crate::platform::http::{self, Request, Response};
use crate::platform::log as console;

impl Core {
    /// Refuses every life of the container but the current one.
    pub(super) fn check_epoch(&self, caller: Option<Epoch>) -> Result<(), Problem> {
        let (current, _) = self.lifecycle()?;
        if caller == Some(current) {
            return Ok(());
        }
        let caller = caller.map_or_else(|| "none".to_owned(), |epoch| epoch.to_string());
        Err(Problem::new(
            ProblemCode::StaleEpoch,
            format!("The caller is of epoch {caller}, the current one is {current}."),
        ))
    }

    /// Serves a session route.
    pub(super) async fn serve_session(
        &self,
        caller: Option<Epoch>,
        route: EdgeRoute,
        request: &mut Request,
    ) -> Result<Response, Problem> {
        let failed = |error| books_failed(&error);
        match route {
            EdgeRoute::SessionHead { session } => {
                let head = log::head(&self.sql, &session).map_err(failed)?;
                Ok(http::json(200, &Head { head }))
            }
            EdgeRoute::SessionRead { session, from } => {
                Ok(http::json(200, &self.read_log(&session, from).await?))
            }
            EdgeRoute::SessionAppend { session } => {
                let append: Append = http::read_json(request, APPEND_BODY_BYTES_MAX).await?;
                let head = self.append(&session, &append)?;
                caller.inspect(|epoch| self.note_progress(*epoch));
                Ok(http::json(200, &Head { head }))
            }
            EdgeRoute::Model { .. }
            | EdgeRoute::Workspace(_)
            | EdgeRoute::Report
            | EdgeRoute::Fetch
            | EdgeRoute::Egress => {
                Err(Problem::new(ProblemCode::NotFound, "This is no session's route."))
            }
        }
    }

    fn append(&self, session: &SessionId, append: &Append) -> Result<u64, Problem> {
        check_append(append)?;
        self.worked_at_ms.set(now_ms());
        let appended = log::append(&self.sql, session, append, now_ms());
        match appended.map_err(|error| books_failed(&error))? {
            Appended::At(head) => Ok(head),
            Appended::Conflict { head } => Err(Problem::new(
                ProblemCode::SequenceConflict,
                format!("The log's head is {head}, not {}.", append.expected),
            )),
            Appended::NotRunning => Err(Problem::new(
                ProblemCode::SequenceConflict,
                format!("The turn {} is not running in this session.", append.turn),
            )),
            Appended::NotWaiting => Err(Problem::new(
                ProblemCode::SequenceConflict,
                "A message that was to join the turn does not wait in this session.",
            )),
        }
    }

    /// Asks the runtime to stop a turn. When it cannot be asked, or does not know the turn, the
    /// note in the books stops it before a runtime is asked to run it again.
    pub(super) async fn cancel(&self, running: &Running) {
        let Ok(container) = self.sandbox.container() else { return };
        if !container.running() {
            return;
        }
        let route = RuntimeRoute::Cancel { turn: running.turn.clone() };
        let turn = &running.turn;
        match within(HEALTH_PROBE_MS_MAX, container.call(&route, None)).await {
            Some(Ok(response)) if response.status_code() == 202 => {}
            Some(Ok(response)) => console::note(format_args!(
                "the runtime answers {} to stopping {turn}",
                response.status_code()
            )),
            Some(Err(error)) => {
                console::note(format_args!("{turn} could not be stopped yet: {error}"));
            }
            None => console::note(format_args!("the runtime is silent about stopping {turn}")),
        }
    }
}

/// Bounds what a container may append. Pure.
fn check_append(append: &Append) -> Result<(), Problem> {
    if !is_supported(append.protocol) {
        return Err(Problem::new(
            ProblemCode::UnsupportedProtocol,
            format!("Protocol {} is not served.", append.protocol),
        ));
    }
    if append.items.is_empty() || append.items.len() > APPEND_ITEMS_MAX {
        return Err(Problem::new(
            ProblemCode::BadRequest,
            format!("An append has 1 to {APPEND_ITEMS_MAX} items, not {}.", append.items.len()),
        ));
    }
    for item in &append.items {
        let bytes = serde_json::to_vec(item).map_or(usize::MAX, |json| json.len());
        if bytes > ITEM_BYTES_MAX {
            return Err(Problem::new(
                ProblemCode::TooLarge,
                format!("An item has {bytes} bytes; the most is {ITEM_BYTES_MAX}."),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::session::{Item, UserMessage};
    use protocol::version::PROTOCOL_VERSION;

    fn append(protocol: u32, items: Vec<Item>) -> Append {
        Append { protocol, turn: "t".parse().unwrap(), expected: 0, items }
    }

    fn user(bytes: usize) -> Item {
        let text = "x".repeat(bytes);
        Item::User(UserMessage { channel: "web".into(), event: "e".into(), text })
    }

    #[test]
    fn appends_are_bounded() {
        let code = |a| check_append(&a).map_err(|problem| problem.code);
        assert_eq!(code(append(PROTOCOL_VERSION, vec![user(1)])), Ok(()));
        assert_eq!(code(append(99, vec![user(1)])), Err(ProblemCode::UnsupportedProtocol));
        assert_eq!(code(append(PROTOCOL_VERSION, vec![])), Err(ProblemCode::BadRequest));
        let many = vec![user(1); APPEND_ITEMS_MAX + 1];
        assert_eq!(code(append(PROTOCOL_VERSION, many)), Err(ProblemCode::BadRequest));
        let large = vec![user(ITEM_BYTES_MAX)];
        assert_eq!(code(append(PROTOCOL_VERSION, large)), Err(ProblemCode::TooLarge));
    }
}
