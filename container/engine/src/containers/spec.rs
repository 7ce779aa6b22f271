//! What a container is made from: the body of `POST /containers/create`, reduced to the fields
//! that mean something without images and namespaces, and checked.
//!
//! `HostConfig.RestartPolicy` is read by nobody: workerd always sends `on-failure`, and restarting
//! here would hide a crash from the Durable Object, whose own lifecycle decides about restarts.

use std::collections::BTreeMap;
use std::ffi::OsString;

use serde::Deserialize;

use crate::limits::NAME_BYTES_MAX;

/// Containers whose names end so are sidecars: they own the network of the app they are named for.
pub const SIDECAR_SUFFIX: &str = "-proxy";

/// A checked name: safe as a file name and in a log line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "Invalid container name: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed, 2 to {NAME_BYTES_MAX} bytes"
)]
pub struct InvalidName;

impl Name {
    /// Checks a name by Docker's rule; one leading slash, which Docker's own listings show, is
    /// dropped.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let mut bytes = text.bytes();
        let head = bytes.next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        let tail = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        let length = (2..=NAME_BYTES_MAX).contains(&text.len());
        if head && tail && length { Ok(Self(text.to_owned())) } else { Err(InvalidName) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this names a sidecar.
    pub fn is_sidecar(&self) -> bool {
        self.0.ends_with(SIDECAR_SUFFIX)
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The create body as it arrives. Docker sends `null` for what is absent, hence the options.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CreateBody {
    image: String,
    cmd: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    env: Option<Vec<String>>,
    labels: Option<BTreeMap<String, String>>,
    host_config: Option<HostConfig>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

/// What a container is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The image's name, reported back; every image is taken to exist.
    pub image: String,
    /// The program and its arguments; may be empty for a sidecar.
    pub command: Vec<OsString>,
    /// `NAME=value` pairs, in the order given.
    pub environment: Vec<(String, String)>,
    /// Labels, for listings.
    pub labels: BTreeMap<String, String>,
    /// The container whose network this one joins.
    pub network_of: Option<Name>,
}

/// Why a create body was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// An `Env` entry without a name.
    #[error("invalid environment variable: {0:?} is not NAME=value")]
    Environment(String),
    /// Neither the body nor the engine's command line has a command.
    #[error("no command specified: give Cmd, or start the engine with `-- COMMAND`")]
    NoCommand,
    /// `NetworkMode` names a container that cannot exist.
    #[error("invalid network mode {0:?}")]
    NetworkMode(String),
}

impl CreateBody {
    /// Checks the body and fills in the engine's default command where it has none.
    pub fn into_spec(self, name: &Name, default: &[OsString]) -> Result<Spec, SpecError> {
        let parts = [self.entrypoint, self.cmd];
        let given = parts.into_iter().flatten().flatten().map(OsString::from);
        let mut command: Vec<OsString> = given.collect();
        if command.is_empty() {
            command.extend_from_slice(default);
        }
        if command.is_empty() && !name.is_sidecar() {
            return Err(SpecError::NoCommand);
        }
        let environment = self.env.unwrap_or_default().into_iter().map(environment_pair);
        Ok(Spec {
            image: self.image,
            command,
            environment: environment.collect::<Result<_, _>>()?,
            labels: self.labels.unwrap_or_default(),
            network_of: network_of(&self.host_config.unwrap_or_default().network_mode)?,
        })
    }
}

fn environment_pair(entry: String) -> Result<(String, String), SpecError> {
    match entry.split_once('=') {
        Some((name, value)) if !name.is_empty() && !entry.contains('\0') => {
            Ok((name.to_owned(), value.to_owned()))
        }
        _ => Err(SpecError::Environment(entry)),
    }
}

fn network_of(mode: &str) -> Result<Option<Name>, SpecError> {
    let Some(name) = mode.strip_prefix("container:") else { return Ok(None) };
    match Name::parse(name) {
        Ok(name) => Ok(Some(name)),
        Err(InvalidName) => Err(SpecError::NetworkMode(mode.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spec(body: &str, default: &[OsString]) -> Result<Spec, SpecError> {
        let body: CreateBody = serde_json::from_str(body).unwrap();
        body.into_spec(&Name::parse("app").unwrap(), default)
    }

    #[test]
    fn the_body_that_workerd_sends() {
        let body = r#"{"Image":"app:dev","Env":["A=1","B=x=y","C="],
            "HostConfig":{"RestartPolicy":{"Name":"on-failure"},"NetworkMode":"container:app-proxy",
            "PidMode":"host"},"Labels":{"dev.workerd.session":"s"}}"#;
        let spec = spec(body, &["/bin/app".into()]).unwrap();
        assert_eq!(spec.command, [OsString::from("/bin/app")]);
        let pairs = [("A", "1"), ("B", "x=y"), ("C", "")];
        assert_eq!(spec.environment, pairs.map(|(n, v)| (n.to_owned(), v.to_owned())));
        assert_eq!(spec.network_of, Some(Name::parse("app-proxy").unwrap()));
        assert_eq!(spec.labels["dev.workerd.session"], "s");
    }

    #[test]
    fn the_body_wins_over_the_default_command() {
        let body = r#"{"Image":"i","Entrypoint":["/bin/sh"],"Cmd":["-c","exit 3"],"Env":null}"#;
        let spec = spec(body, &["/bin/app".into()]).unwrap();
        assert_eq!(spec.command, ["/bin/sh", "-c", "exit 3"].map(OsString::from));
    }

    #[test]
    fn no_command_and_a_nameless_variable_are_refused() {
        assert_eq!(spec(r#"{"Image":"i"}"#, &[]), Err(SpecError::NoCommand));
        let body = r#"{"Image":"i","Cmd":["a"],"Env":["=x"]}"#;
        assert_eq!(spec(body, &[]), Err(SpecError::Environment("=x".into())));
    }

    proptest! {
        #[test]
        fn an_accepted_name_is_one_plain_path_component(text in "\\PC{0,12}") {
            if let Ok(name) = Name::parse(&text) {
                let mut parts = std::path::Path::new(name.as_str()).components();
                prop_assert!(matches!(parts.next(), Some(std::path::Component::Normal(_))));
                prop_assert!(parts.next().is_none());
            }
        }
    }
}
