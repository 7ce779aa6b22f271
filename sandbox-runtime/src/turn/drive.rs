//! Does what `step` decides, one action after the other.
//!
//! Invariants: an item counts for the decisions at once but is appended before the next effect, so
//! the log never lags behind what has happened in the world; a tool call is in the log as started
//! before it runs; after a cut nothing new is begun.

use std::time::{Duration, Instant};

use futures_util::future::join;
use protocol::limits::ITEM_BYTES_MAX;
use protocol::session::{Item, Outcome, ToolFinished, ToolStatus};
use protocol::turn::{EventKind, Timing, TurnRequest};
use protocol::{CallId, Problem};
use tokio::sync::watch;

use super::Agent;
use super::answer;
use super::ask::AskError;
use super::consult::{Consult, Progress};
use super::events::Events;
use super::failure;
use super::history::{History, json_bytes};
use super::log::OpenError;
use super::saving::Saving;
use super::state::{OpenCall, TurnState};
use super::steering::Steering;
use super::step::{self, Action, Refusal};
use crate::context::{Fit, Prompt};
use crate::edge::session::LogError;
use crate::limits::{HISTORY_BYTES_MAX, PROVIDER_WORDS_BYTES_MAX};
use crate::tools::{Prepared, ToolOutcome, changes_files, truncate};

const NOTE_INTERRUPTED: &str = include_str!("../../prompts/notes/call_interrupted.md");
const NOTE_STOPPED: &str = include_str!("../../prompts/notes/call_stopped.md");
const NOTE_CUT: &str = include_str!("../../prompts/notes/call_cut.md");
const NOTE_MALFORMED: &str = include_str!("../../prompts/notes/call_malformed.md");

/// Asked of a running turn from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRequest {
    /// The user wants no more of it: write its end.
    Cancel,
    /// The process must go: leave it for the next one.
    Cut,
}

/// How driving a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub enum DriveEnd {
    /// The turn's end is in the log.
    Ended(Outcome),
    /// The turn is over for its followers, but the log could not be told.
    Lost(Problem),
    /// The turn was left for another process.
    Cut,
    /// Another life of the container has taken over.
    StaleEpoch,
}

/// Why driving stops before the turn's end is in the log.
#[derive(Debug)]
pub(super) enum Break {
    Lost(Problem),
    Cut,
    StaleEpoch,
}

/// Drives one turn.
#[derive(Debug)]
pub struct Driver<'a> {
    pub(super) agent: &'a Agent,
    pub(super) request: TurnRequest,
    pub(super) events: Events,
    stop: watch::Receiver<Option<StopRequest>>,
    steering: Steering,
    began: Instant,
    pub(super) timing: Timing,
}

/// A turn under way.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) history: History,
    pub(super) state: TurnState,
    /// Items that count but are not appended yet.
    pending: Vec<Item>,
    /// A save that goes on beside the turn.
    pub(super) saving: Option<Saving>,
    prompt: Prompt,
    /// How much of the history its models take.
    fit: Fit,
}

impl<'a> Driver<'a> {
    /// A driver for a turn that arrived just now.
    pub fn new(
        agent: &'a Agent,
        request: TurnRequest,
        events: Events,
        stop: watch::Receiver<Option<StopRequest>>,
        steering: Steering,
    ) -> Self {
        let (began, timing) = (Instant::now(), Timing::default());
        Self { agent, request, events, stop, steering, began, timing }
    }

    /// Drives the turn to its end and tells the followers, also of the end.
    pub async fn run(mut self) -> DriveEnd {
        let end = match self.drive().await {
            Ok(outcome) => DriveEnd::Ended(outcome),
            Err(Break::Lost(problem)) => DriveEnd::Lost(problem),
            Err(Break::Cut) => DriveEnd::Cut,
            Err(Break::StaleEpoch) => DriveEnd::StaleEpoch,
        };
        let outcome = match &end {
            DriveEnd::Ended(outcome) => outcome.clone(),
            DriveEnd::Lost(problem) => Outcome::Failed { problem: problem.clone() },
            DriveEnd::Cut | DriveEnd::StaleEpoch => return end,
        };
        self.timing.total_us = micros(self.began.elapsed());
        self.events.push(EventKind::Finished { outcome, timing: self.timing });
        end
    }

    async fn drive(&mut self) -> Result<Outcome, Break> {
        let clock = Instant::now();
        let files = unless_stopped(&self.stop, self.agent.keeper.prompt_files());
        let (opened, files) = join(self.agent.open_log(&mut self.request), files).await;
        self.timing.log_us += micros(clock.elapsed());
        let history = opened.map_err(|error| open_break(&error))?;
        let state = TurnState::of(&history, &self.request.turn);
        // A turn that is stopped already asks nobody.
        let prompt = self.agent.prompt.with(&files.unwrap_or_default());
        let (pending, saving, fit) = (Vec::new(), None, Fit::Whole);
        let mut running = Running { history, state, pending, saving, prompt, fit };
        self.note_lost_files(&mut running);
        let outcome = match self.steps(&mut running).await {
            Err(Break::Cut) => {
                self.save_at_end(&mut running).await?;
                self.flush(&mut running).await?;
                return Err(Break::Cut);
            }
            result => result?,
        };
        running.history.trim(HISTORY_BYTES_MAX, &self.request.turn);
        self.agent.cache.put(self.request.session.clone(), running.history);
        Ok(outcome)
    }

    async fn steps(&mut self, running: &mut Running) -> Result<Outcome, Break> {
        loop {
            self.note_saved(running).await?;
            let stop = *self.stop.borrow();
            let cancelled = stop == Some(StopRequest::Cancel);
            let action = step::next(&running.state, self.began.elapsed(), cancelled);
            let is_end = matches!(action, Action::End(_) | Action::Done(_));
            if stop == Some(StopRequest::Cut) && !is_end {
                return Err(Break::Cut);
            }
            if step::takes_messages(&action) && self.steer(running) {
                continue;
            }
            match action {
                Action::Done(outcome) => {
                    self.flush(running).await?;
                    return Ok(outcome);
                }
                Action::End(outcome) => {
                    self.save_at_end(running).await?;
                    // What came while that took its time belongs to this turn still.
                    if outcome != Outcome::Completed || !self.steer(running) {
                        running.add(Item::TurnEnded { outcome });
                    }
                }
                Action::CloseInterrupted(calls) => calls.into_iter().for_each(|call| {
                    running.add(finished(call, ToolStatus::Interrupted, NOTE_INTERRUPTED.trim()));
                }),
                Action::Refuse(call, refusal) => {
                    running.add(finished(call, ToolStatus::Refused, &refusal_text(&refusal)));
                }
                Action::RunTool(open) => self.tool(running, open).await?,
                Action::CallModel => self.ask(running).await?,
            }
        }
    }

    /// Lets messages that came meanwhile join the turn; false when there are none.
    fn steer(&mut self, running: &mut Running) -> bool {
        let messages = self.steering.take();
        let any = !messages.is_empty();
        for message in messages {
            running.add(Item::User(message));
        }
        any
    }

    async fn ask(&mut self, running: &mut Running) -> Result<(), Break> {
        self.flush(running).await?;
        let step = running.state.model_calls + 1;
        self.events.push(EventKind::ModelCalled { step });
        let consult = Consult {
            agent: self.agent,
            request: &self.request,
            events: &self.events,
            prompt: &running.prompt,
            history: &running.history,
            state: &running.state,
        };
        let mut progress = Progress::new(running.fit, &self.request.model);
        let clock = Instant::now();
        let asked = unless_stopped(&self.stop, consult.run(&mut progress)).await;
        let Progress { fit, said, speaker, .. } = progress;
        running.fit = fit;
        let item = match asked {
            Ok(Ok(message)) => fitting(Item::Assistant(message)),
            Ok(Err(AskError::Failed(problem))) => failed(problem),
            Ok(Err(AskError::StaleEpoch)) => return Err(Break::StaleEpoch),
            Err(StopRequest::Cut) => return Err(Break::Cut),
            Err(StopRequest::Cancel) if said.trim().is_empty() => {
                Item::TurnEnded { outcome: Outcome::Cancelled }
            }
            Err(StopRequest::Cancel) => fitting(Item::Assistant(answer::cancelled(said, speaker))),
        };
        self.timing.model_us += micros(clock.elapsed());
        running.add(item);
        Ok(())
    }

    /// Starts a call and records its end, or refuses it.
    async fn tool(&mut self, running: &mut Running, open: OpenCall) -> Result<(), Break> {
        let OpenCall { call, name, arguments, .. } = open;
        let prepared: Prepared = match self.agent.tools.prepare(&name, &arguments) {
            Ok(prepared) => prepared,
            Err(refused) => {
                // The text repeats names that the model made up, of any length.
                let text = truncate::text(&refused.to_string());
                running.add(finished(call, ToolStatus::Refused, &text));
                return Ok(());
            }
        };
        let in_place = unless_stopped(&self.stop, self.agent.await_files(&prepared)).await;
        match in_place {
            Ok(Ok(())) => {}
            Ok(Err(problem)) => {
                running.add(finished(call, ToolStatus::Refused, &problem.to_string()));
                return Ok(());
            }
            Err(StopRequest::Cancel) => return Ok(()),
            Err(StopRequest::Cut) => return Err(Break::Cut),
        }
        running.add(Item::ToolStarted { call: call.clone(), name: name.clone() });
        self.flush(running).await?;

        let clock = Instant::now();
        let sees = self.request.model.images;
        let run = unless_stopped(&self.stop, self.agent.tools.run(prepared, sees)).await;
        let took = clock.elapsed();
        self.timing.tools_us += micros(took);
        let ToolOutcome { status, output, images } = match run {
            Ok(outcome) => outcome,
            Err(StopRequest::Cancel) => ToolOutcome::interrupted(NOTE_STOPPED.trim()),
            Err(StopRequest::Cut) => return Err(Break::Cut),
        };
        tracing::info!(%call, name, ?status, ms = took.as_millis(), "a tool call ended");
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        running.add(Item::ToolFinished(ToolFinished { call, status, output, images, duration_ms }));
        if changes_files(&name) {
            self.save_midway(running);
        }
        Ok(())
    }

    /// Appends what is pending and tells the followers.
    pub(super) async fn flush(&mut self, running: &mut Running) -> Result<(), Break> {
        if running.pending.is_empty() {
            return Ok(());
        }
        let TurnRequest { session, turn, .. } = &self.request;
        let expected = running.history.head();
        let clock = Instant::now();
        let appended = self.agent.edge.append(session, turn, expected, &running.pending).await;
        self.timing.log_us += micros(clock.elapsed());
        let head = appended.map_err(|error| log_break(&error))?;
        for item in running.pending.drain(..) {
            running.history.push(turn.clone(), item);
        }
        self.events.push(EventKind::Appended { head });
        Ok(())
    }
}

impl Running {
    /// Number of the last record once everything is appended.
    pub(super) fn head(&self) -> protocol::Sequence {
        self.history.head() + self.pending.len() as protocol::Sequence
    }

    pub(super) fn add(&mut self, item: Item) {
        self.state.apply(&item);
        self.pending.push(item);
    }
}

/// The work's result, or the request that came before it was done; the work is dropped then.
async fn unless_stopped<T>(
    stop: &watch::Receiver<Option<StopRequest>>,
    work: impl Future<Output = T>,
) -> Result<T, StopRequest> {
    let mut stop = stop.clone();
    let stopped = async {
        match stop.wait_for(Option::is_some).await.map(|request| *request) {
            Ok(Some(request)) => request,
            // Nobody is left who could ask.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        request = stopped => Err(request),
        result = work => Ok(result),
    }
}

fn failed(problem: Problem) -> Item {
    Item::TurnEnded { outcome: Outcome::Failed { problem } }
}

pub(super) fn finished(call: CallId, status: ToolStatus, output: &str) -> Item {
    let (output, images) = (output.to_owned(), Vec::new());
    Item::ToolFinished(ToolFinished { call, status, output, images, duration_ms: 0 })
}

/// The item itself, or a failed end where the log would not take it.
fn fitting(item: Item) -> Item {
    if json_bytes(&item) <= ITEM_BYTES_MAX { item } else { failed(failure::answer_too_large()) }
}

fn refusal_text(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Cut => NOTE_CUT.trim().to_owned(),
        Refusal::Malformed(text) => {
            let end = text.floor_char_boundary(PROVIDER_WORDS_BYTES_MAX);
            format!("{} {}", NOTE_MALFORMED.trim(), text.get(..end).unwrap_or_default())
        }
    }
}

fn open_break(error: &OpenError) -> Break {
    match error {
        OpenError::Log(error) => log_break(error),
        OpenError::Gap(_) => {
            tracing::error!(error = %crate::chain(error), "a turn cannot be taken up");
            Break::Lost(failure::log_moved())
        }
    }
}

fn log_break(error: &LogError) -> Break {
    tracing::error!(error = %crate::chain(error), "the session log failed");
    match error {
        LogError::StaleEpoch => Break::StaleEpoch,
        LogError::Moved { .. } => Break::Lost(failure::log_moved()),
        LogError::Read(_) => Break::Lost(failure::log_unreadable()),
        LogError::Append(_) => Break::Lost(failure::log_unwritable()),
    }
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
