//! Requests and responses: bounded reading, problems, pages, and passing bodies through unread.

use futures_util::StreamExt;
use protocol::{Problem, ProblemCode};
use serde::Serialize;
use wasm_bindgen::{JsCast, JsValue};
use worker::{Headers, Method, RequestInit, RequestRedirect, ResponseBuilder};

pub(crate) use worker::{ByteStream, Error, Request, Response};

/// What a page may load: only what the agent itself serves.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// A JavaScript error as text.
pub(crate) fn describe(error: &JsValue) -> String {
    match error.dyn_ref::<worker::js_sys::Error>() {
        Some(error) => String::from(error.message()),
        None => error.as_string().unwrap_or_else(|| format!("{error:?}")),
    }
}

/// An SDK failure as a part of a sentence.
pub(crate) fn why(error: &worker::Error) -> String {
    let text = error.to_string();
    text.trim_start_matches("Error: ").trim_end_matches('.').to_owned()
}

/// An SDK failure that is nobody's fault outside.
pub(crate) fn internal(doing: &str, error: &worker::Error) -> Problem {
    Problem::new(ProblemCode::Internal, format!("{doing} failed: {}.", why(error)))
}

fn fallback_500() -> Response {
    ResponseBuilder::new().with_status(500).empty()
}

fn with_headers(builder: ResponseBuilder, headers: &[(&str, &str)]) -> ResponseBuilder {
    let made = Headers::new();
    for (name, value) in headers {
        // Names and values are ours and valid; a failure would only drop this one header.
        if let Err(error) = made.set(name, value) {
            worker::console_error!("the header {name} could not be set: {error}");
        }
    }
    builder.with_headers(made)
}

/// `value` as a JSON response.
pub(crate) fn json<T: Serialize>(status: u16, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => bytes(status, "application/json", body),
        Err(error) => {
            worker::console_error!("a response could not be written as JSON: {error}");
            fallback_500()
        }
    }
}

/// A body of known type, never cached and never sniffed.
pub(crate) fn bytes(status: u16, content_type: &str, body: Vec<u8>) -> Response {
    let headers = [
        ("content-type", content_type),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ];
    with_headers(ResponseBuilder::new().with_status(status), &headers)
        .body(worker::ResponseBody::Body(body))
}

/// A body that is made while it is read. A problem breaks it off.
pub(crate) fn stream(
    content_type: &str,
    pieces: impl futures_util::Stream<Item = Result<Vec<u8>, Problem>> + 'static,
) -> Result<Response, Problem> {
    let pieces =
        pieces.map(|piece| piece.map_err(|problem| worker::Error::RustError(problem.to_string())));
    let headers = [("content-type", content_type), ("cache-control", "no-store")];
    with_headers(ResponseBuilder::new(), &headers)
        .from_stream(pieces)
        .map_err(|error| internal("Streaming a body", &error))
}

/// A plain text that nobody keeps.
pub(crate) fn text(status: u16, text: String) -> Response {
    bytes(status, "text/plain; charset=utf-8", text.into_bytes())
}

/// A response whose body comes from elsewhere, unread.
pub(super) fn with_body(
    status: u16,
    headers: &[(&str, &str)],
    body: worker::ResponseBody,
) -> Response {
    with_headers(ResponseBuilder::new().with_status(status), headers).body(body)
}

/// A response of a few headers and no body.
pub(crate) fn headers_only(status: u16, headers: &[(&str, &str)]) -> Response {
    with_headers(ResponseBuilder::new().with_status(status), headers).empty()
}

/// A response without a body.
pub(crate) fn empty(status: u16) -> Response {
    ResponseBuilder::new().with_status(status).empty()
}

/// A problem with the status of its code. `marker` names the header that tells it from a response
/// that somebody else made.
pub(crate) fn problem(problem: &Problem, marker: Option<&str>) -> Response {
    let response = json(problem.code.status(), problem);
    match marker {
        Some(name) => with_header(response, name, "1"),
        None => response,
    }
}

/// The response with one header more.
pub(crate) fn with_header(mut response: Response, name: &str, value: &str) -> Response {
    if let Err(error) = response.headers_mut().set(name, value) {
        worker::console_error!("the header {name} could not be set: {error}");
    }
    response
}

/// A part of a page, under the pages' policy.
pub(crate) fn page(content_type: &str, body: &[u8]) -> Response {
    let headers = [
        ("content-type", content_type),
        ("cache-control", "no-cache"),
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ];
    with_headers(ResponseBuilder::new(), &headers).body(worker::ResponseBody::Body(body.to_owned()))
}

/// The answer to a socket request: the client's end of the pair.
pub(crate) fn switch_protocols(client: worker::WebSocket) -> Result<Response, Problem> {
    Response::from_websocket(client).map_err(|error| internal("Opening a socket", &error))
}

/// A request's method as it was sent. The SDK's own type takes every method that it does not know
/// for GET.
pub(crate) fn method(request: &Request) -> String {
    request.inner().method()
}

/// The value of a request's header.
pub(crate) fn header(request: &Request, name: &str) -> Option<String> {
    request.headers().get(name).ok().flatten()
}

/// The value of a response's header.
pub(crate) fn response_header(response: &Response, name: &str) -> Option<String> {
    response.headers().get(name).ok().flatten()
}

/// All fields of a request, their names in lower case.
pub(crate) fn headers(request: &Request) -> Vec<(String, String)> {
    request.headers().entries().collect()
}

/// All fields of a response, their names in lower case; one that is repeated comes as often.
pub(crate) fn response_headers(response: &Response) -> Vec<(String, String)> {
    response.headers().entries().collect()
}

/// The declared length of a request's body.
pub(crate) fn content_length(request: &Request) -> Option<u64> {
    header(request, "content-length")?.parse().ok()
}

fn too_large(bytes_max: u64) -> Problem {
    Problem::new(ProblemCode::TooLarge, format!("The body is larger than {bytes_max} bytes."))
}

/// The body, refused as soon as it is known to be larger than `bytes_max`.
pub(crate) async fn read_bounded(
    request: &mut Request,
    bytes_max: usize,
) -> Result<Vec<u8>, Problem> {
    if content_length(request).is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large(bytes_max as u64));
    }
    if request.inner().body().is_none() {
        return Ok(Vec::new());
    }
    let mut stream =
        request.stream().map_err(|error| internal("Reading a request's body", &error))?;
    let mut body = Vec::new();
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| internal("Reading a request's body", &error))?;
        if body.len() + piece.len() > bytes_max {
            return Err(too_large(bytes_max as u64));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What is left to read of a response; `None` when it has no body.
pub(crate) fn response_body(response: &mut Response) -> Result<Option<ByteStream>, Error> {
    match response.body() {
        worker::ResponseBody::Stream(_) => response.stream().map(Some),
        _ => Ok(None),
    }
}

/// The whole body of a response, refused as soon as it is known to be larger than `bytes_max`.
pub(crate) async fn read_response(
    response: &mut Response,
    bytes_max: usize,
) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    let stream = response_body(response).map_err(|error| error.to_string())?;
    let Some(mut stream) = stream else { return Ok(body) };
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| error.to_string())?;
        if body.len() + piece.len() > bytes_max {
            return Err(format!("it has more than {bytes_max} bytes"));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// A response with these fields, and with a body that is made while it is read if there is one.
pub(crate) fn composed<S>(
    status: u16,
    headers: &[(String, String)],
    pieces: Option<S>,
) -> Result<Response, Problem>
where
    S: futures_util::Stream<Item = Result<Vec<u8>, Problem>> + 'static,
{
    let made = Headers::new();
    for (name, value) in headers {
        // A field that the platform will not take is left out; the rest is still an answer.
        if let Err(error) = made.append(name, value) {
            worker::console_error!("the header {name} could not be passed on: {error}");
        }
    }
    let builder = ResponseBuilder::new().with_status(status).with_headers(made);
    let Some(pieces) = pieces else { return Ok(builder.empty()) };
    let pieces =
        pieces.map(|piece| piece.map_err(|problem| worker::Error::RustError(problem.to_string())));
    builder.from_stream(pieces).map_err(|error| internal("Streaming a body", &error))
}

/// `response` with these fields in place of its own, its body passed through unread.
pub(crate) fn with_fields(response: Response, headers: &[(String, String)]) -> Response {
    let made = Headers::new();
    for (name, value) in headers {
        if let Err(error) = made.append(name, value) {
            worker::console_error!("the header {name} could not be passed on: {error}");
        }
    }
    response.with_headers(made)
}

/// The body as JSON, bounded first.
pub(crate) async fn read_json<T: serde::de::DeserializeOwned>(
    request: &mut Request,
    bytes_max: usize,
) -> Result<T, Problem> {
    let body = read_bounded(request, bytes_max).await?;
    serde_json::from_slice(&body).map_err(|error| {
        Problem::new(ProblemCode::BadRequest, format!("The body is not what is expected: {error}."))
    })
}

/// A body that is handed on.
#[derive(Debug)]
pub(crate) enum Body {
    /// None.
    Empty,
    /// Text of our own.
    Text(String),
    /// Bytes that were read whole.
    Bytes(Vec<u8>),
    /// Another request's body, unread.
    Stream(JsValue),
}

/// The body of a request, to be handed on unread.
pub(crate) fn unread_body(request: &Request) -> Body {
    match request.inner().body() {
        Some(stream) => Body::Stream(stream.into()),
        None => Body::Empty,
    }
}

/// A request that we send. Redirects are never followed: a header meant for one host must not reach
/// another.
pub(crate) fn outgoing(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> Result<Request, worker::Error> {
    let made = Headers::new();
    for (name, value) in headers {
        made.set(name, value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::from(method.to_owned()))
        .with_headers(made)
        .with_redirect(RequestRedirect::Manual)
        .with_body(match body {
            Body::Empty => None,
            Body::Text(text) => Some(JsValue::from_str(&text)),
            Body::Bytes(bytes) => Some(worker::js_sys::Uint8Array::from(bytes.as_slice()).into()),
            Body::Stream(stream) => Some(stream),
        });
    Request::new_with_init(url, &init)
}

/// Sends a request to wherever its URL points.
pub(crate) async fn send(request: Request) -> Result<Response, worker::Error> {
    worker::Fetch::Request(request).send().await
}

/// `response` with only the named headers, its body passed through unread.
pub(crate) fn pass_through(response: Response, keep: &[&str]) -> Response {
    let (builder, body) = response.into_parts();
    let kept = Headers::new();
    let response = builder.body(body);
    for name in keep {
        if let Ok(Some(value)) = response.headers().get(name)
            && let Err(error) = kept.set(name, &value)
        {
            worker::console_error!("the header {name} could not be passed on: {error}");
        }
    }
    response.with_headers(kept)
}
