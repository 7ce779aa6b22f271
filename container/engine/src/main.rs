//! The program: reads the command line, binds, says what it does not do, serves until told to end.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use container_engine::args::{Args, HELP, Request, parse};
use container_engine::containers::{Engine, EngineSettings};
use container_engine::lifeline::{self, Lifeline};
use container_engine::process::disk::Disks;
use container_engine::process::log::Logs;
use container_engine::server::Socket;
use container_engine::terminal::{report, say};
use tokio::signal::unix::{SignalKind, signal};

/// What nobody should learn by surprise.
const LIMITS: &str = "\
container-engine: for development and tests only. There is no isolation:
  containers are plain processes that run as you, with your files and your network;
  HTTPS is not intercepted, and exec, volumes and snapshots are not supported.
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<()> {
    match parse(std::env::args_os().skip(1))? {
        Request::Help => say(HELP),
        Request::Lifeline => lifeline::serve(std::io::stdin().lock()),
        Request::Serve(args) => {
            // Made before the runtime, and so removed after it: nothing that runs in there uses the
            // folder any more.
            let temporary = match &args.work_dir {
                Some(_) => None,
                None => Some(tempfile::tempdir().context("cannot make a temporary folder")?),
            };
            let root = temporary.as_ref().map(tempfile::TempDir::path);
            let root = args.work_dir.as_deref().or(root).context("there is no work folder")?;
            // One thread for everything: no locks are contended, and the kernel's
            // death-of-the-parent signal watches the thread that starts containers, which must
            // therefore be the one that lives longest.
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .context("cannot start the async runtime")?;
            runtime.block_on(serve(&args, root))?;
        }
    }
    Ok(())
}

async fn serve(args: &Args, root: &Path) -> anyhow::Result<()> {
    let settings = EngineSettings {
        command: args.command.clone(),
        logs: Logs::open(args.log_dir.as_deref())?,
        disks: Disks::open(root)?,
        lifeline: Some(Lifeline::start()?),
    };
    // Watched before the socket exists, so that no signal after "listening" is missed.
    let mut terminate = signal(SignalKind::terminate()).context("cannot watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot watch for SIGINT")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let socket = Socket::bind(&args.socket)?;
    say(LIMITS);
    say(&format!("container-engine: listening on {}\n", args.socket.display()));
    socket.serve(Engine::new(settings), stop).await;
    Ok(())
}
