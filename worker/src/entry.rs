//! Every request enters here: from a container to the services, from outside through route and
//! lane, and only then to what serves it.

use protocol::object::ObjectRoute;
use protocol::{AgentId, Problem, ProblemCode};

use crate::auth::{Asking, admit};
use crate::channels::hook;
use crate::limits::{FAULTS_BODY_BYTES_MAX, HOOK_BODY_BYTES_MAX, HOOK_RETRY_AFTER_SECONDS};
use crate::platform::clock::now_ms;
use crate::platform::http::{self, Body, Request, Response};
use crate::platform::{Context, Env, faults, loopback, object};
use crate::routes::{Refusal, Route, no_such_route};
use crate::services::{self, workspace};
use crate::settings::Settings;
use crate::web;

/// The agent that a deployment has until there is a directory of several.
const AGENT: &str = "main";

/// Answers a request.
pub(crate) async fn handle(request: &mut Request, env: &Env, context: &Context) -> Response {
    if let Some(caller) = loopback::caller(context) {
        return services::serve(request, env, context, &caller).await;
    }
    let response = from_outside(request, env).await;
    response.unwrap_or_else(|problem| http::problem(&problem, None))
}

async fn from_outside(request: &mut Request, env: &Env) -> Result<Response, Problem> {
    let url = request.url().map_err(|error| {
        Problem::new(ProblemCode::BadRequest, format!("The URL does not read: {error}."))
    })?;
    let route =
        match Route::resolve(&http::method(request), url.path(), url.query().unwrap_or_default()) {
            Ok(route) => route,
            Err(refusal) => return Ok(refused(&refusal)),
        };
    let host = match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (host, _) => host.unwrap_or_default().to_owned(),
    };
    let origin = http::header(request, "origin");
    let upgrade = http::header(request, "upgrade").is_some();
    let authorization = http::header(request, "authorization");
    let (origin, authorization) = (origin.as_deref(), authorization.as_deref());
    let asking = Asking { host: &host, origin, upgrade, authorization };
    let settings = Settings::of(env);
    if let Err(problem) = admit(route.lane(), &settings, &asking) {
        return Ok(unauthorised(&problem));
    }
    settings.arm_faults();
    match route {
        Route::ChatPage => Ok(web::chat_page()),
        Route::Asset(asset) => Ok(web::asset(asset)),
        Route::ChatSocket => open_socket(request, env).await,
        Route::Workspace(agent, route) => {
            known(&agent)?;
            workspace::serve(request, env, &agent, workspace::Caller::Owner, route).await
        }
        Route::WorkspacePassword(agent) => {
            known(&agent)?;
            object::call(env, &agent, None, &ObjectRoute::WorkspacePassword, Body::Empty).await
        }
        Route::Hook(name) => hook_in(request, env, &settings, &name).await,
        Route::Export(session) => ask(env, &ObjectRoute::Export { session }).await,
        Route::Usage => ask(env, &ObjectRoute::Usage).await,
        Route::Backup => ask(env, &ObjectRoute::ControlExport).await,
        Route::Restore => ask(env, &ObjectRoute::ControlRestore).await,
        Route::Faults => faults(request, env).await,
    }
}

/// A refusal at the door. A program is told how to show its token (RFC 9110 section 11.6.1).
fn unauthorised(problem: &Problem) -> Response {
    let response = http::problem(problem, None);
    if problem.code == ProblemCode::Unauthorized {
        return http::with_header(response, "www-authenticate", "Basic realm=\"pagurus\"");
    }
    response
}

/// What the agent's object answers.
async fn ask(env: &Env, route: &ObjectRoute) -> Result<Response, Problem> {
    object::call(env, &agent()?, None, route, Body::Empty).await
}

/// Refuses agents that are not there.
fn known(agent: &AgentId) -> Result<(), Problem> {
    if agent.as_str() == AGENT {
        return Ok(());
    }
    Err(Problem::new(ProblemCode::NotFound, format!("There is no agent {agent}."))
        .remedy(format!("The agent is {AGENT}.")))
}

/// Orders faults here and at the object, which may be another isolate.
async fn faults(request: &mut Request, env: &Env) -> Result<Response, Problem> {
    let body = http::read_bounded(request, FAULTS_BODY_BYTES_MAX).await?;
    let text = String::from_utf8(body).map_err(|error| {
        Problem::new(ProblemCode::BadRequest, format!("The order is not text: {error}."))
    })?;
    let order = faults::parse(&text)?;
    faults::order(order);
    object::call(env, &agent()?, None, &ObjectRoute::Faults, Body::Text(text)).await
}

/// A message by webhook: bounded, verified on its raw bytes, parsed, and handed to the agent. The
/// answer is 2xx only when the message is durable.
async fn hook_in(
    request: &mut Request,
    env: &Env,
    settings: &Settings,
    name: &str,
) -> Result<Response, Problem> {
    let secret = settings.webhook_secret.as_ref().ok_or_else(|| no_such_route("").problem)?;
    let header = |request: &Request, name| http::header(request, name).unwrap_or_default();
    let id = header(request, hook::ID_HEADER);
    let timestamp = header(request, hook::TIMESTAMP_HEADER);
    let signatures = header(request, hook::SIGNATURE_HEADER);
    let is_json = header(request, "content-type").starts_with("application/json");
    let body = http::read_bounded(request, HOOK_BODY_BYTES_MAX).await?;
    let signed = hook::Signed { id: &id, timestamp: &timestamp, signatures: &signatures };
    hook::verify(secret, signed, &body, now_ms())?;
    let envelope = hook::envelope(name, &id, is_json, &body)?;
    let envelope = serde_json::to_string(&envelope).map_err(|error| {
        Problem::new(ProblemCode::Internal, format!("An envelope was not written: {error}."))
    })?;
    let answer =
        object::call(env, &agent()?, None, &ObjectRoute::Accept, Body::Text(envelope)).await?;
    if answer.status_code() == ProblemCode::Busy.status() {
        let after = HOOK_RETRY_AFTER_SECONDS.to_string();
        return Ok(http::with_header(answer, "retry-after", &after));
    }
    Ok(answer)
}

/// The agent that a deployment has.
fn agent() -> Result<AgentId, Problem> {
    AGENT.parse().map_err(|error| {
        Problem::new(ProblemCode::Internal, format!("The agent's name is wrong: {error}."))
    })
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
    let agent = agent()?;
    object::call(env, &agent, None, &ObjectRoute::ChatSocket, Body::Empty).await
}
