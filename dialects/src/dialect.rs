//! Which wire format a provider speaks, and where on the provider its endpoint is.

use serde::{Deserialize, Serialize};

/// A wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// Anthropic Messages, <https://docs.anthropic.com/en/api/messages>.
    AnthropicMessages,
    /// OpenAI Chat Completions, <https://platform.openai.com/docs/api-reference/chat>, and the
    /// many providers that speak it.
    #[serde(rename = "openai_chat")]
    OpenAiChat,
    /// `OpenAI` Responses, <https://platform.openai.com/docs/api-reference/responses>, always
    /// stateless: nothing is kept at the provider.
    #[serde(rename = "openai_responses")]
    OpenAiResponses,
}

impl Dialect {
    /// Every dialect, in the order in which they were added.
    pub const ALL: [Self; 3] = [Self::AnthropicMessages, Self::OpenAiChat, Self::OpenAiResponses];

    /// The endpoint's path below a bare host, with the version in it.
    ///
    /// Use it where the address is our own, such as the edge's model route. For the base URL that
    /// a provider documents use [`Dialect::endpoint`].
    pub fn request_path(self) -> &'static str {
        match self {
            Self::AnthropicMessages => "/v1/messages",
            Self::OpenAiChat => "/v1/chat/completions",
            Self::OpenAiResponses => "/v1/responses",
        }
    }

    /// The endpoint's URL, given a provider's base URL as the provider documents it.
    ///
    /// Anthropic's base ends before the version (`https://api.anthropic.com`); one that ends in
    /// `/v1` is taken as well. An OpenAI-compatible base with a path is complete, such as
    /// `https://api.openai.com/v1`, `https://openrouter.ai/api/v1`, `…/v1beta/openai` and
    /// `…/compat`; a bare host gets `/v1`. Trailing slashes do not matter.
    pub fn endpoint(self, base_url: &str) -> String {
        let base = base_url.trim_end_matches('/');
        let versioned = match self {
            Self::AnthropicMessages => base.ends_with("/v1"),
            Self::OpenAiChat | Self::OpenAiResponses => {
                base.split_once("://").map_or(base, |(_, rest)| rest).contains('/')
            }
        };
        let path = self.request_path();
        let path = if versioned { path.trim_start_matches("/v1") } else { path };
        format!("{base}{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::Dialect::{AnthropicMessages, OpenAiChat, OpenAiResponses};
    use super::*;

    #[test]
    fn names_are_stable() {
        assert_eq!(serde_json::to_string(&AnthropicMessages).unwrap(), "\"anthropic_messages\"");
        assert_eq!(serde_json::to_string(&OpenAiChat).unwrap(), "\"openai_chat\"");
        assert_eq!(serde_json::to_string(&OpenAiResponses).unwrap(), "\"openai_responses\"");
        assert_eq!(serde_json::from_str::<Dialect>("\"openai_chat\"").unwrap(), OpenAiChat);
    }

    #[test]
    fn endpoint_follows_what_providers_document() {
        for (dialect, base, url) in [
            (
                AnthropicMessages,
                "https://api.anthropic.com",
                "https://api.anthropic.com/v1/messages",
            ),
            (AnthropicMessages, "https://a.example/v1/", "https://a.example/v1/messages"),
            (
                AnthropicMessages,
                "https://g.example/x/anthropic",
                "https://g.example/x/anthropic/v1/messages",
            ),
            (OpenAiChat, "https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions"),
            (OpenAiChat, "http://127.0.0.1:9/", "http://127.0.0.1:9/v1/chat/completions"),
            (
                OpenAiChat,
                "https://g.example/v1beta/openai/",
                "https://g.example/v1beta/openai/chat/completions",
            ),
            (
                OpenAiChat,
                "https://g.example/a/b/compat",
                "https://g.example/a/b/compat/chat/completions",
            ),
            (OpenAiResponses, "https://api.openai.com/v1", "https://api.openai.com/v1/responses"),
            (OpenAiResponses, "http://127.0.0.1:9", "http://127.0.0.1:9/v1/responses"),
        ] {
            assert_eq!(dialect.endpoint(base), url);
        }
    }
}
