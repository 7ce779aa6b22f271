//! The public routes: one total table from method and path to a route, and from a route to its lane.
//!
//! Invariants: every route has exactly one lane, and the match has no default arm; what is not in
//! the table is refused before its body is looked at.

use protocol::{Problem, ProblemCode};

/// A public route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route {
    /// The chat page.
    ChatPage,
    /// A static part of the pages.
    Asset(Asset),
    /// The chat's socket.
    ChatSocket,
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
}

const TABLE: &[(&str, &str, Route)] = &[
    ("GET", "/", Route::ChatPage),
    ("GET", "/assets/chat.js", Route::Asset(Asset::ChatScript)),
    ("GET", "/assets/chat.css", Route::Asset(Asset::ChatStyle)),
    ("GET", "/assets/icon.svg", Route::Asset(Asset::Icon)),
    ("GET", "/api/chat/socket", Route::ChatSocket),
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
    pub(crate) fn resolve(method: &str, path: &str) -> Result<Self, Refusal> {
        // HEAD asks for what GET would answer, without the body; the platform drops the body.
        let method = if method == "HEAD" { "GET" } else { method };
        let mut allowed = None;
        for (table_method, table_path, route) in TABLE {
            if *table_path == path {
                if *table_method == method {
                    return Ok(*route);
                }
                allowed = Some(*table_method);
            }
        }
        let problem = match allowed {
            Some(allowed) => Problem::new(
                ProblemCode::MethodNotAllowed,
                format!("{path} does not take this method."),
            )
            .remedy(format!("Use {allowed}.")),
            None => Problem::new(ProblemCode::NotFound, "There is no such route.")
                .remedy("The chat is at /."),
        };
        Err(Refusal {
            problem,
            allow: allowed.map(|method| if method == "GET" { "GET, HEAD" } else { method }),
        })
    }

    /// Who may use the route.
    pub(crate) fn lane(self) -> Lane {
        match self {
            Self::ChatPage | Self::Asset(_) | Self::ChatSocket => Lane::Web,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_of_the_table_with_its_lane() {
        let lines: Vec<String> = TABLE
            .iter()
            .map(|(method, path, route)| {
                assert_eq!(Route::resolve(method, path), Ok(*route));
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
            ]
        );
    }

    #[test]
    fn what_is_not_in_the_table_is_refused() {
        for path in ["/x", "//", "/assets/", "/assets/../", "/api/chat/socket/", "", "/session/web"]
        {
            let refusal = Route::resolve("GET", path).unwrap_err();
            assert_eq!(refusal.problem.code, ProblemCode::NotFound, "{path}");
            assert_eq!(refusal.allow, None, "{path}");
        }
        for method in ["POST", "DELETE", "PUT", "OPTIONS", "get"] {
            let refusal = Route::resolve(method, "/").unwrap_err();
            assert_eq!(refusal.problem.code, ProblemCode::MethodNotAllowed, "{method}");
            assert_eq!(refusal.allow, Some("GET, HEAD"), "{method}");
        }
    }
}
