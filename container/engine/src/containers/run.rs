//! One run of an app: start the process, and follow it until it is reaped and swept.

use std::sync::{Arc, Weak};

use tokio::process::Child;

use crate::containers::registry::{Container, Engine, Running};
use crate::containers::{Name, Refusal};
use crate::process::environment::{Place, build};
use crate::process::log::print_lines;
use crate::process::{Launch, exit_code, spawn, sweep};
use crate::sidecar::Sidecar;
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
    let proxy_port = sidecar.map(|sidecar| sidecar.proxy_port());
    let path = std::env::var_os("PATH");
    let place = Place { folder: &folder, port, proxy_port };
    let mut child = spawn(Launch {
        command: &container.spec.command,
        environment: build(path.as_deref(), &container.spec.environment, &place),
        folder: &folder,
        outputs: settings.logs.outputs(name)?,
    })?;
    // A child that was just made has its pid until it is waited for.
    let pid = child.id().unwrap_or_default();
    if let Some(lifeline) = &settings.lifeline {
        lifeline.running(pid);
    }
    if let Some(sidecar) = sidecar {
        sidecar.attach(port);
    }
    container.hold(Running::App { port });
    container.status.send_modify(|status| *status = status.started(pid));
    settings.logs.note(name, &format!("started, pid {pid}, port {port}"));
    print_pipes(name, &mut child);
    let run = Run { pid, port, sidecar: sidecar.map(Arc::downgrade) };
    tokio::spawn(follow(engine.clone(), container.clone(), child, run));
    Ok(())
}

/// What is known of a run.
struct Run {
    pid: u32,
    port: u16,
    /// Weak: an app that runs on must not keep a removed sidecar's servers alive.
    sidecar: Option<Weak<Sidecar>>,
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
    if let Err(error) = sweep(run.pid) {
        report(&format!("{name}: cannot end what its process left behind: {error}"));
    }
    if let Some(lifeline) = &engine.settings.lifeline {
        lifeline.ended(run.pid);
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
