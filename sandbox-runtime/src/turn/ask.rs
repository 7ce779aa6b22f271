//! One question to the model: request out, stream in, whole answer or one sentence.
//!
//! Invariants: an answer exists only when its stream has ended as its dialect says; what was
//! streamed of a failed one is live text and nothing more.

use dialects::{Accent, Completion, Dialect, ModelRequest, StreamDecoder, StreamEvent};
use protocol::edge::{EdgeRoute, TURN_HEADER};
use protocol::session::AssistantMessage;
use protocol::turn::{EventKind, ModelApi, ModelChoice};
use protocol::{Problem, ProblemCode, TurnId};

use super::answer;
use super::events::Events;
use super::failure;
use super::state::TurnState;
use crate::edge::model::ModelError;
use crate::edge::{Edge, ModelAnswer, ModelBody};
use crate::settings::ModelTimeouts;

/// Whom to ask, and who listens.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// The way to the model.
    pub(super) edge: &'a Edge,
    /// The turn that asks.
    pub(super) turn: &'a TurnId,
    /// The model.
    pub(super) choice: &'a ModelChoice,
    /// How long it may be silent.
    pub(super) timeouts: ModelTimeouts,
    /// Where what it says is told at once.
    pub(super) events: &'a Events,
    /// What the turn knows, for naming calls.
    pub(super) state: &'a TurnState,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum AskError {
    /// Another life of the container has taken over.
    StaleEpoch,
    /// This, said to the user.
    Failed(Problem),
}

impl From<Problem> for AskError {
    fn from(problem: Problem) -> Self {
        if problem.code == ProblemCode::StaleEpoch {
            Self::StaleEpoch
        } else {
            Self::Failed(problem)
        }
    }
}

impl Ask<'_> {
    /// Asks. `said` gathers the text as it comes, for the case that the user stops the answer.
    pub(super) async fn run(
        &self,
        request: &ModelRequest,
        said: &mut String,
    ) -> Result<AssistantMessage, AskError> {
        let body = self.open(request).await?;
        let completion = self.listen(body, said).await?;
        Ok(answer::message(completion, self.choice, self.state)?)
    }

    fn dialect(&self) -> Dialect {
        match self.choice.api {
            ModelApi::AnthropicMessages => Dialect::AnthropicMessages,
            ModelApi::OpenaiChat => Dialect::OpenAiChat,
            ModelApi::OpenaiResponses => Dialect::OpenAiResponses,
        }
    }

    async fn open(&self, request: &ModelRequest) -> Result<ModelBody, Problem> {
        let dialect = self.dialect();
        let accent = Accent::of(&self.choice.provider, &self.choice.model);
        let body = dialects::encode(dialect, &accent, request).map_err(|error| {
            tracing::error!(%error, "the request to the model could not be built");
            failure::request_not_built()
        })?;
        let route = EdgeRoute::Model {
            provider: self.choice.provider.clone(),
            path: dialect.request_path().to_owned(),
        };
        let mut headers: Vec<(&'static str, &str)> = dialects::headers(dialect, &accent);
        headers.push((TURN_HEADER, self.turn.as_str()));
        match self.edge.ask_model(&route, &headers, body, self.timeouts).await {
            Ok(ModelAnswer::Stream(body)) => Ok(body),
            Ok(ModelAnswer::Problem(problem)) => Err(problem),
            Ok(ModelAnswer::Refused { status, headers, body }) => {
                let header = |name: &str| {
                    headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
                };
                let error = dialects::decode_error(status, header, &body);
                tracing::warn!(%error, "the provider refused");
                Err(failure::refused(self.choice, &error))
            }
            Err(error) => Err(self.not_asked(&error)),
        }
    }

    async fn listen(&self, mut body: ModelBody, said: &mut String) -> Result<Completion, Problem> {
        let mut decoder = StreamDecoder::new(self.dialect());
        let undecodable = |error| {
            tracing::warn!(%error, "the model's stream could not be used");
            failure::undecodable(self.choice, &error)
        };
        while !decoder.is_over() {
            match body.next().await {
                Ok(Some(bytes)) => self.tell(decoder.feed(&bytes).map_err(undecodable)?, said),
                Ok(None) => break,
                Err(error) => return Err(self.broken(&error)),
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

    fn not_asked(&self, error: &ModelError) -> Problem {
        tracing::warn!(error = %crate::chain(error), "the model could not be asked");
        match error {
            ModelError::FirstByte(waited) | ModelError::Idle(waited) => {
                failure::no_first_byte(self.choice, *waited)
            }
            ModelError::Edge(_) => failure::no_connection(self.choice),
        }
    }

    fn broken(&self, error: &ModelError) -> Problem {
        tracing::warn!(error = %crate::chain(error), "the model's stream broke");
        match error {
            ModelError::FirstByte(waited) => failure::no_first_byte(self.choice, *waited),
            ModelError::Idle(waited) => failure::fell_silent(self.choice, *waited),
            ModelError::Edge(_) => failure::broke_off(self.choice),
        }
    }
}
