//! `/model/<provider>/…`: the provider's own wire format passes through; the key is added here, and
//! the ledger asked first.
//!
//! Invariants: no call is made that the ledger has not granted; only the path of the model's own API
//! is forwarded, and only bodies that our own requests may have; of the container's headers only
//! those on a list, of the provider's likewise; no key comes back in an answer, whatever the provider
//! repeats; no redirect is followed with a key in hand.

mod asked;
mod metered;
mod room;

use std::rc::Rc;

use dialects::Dialect;
use protocol::edge::TURN_HEADER;
use protocol::object::{Bill, CallGrant, CallRequest, ObjectRoute};
use protocol::turn::ModelApi;
use protocol::{Problem, ProblemCode, TurnId};
use serde_json::json;

use self::asked::Asked;
use self::metered::{Counting, Granted};
use self::room::Room;
use crate::egress::mask::Mask;
use crate::limits::{KEY_BYTES_MASKED_MIN, MODEL_REQUEST_BYTES_MAX};
use crate::platform::http::{self, Body, Request, Response};
use crate::platform::loopback::ContainerIdentity;
use crate::platform::{Context, Env, object};
use crate::settings::{Gateway, Provider, Settings};

/// Request headers of the container that a provider may see.
const REQUEST_HEADERS: &[&str] = &["accept", "anthropic-beta", "anthropic-version", "content-type"];

/// Response headers of a provider that the container may see.
const RESPONSE_HEADERS: &[&str] = &[
    "content-type",
    "request-id",
    "retry-after",
    "retry-after-ms",
    "x-request-id",
    "x-should-retry",
];

/// Says whether a gateway answered by itself.
const GATEWAY_CACHE_HEADER: &str = "cf-aig-cache-status";

/// What the container asks for.
#[derive(Debug)]
pub(super) struct Wanted {
    /// The provider's name in the settings.
    pub(super) provider: String,
    /// The path below the provider's base URL.
    pub(super) path: String,
}

/// Forwards a model call.
pub(super) async fn serve(
    request: &mut Request,
    env: &Env,
    context: &Context,
    caller: &ContainerIdentity,
    wanted: &Wanted,
) -> Result<Response, Problem> {
    let settings = Settings::of(env);
    let provider = settings.provider(&wanted.provider).ok_or_else(|| {
        Problem::new(
            ProblemCode::Misconfigured,
            format!("There is no model provider {:?} with a key.", wanted.provider),
        )
        .remedy("Set the provider's key, or choose another MODEL.")
    })?;
    let dialect = dialect_of(&wanted.path)?;
    let length = declared_length(http::content_length(request))?;
    let turn = turn(http::header(request, TURN_HEADER).as_deref())?;
    let room = Room::take(length)?;
    let body = http::read_bounded(request, length).await?;
    let asked = asked::read(dialect, &body)?;
    check_api(provider, &asked.model, dialect)?;
    let grant = ask_ledger(env, caller, turn, provider, &asked).await?;
    let granted = Granted { env: env.clone(), agent: caller.agent.clone(), call: grant.call };
    let headers = headers(request, &settings, provider, caller, &grant);
    let sent = forward(provider, dialect, &headers, body).await;
    drop(room);
    let response = match sent {
        Ok(response) => response,
        Err(problem) => {
            granted.settle(Bill::Nothing).await;
            return Err(problem);
        }
    };
    let is_success = (200..300).contains(&response.status_code());
    let from_cache = provider.through_gateway
        && http::response_header(&response, GATEWAY_CACHE_HEADER).as_deref() == Some("HIT");
    let mask = Rc::new(mask(&settings, provider));
    if !is_success || from_cache {
        granted.settle(Bill::Nothing).await;
        return Ok(http::pass_through(
            metered::masked(response, &mask, context)?,
            RESPONSE_HEADERS,
        ));
    }
    let counting = Counting {
        dialect,
        reports_cost: provider.reports_cost(),
        answered_by: answered_by(provider, &response),
    };
    let response = granted.meter(response, counting, &mask, context)?;
    Ok(http::pass_through(response, RESPONSE_HEADERS))
}

/// What must not come back from a provider: the keys that went to it.
fn mask(settings: &Settings, provider: &Provider) -> Mask {
    let key = provider.key.as_ref().map(|key| (provider.name, key.expose()));
    let gateway = settings.gateway.as_ref().filter(|_| provider.through_gateway);
    let token = gateway.and_then(|gateway| gateway.token.as_ref());
    // A short text might stand in any answer; nobody's real key is so short.
    let long = |(_, text): &(&str, &str)| text.len() >= KEY_BYTES_MASKED_MIN;
    let token = token.map(|token| ("of the gateway", token.expose()));
    Mask::new(key.into_iter().chain(token).filter(long))
}

/// Asks the ledger whether the call may be made.
async fn ask_ledger(
    env: &Env,
    caller: &ContainerIdentity,
    turn: TurnId,
    provider: &Provider,
    asked: &Asked,
) -> Result<CallGrant, Problem> {
    let wanted = CallRequest {
        turn,
        provider: provider.name.to_owned(),
        model: asked.model.clone(),
        input_tokens: asked.input_tokens,
        output_tokens: asked.output_tokens,
    };
    let wanted = serde_json::to_string(&wanted).map_err(|error| {
        Problem::new(ProblemCode::Internal, format!("A model call was not written: {error}."))
    })?;
    let route = &ObjectRoute::ModelGrant;
    let mut answer =
        object::call(env, &caller.agent, Some(caller.epoch), route, Body::Text(wanted)).await?;
    let unreadable = |error| http::internal("Asking for a model call", &error);
    if answer.status_code() == 200 {
        return answer.json().await.map_err(unreadable);
    }
    Err(answer.json::<Problem>().await.unwrap_or_else(unreadable))
}

/// The running turn that a call belongs to.
fn turn(header: Option<&str>) -> Result<TurnId, Problem> {
    header.and_then(|turn| turn.parse().ok()).ok_or_else(|| {
        let message = format!("A model call names its turn in the header {TURN_HEADER}.");
        Problem::new(ProblemCode::BadRequest, message)
    })
}

/// The length of a body, which must be known before it is read.
fn declared_length(length: Option<u64>) -> Result<usize, Problem> {
    let length = length.ok_or_else(|| {
        Problem::new(ProblemCode::BadRequest, "A model request declares its length.")
    })?;
    let fitting = usize::try_from(length).ok().filter(|length| *length <= MODEL_REQUEST_BYTES_MAX);
    fitting.ok_or_else(|| {
        Problem::new(
            ProblemCode::TooLarge,
            format!("A model request has at most {MODEL_REQUEST_BYTES_MAX} bytes."),
        )
        .remedy("Start a new session with /new.")
    })
}

/// The wire format that is asked for by this path.
fn dialect_of(path: &str) -> Result<Dialect, Problem> {
    Dialect::ALL.into_iter().find(|dialect| dialect.request_path() == path).ok_or_else(not_here)
}

/// Refuses the path of another API than the model's own.
fn check_api(provider: &Provider, model: &str, dialect: Dialect) -> Result<(), Problem> {
    let own = match provider.api(model) {
        ModelApi::AnthropicMessages => Dialect::AnthropicMessages,
        ModelApi::OpenaiChat => Dialect::OpenAiChat,
        ModelApi::OpenaiResponses => Dialect::OpenAiResponses,
    };
    if own == dialect { Ok(()) } else { Err(not_here()) }
}

fn not_here() -> Problem {
    Problem::new(ProblemCode::NotFound, "The provider is not called at this path.")
}

/// All headers of the call to the provider.
fn headers(
    request: &Request,
    settings: &Settings,
    provider: &Provider,
    caller: &ContainerIdentity,
    grant: &CallGrant,
) -> Vec<(&'static str, String)> {
    let kept = REQUEST_HEADERS
        .iter()
        .filter_map(|name| http::header(request, name).map(|value| (*name, value)));
    let mut headers: Vec<_> = kept.chain(provider.credential()).collect();
    if let Some(gateway) = settings.gateway.as_ref().filter(|_| provider.through_gateway) {
        headers.extend(gateway_headers(gateway, caller, grant));
    }
    headers
}

/// What a gateway is told: who may pass, how long to keep an answer, and whose call it is
/// (<https://developers.cloudflare.com/ai-gateway/observability/custom-metadata/>).
fn gateway_headers(
    gateway: &Gateway,
    caller: &ContainerIdentity,
    grant: &CallGrant,
) -> Vec<(&'static str, String)> {
    let metadata = json!({
        "agent": caller.agent,
        "session": grant.session,
        "channel": grant.channel,
    });
    let mut headers =
        vec![("cf-aig-gateway-id", gateway.id.clone()), ("cf-aig-metadata", metadata.to_string())];
    if let Some(token) = &gateway.token {
        headers.push(("cf-aig-authorization", format!("Bearer {}", token.expose())));
    }
    if let Some(seconds) = gateway.cache_seconds {
        headers.push(("cf-aig-cache-ttl", seconds.to_string()));
    }
    headers
}

/// The model that a gateway's own route led to.
fn answered_by(provider: &Provider, response: &Response) -> Option<String> {
    if !provider.is_route() {
        return None;
    }
    let header = |name| http::response_header(response, name).filter(|value| !value.is_empty());
    let (by, model) = (header("cf-aig-provider")?, header("cf-aig-model")?);
    Some(format!("{}/{model}", Provider::canonical(&by)))
}

async fn forward(
    provider: &Provider,
    dialect: Dialect,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Result<Response, Problem> {
    let unreachable = |error: http::Error| {
        Problem::new(
            ProblemCode::ModelUnavailable,
            format!(
                "The model provider {} could not be reached: {}.",
                provider.name,
                http::why(&error)
            ),
        )
        .remedy("Check the provider's base URL and status.")
    };
    let headers: Vec<(&str, &str)> =
        headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let outgoing = http::outgoing("POST", &provider.endpoint(dialect), &headers, Body::Bytes(body));
    let response = http::send(outgoing.map_err(unreachable)?).await.map_err(unreachable)?;
    if (300..400).contains(&response.status_code()) {
        return Err(Problem::new(
            ProblemCode::UpstreamFailed,
            format!("The model provider {} redirects, which is not followed.", provider.name),
        )
        .remedy("Set the provider's base URL to where it redirects."));
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(variables: &[(&str, &str)], name: &str) -> Provider {
        let settings = Settings::parse(&|wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        });
        settings.providers.into_iter().find(|provider| provider.name == name).unwrap()
    }

    #[test]
    fn only_the_path_of_the_models_own_api_is_forwarded() {
        let anthropic = provider(&[("ANTHROPIC_API_KEY", "k")], "anthropic");
        let messages = dialect_of("/v1/messages").unwrap();
        assert!(check_api(&anthropic, "m", messages).is_ok());
        let chat = dialect_of("/v1/chat/completions").unwrap();
        assert_eq!(check_api(&anthropic, "m", chat).unwrap_err().code, ProblemCode::NotFound);
        for path in ["/v1/files", "/v1/messages/batches", "/", "/../v1/messages"] {
            assert_eq!(dialect_of(path).unwrap_err().code, ProblemCode::NotFound, "{path}");
        }
    }

    #[test]
    fn a_body_of_unknown_or_large_size_is_refused() {
        let code = |length| declared_length(length).unwrap_err().code;
        assert_eq!(code(None), ProblemCode::BadRequest);
        assert_eq!(code(Some(MODEL_REQUEST_BYTES_MAX as u64 + 1)), ProblemCode::TooLarge);
        assert_eq!(code(Some(u64::MAX)), ProblemCode::TooLarge);
    }

    #[test]
    fn a_call_names_its_turn() {
        assert!(turn(Some("t1")).is_ok());
        for none in [None, Some(""), Some("a b")] {
            assert_eq!(turn(none).unwrap_err().code, ProblemCode::BadRequest);
        }
    }

    #[test]
    fn the_key_is_in_the_header_that_the_provider_reads() {
        let anthropic = provider(&[("ANTHROPIC_API_KEY", "k")], "anthropic");
        assert_eq!(anthropic.credential(), Some(("x-api-key", "k".into())));
        let gemini = provider(&[("GEMINI_API_KEY", "k")], "gemini");
        assert_eq!(gemini.credential(), Some(("authorization", "Bearer k".into())));
    }

    #[test]
    fn a_gateway_is_told_whose_call_it_is() {
        let variables = [
            ("CF_AI_GATEWAY_ACCOUNT_ID", "acct"),
            ("CF_AI_GATEWAY_GATEWAY_ID", "gw"),
            ("CF_AI_GATEWAY_TOKEN", "t"),
            ("CF_AI_GATEWAY_CACHE_TTL", "3600"),
        ];
        let settings = Settings::parse(&|wanted| {
            variables.iter().find(|(name, _)| *name == wanted).map(|(_, value)| (*value).to_owned())
        });
        let caller = ContainerIdentity {
            agent: "main".parse().unwrap(),
            epoch: protocol::Epoch(3),
            is_tls: false,
        };
        let grant = CallGrant { call: 1, session: "web".parse().unwrap(), channel: "hook".into() };
        let headers = gateway_headers(&settings.gateway.unwrap(), &caller, &grant);
        let header = |name: &str| {
            headers.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(header("cf-aig-authorization"), Some("Bearer t"));
        assert_eq!(header("cf-aig-cache-ttl"), Some("3600"));
        let metadata: serde_json::Value =
            serde_json::from_str(header("cf-aig-metadata").unwrap()).unwrap();
        assert_eq!(metadata, json!({ "agent": "main", "session": "web", "channel": "hook" }));
    }
}
