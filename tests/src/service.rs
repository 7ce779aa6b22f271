//! Another service on the internet: says what it was sent, in the ways in which services repeat a
//! secret, redirects, serves a page, and answers for the resolver of names.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{any, get};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use std::io::Write as _;
use tokio::net::TcpListener;

/// A page with what pages have.
const PAGE: &str = "<!doctype html><html><head><title>Shells</title><script>var x = '<p>no</p>'</script>\
    </head><body><h1>Shells</h1><p>A crab &amp; its <a href=\"/more\">house</a>.</p></body></html>";

/// One request as the service saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
}

impl Seen {
    /// A field of the request; "" when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// A running service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its base URL on loopback.
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Service {
    /// Starts one.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let service = Self { url, seen: Arc::default() };
        let app = Router::new()
            .route("/echo", any(echo))
            .route("/packed", get(packed))
            .route("/login", get(login))
            .route("/redirect", get(redirect))
            .route("/page", get(async || Html(PAGE)))
            .route("/picture", get(async || ([(CONTENT_TYPE, "image/png")], vec![0_u8; 64])))
            .route("/dns", get(resolve))
            .with_state(service.clone());
        tokio::spawn(axum::serve(listener, app).into_future());
        Ok(service)
    }

    /// The requests so far that wanted an echo.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, seen: Seen) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }
}

/// What was sent, as JSON in pieces of three bytes, with the authorization in a field and in base64.
async fn echo(
    State(service): State<Service>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8_lossy(&body).into_owned();
    let path = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
    let seen = Seen { method: method.to_string(), path, headers, body };
    service.note(seen.clone());
    let (text, authorization) = told(&seen);
    let pieces: Vec<_> = text.as_bytes().chunks(3).map(Bytes::copy_from_slice).collect();
    let pieces = stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>));
    ([("x-echo", authorization)], Body::from_stream(pieces)).into_response()
}

fn told(seen: &Seen) -> (String, String) {
    let authorization = seen.header("authorization").to_owned();
    let text = json!({
        "method": seen.method,
        "path": seen.path,
        "authorization": authorization,
        "coded": BASE64_STANDARD.encode(format!("got: {authorization}")),
        "forwarded": seen.header("x-forwarded-for"),
        "body": seen.body,
    });
    (text.to_string(), authorization)
}

/// The same, packed although nobody asked for it.
async fn packed(headers: HeaderMap) -> Response {
    let (path, body) = ("/packed".to_owned(), String::new());
    let (text, _) = told(&Seen { method: "GET".into(), path, headers, body });
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let packed = encoder.write_all(text.as_bytes()).and_then(|()| encoder.finish());
    match packed {
        Ok(packed) => ([(CONTENT_ENCODING, "gzip")], packed).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn login() -> Response {
    ([(SET_COOKIE, "session=stands-for-the-secret")], "welcome").into_response()
}

#[derive(Deserialize)]
struct To {
    to: String,
}

async fn redirect(Query(To { to }): Query<To>) -> Response {
    (StatusCode::FOUND, [(LOCATION, to)]).into_response()
}

#[derive(Deserialize)]
struct Question {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

/// `private.…` is inside, everything else does not exist.
async fn resolve(Query(Question { name, kind }): Query<Question>) -> Response {
    let answer = match (name.split('.').next(), kind.as_str()) {
        (Some("private"), "A") => {
            json!({ "Status": 0, "Answer": [{ "name": name, "type": 1, "TTL": 5, "data": "10.1.2.3" }] })
        }
        (Some("private"), _) => json!({ "Status": 0 }),
        _ => json!({ "Status": 3 }),
    };
    ([(CONTENT_TYPE, "application/dns-json")], answer.to_string()).into_response()
}
