//! The bodies that the Docker API answers with: the fields that workerd, wrangler and a curious
//! developer read.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::containers::Container;
use crate::containers::phase::{Phase, Status};

/// The port of the sidecar that workerd asks for.
const SIDECAR_PORT: &str = "39001/tcp";

/// An error.
#[derive(Debug, Serialize)]
pub struct Message {
    /// What failed.
    pub message: String,
}

/// A created container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Created {
    /// Its id.
    pub id: String,
    /// Always empty.
    pub warnings: [String; 0],
}

/// The end of a wait.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Waited {
    /// The exit code.
    pub status_code: i32,
}

/// An inspected container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspection {
    id: String,
    name: String,
    state: State,
    config: Config,
    network_settings: NetworkSettings,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    status: &'static str,
    running: bool,
    restarting: bool,
    pid: u32,
    exit_code: i32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    image: String,
    labels: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkSettings {
    ports: BTreeMap<&'static str, [Binding; 1]>,
}

/// A published port. Older workerd takes the second field for the port, so the order counts.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    host_ip: &'static str,
    host_port: String,
}

/// A listed container.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    id: String,
    names: [String; 1],
    image: String,
    created: u64,
    labels: BTreeMap<String, String>,
    state: &'static str,
    status: String,
}

impl Inspection {
    /// What is to be said of a container now.
    pub fn of(container: &Container) -> Self {
        let status = container.status();
        let binding = |port: u16| Binding { host_ip: "127.0.0.1", host_port: port.to_string() };
        let ports = container.control_port().map(|port| (SIDECAR_PORT, [binding(port)]));
        Self {
            id: container.id.clone(),
            name: format!("/{}", container.name),
            state: State {
                status: status.word(),
                running: status.is_running(),
                restarting: false,
                pid: pid(&status),
                exit_code: if status.is_running() { 0 } else { status.exit_code },
            },
            config: Config {
                image: container.spec.image.clone(),
                labels: container.spec.labels.clone(),
            },
            network_settings: NetworkSettings { ports: ports.into_iter().collect() },
        }
    }
}

impl Listed {
    /// What a listing says of a container.
    pub fn of(container: &Container) -> Self {
        let status = container.status();
        Self {
            id: container.id.clone(),
            names: [format!("/{}", container.name)],
            image: container.spec.image.clone(),
            created: container.created,
            labels: container.spec.labels.clone(),
            state: status.word(),
            status: match status.phase {
                Phase::Exited => format!("Exited ({})", status.exit_code),
                Phase::Created | Phase::Running { .. } | Phase::Removed => status.word().to_owned(),
            },
        }
    }
}

const fn pid(status: &Status) -> u32 {
    match status.phase {
        Phase::Running { pid } => pid,
        Phase::Created | Phase::Exited | Phase::Removed => 0,
    }
}
