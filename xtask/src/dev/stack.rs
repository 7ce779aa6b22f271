//! The processes of a local run, in the order in which they need one another.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Error, Result, anyhow, bail};

use super::state::State;
use super::{Event, ports, settings, token};
use crate::args::DevOptions;
use crate::build;
use crate::environment;
use crate::limits::PROCESS_READY_SECONDS_MAX;
use crate::places::Places;
use crate::process::{ChildEvent, Crew};

/// Set by tests: the owner's `.dev.vars` must not decide what they see.
const HERMETIC: &str = "PAGURUS_HERMETIC";

const ENGINE: &str = "container-engine";
const DEMO_MODEL: &str = "demo-model";
const WRANGLER: &str = "wrangler";

/// The running processes.
#[derive(Debug)]
pub(super) struct Stack {
    crew: Crew<Event>,
    port: u16,
    demo: bool,
    engine_says: Vec<String>,
    state: String,
    logs: String,
    token: String,
}

impl Stack {
    /// Starts everything and returns when it is ready.
    pub(super) fn start(
        places: &Places,
        options: &DevOptions,
        state: &State,
        (tell, events): (&Sender<Event>, &Receiver<Event>),
    ) -> Result<Self> {
        let port = ports::choose(options.port, !options.say.is_empty())?;
        let mut stack = Self {
            crew: Crew::new(state.logs(), tell.clone())?,
            port,
            demo: false,
            engine_says: Vec::new(),
            state: state.folder().display().to_string(),
            logs: state.logs().display().to_string(),
            token: state.token().display().to_string(),
        };
        let dev_vars = DevVars::read(places)?;
        let has_own = settings::is_set("API_TOKEN", &dev_vars.text);
        let token = if has_own { None } else { Some(token::load(&state.token())?) };
        let made = |name: &str| token.clone().filter(|_| name == "API_TOKEN");
        let variable = |name: &str| env::var(name).ok().or_else(|| made(name));
        stack.demo = !settings::has_key(&variable, &dev_vars.text);
        if !options.docker {
            stack.crew.start(ENGINE, &engine(places, state))?;
            stack.engine_says = stack.ready(ENGINE, "listening", events)?;
        }
        let mut demo_url = None;
        if stack.demo {
            stack.crew.start(DEMO_MODEL, &demo_model(places))?;
            demo_url = stack.ready(DEMO_MODEL, "listening", events)?.pop();
        }
        let demo_url = demo_url.as_deref().and_then(|line| line.strip_prefix("listening "));
        let file = state.settings();
        settings::write_private(&file, &settings::file_text(&variable, demo_url)?)?;
        let mut wrangler = wrangler(places, options, state, port)?;
        // The later file wins, so that the environment overrides `.dev.vars`.
        for file in dev_vars.file.iter().chain([&file]) {
            wrangler.arg("--env-file").arg(file);
        }
        if !options.say.is_empty() || build::is_done_already() {
            // Nobody edits sources meanwhile.
            wrangler.env(build::BUILT, "1");
        }
        stack.crew.start(WRANGLER, &wrangler)?;
        stack.ready(WRANGLER, "Ready on ", events)?;
        Ok(stack)
    }

    /// Where the agent listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Whether the demo model answers.
    pub(super) fn demo(&self) -> bool {
        self.demo
    }

    /// What the container engine says about itself.
    pub(super) fn engine_says(&self) -> &[String] {
        &self.engine_says
    }

    /// The state folder.
    pub(super) fn state(&self) -> &str {
        &self.state
    }

    /// The file of the token for programs of the owner.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// The folder of the logs.
    pub(super) fn logs(&self) -> &str {
        &self.logs
    }

    /// Stops everything.
    pub(super) fn stop(&mut self) {
        self.crew.stop();
    }

    /// Why the stack cannot go on without this process.
    pub(super) fn death_of(&self, name: &str) -> Error {
        match self.crew.tail(name) {
            Ok(tail) => anyhow!("{name} has ended; it said last:\n{tail}"),
            Err(error) => error.context(format!("{name} has ended and its log cannot be read")),
        }
    }

    /// Waits until a process says the sign; returns what it said, the sign last.
    fn ready(&self, name: &str, sign: &str, events: &Receiver<Event>) -> Result<Vec<String>> {
        let deadline = Instant::now() + Duration::from_secs(PROCESS_READY_SECONDS_MAX);
        let mut said = Vec::new();
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            match events.recv_timeout(patience) {
                Ok(Event::Child(ChildEvent::Line { name: other, line })) if other == name => {
                    let ready = line.contains(sign);
                    said.push(line);
                    if ready {
                        return Ok(said);
                    }
                }
                Ok(Event::Child(ChildEvent::Ended { name })) => return Err(self.death_of(name)),
                Ok(Event::Stop) => bail!("stopped"),
                Ok(Event::Child(ChildEvent::Line { .. }) | Event::Said(_)) => {}
                Err(RecvTimeoutError::Timeout) => bail!(
                    "{name} is not ready after {PROCESS_READY_SECONDS_MAX} s; it said last:\n{}",
                    self.crew.tail(name)?
                ),
                Err(error) => return Err(error).context("waiting for the stack"),
            }
        }
    }
}

/// The checkout's own settings.
#[derive(Debug, Default)]
struct DevVars {
    text: String,
    /// Absent where there is no such file.
    file: Option<PathBuf>,
}

impl DevVars {
    /// Reads `.dev.vars`, unless a test wants nothing but its own environment.
    fn read(places: &Places) -> Result<Self> {
        if env::var_os(HERMETIC).is_some_and(|value| value == "1") {
            return Ok(Self::default());
        }
        let file = places.root().join(".dev.vars");
        match fs::read_to_string(&file) {
            Ok(text) => Ok(Self { text, file: Some(file) }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error).context("reading .dev.vars"),
        }
    }
}

fn engine(places: &Places, state: &State) -> Command {
    let mut command = Command::new(places.program("container-engine"));
    command.arg("--socket").arg(state.socket());
    command.arg("--log-dir").arg(state.logs());
    command.arg("--work-dir").arg(state.folder().join("work"));
    command.arg("--").arg(places.program("sandbox-runtime"));
    command
}

fn demo_model(places: &Places) -> Command {
    let mut command = Command::new(places.program("demo-model"));
    command.arg("--with-stdin");
    command
}

fn wrangler(places: &Places, options: &DevOptions, state: &State, port: u16) -> Result<Command> {
    let mut command = environment::wrangler(places)?;
    command
        .args(["dev", "--local", "--ip", "127.0.0.1", "--port", &port.to_string()])
        .args(["--inspector-port", "0", "--show-interactive-dev-session=false"])
        .arg("--persist-to")
        .arg(state.folder().join("wrangler"))
        .env("WRANGLER_LOG_PATH", state.logs().join("wrangler-debug"))
        // Both record every request for a page that nobody opens here.
        .env("X_LOCAL_OBSERVABILITY", "false")
        .env("X_LOCAL_EXPLORER", "false")
        // Nothing reads where a request came from, so nobody need be asked at the start.
        .env("CLOUDFLARE_CF_FETCH_ENABLED", "false");
    if !options.docker {
        let socket = format!("unix://{}", state.socket().display());
        command
            .env("WRANGLER_DOCKER_BIN", places.program("docker-stand-in"))
            .env("WRANGLER_DOCKER_HOST", &socket)
            .env("DOCKER_HOST", &socket);
    }
    Ok(command)
}
