//! Calls from the Worker to an agent's object.

use protocol::object::{AGENT_HEADER, EPOCH_HEADER, ObjectRoute};
use protocol::{AgentId, Epoch, Problem};
use worker::Env;

use super::http::{Body, Request, Response, internal, outgoing};
use crate::settings::AGENT_BINDING;

/// Calls `route` of the agent's object. `epoch` is the caller's when the caller is a container.
pub(crate) async fn call(
    env: &Env,
    agent: &AgentId,
    epoch: Option<Epoch>,
    route: &ObjectRoute,
    body: Body,
) -> Result<Response, Problem> {
    let epoch = epoch.map(|epoch| epoch.to_string());
    let mut headers = vec![(AGENT_HEADER, agent.as_str())];
    headers.extend(epoch.as_deref().map(|epoch| (EPOCH_HEADER, epoch)));
    if matches!(route, ObjectRoute::ChatSocket) {
        headers.push(("upgrade", "websocket"));
    }
    let url = format!("http://agent{}", route.path());
    let send = async {
        let request: Request = outgoing(route.method().as_str(), &url, &headers, body)?;
        let stub = env.durable_object(AGENT_BINDING)?.get_by_name(agent.as_str())?;
        stub.fetch_with_request(request).await
    };
    send.await.map_err(|error| internal("Calling the agent's object", &error))
}
