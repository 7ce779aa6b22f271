//! Keeps a `workerd` alive: starts it, and starts it again on the same port when it was killed.
//!
//! Nothing else of the stack ends then, so the agent object is reset while its container runs on:
//! what a deployment does. `wrangler` starts the program that `MINIFLARE_WORKERD_PATH` names, hands
//! the configuration over as its standard input and reads the ports from descriptor 3.
//!
//! Invariant: `workerd` dies with its keeper.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::limits::KEPT_LIVES_MAX;
use crate::paths;

/// Where `wrangler` looks for the program to start.
const PROGRAM: &str = "MINIFLARE_WORKERD_PATH";
/// The real one; its presence makes a program with [`serve`] in it a keeper.
const REAL: &str = "PAGURUS_KEPT_WORKERD";
/// Ends a child with its parent.
const SETPRIV: &str = "/usr/bin/setpriv";
const KILLED: i32 = 9;
const ANY_PORT: &str = "--socket-addr=entry=127.0.0.1:0";
const CONTROL: &str = "--control-fd=";

/// The variables that put the program `keeper` in `workerd`'s place; why not where that cannot be.
pub(super) fn variables(keeper: &Path) -> Result<Result<[(&'static str, PathBuf); 2], String>> {
    if !Path::new(SETPRIV).exists() {
        return Ok(Err(format!("{SETPRIV} is missing (package util-linux)")));
    }
    let packages = paths::node_modules()?.join("@cloudflare");
    for entry in std::fs::read_dir(&packages).context("listing the packages of workerd")? {
        let program = entry?.path().join("bin/workerd");
        if program.is_file() {
            return Ok(Ok([(PROGRAM, keeper.to_owned()), (REAL, program)]));
        }
    }
    Ok(Err(format!("no workerd below {}", packages.display())))
}

/// What a keeper does instead of the program's own work: `None` when this process is none.
pub fn serve() -> Option<Result<i32>> {
    let real = PathBuf::from(std::env::var_os(REAL)?);
    Some(keep(&real, std::env::args().skip(1).collect()))
}

fn keep(real: &Path, mut arguments: Vec<String>) -> Result<i32> {
    if !arguments.iter().any(|argument| argument == "-") {
        // Not a server: somebody asks for its version.
        return Err(Command::new(real).args(arguments).exec()).context("becoming workerd");
    }
    if let Some(socket) = arguments.iter_mut().find(|argument| *argument == ANY_PORT) {
        // The second life must listen where the first did.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr());
        *socket = ANY_PORT.replace(":0", &format!(":{}", port.context("finding a port")?.port()));
    }
    let mut configuration = Vec::new();
    std::io::stdin().read_to_end(&mut configuration).context("reading the configuration")?;
    for _ in 0..KEPT_LIVES_MAX {
        let mut command = Command::new(SETPRIV);
        command.args(["--pdeathsig", "KILL", "--"]).arg(real).args(&arguments);
        let mut child = command.stdin(Stdio::piped()).spawn().context("starting workerd")?;
        let mut input = child.stdin.take().context("workerd has no input")?;
        let fed = input.write_all(&configuration);
        drop(input);
        let status = child.wait().context("waiting for workerd")?;
        if status.signal() != Some(KILLED) {
            fed.context("handing the configuration over")?;
            return status.code().context("workerd ended by a signal");
        }
        // The ports are known by now, and nobody reads the descriptor any more.
        arguments.retain(|argument| !argument.starts_with(CONTROL));
    }
    bail!("workerd was killed {KEPT_LIVES_MAX} times")
}
