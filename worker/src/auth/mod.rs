//! Who is asking: decided before anything else happens to a request.
//!
//! Until Cloudflare Access is wired in there is one way in: `DEV_MODE=true` on a loopback host.
//! Everything else is refused with the reason. Pure.

use protocol::{Problem, ProblemCode};

use crate::routes::Lane;
use crate::settings::Settings;

/// What a request says about itself.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    /// The host of the request's URL, with its port if it has one.
    pub(crate) host: &'a str,
    /// The `Origin` header, which browsers send with a socket and with cross-site requests.
    pub(crate) origin: Option<&'a str>,
    /// Whether the request wants a WebSocket.
    pub(crate) upgrade: bool,
}

/// Who may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A developer on the machine that runs the local stack.
    Developer,
}

/// Lets a request into a lane, or says why not.
pub(crate) fn admit(
    lane: Lane,
    settings: &Settings,
    asking: &Asking<'_>,
) -> Result<Caller, Problem> {
    match lane {
        Lane::Web => admit_web(settings, asking),
    }
}

fn admit_web(settings: &Settings, asking: &Asking<'_>) -> Result<Caller, Problem> {
    if !settings.dev_mode {
        return Err(Problem::new(
            ProblemCode::Unauthorized,
            "This agent has no way to log in yet: Cloudflare Access is not supported by this version.",
        )
        .remedy("Run it locally with `cargo xtask dev`."));
    }
    if !is_loopback(asking.host) {
        return Err(Problem::new(
            ProblemCode::Unauthorized,
            "DEV_MODE opens the agent to loopback hosts only, and this host is not one.",
        )
        .remedy(
            "Use http://127.0.0.1 or http://localhost, and never set DEV_MODE in a deployment.",
        ));
    }
    // A page of another site can open a socket to a loopback port; only its origin tells.
    let own_origin = format!("http://{}", asking.host);
    if asking.upgrade && asking.origin != Some(own_origin.as_str()) {
        return Err(Problem::new(
            ProblemCode::Forbidden,
            "The socket must be opened from the agent's own page.",
        )
        .remedy(format!("Send the header Origin: {own_origin}.")));
    }
    Ok(Caller::Developer)
}

/// Whether a host, with or without port, is this machine by its name alone.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    matches!(name, "localhost" | "127.0.0.1" | "::1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(dev_mode: &'static str) -> Settings {
        Settings::parse(&move |name| (name == "DEV_MODE").then(|| dev_mode.to_owned()))
    }

    fn admit_page(dev_mode: &'static str, host: &str) -> Result<Caller, ProblemCode> {
        let asking = Asking { host, origin: None, upgrade: false };
        admit(Lane::Web, &settings(dev_mode), &asking).map_err(|problem| problem.code)
    }

    #[test]
    fn without_dev_mode_nobody_comes_in() {
        for host in ["localhost:8787", "127.0.0.1", "agent.example.com"] {
            assert_eq!(admit_page("false", host), Err(ProblemCode::Unauthorized));
        }
    }

    #[test]
    fn dev_mode_opens_loopback_hosts_only() {
        for host in ["localhost", "localhost:8787", "127.0.0.1:1", "[::1]:8787"] {
            assert_eq!(admit_page("true", host), Ok(Caller::Developer), "{host}");
        }
        for host in
            ["agent.example.com", "localhost.example.com", "127.0.0.1.nip.io", "10.0.0.1", ""]
        {
            assert_eq!(admit_page("true", host), Err(ProblemCode::Unauthorized), "{host}");
        }
    }

    #[test]
    fn a_socket_from_another_site_is_refused() {
        let ask = |origin| {
            let asking = Asking { host: "localhost:8787", origin, upgrade: true };
            admit(Lane::Web, &settings("true"), &asking).map_err(|problem| problem.code)
        };
        assert_eq!(ask(Some("http://localhost:8787")), Ok(Caller::Developer));
        for origin in [None, Some("http://evil.example"), Some("null"), Some("http://localhost:1")]
        {
            assert_eq!(ask(origin), Err(ProblemCode::Forbidden), "{origin:?}");
        }
    }
}
