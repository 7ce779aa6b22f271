//! `cargo xtask restore`: has an empty agent filled from its bucket.
//!
//! Invariants: the token goes to the agent and nowhere else, never in plain text over a network;
//! success is what the agent itself says.

use std::env;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, Result, bail};
use protocol::Problem;
use protocol::object::Restored;
use serde_json::{Value, json};

use crate::args::RestoreOptions;
use crate::console;
use crate::environment;
use crate::limits::{RESTORE_ANSWER_BYTES_MAX, RESTORE_SECONDS_MAX};
use crate::places::Places;

const POST: &str = include_str!("post.mjs");

/// Where the token is when no file is named.
const TOKEN: &str = "API_TOKEN";

/// Restores, and says what came back.
pub(crate) fn run(places: &Places, options: &RestoreOptions) -> Result<ExitCode> {
    let result = restore(places, options);
    if options.json {
        let line = match &result {
            Ok(restored) => {
                let mut line = serde_json::to_value(restored).context("writing the result")?;
                if let Some(line) = line.as_object_mut() {
                    line.insert("event".to_owned(), "restored".into());
                }
                line
            }
            Err(error) => json!({ "event": "error", "reason": format!("{error:#}") }),
        };
        console::print(&line.to_string());
    } else if let Ok(restored) = &result {
        for line in told(restored) {
            console::print(&line);
        }
    }
    result.map(|_| ExitCode::SUCCESS)
}

fn restore(places: &Places, options: &RestoreOptions) -> Result<Restored> {
    let url = format!("{}/api/restore", checked(&options.url)?);
    let token = token(options.token_file.as_deref(), env::var(TOKEN).ok())?;
    console::note(&format!(
        "asking {} to restore from its bucket; an agent with a long past takes some minutes",
        options.url
    ));
    let answer = post(places, &url, &token)?;
    understood(&answer)
}

/// The URL of an agent to which a token may be sent.
fn checked(url: &str) -> Result<&str> {
    let url = url.trim_end_matches('/');
    let (scheme, host) = url.split_once("://").context("--url wants a URL like https://host")?;
    if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
        bail!("--url wants scheme and host alone, like https://pagurus.example.workers.dev");
    }
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    match (scheme, name) {
        ("https", _) | ("http", "127.0.0.1" | "localhost" | "[::1]") => Ok(url),
        ("http", _) => bail!("the token would go in plain text; use https://{host}"),
        _ => bail!("--url begins with https:// (or with http:// on this machine)"),
    }
}

/// The token, from a file or the environment.
fn token(file: Option<&Path>, variable: Option<String>) -> Result<String> {
    let token = match file {
        Some(file) => {
            fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?
        }
        None => variable.with_context(|| {
            format!(
                "there is no token: name its file with --token-file (a local agent's is \
                 state/api-token), or set {TOKEN}"
            )
        })?,
    };
    let token = token.trim();
    if token.is_empty() || token.contains(char::is_whitespace) {
        bail!("the token is empty or has a space in it");
    }
    Ok(token.to_owned())
}

/// Posts by Node, which this program needs anyway and which speaks TLS.
fn post(places: &Places, url: &str, token: &str) -> Result<Value> {
    let mut command = match environment::node_tool(places, "node") {
        Ok(node) if Path::new(node.get_program()).exists() => node,
        _ => Command::new("node"),
    };
    let mut child = command
        .args(["--no-warnings", "--input-type=module", "--eval", POST])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting node; `cargo xtask doctor` tells what is missing")?;
    let order = json!({
        "url": url,
        "token": token,
        "milliseconds": RESTORE_SECONDS_MAX * 1000,
        "bytes": RESTORE_ANSWER_BYTES_MAX,
    });
    let mut stdin = child.stdin.take().context("node has no standard input")?;
    stdin.write_all(order.to_string().as_bytes()).context("writing to node")?;
    drop(stdin);
    let output = child.wait_with_output().context("waiting for node")?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("node ended ({}) without an answer", output.status))
}

/// What the agent said.
fn understood(answer: &Value) -> Result<Restored> {
    if let Some(why) = answer.get("failed").and_then(Value::as_str) {
        bail!("the agent cannot be reached: {why}");
    }
    let status = answer.get("status").and_then(Value::as_u64).unwrap_or_default();
    let body = answer.get("body").and_then(Value::as_str).unwrap_or_default();
    if status == 200
        && let Ok(restored) = serde_json::from_str(body)
    {
        return Ok(restored);
    }
    match serde_json::from_str::<Problem>(body) {
        Ok(problem) => bail!("the agent refuses: {problem}"),
        Err(_) => bail!("the answer, {status}, is no agent's; is the URL right?"),
    }
}

fn told(restored: &Restored) -> Vec<String> {
    let Restored { control, sessions, records, adopted, waiting, jobs, .. } = restored;
    let mut lines = vec![
        format!("restored from {control}"),
        format!(
            "  {sessions} sessions with {records} records, {jobs} jobs, {waiting} waiting messages"
        ),
    ];
    if *adopted > 0 {
        lines.push(format!("  {adopted} parts of logs are newer than that and were taken in too"));
    }
    lines.extend(restored.warnings.iter().map(|warning| format!("  warning: {warning}")));
    lines
        .push("  files come back from the workspace's repository with the next message".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_goes_to_https_or_this_machine_alone() {
        assert_eq!(checked("https://a.example/").unwrap(), "https://a.example");
        for here in ["http://127.0.0.1:8787", "http://localhost", "http://[::1]:1"] {
            assert_eq!(checked(here).unwrap(), here);
        }
        for odd in [
            "a.example",
            "http://a.example",
            "http://127.0.0.1.example",
            "ftp://a.example",
            "https://",
            "https://a.example/api",
            "https://user@a.example",
            "http://127.0.0.1:1@a.example",
        ] {
            assert!(checked(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn the_file_counts_before_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "from-file\n").unwrap();
        assert_eq!(token(Some(&file), Some("other".into())).unwrap(), "from-file");
        assert_eq!(token(None, Some("other".into())).unwrap(), "other");
        let error = token(None, None).unwrap_err().to_string();
        assert!(error.contains("--token-file") && error.contains(TOKEN), "{error}");
        fs::write(&file, " ").unwrap();
        assert!(token(Some(&file), None).is_err());
    }

    #[test]
    fn only_the_agents_own_word_is_success() {
        let body = serde_json::to_string(&Restored::default()).unwrap();
        understood(&json!({ "status": 200, "body": body })).unwrap();
        let said = |answer: Value| understood(&answer).unwrap_err().to_string();
        let problem = r#"{"code":"forbidden","message":"Not empty.","remedy":"Elsewhere."}"#;
        let refused = said(json!({ "status": 403, "body": problem }));
        assert_eq!(refused, "the agent refuses: Not empty. Elsewhere.");
        assert!(said(json!({ "status": 200, "body": "<html>" })).contains("is the URL right?"));
        assert!(said(json!({ "failed": "ECONNREFUSED" })).contains("ECONNREFUSED"));
    }
}
