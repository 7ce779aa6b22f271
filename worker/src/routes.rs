//! The public routes: one total table from method and path to a route, and from a route to its lane.
//!
//! Invariants: every route has exactly one lane, and the match has no default arm; what is not in
//! the table is refused before its body is looked at.

use protocol::workspace::WorkspaceRoute;
use protocol::{AgentId, Problem, ProblemCode, SessionId};

/// A public route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// The chat page.
    ChatPage,
    /// A static part of the pages.
    Asset(Asset),
    /// The chat's socket.
    ChatSocket,
    /// The repository of an agent's workspace, for the owner's own tools.
    Workspace(AgentId, WorkspaceRoute),
    /// The password of that repository.
    WorkspacePassword(AgentId),
    /// A message by the generic webhook of this name.
    Hook(String),
    /// The logs of all sessions, or of one.
    Export(Option<SessionId>),
    /// What was spent on models, and what may be.
    Usage,
    /// Copy the control tables to the bucket now.
    Backup,
    /// Fill an empty agent from the bucket.
    Restore,
    /// Orders of the fault harness.
    Faults,
}

/// The static parts of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asset {
    /// The chat's script.
    ChatScript,
    /// The chat's style.
    ChatStyle,
    /// The mark.
    Icon,
}

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// The owner, in a browser.
    Web,
    /// The owner's programs, with a token.
    Api,
    /// Whoever can sign, which is checked with the body.
    Hook,
    /// The fault harness, on the machine that runs the local stack.
    Faults,
}

/// The routes whose paths are fixed.
const TABLE: &[(&str, &str, Route)] = &[
    ("GET", "/", Route::ChatPage),
    ("GET", "/assets/chat.js", Route::Asset(Asset::ChatScript)),
    ("GET", "/assets/chat.css", Route::Asset(Asset::ChatStyle)),
    ("GET", "/assets/icon.svg", Route::Asset(Asset::Icon)),
    ("GET", "/api/chat/socket", Route::ChatSocket),
    ("GET", "/api/export", Route::Export(None)),
    ("GET", "/api/usage", Route::Usage),
    ("POST", "/api/backup", Route::Backup),
    ("POST", "/api/restore", Route::Restore),
    ("POST", "/faults", Route::Faults),
];

/// Why a request has no route.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// What the caller is told.
    pub(crate) problem: Problem,
    /// The methods that the path does take, for the header that RFC 9110 section 15.5.6 asks for;
    /// `None` when there is no such path.
    pub(crate) allow: Option<&'static str>,
}

impl Route {
    /// The route of a request, or why there is none.
    pub(crate) fn resolve(method: &str, path: &str, query: &str) -> Result<Self, Refusal> {
        if let Some(below) = path.strip_prefix("/workspace/") {
            return Self::workspace(method, below, query).ok_or_else(|| no_such_route(path));
        }
        if let Some(name) = path.strip_prefix("/hooks/in/") {
            let is_name = !name.is_empty() && !name.contains('/');
            return match method {
                "POST" if is_name => Ok(Self::Hook(name.to_owned())),
                _ => Err(no_such_route(path)),
            };
        }
        if let Some(session) = path.strip_prefix("/api/export/") {
            return match (method, session.parse()) {
                ("GET", Ok(session)) => Ok(Self::Export(Some(session))),
                _ => Err(no_such_route(path)),
            };
        }
        // HEAD asks for what GET would answer, without the body; the platform drops the body.
        let method = if method == "HEAD" { "GET" } else { method };
        let mut allowed = None;
        for (table_method, table_path, route) in TABLE {
            if *table_path == path {
                if *table_method == method {
                    return Ok(route.clone());
                }
                allowed = Some(*table_method);
            }
        }
        match allowed {
            Some(allowed) => Err(Refusal {
                problem: Problem::new(
                    ProblemCode::MethodNotAllowed,
                    format!("{path} does not take this method."),
                )
                .remedy(format!("Use {allowed}.")),
                allow: Some(if allowed == "GET" { "GET, HEAD" } else { allowed }),
            }),
            None => Err(no_such_route(path)),
        }
    }

    /// `/workspace/<agent>/…`: restic's own routes below the agent, and the password.
    fn workspace(method: &str, below: &str, query: &str) -> Option<Self> {
        let (agent, rest) = below.split_once('/')?;
        let agent = agent.parse().ok()?;
        if rest == "password" {
            return (method == "GET").then_some(Self::WorkspacePassword(agent));
        }
        let route = WorkspaceRoute::parse(method, &format!("/{rest}"), query)?;
        Some(Self::Workspace(agent, route))
    }

    /// Who may use the route.
    pub(crate) fn lane(&self) -> Lane {
        match self {
            Self::ChatPage | Self::Asset(_) | Self::ChatSocket => Lane::Web,
            Self::Workspace(..)
            | Self::WorkspacePassword(_)
            | Self::Export(_)
            | Self::Usage
            | Self::Backup
            | Self::Restore => Lane::Api,
            Self::Hook(_) => Lane::Hook,
            Self::Faults => Lane::Faults,
        }
    }
}

/// There is no such route.
pub(crate) fn no_such_route(path: &str) -> Refusal {
    let problem = Problem::new(ProblemCode::NotFound, "There is no such route.");
    let remedy = if path.starts_with("/workspace/") {
        "The workspace is at /workspace/main/."
    } else {
        "The chat is at /."
    };
    Refusal { problem: problem.remedy(remedy), allow: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_the_table_with_its_lane() {
        let lines: Vec<String> = TABLE
            .iter()
            .map(|(method, path, route)| {
                assert_eq!(Route::resolve(method, path, ""), Ok(route.clone()));
                format!("{method} {path} {:?}", route.lane())
            })
            .collect();
        assert_eq!(
            lines,
            [
                "GET / Web",
                "GET /assets/chat.js Web",
                "GET /assets/chat.css Web",
                "GET /assets/icon.svg Web",
                "GET /api/chat/socket Web",
                "GET /api/export Api",
                "GET /api/usage Api",
                "POST /api/backup Api",
                "POST /api/restore Api",
                "POST /faults Faults",
            ]
        );
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        for path in ["/x", "//", "/assets/", "/assets/../", "/api/chat/socket/", "", "/session/web"]
        {
            let refusal = Route::resolve("GET", path, "").unwrap_err();
            assert_eq!(refusal.problem.code, ProblemCode::NotFound, "{path}");
            assert_eq!(refusal.allow, None, "{path}");
        }
        for method in ["POST", "DELETE", "PUT", "OPTIONS", "get"] {
            let refusal = Route::resolve(method, "/", "").unwrap_err();
            assert_eq!(refusal.problem.code, ProblemCode::MethodNotAllowed, "{method}");
            assert_eq!(refusal.allow, Some("GET, HEAD"), "{method}");
        }
    }

    #[test]
    fn one_session_is_exported_by_its_name() {
        let route = Route::resolve("GET", "/api/export/hook:ci", "").unwrap();
        assert_eq!(route, Route::Export(Some("hook:ci".parse().unwrap())));
        assert_eq!(route.lane(), Lane::Api);
        for (method, path) in
            [("GET", "/api/export/"), ("GET", "/api/export/a/b"), ("POST", "/api/export/a")]
        {
            assert!(Route::resolve(method, path, "").is_err(), "{method} {path}");
        }
    }

    #[test]
    fn the_workspace_is_for_programs_with_a_token() {
        for (method, path, query) in [
            ("GET", "/workspace/main/config", ""),
            ("POST", "/workspace/main/", "create=true"),
            ("GET", "/workspace/main/data/", ""),
            ("GET", "/workspace/main/password", ""),
        ] {
            let route = Route::resolve(method, path, query).unwrap();
            assert_eq!(route.lane(), Lane::Api, "{path}");
        }
        for path in ["/workspace/", "/workspace/main", "/workspace/main/x", "/workspace//config"] {
            assert_eq!(
                Route::resolve("GET", path, "").unwrap_err().problem.code,
                ProblemCode::NotFound
            );
        }
    }
}
