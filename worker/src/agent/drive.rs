//! Turns' driver: begins what waits, has it run, and sees it to its end.
//!
//! Invariants: a session has one task that drives it; every turn that was begun ends in the log,
//! with the user told how, whatever dies in between.

use std::rc::Rc;

use protocol::chat::{Phase, ServerFrame, TurnTiming};
use protocol::limits::RUNNING_TURNS_MAX;
use protocol::session::{Item, Outcome};
use protocol::turn::{ModelChoice, TurnRequest};
use protocol::version::PROTOCOL_VERSION;
use protocol::{Epoch, Problem, ProblemCode, SessionId, TurnId};

use super::core::{Core, books_failed};
use super::follow::Followed;
use super::live::Live;
use super::store::turns::{self, Running};
use super::store::{inbox, log};
use crate::limits::{
    BUSY_MAX, BUSY_PAUSE_MS, REATTACH_MAX, TURN_ATTEMPTS_MAX, TURN_LIVES_MAX, TURN_RECORDS_MAX,
};
use crate::platform::clock::{now_ms, pause, unique};
use crate::platform::log as console;

impl Core {
    /// Sets every session in motion that has something to do and nobody who does it.
    pub(super) fn pump(self: &Rc<Self>) -> Result<(), Problem> {
        self.run_outbox()?;
        let running = turns::running_everywhere(&self.sql).map_err(|e| books_failed(&e))?;
        let waiting = inbox::sessions_to_run(&self.sql).map_err(|e| books_failed(&e))?;
        let running: Vec<SessionId> = running.into_iter().map(|turn| turn.session).collect();
        self.steer_all(&running)?;
        for session in running.into_iter().chain(waiting) {
            if self.driving.borrow().len() >= RUNNING_TURNS_MAX {
                // The rest waits; whoever ends pumps again.
                break;
            }
            if self.driving.borrow_mut().insert(session.clone()) {
                let core = Rc::clone(self);
                self.spawn(async move { core.drive(session).await });
            }
        }
        Ok(())
    }

    /// Drives a session until nothing is left to do in it.
    async fn drive(self: Rc<Self>, session: SessionId) {
        let result = self.turns_of(&session).await;
        self.live.borrow_mut().remove(&session);
        self.driving.borrow_mut().remove(&session);
        self.settle([session.clone()]);
        // After a failure of the books only the alarm tries again: at once would be a spin.
        if let Err(problem) = result.and_then(|()| self.pump()) {
            console::trouble(format_args!("session {session} stands still: {problem}"));
        }
        self.arm().await;
    }

    async fn turns_of(self: &Rc<Self>, session: &SessionId) -> Result<(), Problem> {
        while let Some(running) = self.next_turn(session)? {
            self.run(&running).await?;
            self.worked_at_ms.set(now_ms());
        }
        Ok(())
    }

    fn next_turn(&self, session: &SessionId) -> Result<Option<Running>, Problem> {
        let failed = |error| books_failed(&error);
        if let Some(running) = turns::running_in(&self.sql, session).map_err(failed)? {
            return Ok(Some(running));
        }
        let turn: TurnId = unique().parse().map_err(|error| {
            Problem::new(ProblemCode::Internal, format!("A turn could not be named: {error}."))
        })?;
        turns::begin(&self.sql, session, &turn, now_ms()).map_err(failed)
    }

    /// Sees a turn to its end. An error means that its end could not be written.
    async fn run(self: &Rc<Self>, running: &Running) -> Result<(), Problem> {
        let began_ms = now_ms();
        let live = Live::new(running.turn.clone());
        self.live.borrow_mut().insert(running.session.clone(), live);
        let first = ServerFrame::Progress { turn: running.turn.clone(), phase: Phase::Waiting };
        self.tell(&running.session, &first);
        let (outcome, mut timing) = self
            .attempts(running, began_ms)
            .await
            .unwrap_or_else(|problem| (Outcome::Failed { problem }, TurnTiming::default()));
        // Nothing when the runtime has written the end; it has not when it could not.
        turns::give_up(&self.sql, running, &outcome, now_ms()).map_err(|e| books_failed(&e))?;
        self.show_log(&running.session, running.before).map_err(|e| books_failed(&e))?;
        timing.turn_ms = elapsed_ms(began_ms) - timing.wake_ms;
        let turn = running.turn.clone();
        self.tell(&running.session, &ServerFrame::Ended { turn, outcome, timing });
        self.offer_answers(&running.session)?;
        self.run_outbox()
    }

    /// Has the turn run, by one life of the container after the other.
    async fn attempts(
        self: &Rc<Self>,
        running: &Running,
        began_ms: u64,
    ) -> Result<(Outcome, TurnTiming), Problem> {
        self.show_log(&running.session, running.before).map_err(|e| books_failed(&e))?;
        // Without a model there is no need for a container.
        let model = self.settings.model.as_ref().map_err(Problem::clone)?;
        let mut tries = Tries::default();
        loop {
            if let Some(outcome) = self.over(running)? {
                return Ok((outcome, TurnTiming::default()));
            }
            let recovering = tries.attached.is_some();
            self.enter_phase(running, if recovering { Phase::Recovering } else { Phase::Starting });
            let epoch = self.awake_patiently().await?;
            // It may have been stopped while the container started.
            if let Some(outcome) = self.over(running)? {
                return Ok((outcome, TurnTiming::default()));
            }
            let wake_ms = elapsed_ms(began_ms);
            let request = self.request(running, model)?;
            self.count_attempt(running, epoch, request.head)?;
            match self.follow(running, epoch, &request, tries.attached).await {
                Followed::Finished { outcome, timing } => {
                    return Ok((outcome, TurnTiming { wake_ms, turn_ms: 0.0, runtime: timing }));
                }
                Followed::Refused(problem) => return Err(problem),
                Followed::Busy(problem) => tries.wait_for_room(problem).await?,
                Followed::Lost { next } => {
                    if tries.again_after(epoch, next) {
                        // It answers, and still its stream breaks again and again.
                        self.abandon(epoch).await?;
                    }
                }
            }
        }
    }

    /// Notes another try; a problem when there were enough.
    fn count_attempt(&self, running: &Running, epoch: Epoch, head: u64) -> Result<(), Problem> {
        let attempts = turns::count_attempt(&self.sql, &running.turn, epoch, head)
            .map_err(|error| books_failed(&error))?;
        if attempts.fruitless > TURN_ATTEMPTS_MAX || attempts.lives > TURN_LIVES_MAX {
            let former = Epoch(epoch.0.saturating_sub(1));
            return Err(self.with_last_words(former, container_lost(attempts.lives - 1))?);
        }
        Ok(())
    }

    /// How the turn ended, when its end is in the log or the user has stopped it; `None` for one to
    /// go on with.
    fn over(&self, running: &Running) -> Result<Option<Outcome>, Problem> {
        let ended = self.ended(running)?;
        let stopped = turns::stop_asked(&self.sql, &running.turn);
        let stopped = stopped.map_err(|error| books_failed(&error))?;
        Ok(ended.or(stopped.then_some(Outcome::Cancelled)))
    }

    /// A healthy container's epoch, after as many starts as one turn may have.
    async fn awake_patiently(self: &Rc<Self>) -> Result<Epoch, Problem> {
        let mut starts = 1;
        loop {
            match self.awake().await {
                Err(problem) if starts >= TURN_ATTEMPTS_MAX => return Err(problem),
                Err(_) => starts += 1,
                Ok(epoch) => return Ok(epoch),
            }
        }
    }

    fn enter_phase(&self, running: &Running, phase: Phase) {
        let frame = match self.live.borrow_mut().get_mut(&running.session) {
            // A warm container is there at once; "starting" is shown only when it is not.
            Some(_) if phase == Phase::Starting && self.is_warm() => None,
            Some(live) => live.enter(phase),
            None => None,
        };
        if let Some(frame) = frame {
            self.tell(&running.session, &frame);
        }
    }

    pub(super) fn is_warm(&self) -> bool {
        self.lifecycle().is_ok_and(|(_, state)| state.takes_turns())
    }

    /// How the turn ended, when its end is in the log.
    fn ended(&self, running: &Running) -> Result<Option<Outcome>, Problem> {
        let failed = |error| books_failed(&error);
        if turns::is_running(&self.sql, &running.session, &running.turn).map_err(failed)? {
            return Ok(None);
        }
        let head = log::head(&self.sql, &running.session).map_err(failed)?;
        let page = log::read(&self.sql, &running.session, head).map_err(failed)?;
        Ok(Some(match page.records.into_iter().next().map(|record| record.item) {
            Some(Item::TurnEnded { outcome }) => outcome,
            _ => Outcome::Completed,
        }))
    }

    fn request(&self, running: &Running, model: &ModelChoice) -> Result<TurnRequest, Problem> {
        let page = log::read(&self.sql, &running.session, running.before + 1)
            .map_err(|error| books_failed(&error))?;
        let mut records = page.records;
        let whole = records.last().map_or(running.before, |last| last.sequence) == page.head;
        if !whole || records.len() > TURN_RECORDS_MAX {
            // A long turn that is taken up again: the runtime reads it itself.
            records.clear();
        }
        Ok(TurnRequest {
            protocol: PROTOCOL_VERSION,
            turn: running.turn.clone(),
            session: running.session.clone(),
            head: page.head,
            records,
            model: model.clone(),
            fallbacks: self.settings.fallbacks.clone(),
        })
    }
}

/// What is remembered from one attempt at a turn to the next.
#[derive(Debug, Default)]
struct Tries {
    /// The last life that ran it, and the first event of it that was not heard.
    attached: Option<(Epoch, u64)>,
    reattached: u32,
    busy: u32,
}

impl Tries {
    /// Notes a lost stream; true when that has happened so often that its container must go.
    fn again_after(&mut self, epoch: Epoch, next: u64) -> bool {
        self.attached = Some((epoch, next));
        self.reattached += 1;
        self.reattached.is_multiple_of(REATTACH_MAX)
    }

    /// Waits for a runtime that is busy, and not for ever.
    async fn wait_for_room(&mut self, problem: Problem) -> Result<(), Problem> {
        self.busy += 1;
        if self.busy > BUSY_MAX {
            return Err(problem);
        }
        pause(BUSY_PAUSE_MS).await;
        Ok(())
    }
}

#[expect(clippy::cast_precision_loss, reason = "milliseconds of one turn")]
fn elapsed_ms(since_ms: u64) -> f64 {
    now_ms().saturating_sub(since_ms) as f64
}

fn container_lost(lives: u32) -> Problem {
    Problem::new(
        ProblemCode::ContainerFailed,
        format!("The agent's container was lost {lives} times while it worked on this message."),
    )
    .remedy("See the container's log; send the message again to try once more.")
}
