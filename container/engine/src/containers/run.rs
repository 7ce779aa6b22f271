//! One life of an app: start the process, and follow it until it is reaped and swept.
//!
//! *Invariant:* the way out that a life was given, its own forward proxy, is closed before anybody
//! hears that the container has exited, so nothing that is left of it speaks for the next life.

use std::sync::{Arc, Weak};

use tokio::process::Child;
use tokio::task::spawn_blocking;

use crate::containers::registry::{Container, Engine, Running, random_id};
use crate::containers::{Name, Refusal};
use crate::process::environment::{Place, build};
use crate::process::log::print_lines;
use crate::process::{Launch, Life, exit_code, spawn, sweep};
use crate::sidecar::{LifeProxy, Sidecar};
use crate::terminal::report;

/// Starts an app.
pub(super) fn start(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    sidecar: Option<&Arc<Sidecar>>,
) -> Result<(), Refusal> {
    let settings = &engine.settings;
    let name = &container.name;
    let folder = settings.disks.folder(name);
    let port = engine.free_port()?;
    let proxy = sidecar.map(|sidecar| sidecar.open_proxy()).transpose()?;
    let proxy_port = proxy.as_ref().map(LifeProxy::port);
    let path = std::env::var_os("PATH");
    let mark = random_id();
    let place = Place { folder: &folder, port, mark: &mark, proxy_port };
    let mut child = spawn(Launch {
        command: &container.spec.command,
        environment: build(path.as_deref(), &container.spec.environment, &place),
        folder: &folder,
        outputs: settings.logs.outputs(name)?,
    })?;
    // A child that was just made has its pid until it is waited for.
    let pid = child.id().unwrap_or_default();
    let life = Life { session: pid, mark };
    if let Some(lifeline) = &settings.lifeline {
        lifeline.running(&life);
    }
    if let Some(sidecar) = sidecar {
        sidecar.attach(port);
    }
    container.hold(Running::App { port });
    container.status.send_modify(|status| *status = status.started(pid));
    settings.logs.note(name, &format!("started, pid {pid}, port {port}"));
    print_pipes(name, &mut child);
    let run = Run { life, port, sidecar: sidecar.map(Arc::downgrade), proxy };
    tokio::spawn(follow(engine.clone(), container.clone(), child, run));
    Ok(())
}

/// What is known of a run.
struct Run {
    life: Life,
    port: u16,
    /// Weak: an app that runs on must not keep a removed sidecar's servers alive.
    sidecar: Option<Weak<Sidecar>>,
    proxy: Option<LifeProxy>,
}

/// Waits for the end of a run. What the process left behind is killed before anybody hears that
/// the container has exited, as when a container's first process ends.
async fn follow(engine: Arc<Engine>, container: Arc<Container>, mut child: Child, run: Run) {
    let name = &container.name;
    let code = match child.wait().await {
        Ok(status) => exit_code(status),
        Err(error) => {
            report(&format!("{name}: cannot wait for its process: {error}"));
            -1
        }
    };
    if let Some(proxy) = run.proxy {
        proxy.close().await;
    }
    // On another thread, since this one carries every model token and a machine has many processes.
    let life = run.life.clone();
    let swept = spawn_blocking(move || sweep(&life)).await;
    if let Err(error) = swept.unwrap_or_else(|failed| Err(failed.into())) {
        report(&format!("{name}: cannot end what its process left behind: {error}"));
    }
    if let Some(lifeline) = &engine.settings.lifeline {
        lifeline.ended(&run.life);
    }
    if let Some(sidecar) = run.sidecar.and_then(|sidecar| sidecar.upgrade()) {
        sidecar.detach(run.port);
    }
    engine.settings.logs.note(name, &format!("exited with code {code}"));
    container.hold(Running::Nothing);
    container.status.send_modify(|status| *status = status.exited(code));
}

/// Prints what a process writes into pipes. With logs in files there are none.
fn print_pipes(name: &Name, child: &mut Child) {
    if let Some(pipe) = child.stdout.take() {
        tokio::spawn(print_lines(name.clone(), pipe));
    }
    if let Some(pipe) = child.stderr.take() {
        tokio::spawn(print_lines(name.clone(), pipe));
    }
}
