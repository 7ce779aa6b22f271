//! The Docker API: one request in, one answer out.
//!
//! *Invariant:* every answer that is not a success carries Docker's `{"message": …}`.

pub mod answer;
pub mod call;

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use crate::api::answer::{Created, Inspection, Listed, Message, Waited};
use crate::api::call::{Call, CallError};
use crate::containers::spec::CreateBody;
use crate::containers::{Engine, Name, Refusal, StartOutcome};
use crate::limits::{ARCHIVE_BODY_BYTES_MAX, CREATE_BODY_BYTES_MAX};
use crate::process::ProcessError;
use crate::sidecar::connection::chain;

type Answer = Response<Full<Bytes>>;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
enum ApiError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error("no such volume: {0}")]
    Volume(String),
    #[error("cannot read the body")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("invalid JSON in the body")]
    Json(#[from] serde_json::Error),
}

/// Answers one request.
pub async fn answer(engine: Arc<Engine>, request: Request<Incoming>) -> Answer {
    let answered = match call::parse(request.method(), request.uri().path(), request.uri().query())
    {
        Ok(call) => perform(&engine, call, request.into_body()).await,
        Err(error) => Err(error.into()),
    };
    answered.unwrap_or_else(|error| json(error.status(), &Message { message: chain(&error) }))
}

async fn perform(engine: &Arc<Engine>, call: Call, body: Incoming) -> Result<Answer, ApiError> {
    Ok(match call {
        Call::Ping => text(StatusCode::OK, "OK"),
        Call::Version => json(StatusCode::OK, &version()),
        Call::Info => json(StatusCode::OK, &info(engine)),
        Call::Volumes => json(StatusCode::OK, &json!({"Volumes": [], "Warnings": null})),
        Call::Volume(name) => return Err(ApiError::Volume(name)),
        Call::Bridge => json(StatusCode::OK, &bridge()),
        Call::List { all, filter } => {
            let containers = engine.list(all, &filter);
            let listed: Vec<Listed> = containers.iter().map(|found| Listed::of(found)).collect();
            json(StatusCode::OK, &listed)
        }
        Call::Create { name } => {
            let name = Name::parse(&name).map_err(Refusal::from)?;
            let body = read(body, CREATE_BODY_BYTES_MAX).await?;
            let body: CreateBody = serde_json::from_slice(&body)?;
            let id = engine.create(name, body)?;
            json(StatusCode::CREATED, &Created { id, warnings: [] })
        }
        Call::Inspect(name) => json(StatusCode::OK, &Inspection::of(&*engine.find(&name)?)),
        Call::Start(name) => match engine.start(&name)? {
            StartOutcome::Started => text(StatusCode::NO_CONTENT, ""),
            StartOutcome::AlreadyRunning => text(StatusCode::NOT_MODIFIED, ""),
        },
        Call::Wait(name, condition) => {
            let status_code = engine.wait(&name, condition).await?;
            json(StatusCode::OK, &Waited { status_code })
        }
        Call::Kill(name, signal) => {
            engine.kill(&name, signal)?;
            text(StatusCode::NO_CONTENT, "")
        }
        Call::Remove { name, force } => {
            engine.remove(&name, force).await?;
            text(StatusCode::NO_CONTENT, "")
        }
        Call::PutArchive(name) => {
            engine.find(&name)?;
            // Only the certificate for HTTPS interception comes this way, which is not done here.
            drop(read(body, ARCHIVE_BODY_BYTES_MAX).await?);
            text(StatusCode::OK, "")
        }
    })
}

impl ApiError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Call(error) => error.status(),
            Self::Refusal(refusal) => refusal_status(refusal),
            Self::Volume(_) => StatusCode::NOT_FOUND,
            Self::Body(error) if error.is::<http_body_util::LengthLimitError>() => {
                StatusCode::PAYLOAD_TOO_LARGE
            }
            Self::Body(_) | Self::Json(_) => StatusCode::BAD_REQUEST,
        }
    }
}

const fn refusal_status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NoSuchContainer(_) => StatusCode::NOT_FOUND,
        Refusal::NameInUse(_)
        | Refusal::NotRunning(_)
        | Refusal::StillRunning(_)
        | Refusal::BeingRemoved(_)
        | Refusal::NetworkNotRunning(_) => StatusCode::CONFLICT,
        // A program that cannot be started is a fault of the create body, as in Docker.
        Refusal::Name(_) | Refusal::Spec(_) | Refusal::Process(ProcessError::Spawn { .. }) => {
            StatusCode::BAD_REQUEST
        }
        Refusal::TooMany => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::Process(_)
        | Refusal::Disk(_)
        | Refusal::Log(_)
        | Refusal::Sidecar(_)
        | Refusal::NoFreePort(_)
        | Refusal::Unkillable(_) => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn read(body: Incoming, bytes_max: usize) -> Result<Bytes, ApiError> {
    let collected = Limited::new(body, bytes_max).collect().await;
    collected.map(http_body_util::Collected::to_bytes).map_err(ApiError::Body)
}

/// Loopback as the bridge: workerd binds its egress listener on the gateway's address.
fn bridge() -> serde_json::Value {
    let network = json!({"Subnet": "127.0.0.0/8", "Gateway": "127.0.0.1"});
    json!({"Name": "bridge", "Id": "bridge", "Driver": "bridge", "IPAM": {"Config": [network]}})
}

fn version() -> serde_json::Value {
    json!({
        "Version": env!("CARGO_PKG_VERSION"),
        "ApiVersion": "1.43",
        "MinAPIVersion": "1.24",
        "Os": "linux",
        "Arch": "amd64",
        "Components": [{"Name": "container-engine", "Version": env!("CARGO_PKG_VERSION")}],
    })
}

fn info(engine: &Engine) -> serde_json::Value {
    let all = engine.list(true, &crate::containers::filter::Filter::default());
    let running = all.iter().filter(|container| container.status().is_running()).count();
    json!({
        "Name": "container-engine",
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "Containers": all.len(),
        "ContainersRunning": running,
        "SecurityOptions": [],
        "Warnings": ["no isolation: containers run as plain processes of this user"],
    })
}

fn text(status: StatusCode, body: &'static str) -> Answer {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Answer {
    // These types are strings, numbers and maps with string keys, which always serialize; should
    // that change, the caller must still get an answer.
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            let message = format!("{{\"message\":\"cannot write the answer: {error}\"}}");
            (StatusCode::INTERNAL_SERVER_ERROR, message.into_bytes())
        }
    };
    let mut response = Response::new(Full::from(bytes));
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
