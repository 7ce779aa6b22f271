//! The edge services as the runtime sees them: an in-memory session log that checks the expected
//! head, a scripted model, and faults to order.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};
use protocol::edge::{Append, EdgeRoute, Head, PROBLEM_HEADER, Page};
use protocol::session::{Item, UserMessage};
use protocol::turn::{ModelApi, ModelChoice, TurnRequest};
use protocol::version::PROTOCOL_VERSION;
use protocol::{Problem, ProblemCode, Record, Sequence, SessionId, TurnId};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::fake_store::FakeStore;
use tokio::sync::Notify;

/// What the model does when it is asked.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A whole body at once.
    Body(String),
    /// A refusal of the provider.
    Status(u16, &'static [(&'static str, &'static str)], &'static str),
    /// A refusal of the edge itself.
    Problem(Problem),
    /// No answer at all.
    Silence,
    /// This, and then nothing more, with the connection open.
    ThenSilence(String),
    /// This, and then the connection breaks.
    ThenCut(String),
}

/// What goes wrong with an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is written, and its answer is lost with the connection.
    LoseAnswer,
    /// It is not written, and the edge says 503.
    Unavailable,
    /// It is not written and never answered.
    HangBefore,
    /// It is written and never answered.
    HangAfter,
    /// The writer is told that it is too late.
    StaleEpoch,
    /// It is not written, and the answer is no answer.
    Garbage,
    /// Somebody else writes first.
    Intrude,
}

#[derive(Debug, Default)]
struct Inner {
    logs: HashMap<SessionId, Vec<Record>>,
    appends: Vec<Vec<Item>>,
    reads: usize,
    answers: VecDeque<Answer>,
    questions: Vec<(String, Value)>,
    faults: HashMap<usize, Fault>,
    append_count: usize,
    page_records: usize,
    store: FakeStore,
}

#[derive(Debug, Clone)]
pub(crate) struct FakeEdge {
    pub(crate) address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    /// Somebody waits for something that will not come.
    pub(crate) hung: Arc<Notify>,
}

impl FakeEdge {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let inner = Arc::new(Mutex::new(Inner { page_records: 500, ..Inner::default() }));
        let edge = Self { address, inner, hung: Arc::default() };
        let router = Router::new().fallback(handle).with_state(edge.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        edge
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// The model's next answers, in order.
    pub(crate) fn script(&self, answers: impl IntoIterator<Item = Answer>) {
        self.inner().answers.extend(answers);
    }

    /// One more answer, before all others.
    pub(crate) fn script_first(&self, answer: Answer) {
        self.inner().answers.push_front(answer);
    }

    /// The nth append from now on, from 1, goes wrong.
    pub(crate) fn fail_append(&self, nth: usize, fault: Fault) {
        let mut inner = self.inner();
        inner.append_count = 0;
        inner.faults.insert(nth, fault);
    }

    /// The workspace's repository.
    pub(crate) fn store<T>(&self, work: impl FnOnce(&mut FakeStore) -> T) -> T {
        work(&mut self.inner().store)
    }

    pub(crate) fn set_page_records(&self, records: usize) {
        self.inner().page_records = records;
    }

    /// A message of a person, at the end of the log.
    pub(crate) fn say(&self, session: &str, turn: &str, text: &str) -> TurnRequest {
        let item = Item::User(UserMessage {
            channel: "web".into(),
            event: turn.into(),
            text: text.into(),
        });
        self.push(session, turn, item);
        self.request(session, turn)
    }

    pub(crate) fn push(&self, session: &str, turn: &str, item: Item) {
        push(&mut self.inner(), &session.parse().unwrap(), &turn.parse().unwrap(), item);
    }

    /// What the object would post for this turn now: the turn's own records.
    pub(crate) fn request(&self, session: &str, turn: &str) -> TurnRequest {
        let log = self.log(session);
        let turn: TurnId = turn.parse().unwrap();
        TurnRequest {
            protocol: PROTOCOL_VERSION,
            session: session.parse().unwrap(),
            head: log.len() as Sequence,
            records: log.into_iter().skip_while(|record| record.turn != turn).collect(),
            turn,
            model: ModelChoice {
                provider: "anthropic".into(),
                api: ModelApi::AnthropicMessages,
                model: "claude-test".into(),
                max_output_tokens: 1_000,
                context_tokens: 200_000,
                thinking: None,
                images: false,
            },
            fallbacks: Vec::new(),
        }
    }

    pub(crate) fn log(&self, session: &str) -> Vec<Record> {
        self.inner().logs.get(&session.parse().unwrap()).cloned().unwrap_or_default()
    }

    /// The items of each successful append so far.
    pub(crate) fn appends(&self) -> Vec<Vec<Item>> {
        self.inner().appends.clone()
    }

    pub(crate) fn reads(&self) -> usize {
        self.inner().reads
    }

    /// Paths and bodies of the questions to the model so far.
    pub(crate) fn questions(&self) -> Vec<(String, Value)> {
        self.inner().questions.clone()
    }

    pub(crate) fn answers_left(&self) -> usize {
        self.inner().answers.len()
    }
}

fn push(inner: &mut Inner, session: &SessionId, turn: &TurnId, item: Item) {
    let log = inner.logs.entry(session.clone()).or_default();
    let sequence = log.len() as Sequence + 1;
    log.push(Record { sequence, at_ms: 1, turn: turn.clone(), item });
}

async fn handle(State(edge): State<FakeEdge>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 16 << 20).await.unwrap();
    let query = parts.uri.query().unwrap_or_default();
    match EdgeRoute::parse(parts.method.as_str(), parts.uri.path(), query) {
        Some(EdgeRoute::SessionHead { session }) => {
            json(200, &Head { head: edge.log(session.as_str()).len() as Sequence })
        }
        Some(EdgeRoute::SessionRead { session, from }) => edge.read(&session, from),
        Some(EdgeRoute::SessionAppend { session }) => {
            edge.append(&session, serde_json::from_slice(&body).unwrap()).await
        }
        Some(EdgeRoute::Model { provider, path }) => {
            let question = serde_json::from_slice(&body).unwrap();
            edge.model(format!("{provider}{path}"), question).await
        }
        Some(EdgeRoute::Workspace(route)) => {
            edge.store(|store| store.serve(route, &parts.headers, body))
        }
        Some(EdgeRoute::Report | EdgeRoute::Fetch | EdgeRoute::Egress) | None => {
            refuse(ProblemCode::NotFound)
        }
    }
}

impl FakeEdge {
    fn read(&self, session: &SessionId, from: Sequence) -> Response {
        let mut inner = self.inner();
        inner.reads += 1;
        let page = inner.page_records;
        let log = inner.logs.get(session).cloned().unwrap_or_default();
        let head = log.len() as Sequence;
        let records = log.into_iter().filter(|record| record.sequence >= from).take(page).collect();
        json(200, &Page { records, head })
    }

    async fn append(&self, session: &SessionId, append: Append) -> Response {
        let fault = {
            let mut inner = self.inner();
            inner.append_count += 1;
            let count = inner.append_count;
            inner.faults.remove(&count)
        };
        match fault {
            Some(Fault::Unavailable) => return refuse(ProblemCode::UpstreamFailed),
            Some(Fault::StaleEpoch) => return refuse(ProblemCode::StaleEpoch),
            Some(Fault::Garbage) => return "<html>hello</html>".into_response(),
            Some(Fault::HangBefore) => return self.hang().await,
            Some(Fault::Intrude) => {
                let stranger = "stranger".parse().unwrap();
                let text = "me first".to_owned();
                let message = UserMessage { channel: "web".into(), event: "x".into(), text };
                push(&mut self.inner(), session, &stranger, Item::User(message));
            }
            Some(Fault::LoseAnswer | Fault::HangAfter) | None => {}
        }
        let written = self.write(session, &append);
        match fault {
            Some(Fault::LoseAnswer) => cut(String::new()),
            Some(Fault::HangAfter) => self.hang().await,
            _ => written,
        }
    }

    fn write(&self, session: &SessionId, append: &Append) -> Response {
        let mut inner = self.inner();
        let head = inner.logs.get(session).map_or(0, Vec::len) as Sequence;
        if append.expected != head {
            return refuse(ProblemCode::SequenceConflict);
        }
        for item in &append.items {
            push(&mut inner, session, &append.turn, item.clone());
        }
        inner.appends.push(append.items.clone());
        json(200, &Head { head: head + append.items.len() as Sequence })
    }

    async fn model(&self, path: String, question: Value) -> Response {
        let answer = {
            let mut inner = self.inner();
            inner.questions.push((path, question));
            inner.answers.pop_front()
        };
        match answer {
            Some(Answer::Body(body)) => body.into_response(),
            Some(Answer::Status(status, headers, body)) => {
                let mut response = Response::builder().status(status);
                for (name, value) in headers {
                    response = response.header(*name, *value);
                }
                response.body(Body::from(body)).unwrap()
            }
            Some(Answer::Problem(problem)) => {
                let mut response = json(problem.code.status(), &problem);
                response.headers_mut().insert(PROBLEM_HEADER, "1".parse().unwrap());
                response
            }
            Some(Answer::Silence) => self.hang().await,
            Some(Answer::ThenSilence(text)) => {
                let hung = Arc::clone(&self.hung);
                let first = stream::once(async { Ok::<_, Infallible>(Bytes::from(text)) });
                let rest = stream::once(async move {
                    hung.notify_one();
                    std::future::pending().await
                });
                Body::from_stream(first.chain(rest)).into_response()
            }
            Some(Answer::ThenCut(text)) => cut(text),
            None => (StatusCode::IM_A_TEAPOT, "the script is at its end").into_response(),
        }
    }

    async fn hang(&self) -> Response {
        self.hung.notify_one();
        std::future::pending().await
    }
}

/// A response that breaks off after `text`.
fn cut(text: String) -> Response {
    let pieces = [Ok(Bytes::from(text)), Err(io::Error::other("cut on purpose"))];
    // The yield lets the first piece leave before the break is seen.
    let pieces = stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        piece
    });
    Body::from_stream(pieces).into_response()
}

fn json(status: u16, value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec(value).unwrap();
    Response::builder().status(status).body(Body::from(body)).unwrap()
}

fn refuse(code: ProblemCode) -> Response {
    json(code.status(), &Problem::new(code, format!("{code:?}")))
}
