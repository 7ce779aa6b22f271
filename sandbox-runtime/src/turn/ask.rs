//! One try of a question: request out, stream in, whole answer or the fault.
//!
//! Invariants: an answer exists only when its stream has ended as its dialect says; what was
//! streamed of a failed one is live text and nothing more.

use dialects::{Accent, Completion, Dialect, ModelRequest, StopReason, StreamDecoder, StreamEvent};
use protocol::edge::{EdgeRoute, TURN_HEADER};
use protocol::turn::{EventKind, ModelApi, ModelChoice};
use protocol::{Problem, ProblemCode, TurnId};

use super::events::Events;
use super::failure;
use super::fault::Fault;
use crate::edge::{Edge, ModelAnswer, ModelBody};
use crate::settings::ModelTimeouts;

/// Whom to ask, and who listens.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// The way to the model.
    pub(super) edge: &'a Edge,
    /// The model.
    pub(super) choice: &'a ModelChoice,
    /// How long it may be silent.
    pub(super) timeouts: ModelTimeouts,
    /// Where what it says is told at once.
    pub(super) events: &'a Events,
    /// The running turn, against whose cap the call counts.
    pub(super) turn: &'a TurnId,
}

/// Why a question has no answer.
#[derive(Debug)]
pub(super) enum AskError {
    /// Another life of the container has taken over.
    StaleEpoch,
    /// This, said to the user.
    Failed(Problem),
}

impl Ask<'_> {
    /// Asks. `said` gathers the text as it comes, for the case that the user stops the answer. The
    /// error is `None` when another life of the container has taken over.
    pub(super) async fn run(
        &self,
        request: &ModelRequest,
        said: &mut String,
    ) -> Result<Completion, Option<Fault>> {
        let body = self.open(request).await?;
        let completion = self.listen(body, said).await?;
        if completion.stop == StopReason::ContextWindowExceeded {
            return Err(Some(Fault::context_full(self.choice)));
        }
        Ok(completion)
    }

    fn dialect(&self) -> Dialect {
        match self.choice.api {
            ModelApi::AnthropicMessages => Dialect::AnthropicMessages,
            ModelApi::OpenaiChat => Dialect::OpenAiChat,
            ModelApi::OpenaiResponses => Dialect::OpenAiResponses,
        }
    }

    async fn open(&self, request: &ModelRequest) -> Result<ModelBody, Option<Fault>> {
        let dialect = self.dialect();
        let accent = Accent::of(&self.choice.provider, &self.choice.model);
        let body = dialects::encode(dialect, &accent, request).map_err(|error| {
            tracing::error!(%error, "the request to the model could not be built");
            Fault::ours(failure::request_not_built())
        })?;
        let route = EdgeRoute::Model {
            provider: self.choice.provider.clone(),
            path: dialect.request_path().to_owned(),
        };
        let mut headers: Vec<(&'static str, &str)> = dialects::headers(dialect, &accent);
        headers.push((TURN_HEADER, self.turn.as_str()));
        match self.edge.ask_model(&route, &headers, body, self.timeouts).await {
            Ok(ModelAnswer::Stream(body)) => Ok(body),
            Ok(ModelAnswer::Problem(problem)) if problem.code == ProblemCode::StaleEpoch => {
                Err(None)
            }
            Ok(ModelAnswer::Problem(problem)) => Err(Some(Fault::of_edge(problem))),
            Ok(ModelAnswer::Refused { status, headers, body }) => {
                let header = |name: &str| {
                    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
                };
                let error = dialects::decode_error(status, header, &body);
                tracing::warn!(%error, "the provider refused");
                Err(Some(Fault::refused(self.choice, &error)))
            }
            Err(error) => {
                tracing::warn!(error = %crate::chain(&error), "the model could not be asked");
                Err(Some(Fault::not_asked(self.choice, &error)))
            }
        }
    }

    async fn listen(&self, mut body: ModelBody, said: &mut String) -> Result<Completion, Fault> {
        let mut decoder = StreamDecoder::new(self.dialect());
        let undecodable = |error| {
            tracing::warn!(%error, "the model's stream could not be used");
            Fault::undecodable(self.choice, &error)
        };
        while !decoder.is_over() {
            match body.next().await {
                Ok(Some(bytes)) => self.tell(decoder.feed(&bytes).map_err(undecodable)?, said),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(error = %crate::chain(&error), "the model's stream broke");
                    return Err(Fault::broken(self.choice, &error));
                }
            }
        }
        let is_over = decoder.is_over();
        let completion = decoder.finish().map_err(undecodable)?;
        if is_over {
            body.finish().await;
        }
        Ok(completion)
    }

    /// Tells the followers. Neighbouring pieces that came together are told together.
    fn tell(&self, events: Vec<StreamEvent>, said: &mut String) {
        let mut waiting: Option<EventKind> = None;
        for event in events {
            let kind = match event {
                StreamEvent::TextDelta(text) => {
                    said.push_str(&text);
                    EventKind::Text { text }
                }
                StreamEvent::ThinkingDelta(text) => EventKind::Thinking { text },
                _ => continue,
            };
            match (&mut waiting, kind) {
                (Some(EventKind::Text { text }), EventKind::Text { text: more })
                | (Some(EventKind::Thinking { text }), EventKind::Thinking { text: more }) => {
                    text.push_str(&more);
                }
                (_, kind) => {
                    if let Some(before) = waiting.replace(kind) {
                        self.events.push(before);
                    }
                }
            }
        }
        if let Some(last) = waiting {
            self.events.push(last);
        }
    }
}
