//! One question of a turn, put to its models until one has answered.
//!
//! Invariants: an answer comes from one try alone; what other tries had streamed is void, and the
//! followers are told so before the next begins; each model gets the question in its own dialect and
//! within its own limits.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use protocol::session::AssistantMessage;
use protocol::turn::{EventKind, ModelChoice, TurnRequest};
use protocol::{Problem, SessionId};

use super::Agent;
use super::answer::{self, Speaker};
use super::ask::{Ask, AskError};
use super::events::Events;
use super::failure;
use super::fault::Fault;
use super::history::History;
use super::retry::{Course, Rest, Waits};
use super::state::TurnState;
use crate::context::{self, Fit, Prompt};

/// What is asked, of whom, and who listens.
#[derive(Debug)]
pub(super) struct Consult<'a> {
    pub(super) agent: &'a Agent,
    pub(super) request: &'a TurnRequest,
    pub(super) events: &'a Events,
    pub(super) prompt: &'a Prompt,
    pub(super) history: &'a History,
    pub(super) state: &'a TurnState,
}

/// What a question has come to so far; outlives one that is stopped.
#[derive(Debug)]
pub(super) struct Progress {
    /// How much of the history is sent.
    pub(super) fit: Fit,
    /// What the try under way has said.
    pub(super) said: String,
    /// Who is asked.
    pub(super) speaker: Speaker,
    waits: Waits,
}

impl Progress {
    /// Before the first try.
    pub(super) fn new(fit: Fit, first: &ModelChoice) -> Self {
        let speaker = Speaker::of(first, first);
        Self { fit, said: String::new(), speaker, waits: Waits::default() }
    }
}

/// A model that did not answer.
#[derive(Debug)]
struct Unanswered {
    fault: Fault,
    tries: u32,
}

/// Why no answer comes from a model.
#[derive(Debug)]
enum Failed {
    StaleEpoch,
    /// Another one may.
    Unanswered(Unanswered),
    /// Nor from any other.
    AtAll(Unanswered),
}

impl Consult<'_> {
    /// Asks the models in their order, those that rest left out.
    pub(super) async fn run(&self, progress: &mut Progress) -> Result<AssistantMessage, AskError> {
        let choices: Vec<&ModelChoice> =
            std::iter::once(&self.request.model).chain(&self.request.fallbacks).collect();
        let names: Vec<String> = choices.iter().map(|choice| answer::signature(choice)).collect();
        let order = self.agent.models_to_ask(&names);
        let mut first: Option<Unanswered> = None;
        let mut others = false;
        let fit = progress.fit;
        let mut order = order.into_iter().filter_map(|at| choices.get(at)).peekable();
        while let Some(choice) = order.next() {
            progress.speaker = Speaker::of(choice, &self.request.model);
            let unanswered = match self.ask(choice, progress).await {
                Ok(message) => {
                    self.agent.wake(&progress.speaker.model);
                    return Ok(message);
                }
                Err(Failed::StaleEpoch) => return Err(AskError::StaleEpoch),
                Err(Failed::AtAll(unanswered)) => return Err(told(unanswered, false)),
                Err(Failed::Unanswered(unanswered)) => unanswered,
            };
            if let Some(next) = order.peek() {
                // What was too long for one model may fit the next.
                progress.fit = fit;
                let next = answer::signature(next);
                self.announce(progress, next, &unanswered.fault.problem, 0);
            }
            others |= first.is_some();
            first.get_or_insert(unanswered);
        }
        Err(first.map_or_else(|| AskError::Failed(failure::internal()), |it| told(it, others)))
    }

    /// Asks one model until it has answered or will not.
    async fn ask(
        &self,
        choice: &ModelChoice,
        progress: &mut Progress,
    ) -> Result<AssistantMessage, Failed> {
        let mut tries = 0;
        loop {
            tries += 1;
            let fault = match self.once(choice, progress).await {
                Ok(message) => return Ok(message),
                Err(Some(fault)) => fault,
                Err(None) => return Err(Failed::StaleEpoch),
            };
            let chance = (self.agent.dice)();
            let delay = self.agent.timeouts.retry_delay;
            let wait = match fault.course {
                Course::Again => progress.waits.next(tries, fault.retry_after, delay, chance),
                Course::Shorter if progress.fit == Fit::Whole => {
                    progress.fit = Fit::Halved;
                    Some(Duration::ZERO)
                }
                Course::Fail => return Err(Failed::AtAll(Unanswered { fault, tries })),
                Course::Another(_) | Course::Shorter => None,
            };
            let Some(wait) = wait else {
                let rest = match fault.course {
                    Course::Again => Rest::Short,
                    Course::Another(rest) => rest,
                    Course::Shorter | Course::Fail => Rest::None,
                };
                self.agent.rest(&progress.speaker.model, rest, fault.retry_after);
                return Err(Failed::Unanswered(Unanswered { fault, tries }));
            };
            let after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.announce(progress, answer::signature(choice), &fault.problem, after_ms);
            tokio::time::sleep(wait).await;
        }
    }

    /// One try; `Err(None)` when another life of the container has taken over.
    async fn once(
        &self,
        choice: &ModelChoice,
        progress: &mut Progress,
    ) -> Result<AssistantMessage, Option<Fault>> {
        let Self { agent, request, events, prompt, history, state } = *self;
        let mut question = context::build(prompt, history, &request.turn, choice, progress.fit);
        question.cache_key = Some(cache_key(&request.session));
        let ask = Ask {
            edge: &agent.edge,
            choice,
            timeouts: agent.timeouts,
            events,
            turn: &request.turn,
        };
        let completion = ask.run(&question, &mut progress.said).await?;
        answer::message(completion, &progress.speaker, state)
            .map_err(|problem| Some(Fault::ours(problem)))
    }

    /// Tells that what was streamed is void, and who is asked next.
    fn announce(&self, progress: &mut Progress, model: String, why: &Problem, after_ms: u64) {
        tracing::warn!(model, after_ms, reason = %why.message, "a question is put again");
        progress.said.clear();
        let reason = why.message.clone();
        self.events.push(EventKind::Retrying { model, reason, after_ms });
    }
}

fn told(unanswered: Unanswered, others: bool) -> AskError {
    let Unanswered { fault, tries } = unanswered;
    AskError::Failed(failure::in_spite_of(fault.problem, tries, others))
}

/// A name for the conversation that tells a provider nothing of it; a session's own may hold a
/// person's address.
fn cache_key(session: &SessionId) -> String {
    let mut hasher = DefaultHasher::new();
    session.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}
