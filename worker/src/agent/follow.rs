//! Follows one turn in one life of the container: posts it, hears its events, tells the watchers.

use std::rc::Rc;

use futures_util::StreamExt;
use futures_util::future::join;
use protocol::problem::chain;
use protocol::runtime::RuntimeRoute;
use protocol::session::Outcome;
use protocol::turn::{EventKind, Timing, TurnEvent, TurnRequest};
use protocol::{Epoch, Problem, ProblemCode};

use super::core::{Core, books_failed};
use super::lines::Lines;
use super::store::turns::Running;
use crate::limits::{POST_ANSWER_MS_MAX, STREAM_SILENCE_MS_MAX};
use crate::platform::clock::within;
use crate::platform::http::{ByteStream, Response};
use crate::platform::log as console;

/// What became of following.
#[derive(Debug)]
pub(super) enum Followed {
    /// The turn is over; its end is in the log unless the runtime could not write it.
    Finished {
        /// How it ended.
        outcome: Outcome,
        /// Where the runtime's time went.
        timing: Timing,
    },
    /// The runtime will not run it.
    Refused(Problem),
    /// The runtime cannot run it yet.
    Busy(Problem),
    /// The stream broke off; the turn may or may not go on.
    Lost {
        /// The first event that was not heard.
        next: u64,
    },
}

/// How far a stream was heard.
#[derive(Debug)]
struct Hearing {
    /// The first event that was not.
    next: u64,
    lines: Lines,
}

impl Hearing {
    /// The events that a piece of the stream completes.
    fn events(&mut self, piece: &[u8]) -> Result<Vec<EventKind>, String> {
        let lines = self.lines.feed(piece).map_err(|error| error.to_string())?;
        let mut kinds = Vec::with_capacity(lines.len());
        for line in lines {
            let event: TurnEvent =
                serde_json::from_slice(&line).map_err(|error| format!("an event: {error}"))?;
            self.next = event.n + 1;
            kinds.push(event.kind);
        }
        Ok(kinds)
    }
}

impl Core {
    /// Follows a turn in the container of `epoch`. `attached` is how far an earlier stream got, and
    /// in which epoch.
    pub(super) async fn follow(
        self: &Rc<Self>,
        running: &Running,
        epoch: Epoch,
        request: &TurnRequest,
        attached: Option<(Epoch, u64)>,
    ) -> Followed {
        let next = match attached {
            Some((before, next)) if before == epoch => next,
            _ => 1,
        };
        if next == 1 && attached.is_some() {
            self.void_live(running);
        }
        let mut response = match self.post(running, request, next).await {
            Ok(response) => response,
            Err(error) => {
                console::note(format_args!("turn {}: {error}", running.turn));
                self.lose(epoch).await;
                return Followed::Lost { next };
            }
        };
        if response.status_code() != 200 {
            return self.refused(epoch, &mut response, next).await;
        }
        // What came before the turn ran here, it has not been offered yet.
        let (followed, ()) =
            join(self.hear(running, epoch, response, next), self.steer(running)).await;
        if matches!(followed, Followed::Lost { .. }) {
            self.lose_unless_alive(epoch).await;
        }
        followed
    }

    async fn post(
        &self,
        running: &Running,
        request: &TurnRequest,
        next: u64,
    ) -> Result<Response, String> {
        let container = self.sandbox.container().map_err(|problem| problem.to_string())?;
        let (route, body) = if next == 1 {
            let body = serde_json::to_string(request).map_err(|error| error.to_string())?;
            (RuntimeRoute::Turns, Some(body))
        } else {
            (RuntimeRoute::Events { turn: running.turn.clone(), from: next }, None)
        };
        match within(POST_ANSWER_MS_MAX, container.call(&route, body)).await {
            Some(answered) => answered.map_err(|error| chain(&error)),
            None => Err("the runtime does not answer".into()),
        }
    }

    /// What a refusal means: a draining runtime is a lost one, an unknown turn is posted anew.
    async fn refused(&self, epoch: Epoch, response: &mut Response, next: u64) -> Followed {
        let problem = response.json::<Problem>().await.unwrap_or_else(|error| {
            Problem::new(
                ProblemCode::ContainerFailed,
                format!("The agent's container answered {}: {error}.", response.status_code()),
            )
        });
        match problem.code {
            ProblemCode::NotFound if next > 1 => Followed::Lost { next: 1 },
            ProblemCode::Busy => Followed::Busy(problem),
            ProblemCode::Draining | ProblemCode::StaleEpoch => {
                console::note(format_args!("epoch {epoch} refuses the turn: {problem}"));
                self.lose(epoch).await;
                Followed::Lost { next: 1 }
            }
            _ => Followed::Refused(problem),
        }
    }

    async fn hear(
        &self,
        running: &Running,
        epoch: Epoch,
        mut response: Response,
        from: u64,
    ) -> Followed {
        let mut hearing = Hearing { next: from, lines: Lines::default() };
        let why = match response.stream() {
            Ok(stream) => match self.hear_all(running, epoch, stream, &mut hearing).await {
                Ok(followed) => return followed,
                Err(why) => why,
            },
            Err(error) => error.to_string(),
        };
        console::note(format_args!("turn {}: {why}", running.turn));
        Followed::Lost { next: hearing.next }
    }

    /// Hears the stream to the turn's end; an error says why it was not heard so far.
    async fn hear_all(
        &self,
        running: &Running,
        epoch: Epoch,
        mut stream: ByteStream,
        hearing: &mut Hearing,
    ) -> Result<Followed, String> {
        loop {
            let Some(piece) = within(STREAM_SILENCE_MS_MAX, stream.next()).await else {
                // A model or a tool may take its time; a runtime that is gone may not.
                if self.answers_as(epoch).await {
                    continue;
                }
                return Err("the runtime does not answer".into());
            };
            let piece = piece.ok_or("the event stream ended early")?;
            let piece = piece.map_err(|error| error.to_string())?;
            let mut kinds = hearing.events(&piece)?.into_iter();
            if let Some(followed) = kinds.find_map(|kind| self.on_event(running, kind)) {
                return Ok(followed);
            }
        }
    }

    fn on_event(&self, running: &Running, kind: EventKind) -> Option<Followed> {
        let frame =
            self.live.borrow_mut().get_mut(&running.session).and_then(|live| live.hear(&kind));
        if let Some(frame) = frame {
            self.tell(&running.session, &frame);
        }
        match kind {
            EventKind::Appended { .. } => {
                if let Err(error) = self.show_log(&running.session, running.before) {
                    console::trouble(format_args!("{}", books_failed(&error)));
                }
                None
            }
            EventKind::Finished { outcome, timing } => Some(Followed::Finished { outcome, timing }),
            EventKind::ModelCalled { .. }
            | EventKind::Text { .. }
            | EventKind::Thinking { .. }
            | EventKind::Saving
            | EventKind::Retrying { .. } => None,
        }
    }

    fn void_live(&self, running: &Running) {
        let frame =
            self.live.borrow_mut().get_mut(&running.session).map(super::live::Live::restart);
        if let Some(frame) = frame {
            self.tell(&running.session, &frame);
        }
    }

    /// Gives a container up whose stream broke, unless it still answers: then only the connection
    /// was lost and the turn is taken up where it is.
    async fn lose_unless_alive(&self, epoch: Epoch) {
        if !self.answers_as(epoch).await {
            self.lose(epoch).await;
        }
    }

    async fn lose(&self, epoch: Epoch) {
        if let Err(problem) = self.abandon(epoch).await {
            console::trouble(format_args!("epoch {epoch}: {problem}"));
        }
    }
}
