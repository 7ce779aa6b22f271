//! Free ports on loopback.
//!
//! A port that is free now may be taken a moment later; whoever gets it then says so and fails.

use std::net::{Ipv4Addr, TcpListener};
use std::process;

use anyhow::{Context as _, Result, bail};

use crate::limits::{FREE_PORT_ATTEMPTS_MAX, FREE_PORTS, PORT_ATTEMPTS_MAX};

/// Where people expect a local Worker.
pub(crate) const DEFAULT_PORT: u16 = 8787;

/// The port to listen on: the one asked for, or any free one, or the default or one soon after it.
pub(super) fn choose(wanted: Option<u16>, any: bool) -> Result<u16> {
    match wanted {
        Some(0) => free(),
        Some(port) if port_is_free(port) => Ok(port),
        Some(port) => {
            bail!("port {port} is taken; choose another with --port, or leave --port out")
        }
        None if any => free(),
        None => {
            let near =
                (DEFAULT_PORT..DEFAULT_PORT + PORT_ATTEMPTS_MAX).find(|port| port_is_free(*port));
            near.map_or_else(free, Ok)
        }
    }
}

/// Whether nothing listens there.
pub(crate) fn port_is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// A free port, where possible below those that the system hands out for outgoing connections: one
/// of them could hold the port of a stack that was stopped and is to come back.
fn free() -> Result<u16> {
    let span = FREE_PORTS.end - FREE_PORTS.start;
    // Processes that look at the same time look at different places.
    let spread = (process::id() % u32::from(span)).saturating_mul(7919) % u32::from(span);
    let first = FREE_PORTS.start + u16::try_from(spread).unwrap_or(0);
    let mut near = (first..FREE_PORTS.end).chain(FREE_PORTS.start..first);
    if let Some(port) = near.by_ref().take(FREE_PORT_ATTEMPTS_MAX).find(|port| port_is_free(*port))
    {
        return Ok(port);
    }
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr().context("asking for the port")?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_when_it_was_asked_for() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = listener.local_addr().unwrap().port();
        assert!(format!("{:#}", choose(Some(taken), false).unwrap_err()).contains("--port"));
        assert!(choose(None, true).unwrap() != taken);
        assert!(choose(Some(0), false).unwrap() > 0);
        assert!(choose(None, false).unwrap() > 0);
    }
}
