//! `bash`: runs a command in the workspace.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use serde::Deserialize;

use super::truncate::Ends;
use super::{ToolError, ToolOutcome};
use crate::limits::{COMMAND_TIMEOUT_SECONDS, COMMAND_TIMEOUT_SECONDS_MAX};
use crate::process::{CommandEnd, CommandVariables, run_shell};
use crate::workspace::Workspace;

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    command: String,
    timeout_seconds: Option<u64>,
}

pub(super) async fn run(
    arguments: Arguments,
    workspace: &Workspace,
    variables: &CommandVariables,
) -> Result<ToolOutcome, ToolError> {
    let seconds = arguments
        .timeout_seconds
        .unwrap_or(COMMAND_TIMEOUT_SECONDS)
        .min(COMMAND_TIMEOUT_SECONDS_MAX);
    let limit = Duration::from_secs(seconds);
    let mut ends = Ends::default();
    let end =
        run_shell(&arguments.command, workspace.root(), variables, limit, |b| ends.push(b)).await?;
    let mut output = ends.into_text();
    if !output.is_empty() && !output.ends_with('\n') {
        output.push('\n');
    }
    Ok(match end {
        CommandEnd::Exited { status, left_running } => {
            if left_running {
                output.push_str(
                    "[a program it started runs on; what it prints from now on is lost]\n",
                );
            }
            output.push_str(&exit_line(status));
            if status.success() { ToolOutcome::ok(output) } else { ToolOutcome::failed(output) }
        }
        CommandEnd::TimedOut => {
            ToolOutcome::failed(format!("{output}[killed after {seconds} seconds]"))
        }
    })
}

fn exit_line(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("[exit code {code}]"),
        (None, Some(signal)) => format!("[killed by signal {signal}]"),
        (None, None) => "[ended without an exit code]".to_owned(),
    }
}
