//! Reading a request line of the Docker API: which call is meant, with checked parameters.
//!
//! *Invariant:* the function is total, and what it does not know is an error with a status, never
//! a guess.

use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use rustix::process::Signal;

use crate::containers::filter::{Filter, FilterError};
use crate::containers::phase::WaitCondition;
use crate::process::signal;

/// A call with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `GET` or `HEAD /_ping`.
    Ping,
    /// `GET /version`.
    Version,
    /// `GET /info`.
    Info,
    /// `GET /volumes`.
    Volumes,
    /// `GET` or `DELETE /volumes/{name}`: there are none.
    Volume(String),
    /// `GET /networks/bridge`.
    Bridge,
    /// `GET /containers/json`.
    List {
        /// Stopped ones too.
        all: bool,
        /// Which labels.
        filter: Filter,
    },
    /// `POST /containers/create?name=`.
    Create {
        /// The wanted name.
        name: String,
    },
    /// `GET /containers/{name}/json`.
    Inspect(String),
    /// `POST /containers/{name}/start`.
    Start(String),
    /// `POST /containers/{name}/wait`.
    Wait(String, WaitCondition),
    /// `POST /containers/{name}/kill`.
    Kill(String, Signal),
    /// `DELETE /containers/{name}`.
    Remove {
        /// Which container.
        name: String,
        /// Kill it when it runs.
        force: bool,
    },
    /// `PUT /containers/{name}/archive`.
    PutArchive(String),
}

/// Why a request line is no call.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing of the Docker API.
    #[error("page not found")]
    Unknown,
    /// Part of the Docker API that needs images, namespaces or volumes.
    #[error("container-engine runs plain processes: {0} is not supported")]
    Unsupported(&'static str),
    /// A path segment that is not UTF-8 behind its percent signs.
    #[error("the path is not valid UTF-8")]
    Path,
    /// A container cannot be made without a name here.
    #[error("the name parameter is required")]
    NoName,
    /// A truth value that is none.
    #[error("invalid value for {0}: give true or false")]
    Flag(&'static str),
    /// A wait condition that does not exist.
    #[error("invalid condition: give not-running, next-exit or removed")]
    Condition,
    /// A signal that does not exist.
    #[error("invalid signal: {0}")]
    Signal(String),
    /// A filter that is not understood.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

impl CallError {
    /// The status Docker would answer with.
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Unknown => StatusCode::NOT_FOUND,
            Self::Unsupported(_) => StatusCode::NOT_IMPLEMENTED,
            Self::Path
            | Self::NoName
            | Self::Flag(_)
            | Self::Condition
            | Self::Signal(_)
            | Self::Filter(_) => StatusCode::BAD_REQUEST,
        }
    }
}

/// Reads the request line.
pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Call, CallError> {
    let mut segments = Vec::new();
    for segment in path.trim_start_matches('/').split('/') {
        let decoded = percent_decode_str(segment).decode_utf8();
        segments.push(decoded.or(Err(CallError::Path))?);
    }
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let query = Query(query.unwrap_or_default());
    match without_version(&segments) {
        ["containers", rest @ ..] => containers(method, rest, &query),
        rest => others(method, rest),
    }
}

/// Drops a leading `v1.43`: the calls here are the same in all versions.
fn without_version<'a, 'b>(segments: &'a [&'b str]) -> &'a [&'b str] {
    let is_version = |segment: &str| {
        segment.strip_prefix('v').is_some_and(|number| {
            number.starts_with(|first: char| first.is_ascii_digit())
                && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        })
    };
    match segments {
        [first, rest @ ..] if is_version(first) => rest,
        all => all,
    }
}

fn containers(method: &Method, rest: &[&str], query: &Query<'_>) -> Result<Call, CallError> {
    Ok(match (method.as_str(), rest) {
        ("GET", ["json"]) => Call::List {
            all: query.flag("all")?,
            filter: Filter::parse(query.get("filters").as_deref())?,
        },
        ("POST", ["create"]) => Call::Create { name: query.get("name").ok_or(CallError::NoName)? },
        ("GET", [name, "json"]) => Call::Inspect((*name).to_owned()),
        ("POST", [name, "start"]) => Call::Start((*name).to_owned()),
        ("POST", [name, "wait"]) => {
            let condition = WaitCondition::parse(query.get("condition").as_deref());
            Call::Wait((*name).to_owned(), condition.ok_or(CallError::Condition)?)
        }
        ("POST", [name, "kill"]) => {
            let text = query.get("signal");
            let signal = signal::parse(text.as_deref());
            let signal = signal.ok_or_else(|| CallError::Signal(text.unwrap_or_default()))?;
            Call::Kill((*name).to_owned(), signal)
        }
        ("DELETE", [name]) => {
            Call::Remove { name: (*name).to_owned(), force: query.flag("force")? }
        }
        ("PUT", [name, "archive"]) => Call::PutArchive((*name).to_owned()),
        (_, [_, "exec"]) => return Err(CallError::Unsupported("exec")),
        (_, [_, "archive"]) => return Err(CallError::Unsupported("reading an archive")),
        _ => return Err(CallError::Unknown),
    })
}

fn others(method: &Method, rest: &[&str]) -> Result<Call, CallError> {
    Ok(match (method.as_str(), rest) {
        ("GET" | "HEAD", ["_ping"]) => Call::Ping,
        ("GET", ["version"]) => Call::Version,
        ("GET", ["info"]) => Call::Info,
        ("GET", ["volumes"]) => Call::Volumes,
        ("POST", ["volumes", "create"]) => return Err(CallError::Unsupported("a volume")),
        ("GET" | "DELETE", ["volumes", name]) => Call::Volume((*name).to_owned()),
        ("GET", ["networks", "bridge"]) => Call::Bridge,
        (_, ["exec", ..]) => return Err(CallError::Unsupported("exec")),
        (_, ["commit"]) => return Err(CallError::Unsupported("a snapshot")),
        (_, ["images", ..]) => return Err(CallError::Unsupported("an image")),
        _ => return Err(CallError::Unknown),
    })
}

struct Query<'a>(&'a str);

impl Query<'_> {
    fn get(&self, name: &str) -> Option<String> {
        let mut pairs = form_urlencoded::parse(self.0.as_bytes());
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
    }

    /// Docker's truth values, as its clients send them.
    fn flag(&self, name: &'static str) -> Result<bool, CallError> {
        match self.get(name).as_deref() {
            None | Some("" | "0" | "false" | "False") => Ok(false),
            Some("1" | "true" | "True") => Ok(true),
            Some(_) => Err(CallError::Flag(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(method: &str, target: &str) -> Result<Call, CallError> {
        let (path, query) = target.split_once('?').map_or((target, None), |(p, q)| (p, Some(q)));
        parse(&method.parse().unwrap(), path, query)
    }

    #[test]
    fn the_calls_that_workerd_makes() {
        let app = || "workerd-a_b-1".to_owned();
        let cases = [
            ("GET", "/volumes?filters=%7B%22name%22%3A%5B%22x%22%5D%7D", Call::Volumes),
            ("GET", "/networks/bridge", Call::Bridge),
            ("GET", "/containers/workerd-a_b-1/json", Call::Inspect(app())),
            ("GET", "/v1.43/containers/workerd%2Da_b-1/json", Call::Inspect(app())),
            ("POST", "/containers/create?name=workerd-a_b-1", Call::Create { name: app() }),
            ("POST", "/containers/workerd-a_b-1/start", Call::Start(app())),
            (
                "POST",
                "/containers/workerd-a_b-1/wait?condition=removed",
                Call::Wait(app(), WaitCondition::Removed),
            ),
            (
                "POST",
                "/containers/workerd-a_b-1/kill?signal=SIGTERM",
                Call::Kill(app(), Signal::TERM),
            ),
            (
                "DELETE",
                "/containers/workerd-a_b-1?force=true",
                Call::Remove { name: app(), force: true },
            ),
            ("PUT", "/containers/workerd-a_b-1/archive?path=%2Fetc", Call::PutArchive(app())),
            ("GET", "/containers/json?all=1", Call::List { all: true, filter: Filter::default() }),
        ];
        for (method, target, call) in cases {
            assert_eq!(read(method, target).unwrap(), call, "{method} {target}");
        }
    }

    #[test]
    fn what_is_not_supported_says_so_and_the_rest_is_not_found() {
        let cases = [
            ("POST", "/containers/a1/exec", 501),
            ("POST", "/exec/x/start", 501),
            ("POST", "/commit?container=a1", 501),
            ("POST", "/volumes/create", 501),
            ("GET", "/images/x/json", 501),
            ("GET", "/containers/a1/archive", 501),
            ("POST", "/containers/a1/wait?condition=bored", 400),
            ("POST", "/containers/a1/kill?signal=SIGNOPE", 400),
            ("DELETE", "/containers/a1?force=perhaps", 400),
            ("POST", "/containers/create", 400),
            ("GET", "/containers/json?filters=%5B", 400),
            ("GET", "/containers/%ff/json", 400),
            ("POST", "/containers/a1/json", 404),
            ("GET", "/vx/version", 404),
            ("GET", "/", 404),
        ];
        for (method, target, status) in cases {
            let error = read(method, target).unwrap_err();
            assert_eq!(error.status().as_u16(), status, "{method} {target}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_request_line_is_too_strange(path in "[/a-z0-9%.{}-]{0,40}", query in "\\PC{0,40}") {
            for method in ["GET", "POST", "DELETE", "PUT"] {
                drop(parse(&method.parse().unwrap(), &path, Some(&query)));
            }
        }
    }
}
