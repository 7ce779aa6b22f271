//! Reads documents from requests: bounded, then versioned, then parsed.

use http_body_util::BodyExt;
use hyper::Request;
use hyper::body::Incoming;
use protocol::turn::TurnRequest;
use protocol::version::{PROTOCOL_OLDEST, PROTOCOL_VERSION, is_supported};
use protocol::{Problem, ProblemCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::limits::{
    REQUEST_BODY_TIMEOUT, SEQUENCE_MAX, TURN_BODY_BYTES_MAX, TURN_BODY_DISCARD_BYTES_MAX,
};

/// The one field that every version has.
#[derive(Debug, Deserialize)]
struct Versioned {
    protocol: u32,
}

pub(super) async fn turn(request: Request<Incoming>) -> Result<TurnRequest, Problem> {
    check(json(request).await?)
}

/// A versioned JSON document.
pub(super) async fn json<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Problem> {
    let body = read(request.into_body());
    let bytes = match tokio::time::timeout(REQUEST_BODY_TIMEOUT, body).await {
        Ok(result) => result?,
        Err(elapsed) => return Err(bad_request("The body did not come in time", &elapsed)),
    };
    let Versioned { protocol } = serde_json::from_slice(&bytes)
        .map_err(|error| bad_request("The body is no versioned JSON document", &error))?;
    if !is_supported(protocol) {
        let message = format!(
            "Protocol version {protocol} is not served; {PROTOCOL_OLDEST} to {PROTOCOL_VERSION} are."
        );
        return Err(Problem::new(ProblemCode::UnsupportedProtocol, message)
            .remedy("Deploy the Worker and the container image of one release."));
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| bad_request("The body is not what the route takes", &error))
}

/// The whole body. Of one that is too large the rest is read and thrown away, within reason: a
/// caller that is still sending would not see the answer.
async fn read(mut body: Incoming) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let mut total = 0;
    while total <= TURN_BODY_DISCARD_BYTES_MAX
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| bad_request("The body could not be read", &error))?;
        let data = frame.into_data().unwrap_or_default();
        total += data.len();
        if total <= TURN_BODY_BYTES_MAX {
            bytes.extend_from_slice(&data);
        }
    }
    if total <= TURN_BODY_BYTES_MAX {
        return Ok(bytes);
    }
    let message = format!("The body has more than {TURN_BODY_BYTES_MAX} bytes.");
    Err(Problem::new(ProblemCode::TooLarge, message)
        .remedy("Send fewer records; the runtime reads the rest."))
}

/// The records must be the end of a log, and the turn must have some.
fn check(turn: TurnRequest) -> Result<TurnRequest, Problem> {
    let TurnRequest { head, records, .. } = &turn;
    let is_end = match (records.first(), records.last()) {
        (Some(first), Some(last)) => {
            let numbered = || (first.sequence..).zip(records);
            (1..=*head).contains(&first.sequence)
                && last.sequence == *head
                && numbered().all(|(n, record)| record.sequence == n)
        }
        _ => true,
    };
    if is_end && *head <= SEQUENCE_MAX {
        return Ok(turn);
    }
    let message = "The turn's records are not the last ones of a log that ends at its head.";
    Err(Problem::new(ProblemCode::BadRequest, message))
}

fn bad_request(what: &str, error: &(dyn std::error::Error + 'static)) -> Problem {
    Problem::new(ProblemCode::BadRequest, format!("{what}: {error}."))
}
