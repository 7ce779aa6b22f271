//! Every request enters here: from a container to the services, from outside through route and
//! lane, and only then to what serves it.

use protocol::object::ObjectRoute;
use protocol::{AgentId, Problem, ProblemCode};

use crate::auth::{Asking, admit};
use crate::platform::http::{self, Body, Request, Response};
use crate::platform::{Context, Env, loopback, object};
use crate::routes::{Refusal, Route};
use crate::settings::Settings;
use crate::{services, web};

/// The agent that a deployment has until there is a directory of several.
const AGENT: &str = "main";

/// Answers a request.
pub(crate) async fn handle(request: &Request, env: &Env, context: &Context) -> Response {
    if let Some(caller) = loopback::caller(context) {
        return services::serve(request, env, &caller).await;
    }
    let response = from_outside(request, env).await;
    response.unwrap_or_else(|problem| http::problem(&problem, None))
}

async fn from_outside(request: &Request, env: &Env) -> Result<Response, Problem> {
    let url = request.url().map_err(|error| {
        Problem::new(ProblemCode::BadRequest, format!("The URL does not read: {error}."))
    })?;
    let route = match Route::resolve(&http::method(request), url.path()) {
        Ok(route) => route,
        Err(refusal) => return Ok(refused(&refusal)),
    };
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let origin = http::header(request, "origin");
    let upgrade = http::header(request, "upgrade").is_some();
    let asking = Asking { host: &host, origin: origin.as_deref(), upgrade };
    admit(route.lane(), &Settings::of(env), &asking)?;
    match route {
        Route::ChatPage => Ok(web::chat_page()),
        Route::Asset(asset) => Ok(web::asset(asset)),
        Route::ChatSocket => open_socket(request, env).await,
    }
}

fn refused(refusal: &Refusal) -> Response {
    let response = http::problem(&refusal.problem, None);
    match refusal.allow {
        Some(methods) => http::with_header(response, "allow", methods),
        None => response,
    }
}

async fn open_socket(request: &Request, env: &Env) -> Result<Response, Problem> {
    let upgrade = http::header(request, "upgrade").unwrap_or_default();
    if !upgrade.eq_ignore_ascii_case("websocket") {
        return Err(Problem::new(ProblemCode::BadRequest, "This route takes a WebSocket only.")
            .remedy("Send the header Upgrade: websocket."));
    }
    let agent: AgentId = AGENT.parse().map_err(|error| {
        Problem::new(ProblemCode::Internal, format!("The agent's name is wrong: {error}."))
    })?;
    object::call(env, &agent, None, &ObjectRoute::ChatSocket, Body::Empty).await
}
