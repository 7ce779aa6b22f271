//! Containers whose workerd was killed: `wrangler dev` names the containers of each session anew, so
//! nobody would ever ask for the old ones again, and two containers of one Durable Object would run.
//!
//! *Invariant:* only containers of *another* session are removed, and only when that session's
//! workerd is known to be gone: nothing listens on the egress port it gave to their sidecar.

use std::sync::Arc;

use crate::containers::Refusal;
use crate::containers::filter::Filter;
use crate::containers::registry::{Container, Engine};
use crate::containers::spec::SIDECAR_SUFFIX;
use crate::terminal::report;

/// The label by which `wrangler dev` tells its sessions apart.
const SESSION: &str = "dev.workerd.session";

/// Removes the orphans that a new container of a session brings to light.
pub(super) async fn remove(engine: Arc<Engine>, newcomer: Arc<Container>) {
    let Some(session) = newcomer.spec.labels.get(SESSION) else { return };
    for sidecar in engine.list(false, &Filter::default()) {
        let other = sidecar.spec.labels.get(SESSION).is_some_and(|found| found != session);
        let Some(app) = sidecar.name.as_str().strip_suffix(SIDECAR_SUFFIX) else { continue };
        let Some(servers) = sidecar.sidecar().filter(|_| other) else { continue };
        if servers.is_deserted().await {
            drop(servers);
            discard(&engine, app).await;
            discard(&engine, sidecar.name.as_str()).await;
        }
    }
}

async fn discard(engine: &Engine, name: &str) {
    match engine.remove(name, true).await {
        Ok(()) => report(&format!("removed {name}, whose workerd is gone")),
        // Another newcomer was faster.
        Err(Refusal::NoSuchContainer(_) | Refusal::BeingRemoved(_)) => {}
        Err(error) => report(&format!("cannot remove {name}, whose workerd is gone: {error}")),
    }
}
