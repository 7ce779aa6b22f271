//! What the container may ask of the edge: at `http://edge.internal`, at the names below it that
//! stand for other hosts, and at the hosts of the allowlist.
//!
//! Invariants: the caller's agent and epoch come from the interception, never from the request;
//! what is not in `protocol::edge` is refused before its body is read; a failure of the edge itself
//! carries the header that tells it from a provider's answer.

mod fetch;
mod model;
mod outbound;
mod report;
mod via;
pub(crate) mod workspace;

use protocol::edge::{EDGE_HOST, EdgeRoute, PROBLEM_HEADER};
use protocol::object::ObjectRoute;
use protocol::{Problem, ProblemCode};

use crate::platform::http::{self, Request, Response};
use crate::platform::loopback::ContainerIdentity;
use crate::platform::{Context, Env, object};

/// Serves a request of a container.
pub(crate) async fn serve(
    request: &mut Request,
    env: &Env,
    context: &Context,
    caller: &ContainerIdentity,
) -> Response {
    let response = dispatch(request, env, context, caller).await;
    response.unwrap_or_else(|problem| http::problem(&problem, Some(PROBLEM_HEADER)))
}

async fn dispatch(
    request: &mut Request,
    env: &Env,
    context: &Context,
    caller: &ContainerIdentity,
) -> Result<Response, Problem> {
    let url = request.url().map_err(|error| http::internal("Reading a URL", &error))?;
    let host = url.host_str().unwrap_or_default();
    if let Some(host) = via::host_of(host) {
        return via::serve(request, env, caller, host).await;
    }
    if host != EDGE_HOST {
        return via::allowed(request, env, caller).await;
    }
    let method = http::method(request);
    let query = url.query().unwrap_or_default();
    let route = EdgeRoute::parse(&method, url.path(), query)
        .ok_or_else(|| Problem::new(ProblemCode::NotFound, "The edge has no such service."))?;
    match route {
        EdgeRoute::Model { provider, path } => {
            let wanted = model::Wanted { provider, path };
            model::serve(request, env, context, caller, &wanted).await
        }
        EdgeRoute::Workspace(route) => {
            let who = workspace::Caller::Container(caller.epoch);
            workspace::serve(request, env, &caller.agent, who, route).await
        }
        EdgeRoute::Report => {
            let body = http::unread_body(request);
            object::call(env, &caller.agent, Some(caller.epoch), &ObjectRoute::Report, body).await
        }
        EdgeRoute::Fetch => fetch::serve(request, env, caller).await,
        EdgeRoute::Egress => report::serve(request, env, caller).await,
        session @ (EdgeRoute::SessionHead { .. }
        | EdgeRoute::SessionRead { .. }
        | EdgeRoute::SessionAppend { .. }) => {
            let body = http::unread_body(request);
            let route = ObjectRoute::Session(session);
            object::call(env, &caller.agent, Some(caller.epoch), &route, body).await
        }
    }
}

/// What the agent's object says: a problem unless it says yes.
async fn asked(mut answer: Response) -> Result<(), Problem> {
    if answer.status_code() == 204 {
        return Ok(());
    }
    let why = answer.json::<Problem>().await;
    Err(why.unwrap_or_else(|error| http::internal("Asking the agent's object", &error)))
}
