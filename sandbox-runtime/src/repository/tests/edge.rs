//! The edge as a store, over a real connection to an edge that fails as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use protocol::workspace::FileKind;
use protocol::{Problem, ProblemCode};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle};

use crate::edge::Http;
use crate::limits::STORE_ATTEMPTS_MAX;
use crate::repository::store::{EdgeStore, Place, Store, StoreError};

/// What an edge does with a request.
#[derive(Debug, Clone, Copy)]
enum Act {
    Serve,
    /// It is served, and the answer is not given.
    LoseAnswer,
    Status(u16),
    StaleEpoch,
    Hang,
    /// A range is answered with fewer bytes.
    Short,
}

#[derive(Debug, Default)]
struct Inner {
    acts: VecDeque<Act>,
    always: Option<Act>,
    calls: Vec<String>,
    written: Option<Bytes>,
}

type Shared = Arc<Mutex<Inner>>;

async fn handle(State(shared): State<Shared>, method: Method, uri: Uri, body: Bytes) -> Response {
    let (act, written) = {
        let mut inner = shared.lock().unwrap();
        let act = inner.acts.pop_front().or(inner.always).unwrap_or(Act::Serve);
        inner.calls.push(format!("{method} {}", uri.path()));
        if method == Method::POST && matches!(act, Act::Serve | Act::LoseAnswer) {
            inner.written = Some(body);
        }
        (act, inner.written.clone())
    };
    match act {
        Act::Serve if method == Method::GET => match written {
            Some(bytes) => (StatusCode::PARTIAL_CONTENT, bytes).into_response(),
            None => StatusCode::NOT_FOUND.into_response(),
        },
        Act::Serve => StatusCode::OK.into_response(),
        // The gateway in between gives up on an answer that it does not get.
        Act::LoseAnswer => StatusCode::BAD_GATEWAY.into_response(),
        Act::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Act::StaleEpoch => {
            let problem = Problem::new(ProblemCode::StaleEpoch, "another life");
            (StatusCode::CONFLICT, axum::Json(problem)).into_response()
        }
        Act::Hang => std::future::pending().await,
        Act::Short => (StatusCode::PARTIAL_CONTENT, "x").into_response(),
    }
}

/// Does `work` with a store on a thread of its own, while this one drives the event loop, as the
/// program does. With `stopped`, waiting takes no time.
fn with_store<T: Send + 'static>(
    acts: impl IntoIterator<Item = Act>,
    always: Option<Act>,
    stopped: bool,
    work: impl FnOnce(EdgeStore) -> T + Send + 'static,
) -> (T, Vec<String>, Option<Bytes>) {
    let inner = Inner { acts: acts.into_iter().collect(), always, ..Inner::default() };
    let shared = Arc::new(Mutex::new(inner));
    let mut builder = Builder::new_current_thread();
    let runtime = builder.enable_all().start_paused(stopped).build().unwrap();
    let router = Router::new().fallback(handle).with_state(shared.clone());
    let result = runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let http = Http::new(url.parse().unwrap()).unwrap();
        let store = EdgeStore::new(http, Handle::current());
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || assert!(sender.send(work(store)).is_ok()));
        let result = receiver.await.unwrap();
        thread.join().unwrap();
        result
    });
    let inner = std::mem::take(&mut *shared.lock().unwrap());
    (result, inner.calls, inner.written)
}

fn place() -> Place {
    Place::File(FileKind::Data, "ab".repeat(32).parse().unwrap())
}

#[test]
fn a_write_whose_answer_was_lost_is_repeated_and_succeeds() {
    let acts = [Act::LoseAnswer, Act::Status(503), Act::Status(429)];
    let write = |store: EdgeStore| store.write(&place(), Bytes::from_static(b"pack"));
    let (result, calls, written) = with_store(acts, None, false, write);
    assert!(result.is_ok(), "{result:?}");
    assert_eq!(calls, vec![format!("POST /workspace/data/{}", "ab".repeat(32)); 4]);
    assert_eq!(written.unwrap(), "pack");
}

#[test]
fn a_life_that_is_over_is_told_at_once() {
    let write = |store: EdgeStore| store.write(&place(), Bytes::from_static(b"pack"));
    let (result, calls, _) = with_store([Act::Status(503)], Some(Act::StaleEpoch), false, write);
    assert!(matches!(result, Err(StoreError::StaleEpoch)), "{result:?}");
    assert_eq!(calls.len(), 2);
}

#[test]
fn an_edge_that_never_answers_is_given_up_after_a_bounded_number_of_tries() {
    let read = |store: EdgeStore| store.read(&place());
    let (result, calls, _) = with_store([], Some(Act::Hang), true, read);
    assert!(matches!(result, Err(StoreError::Silent(_))), "{result:?}");
    // With the clock stopped, a try may be over before its connection stands.
    assert!(calls.len() <= STORE_ATTEMPTS_MAX as usize, "{calls:?}");
}

#[test]
fn what_is_refused_or_not_there_is_not_asked_for_again() {
    let read = |store: EdgeStore| store.read(&place());
    let (result, calls, _) = with_store([], Some(Act::Status(404)), false, read);
    assert!(matches!(result, Err(StoreError::NotFound)), "{result:?}");
    assert_eq!(calls.len(), 1);
    let (result, calls, _) = with_store([], Some(Act::Status(403)), false, read);
    assert!(matches!(result, Err(StoreError::Refused(_))), "{result:?}");
    assert_eq!(calls.len(), 1);
}

#[test]
fn a_range_of_the_wrong_length_is_no_range() {
    let read = |store: EdgeStore| store.read_range(&place(), 0, 4);
    for act in [Act::Short, Act::Status(416)] {
        let (result, ..) = with_store([], Some(act), false, read);
        assert!(matches!(result, Err(StoreError::Wrong(_))), "{act:?}: {result:?}");
    }
}

#[test]
fn many_threads_ask_at_once() {
    let work = |store: EdgeStore| {
        store.write(&place(), Bytes::from_static(b"pack")).unwrap();
        let read = || store.read_range(&place(), 0, 4).unwrap();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16).map(|_| scope.spawn(read)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let (read, ..) = with_store([], None, false, work);
    assert_eq!(read, vec![Bytes::from_static(b"pack"); 16]);
}
