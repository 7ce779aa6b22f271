//! The `sandbox-runtime` program: settings from the environment, logs to standard error.

#![forbid(unsafe_code)]

mod terminal;

use std::process::ExitCode;
use std::time::Instant;

use protocol::problem::chain;
use sandbox_runtime::boot::{BootError, Runtime};
use sandbox_runtime::edge::Http;
use sandbox_runtime::last_words::{LogTail, report};
use sandbox_runtime::limits::{BLOCKING_THREAD_IDLE, BLOCKING_THREADS_MAX};
use sandbox_runtime::settings::Settings;
use sandbox_runtime::shutdown::ExitReason;

/// The settings or the surroundings are wrong; trying again does not help.
const EXIT_BOOT_FAILED: u8 = 2;
/// Another life of the container has taken over.
const EXIT_STALE_EPOCH: u8 = 3;

fn main() -> ExitCode {
    let began = Instant::now();
    match std::env::args().nth(1).as_deref() {
        None => run(began),
        Some("--version" | "-V") => terminal::version(),
        Some("--help" | "-h") => terminal::help(),
        Some(_) => terminal::usage(),
    }
}

fn run(began: Instant) -> ExitCode {
    let settings = match Settings::parse(|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => return terminal::failed(&error.to_string()),
    };
    let tail = LogTail::default();
    tracing_subscriber::fmt()
        .compact()
        .with_ansi(false)
        .with_target(false)
        .with_max_level(settings.log)
        .with_writer(tail.clone())
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_keep_alive(BLOCKING_THREAD_IDLE)
        .build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(serve(settings, began, &tail));
            // A file access that hangs must not keep the process.
            runtime.shutdown_background();
            ended
        }
        Err(error) => return terminal::failed(&format!("no event loop: {error}")),
    };
    match ended {
        Ok(ExitReason::Drained) => ExitCode::SUCCESS,
        Ok(ExitReason::StaleEpoch) => ExitCode::from(EXIT_STALE_EPOCH),
        Err(error) => terminal::failed(&chain(&error)),
    }
}

/// Serves to the end. An end that is an error is told to the edge too, as far as that is possible.
async fn serve(
    settings: Settings,
    began: Instant,
    tail: &LogTail,
) -> Result<ExitReason, BootError> {
    let edge_url = settings.edge_url.clone();
    match Runtime::start(settings, began).await {
        Ok(runtime) => Ok(runtime.run().await),
        Err(error) => {
            if let Ok(edge) = Http::new(edge_url) {
                report(&edge, &chain(&error), tail.lines()).await;
            }
            Err(error)
        }
    }
}
