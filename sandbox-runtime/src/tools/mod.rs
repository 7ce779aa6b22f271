//! The tools, behind one gateway: look up, check the arguments, run, truncate.
//!
//! Invariants: a tool runs only with arguments that passed its schema; no output is larger than
//! its bound; a tool's failure is text for the model and never ends the turn.

mod arguments;
mod bash;
mod edit;
mod image;
mod read;
mod readable;
#[cfg(test)]
mod tests;
pub mod truncate;
mod web_fetch;
mod write;

use std::path::PathBuf;

use dialects::ToolSpec;
use protocol::session::{Image, ToolArguments, ToolStatus};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::chain;
use crate::edge::{EdgeError, Http};
use crate::process::{CommandError, CommandVariables};
use crate::workspace::{FileError, Workspace};

/// What the model is told of each tool, in the order in which it is told.
const SPECS: [(Kind, &str); 5] = [
    (Kind::Bash, include_str!("../../prompts/tools/bash.json")),
    (Kind::Read, include_str!("../../prompts/tools/read.json")),
    (Kind::Write, include_str!("../../prompts/tools/write.json")),
    (Kind::Edit, include_str!("../../prompts/tools/edit.json")),
    (Kind::WebFetch, include_str!("../../prompts/tools/web_fetch.json")),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Bash,
    Read,
    Write,
    Edit,
    WebFetch,
}

/// A tool's file in `prompts/tools/`.
#[derive(Debug, Deserialize)]
struct SpecFile {
    name: String,
    description: String,
    input_schema: Value,
}

/// All tools, over one workspace.
#[derive(Debug)]
pub struct Gateway {
    tools: Vec<(Kind, ToolSpec)>,
    workspace: Workspace,
    http: Http,
    commands: CommandVariables,
}

/// A call that passed all checks.
#[derive(Debug)]
pub struct Prepared(Call);

/// What must be in place before a call may run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needs {
    /// One file of the workspace, by its path there.
    File(PathBuf),
    /// The whole workspace.
    Workspace,
    /// Nothing.
    Nothing,
}

#[derive(Debug)]
enum Call {
    Bash(bash::Arguments),
    Read(read::Arguments),
    Write(write::Arguments),
    Edit(edit::Arguments),
    WebFetch(web_fetch::Arguments),
}

/// Why a call is not run, as the model is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// No such tool.
    #[error("There is no tool named {name:?}. The tools are: {tools}.")]
    UnknownTool {
        /// The name that was called.
        name: String,
        /// Those there are.
        tools: String,
    },
    /// The arguments do not fit.
    #[error("Not run: {0}. Mend the arguments and make the call again.")]
    Arguments(String),
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolOutcome {
    /// How it ended.
    pub status: ToolStatus,
    /// What the model is told.
    pub output: String,
    /// What it is shown besides.
    pub images: Vec<Image>,
}

/// Why a tool failed, as the model is told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ToolError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{0}")]
    Unfit(String),
    #[error(transparent)]
    Command(#[from] CommandError),
    #[error("the page could not be fetched")]
    Fetch(#[source] EdgeError),
    #[error("the tool itself failed")]
    Lost(#[source] tokio::task::JoinError),
}

/// Whether a tool of this name may change files.
pub fn changes_files(name: &str) -> bool {
    !matches!(name, "read" | "web_fetch")
}

impl Gateway {
    /// The tools, working in `workspace`, with the edge behind `http`; commands are given `commands`.
    pub fn new(
        workspace: Workspace,
        http: Http,
        commands: CommandVariables,
    ) -> Result<Self, serde_json::Error> {
        let tool = |(kind, text)| {
            let SpecFile { name, description, input_schema } = serde_json::from_str(text)?;
            Ok((kind, ToolSpec { name, description, input_schema }))
        };
        let tools = SPECS.into_iter().map(tool).collect::<Result<_, serde_json::Error>>()?;
        Ok(Self { tools, workspace, http, commands })
    }

    /// What the model is told of the tools.
    pub fn specs(&self) -> Vec<ToolSpec> {
        self.tools.iter().map(|(_, spec)| spec.clone()).collect()
    }

    /// Checks a call. Nothing has happened yet.
    pub fn prepare(&self, name: &str, arguments: &ToolArguments) -> Result<Prepared, Refused> {
        let Some((kind, spec)) = self.tools.iter().find(|(_, spec)| spec.name == name) else {
            let names: Vec<&str> = self.tools.iter().map(|(_, spec)| spec.name.as_str()).collect();
            return Err(Refused::UnknownTool { name: name.to_owned(), tools: names.join(", ") });
        };
        let ToolArguments::Object(map) = arguments else {
            return Err(Refused::Arguments("the arguments are not a JSON object".to_owned()));
        };
        arguments::check(&spec.input_schema, map).map_err(Refused::Arguments)?;
        Ok(Prepared(match kind {
            Kind::Bash => Call::Bash(typed(map)?),
            Kind::Read => Call::Read(typed(map)?),
            Kind::Write => Call::Write(typed(map)?),
            Kind::Edit => Call::Edit(typed(map)?),
            Kind::WebFetch => Call::WebFetch(typed(map)?),
        }))
    }

    /// What must be in place before the call may run.
    pub fn needs(&self, Prepared(call): &Prepared) -> Needs {
        match call {
            Call::Read(arguments) => match self.workspace.relative(arguments.path()) {
                Some(path) => Needs::File(path),
                None => Needs::Workspace,
            },
            Call::WebFetch(_) => Needs::Nothing,
            Call::Bash(_) | Call::Write(_) | Call::Edit(_) => Needs::Workspace,
        }
    }

    /// Runs a call for a model that `sees` images or does not. Dropping the future stops a command; a
    /// file access that has begun is finished.
    pub async fn run(&self, Prepared(call): Prepared, sees: bool) -> ToolOutcome {
        let workspace = self.workspace.clone();
        let result = match call {
            Call::Bash(arguments) => bash::run(arguments, &workspace, &self.commands).await,
            Call::Read(arguments) => {
                blocking(move || read::run(&arguments, &workspace, sees)).await
            }
            Call::Write(arguments) => blocking(move || write::run(&arguments, &workspace)).await,
            Call::Edit(arguments) => blocking(move || edit::run(&arguments, &workspace)).await,
            Call::WebFetch(arguments) => web_fetch::run(arguments, &self.http).await,
        };
        let outcome = result.unwrap_or_else(|error| ToolOutcome::failed(chain(&error)));
        ToolOutcome { output: truncate::text(&outcome.output), ..outcome }
    }
}

impl ToolOutcome {
    fn ok(output: impl Into<String>) -> Self {
        Self { status: ToolStatus::Ok, output: output.into(), images: Vec::new() }
    }

    fn failed(output: impl Into<String>) -> Self {
        Self { status: ToolStatus::Failed, ..Self::ok(output) }
    }

    /// A call that was stopped.
    pub fn interrupted(output: impl Into<String>) -> Self {
        Self { status: ToolStatus::Interrupted, ..Self::ok(output) }
    }
}

fn typed<T: DeserializeOwned>(map: &Map<String, Value>) -> Result<T, Refused> {
    serde_json::from_value(Value::Object(map.clone()))
        .map_err(|error| Refused::Arguments(error.to_string()))
}

async fn blocking(
    work: impl FnOnce() -> Result<ToolOutcome, ToolError> + Send + 'static,
) -> Result<ToolOutcome, ToolError> {
    tokio::task::spawn_blocking(work).await.map_err(ToolError::Lost)?
}
