//! What the object's drivers share: its books, its settings, and what lives only in memory.
//!
//! Invariant: everything here that is not in the books may vanish at any instant; the alarm finds
//! the rest again.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use protocol::chat::ServerFrame;
use protocol::problem::chain;
use protocol::{AgentId, Epoch, Problem, ProblemCode, SessionId};

use super::archive::Archive;
use super::live::Live;
use super::store::{identity, log, outbox, schema, turns};
use super::usage::caps_text;
use super::wake::Sandbox;
use crate::platform::log as console;
use crate::platform::{Env, State, clock, sockets, sql::ObjectSql};
use crate::ports::SqlError;
use crate::settings::Settings;

/// The object's insides, shared by the tasks that run in it.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) state: State,
    pub(super) settings: Rc<Settings>,
    pub(super) sql: ObjectSql,
    /// Why the books cannot be used, when they cannot.
    pub(super) broken: Option<Problem>,
    pub(super) sandbox: Sandbox,
    /// What is in the bucket beside the workspace.
    pub(super) archive: Archive,
    /// The running turns as their watchers see them.
    pub(super) live: RefCell<HashMap<SessionId, Live>>,
    /// Up to where each session's log has been shown to its watchers.
    shown: RefCell<HashMap<SessionId, u64>>,
    /// The sessions whose turns a task of this object drives.
    pub(super) driving: RefCell<HashSet<SessionId>>,
    /// The chats to which a task sends: channel and chat.
    pub(super) delivering: RefCell<HashSet<(String, String)>>,
    /// The sessions to whose turns a task offers messages.
    pub(super) steering: RefCell<HashSet<SessionId>>,
    /// When the alarm goes off, as far as this object set it.
    pub(super) alarm_at_ms: Cell<Option<u64>>,
    /// The last life of the container that got something done.
    pub(super) productive: Cell<Option<Epoch>>,
    /// When there was last something to do.
    pub(super) worked_at_ms: Cell<u64>,
}

/// A failure of the books as a problem for whoever asked.
pub(super) fn books_failed(error: &SqlError) -> Problem {
    console::trouble(format_args!("{}", chain(error)));
    Problem::new(ProblemCode::Internal, "The agent's books could not be read or written.")
        .remedy("Try again; if it stays so, see the Worker's log.")
}

impl Core {
    /// The object's insides at its construction; brings the books up to date.
    pub(super) fn new(state: State, env: &Env) -> Self {
        let settings = Settings::of(env);
        let sql = ObjectSql::of(&state);
        let now_ms = clock::now_ms();
        let broken = schema::migrate(&sql, now_ms)
            .and_then(|()| outbox::recover(&sql))
            .err()
            .map(|error| books_failed(&error));
        console::note(format_args!("{}", caps_text(&settings.caps)));
        for problem in &settings.problems {
            console::trouble(format_args!("{problem}"));
        }
        let sandbox = Sandbox::of(&state);
        // An object that an alarm constructs has done no work by that.
        let worked_at_ms = turns::last_work_ms(&sql).ok().flatten().unwrap_or(now_ms);
        Self {
            state,
            settings,
            sql,
            broken,
            sandbox,
            archive: Archive::of(env),
            live: RefCell::default(),
            shown: RefCell::default(),
            driving: RefCell::default(),
            delivering: RefCell::default(),
            steering: RefCell::default(),
            alarm_at_ms: Cell::new(None),
            productive: Cell::new(None),
            worked_at_ms: Cell::new(worked_at_ms),
        }
    }

    /// Notes which agent this is.
    pub(super) fn identify(&self, agent: &AgentId) -> Result<(), Problem> {
        identity::note(&self.sql, agent).map_err(|error| books_failed(&error))
    }

    /// Which agent this is; a problem before anyone has called.
    pub(super) fn agent(&self) -> Result<AgentId, Problem> {
        let noted = identity::load(&self.sql).map_err(|error| books_failed(&error))?;
        noted.ok_or_else(|| {
            Problem::new(ProblemCode::Internal, "The agent's object does not know its name yet.")
                .remedy("Open the agent's page once.")
        })
    }

    /// Runs a task beside the current event.
    pub(super) fn spawn(self: &Rc<Self>, task: impl Future<Output = ()> + 'static) {
        self.state.wait_until(task);
    }

    /// Tells the watchers of a session.
    pub(super) fn tell(&self, session: &SessionId, frame: &ServerFrame) {
        sockets::broadcast(&self.state, session, frame);
    }

    /// Shows the watchers of a session what its log holds and they have not seen. After a reset
    /// nobody knows what they have seen: then everything behind `since` is shown, and pages ignore
    /// what they have.
    pub(super) fn show_log(&self, session: &SessionId, since: u64) -> Result<(), SqlError> {
        let mut from = *self.shown.borrow().get(session).unwrap_or(&since) + 1;
        loop {
            let page = log::read(&self.sql, session, from)?;
            let Some(last) = page.records.last().map(|record| record.sequence) else { break };
            for record in page.records {
                self.tell(session, &ServerFrame::Record { record });
            }
            from = last + 1;
            if last >= page.head {
                break;
            }
        }
        self.shown.borrow_mut().insert(session.clone(), from - 1);
        Ok(())
    }
}
