//! Who is asking: decided before anything else happens to a request.
//!
//! Until Cloudflare Access is wired in there is one way to the pages: `DEV_MODE=true` on a loopback
//! host. Programs of the owner come with a token. Everything else is refused with the reason. Pure.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use protocol::{Problem, ProblemCode};
use subtle::ConstantTimeEq as _;

use crate::routes::{Lane, no_such_route};
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
    /// The `Authorization` header.
    pub(crate) authorization: Option<&'a str>,
}

/// Who may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Caller {
    /// A developer on the machine that runs the local stack.
    Developer,
    /// A program of the owner.
    Program,
    /// Somebody who has to prove it with what is sent.
    Stranger,
}

/// Lets a request into a lane, or says why not.
pub(crate) fn admit(
    lane: Lane,
    settings: &Settings,
    asking: &Asking<'_>,
) -> Result<Caller, Problem> {
    match lane {
        Lane::Web => admit_web(settings, asking),
        Lane::Api => admit_program(settings, asking),
        // Whoever may not use it is not told that it exists.
        Lane::Faults if settings.faults && is_loopback(asking.host) => Ok(Caller::Developer),
        Lane::Hook if settings.webhook_secret.is_some() => Ok(Caller::Stranger),
        Lane::Hook | Lane::Faults => Err(no_such_route("").problem),
    }
}

fn admit_program(settings: &Settings, asking: &Asking<'_>) -> Result<Caller, Problem> {
    let Some(token) = &settings.api_token else {
        return Err(Problem::new(
            ProblemCode::Misconfigured,
            "This agent has no API token, so no program may use it.",
        )
        .remedy("Set the secret API_TOKEN to a long random text."));
    };
    let given = asking.authorization.and_then(token_of).unwrap_or_default();
    if bool::from(given.as_bytes().ct_eq(token.expose().as_bytes())) {
        return Ok(Caller::Program);
    }
    Err(Problem::new(ProblemCode::Unauthorized, "The API token is missing or wrong.")
        .remedy("Send it as a bearer token, or as the password of HTTP basic authentication."))
}

/// The token in an `Authorization` header: `Bearer` (RFC 6750), or the password of `Basic`
/// (RFC 7617), which is all that some stock clients can send.
fn token_of(header: &str) -> Option<String> {
    let (scheme, value) = header.trim().split_once(' ')?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = BASE64_STANDARD.decode(value).ok()?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
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
        let asking = Asking { host, origin: None, upgrade: false, authorization: None };
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
            let asking =
                Asking { host: "localhost:8787", origin, upgrade: true, authorization: None };
            admit(Lane::Web, &settings("true"), &asking).map_err(|problem| problem.code)
        };
        assert_eq!(ask(Some("http://localhost:8787")), Ok(Caller::Developer));
        for origin in [None, Some("http://evil.example"), Some("null"), Some("http://localhost:1")]
        {
            assert_eq!(ask(origin), Err(ProblemCode::Forbidden), "{origin:?}");
        }
    }

    fn admit_with(
        token: Option<&'static str>,
        authorization: Option<&str>,
    ) -> Result<Caller, ProblemCode> {
        let settings =
            Settings::parse(&move |name| token.filter(|_| name == "API_TOKEN").map(str::to_owned));
        let asking =
            Asking { host: "agent.example.com", origin: None, upgrade: false, authorization };
        admit(Lane::Api, &settings, &asking).map_err(|problem| problem.code)
    }

    #[test]
    fn a_program_needs_the_token() {
        let token = Some("0123456789abcdef01234567");
        assert_eq!(admit_with(token, Some("Bearer 0123456789abcdef01234567")), Ok(Caller::Program));
        let basic = format!("Basic {}", BASE64_STANDARD.encode("owner:0123456789abcdef01234567"));
        assert_eq!(admit_with(token, Some(&basic)), Ok(Caller::Program));
        for wrong in [
            "Bearer 0123456789abcdef0123456",
            "Bearer 0123456789abcdef012345678",
            "Bearer ",
            "Basic 0123456789abcdef01234567",
            "0123456789abcdef01234567",
            "",
        ] {
            assert_eq!(admit_with(token, Some(wrong)), Err(ProblemCode::Unauthorized), "{wrong}");
        }
        assert_eq!(admit_with(token, None), Err(ProblemCode::Unauthorized));
        assert_eq!(admit_with(None, Some("Bearer ")), Err(ProblemCode::Misconfigured));
        // A token that is too short counts as none.
        assert_eq!(
            admit_with(Some("short"), Some("Bearer short")),
            Err(ProblemCode::Misconfigured)
        );
    }

    #[test]
    fn faults_are_for_a_local_stack_in_fault_mode() {
        let admit_faults = |dev_mode: &'static str, faults: &'static str, host| {
            let settings = Settings::parse(&move |name| match name {
                "DEV_MODE" => Some(dev_mode.to_owned()),
                "FAULTS" => Some(faults.to_owned()),
                _ => None,
            });
            let asking = Asking { host, origin: None, upgrade: false, authorization: None };
            admit(Lane::Faults, &settings, &asking).map_err(|problem| problem.code)
        };
        assert_eq!(admit_faults("true", "true", "127.0.0.1:1"), Ok(Caller::Developer));
        for (dev_mode, faults, host) in [
            ("true", "false", "127.0.0.1"),
            ("false", "true", "127.0.0.1"),
            ("true", "true", "agent.example.com"),
        ] {
            assert_eq!(admit_faults(dev_mode, faults, host), Err(ProblemCode::NotFound));
        }
    }
}
