//! A model that follows a script, over the real wire formats of Anthropic and both of `OpenAI`.
//!
//! Invariant: each entry of a script answers one call, in order; a call beyond the script is
//! answered 500 and counted, so that [`ScriptedModel::assert_done`] tells.
//!
//! One model can play several conversations at once: a [`ScriptedModel::topic`] has a script of its
//! own for the requests in which its name is the last of all topics' names.

mod reply;
pub(crate) mod rules;
pub(crate) mod wire;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;

pub use reply::Reply;
pub use wire::Counts;

use crate::limits::MODEL_CLOSE;
use crate::wait;
use reply::{Scene, respond};
use wire::Format;

/// One call as the model saw it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Whose script answered it.
    pub topic: String,
    /// The request's path.
    pub path: String,
    /// The request's headers.
    pub headers: HeaderMap,
    /// The request's body; shared, since looking at the calls copies them.
    pub body: Arc<Value>,
    /// Size of the body.
    pub bytes: usize,
    /// What the answer said was used; nothing for one that did not reach its end.
    pub counts: Option<Counts>,
    /// Why a real provider would have refused it.
    pub complaint: Option<String>,
    /// When it had arrived.
    pub arrived: Instant,
    /// How long this double took from there to having handed its answer over.
    pub took: Duration,
}

impl Call {
    /// A header of the request.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the request's body holds this text anywhere.
    pub fn holds(&self, text: &str) -> bool {
        self.body.to_string().contains(text)
    }
}

#[derive(Debug, Default)]
struct Script {
    replies: VecDeque<Reply>,
    gate: Arc<Notify>,
    left: Arc<AtomicUsize>,
    beyond: usize,
}

#[derive(Debug, Default)]
struct Book {
    scripts: BTreeMap<String, Script>,
    calls: Vec<Call>,
}

impl Book {
    /// The topic that the request names last; "" when it names none.
    fn topic_of(&self, body: &str) -> String {
        let named = self.scripts.keys().filter(|topic| !topic.is_empty()).filter_map(|topic| {
            let place = body.rfind(topic.as_str())?;
            Some((place, topic.len(), topic))
        });
        named.max().map(|(_, _, topic)| topic.clone()).unwrap_or_default()
    }
}

/// The model, or one topic of it.
#[derive(Debug, Clone)]
pub struct ScriptedModel {
    /// Its base URL.
    pub url: String,
    topic: String,
    book: Arc<Mutex<Book>>,
    door: Arc<Mutex<Option<Door>>>,
}

/// What accepts calls.
#[derive(Debug)]
struct Door {
    close: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl ScriptedModel {
    /// Starts a model without a script.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let model = Self { url, topic: String::new(), book: Arc::default(), door: Arc::default() };
        model.serve(listener);
        Ok(model)
    }

    /// The part of the model that answers the requests in which `name` stands.
    #[must_use]
    pub fn topic(&self, name: &str) -> Self {
        self.book().scripts.entry(name.to_owned()).or_default();
        Self { topic: name.to_owned(), ..self.clone() }
    }

    /// Stops listening: from now on nobody can connect.
    pub async fn close(&self) -> Result<()> {
        let door = self.door().take().context("the model is closed already")?;
        ensure!(door.close.send(()).is_ok(), "the model had stopped serving by itself");
        // Answers that never end keep their connections; the port is closed all the same.
        match tokio::time::timeout(MODEL_CLOSE, door.served).await {
            Ok(served) => served?.context("serving the model"),
            Err(_elapsed) => Ok(()),
        }
    }

    /// Listens again, where it did before.
    pub async fn reopen(&self) -> Result<()> {
        let address: SocketAddr = crate::http::authority(&self.url).parse()?;
        self.serve(TcpListener::bind(address).await?);
        Ok(())
    }

    fn serve(&self, listener: TcpListener) {
        let app = Router::new().fallback(answer).with_state(Arc::clone(&self.book));
        let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
            if let Err(error) = stream.set_nodelay(true) {
                drop(error); // Only slower without it.
            }
        });
        let (close, closed) = oneshot::channel();
        let closed = async {
            if closed.await.is_err() {
                // The model itself is gone; its runtime ends with it.
                std::future::pending::<()>().await;
            }
        };
        let serving = axum::serve(listener, app).with_graceful_shutdown(closed);
        let served = tokio::spawn(serving.into_future());
        *self.door() = Some(Door { close, served });
    }

    /// Adds to the script.
    pub fn then(&self, reply: Reply) -> &Self {
        self.book().scripts.entry(self.topic.clone()).or_default().replies.push_back(reply);
        self
    }

    /// Adds a plain answer to the script.
    pub fn says(&self, text: &str) -> &Self {
        self.then(Reply::Text(text.to_owned()))
    }

    /// Adds a shell call to the script.
    pub fn runs(&self, command: &str) -> &Self {
        let arguments = json!({ "command": command });
        self.then(Reply::Tool { name: "bash".to_owned(), arguments })
    }

    /// Lets what is held or paused go on.
    pub fn release(&self) {
        self.book().scripts.entry(self.topic.clone()).or_default().gate.notify_one();
    }

    /// The calls so far; of a topic, only its own.
    pub fn calls(&self) -> Vec<Call> {
        let all = self.topic.is_empty();
        let book = self.book();
        book.calls.iter().filter(|call| all || call.topic == self.topic).cloned().collect()
    }

    /// What all whole answers so far said was used; of a topic, its own.
    pub fn counted(&self) -> Counts {
        self.calls().iter().filter_map(|call| call.counts).sum()
    }

    /// Forgets the calls so far, whose bodies take room.
    pub fn forget(&self) {
        self.book().calls.clear();
    }

    /// How many calls there have been; of a topic, only its own.
    pub fn count(&self) -> usize {
        let all = self.topic.is_empty();
        self.book().calls.iter().filter(|call| all || call.topic == self.topic).count()
    }

    /// Waits until there have been so many calls, and gives the last of them.
    pub async fn called(&self, times: usize) -> Result<Call> {
        let what = format!("call {times} of the model ({:?})", self.topic);
        let last = times.checked_sub(1).context("a model is called at least once")?;
        wait::until(&what, || self.calls().get(last).cloned()).await
    }

    /// Waits until so many callers have left before their answer was over.
    pub async fn left(&self, times: usize) -> Result<()> {
        let left = Arc::clone(&self.book().scripts.entry(self.topic.clone()).or_default().left);
        wait::until_true("a caller that hangs up", || left.load(Ordering::SeqCst) >= times).await
    }

    /// Fails when the script was not used up, or was not enough, or when a request was one that a
    /// real provider refuses. Of the whole model, looks at all topics.
    pub fn assert_done(&self) -> Result<()> {
        let calls = self.calls();
        let complaints: Vec<_> = calls.iter().filter_map(|call| call.complaint.as_ref()).collect();
        ensure!(complaints.is_empty(), "a real provider refuses: {complaints:?}");
        let book = self.book();
        for (topic, script) in &book.scripts {
            if !self.topic.is_empty() && *topic != self.topic {
                continue;
            }
            ensure!(script.beyond == 0, "{} calls went beyond the script {topic:?}", script.beyond);
            ensure!(script.replies.is_empty(), "not used of {topic:?}: {:?}", script.replies);
        }
        Ok(())
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        lock(&self.book)
    }

    fn door(&self) -> MutexGuard<'_, Option<Door>> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn answer(
    State(book): State<Arc<Mutex<Book>>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let arrived = Instant::now();
    let (reply, scene) = note(&mut lock(&book), &uri, headers, &body, arrived);
    let number = scene.number;
    let response = respond(scene, reply, Format::of(uri.path())).await;
    if let Some(call) = lock(&book).calls.get_mut(number) {
        call.took = arrived.elapsed();
    }
    response
}

/// Writes a call down and takes its answer from the script.
fn note(
    book: &mut Book,
    uri: &Uri,
    headers: HeaderMap,
    body: &Bytes,
    arrived: Instant,
) -> (Reply, Scene) {
    let topic = book.topic_of(&String::from_utf8_lossy(body));
    let number = book.calls.len();
    let format = Format::of(uri.path());
    let counts = Counts::of(number, body.len(), format);
    let script = book.scripts.entry(topic.clone()).or_default();
    let reply = script.replies.pop_front();
    script.beyond += usize::from(reply.is_none());
    let scene = Scene {
        gate: Arc::clone(&script.gate),
        left: Arc::clone(&script.left),
        number,
        counts,
        headers: headers.clone(),
    };
    let reply = reply.unwrap_or(Reply::Status(500));
    let parsed = serde_json::from_slice(body).unwrap_or(Value::Null);
    book.calls.push(Call {
        topic,
        path: uri.path().to_owned(),
        headers,
        counts: reply.is_whole().then_some(counts),
        complaint: rules::complaint(&parsed, format),
        body: Arc::new(parsed),
        bytes: body.len(),
        arrived,
        took: Duration::ZERO,
    });
    (reply, scene)
}
