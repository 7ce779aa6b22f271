//! `/model/<provider>/…`: the provider's own wire format passes through; the key is added here.
//!
//! Invariants: only the path of the provider's own dialect is forwarded; of the container's headers
//! only those on a list, of the provider's likewise; bodies pass through unread in both directions;
//! no redirect is followed with a key in hand.

use dialects::Dialect;
use protocol::object::ObjectRoute;
use protocol::turn::ModelApi;
use protocol::{Problem, ProblemCode};

use crate::limits::MODEL_REQUEST_BYTES_MAX;
use crate::platform::http::{self, Body, Request, Response};
use crate::platform::loopback::ContainerIdentity;
use crate::platform::{Env, object};
use crate::settings::{Provider, Settings};

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
    request: &Request,
    env: &Env,
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
    check(provider, &wanted.path, http::content_length(request))?;
    let grant = ObjectRoute::ModelGrant;
    let mut granted =
        object::call(env, &caller.agent, Some(caller.epoch), &grant, Body::Empty).await?;
    if granted.status_code() != 204 {
        let why = granted.json::<Problem>().await;
        return Err(why.unwrap_or_else(|error| http::internal("Asking for a model grant", &error)));
    }
    forward(request, provider).await
}

/// The dialect that a provider speaks.
fn dialect(provider: &Provider) -> Dialect {
    match provider.api {
        ModelApi::AnthropicMessages => Dialect::AnthropicMessages,
        ModelApi::OpenaiChat => Dialect::OpenAiChat,
        ModelApi::OpenaiResponses => Dialect::OpenAiResponses,
    }
}

/// Refuses what the provider's dialect does not use. Pure.
fn check(provider: &Provider, path: &str, length: Option<u64>) -> Result<(), Problem> {
    if path != dialect(provider).request_path() {
        return Err(Problem::new(
            ProblemCode::NotFound,
            "The provider is not called at this path.",
        ));
    }
    match length {
        Some(length) if length <= MODEL_REQUEST_BYTES_MAX => Ok(()),
        Some(_) => Err(Problem::new(
            ProblemCode::TooLarge,
            format!("A model request has at most {MODEL_REQUEST_BYTES_MAX} bytes."),
        )),
        None => Err(Problem::new(ProblemCode::BadRequest, "A model request declares its length.")),
    }
}

async fn forward(request: &Request, provider: &Provider) -> Result<Response, Problem> {
    let kept: Vec<(&str, String)> = REQUEST_HEADERS
        .iter()
        .filter_map(|name| http::header(request, name).map(|value| (*name, value)))
        .collect();
    let key = credential(provider);
    let mut headers: Vec<(&str, &str)> =
        kept.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.extend(key.as_ref().map(|(name, value)| (*name, value.as_str())));
    let url = dialect(provider).endpoint(&provider.base_url);
    let unreachable = |error: http::Error| {
        Problem::new(
            ProblemCode::UpstreamFailed,
            format!("The model provider {} could not be reached: {error}.", provider.name),
        )
        .remedy("Check the provider's base URL and status.")
    };
    let outgoing = http::outgoing("POST", &url, &headers, http::unread_body(request));
    let response = http::send(outgoing.map_err(unreachable)?).await.map_err(unreachable)?;
    if (300..400).contains(&response.status_code()) {
        return Err(Problem::new(
            ProblemCode::UpstreamFailed,
            format!("The model provider {} redirects, which is not followed.", provider.name),
        )
        .remedy("Set the provider's base URL to where it redirects."));
    }
    Ok(http::pass_through(response, RESPONSE_HEADERS))
}

/// The header that carries the provider's key.
fn credential(provider: &Provider) -> Option<(&'static str, String)> {
    let key = provider.key.as_ref()?;
    Some(match provider.api {
        ModelApi::AnthropicMessages => ("x-api-key", key.expose().to_owned()),
        ModelApi::OpenaiChat | ModelApi::OpenaiResponses => {
            ("authorization", format!("Bearer {}", key.expose()))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anthropic() -> Settings {
        Settings::parse(&|name| (name == "ANTHROPIC_API_KEY").then(|| "k".to_owned()))
    }

    #[test]
    fn only_the_dialects_own_path_is_forwarded() {
        let settings = anthropic();
        let provider = settings.provider("anthropic").unwrap();
        assert!(check(provider, "/v1/messages", Some(10)).is_ok());
        for path in ["/v1/files", "/v1/messages/batches", "/", "/../v1/messages"] {
            let problem = check(provider, path, Some(10)).unwrap_err();
            assert_eq!(problem.code, ProblemCode::NotFound, "{path}");
        }
    }

    #[test]
    fn a_body_of_unknown_or_large_size_is_refused() {
        let settings = anthropic();
        let provider = settings.provider("anthropic").unwrap();
        let code = |length| check(provider, "/v1/messages", length).unwrap_err().code;
        assert_eq!(code(None), ProblemCode::BadRequest);
        assert_eq!(code(Some(MODEL_REQUEST_BYTES_MAX + 1)), ProblemCode::TooLarge);
    }

    #[test]
    fn each_dialect_has_its_header_for_the_key() {
        let settings = anthropic();
        let provider = settings.provider("anthropic").unwrap();
        assert_eq!(credential(provider), Some(("x-api-key", "k".into())));
    }
}
