//! Measures the workspace's repository: `cargo run --release -p sandbox-runtime --example
//! workspace_figures -- [megabytes] [files] [latency_ms]`.
//!
//! It makes a workspace of that size, keeps it at a store that waits before each answer (a process
//! of its own, so that the memory seen is the client's), and prints time, requests, bytes and memory
//! of each operation.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

mod far_store;
mod folder;
mod gauge;

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use protocol::workspace::{FileName, Retention};
use sandbox_runtime::edge::Http;
use sandbox_runtime::repository::Repository;
use sandbox_runtime::repository::store::EdgeStore;
use tempfile::TempDir;
use tokio::runtime::{Builder, Handle};

use far_store::Server;
use gauge::{Counted, Gauge};

const HOST: &str = "main";
const SMALL_SAVES: usize = 60;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = Builder::new_current_thread().enable_all().build()?;
    if let [serve, folder, latency_ms] = arguments.as_slice()
        && serve == "serve"
    {
        return runtime.block_on(far_store::serve(folder.into(), latency_ms.parse()?));
    }
    let number = |n: usize, otherwise: u64| arguments.get(n).map_or(Ok(otherwise), |it| it.parse());
    let (megabytes, files, latency_ms) = (number(0, 1_000)?, number(1, 10_000)?, number(2, 30)?);
    println!("{megabytes} MB in {files} files, {latency_ms} ms added to each call of the store\n");
    let at_home = TempDir::new()?;
    let server = Server::start(at_home.path(), latency_ms)?;
    runtime.block_on(async {
        let http = Http::new(server.url.parse()?)?;
        let store = Arc::new(Counted::new(EdgeStore::new(http, Handle::current())));
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || {
            let result = measure(&store, megabytes, files);
            sender.send(result).is_ok()
        });
        let result = receiver.await.context("the measuring broke down")?;
        thread.join().ok().context("the measuring broke down")?;
        result
    })
}

fn measure(store: &Arc<Counted>, megabytes: u64, files: u64) -> Result<()> {
    let work = TempDir::new()?;
    let workspace = work.path().join("workspace");
    folder::make(&workspace, megabytes * 1_000_000, files)?;
    let gauge = Gauge::new(store);
    let (repository, last) = save_often(store, &gauge, &workspace, files)?;
    let key = repository.master_key()?;
    drop(repository);

    open_cold(store, &gauge, &key, &last, "")?;
    let restored = work.path().join("restored");
    std::fs::create_dir(&restored)?;
    let repository = Repository::open_with_key(store.clone(), &key)?;
    let path = folder::path_of(files / 2);
    let one = || Ok(repository.restore_file(&last, &path, &restored)?);
    gauge.measure("one file on demand", one)?;
    let all = || Ok(repository.restore_all(&last, &restored, &|_| {}, &|| false)?);
    gauge.measure("all restored", all)?;
    let again = || Ok(repository.restore_all(&last, &restored, &|_| {}, &|| false)?);
    gauge.measure("restored over itself", again)?;
    let unchanged = || Ok(repository.save(&restored, HOST, Some(&last), &[])?);
    let saved = gauge.measure("saved, nothing changed", unchanged)?;
    anyhow::ensure!(saved.snapshot.is_none(), "a restored folder is not the same: {saved:?}");

    let retention = Retention { last: 10, hourly: 24, daily: 7, weekly: 8 };
    let tidy = Repository::open_with_key(store.clone(), &key)?;
    let done = gauge.measure("maintenance", || Ok(tidy.maintain(HOST, &retention)?))?;
    println!("  {done:?}");
    open_cold(store, &gauge, &key, &last, " after maintenance")
}

/// The first save, small ones after it, and many of them.
fn save_often(
    store: &Arc<Counted>,
    gauge: &Gauge<'_>,
    workspace: &Path,
    files: u64,
) -> Result<(Repository, FileName)> {
    let begin = || Ok(Repository::initialise(store.clone(), "a password for figures")?);
    let made = gauge.measure("a new repository, with a password", begin)?;
    let key = made.master_key()?;
    drop(made);
    let repository = Repository::open_with_key(store.clone(), &key)?;
    let first = || Ok(repository.save(workspace, HOST, None, &["turn:0".into()])?);
    let saved = gauge.measure("first save", first)?;
    let mut last = saved.snapshot.context("nothing was saved")?;
    for n in 0..SMALL_SAVES {
        folder::change_one_line(workspace, files, n)?;
        let small = || Ok(repository.save(workspace, HOST, Some(&last), &[format!("turn:{n}")])?);
        let is_shown = n < 5 || n + 5 >= SMALL_SAVES;
        let title = format!("one line changed, {}", n + 1);
        let done = if is_shown { gauge.measure(&title, small)? } else { small()? };
        last = done.snapshot.context("nothing was saved")?;
    }
    Ok((repository, last))
}

/// As the program does it when a container starts.
fn open_cold(
    store: &Arc<Counted>,
    gauge: &Gauge<'_>,
    key: &str,
    last: &FileName,
    when: &str,
) -> Result<()> {
    let open = || {
        let repository = Repository::open_with_key(store.clone(), key)?;
        Ok(repository.read_files(last, &["AGENTS.md", "MEMORY.md"])?)
    };
    let files = gauge.measure(&format!("opened, prompt files{when}"), open)?;
    anyhow::ensure!(files.len() == 2, "the prompt's files are not there");
    Ok(())
}
