//! The table of providers and models that deviate.
//!
//! The first row that fits decides. A row without models fits all models of its provider; one with
//! models fits a name that begins with one of them, with or without the maker before it; `$` stands for
//! the name's end.

use super::{Accent, Claude, Effort, Levels, OutputLimit, Quirk, last_part};

struct Row {
    provider: &'static str,
    models: &'static [&'static str],
    accent: Accent,
}

/// A server that nothing is known of. `max_tokens` is the older name and known to all that are not
/// `OpenAI`; `stream_options` is known to all that count tokens in a stream.
const COMPATIBLE: Accent = Accent {
    output_limit: OutputLimit::MaxTokens,
    effort: Effort::Unasked,
    claude: Claude::Unasked,
    quirks: &[],
};

/// `OpenAI` itself. `prompt_cache_key`:
/// <https://platform.openai.com/docs/guides/prompt-caching>. System messages need no other name: the
/// API reads `system` as `developer`, <https://model-spec.openai.com/>.
const OPENAI: Accent = Accent {
    output_limit: OutputLimit::MaxCompletionTokens,
    quirks: &[Quirk::PromptCacheKey],
    ..COMPATIBLE
};

const OPENAI_REASONING: &[Quirk] = &[Quirk::PromptCacheKey, Quirk::EncryptedReasoning];

const LOW_TO_HIGH: Levels = Levels { off: "low", low: "low", medium: "medium", high: "high" };
const NONE_TO_HIGH: Levels = Levels { off: "none", ..LOW_TO_HIGH };
const MINIMAL_TO_HIGH: Levels = Levels { off: "minimal", ..LOW_TO_HIGH };

const ROWS: &[Row] = &[
    // Models from before reasoning refuse both the effort and the encrypted reasoning, and so do
    // those tuned for chat.
    Row {
        provider: "openai",
        models: &["gpt-3", "gpt-4", "chatgpt", "gpt-5-chat", "gpt-5.1-chat", "gpt-5.2-chat"],
        accent: OPENAI,
    },
    // https://platform.openai.com/docs/api-reference/responses/create (reasoning.effort): models
    // before gpt-5.1 do not know `none`; only gpt-5 knows `minimal`; the pro and codex models have a
    // least effort of their own.
    Row {
        provider: "openai",
        models: &["gpt-5-pro"],
        accent: Accent { quirks: OPENAI_REASONING, ..OPENAI },
    },
    Row {
        provider: "openai",
        models: &[
            "o1",
            "o3",
            "o4",
            "gpt-5-codex",
            "gpt-5.1-codex",
            "gpt-5.2-codex",
            "gpt-5.3-codex",
        ],
        accent: Accent { effort: Effort::Levels(LOW_TO_HIGH), quirks: OPENAI_REASONING, ..OPENAI },
    },
    Row {
        provider: "openai",
        models: &["gpt-5.1", "gpt-5.2", "gpt-5.3"],
        accent: Accent { effort: Effort::Levels(NONE_TO_HIGH), quirks: OPENAI_REASONING, ..OPENAI },
    },
    Row {
        provider: "openai",
        models: &["gpt-5$", "gpt-5-"],
        accent: Accent {
            effort: Effort::Levels(MINIMAL_TO_HIGH),
            quirks: OPENAI_REASONING,
            ..OPENAI
        },
    },
    // From gpt-5.4 on, Chat Completions refuses tools together with an effort and names Responses as
    // the way, https://developers.openai.com/api/docs/guides/latest-model.
    Row {
        provider: "openai",
        models: &["gpt-"],
        accent: Accent {
            effort: Effort::Levels(NONE_TO_HIGH),
            quirks: &[
                Quirk::PromptCacheKey,
                Quirk::EncryptedReasoning,
                Quirk::ToolsOnlyWithoutEffort,
            ],
            ..OPENAI
        },
    },
    // Other names are of another server behind `OPENAI_BASE_URL`, or of a model to come.
    Row { provider: "openai", models: &[], accent: Accent { quirks: &[], ..OPENAI } },
    // https://openrouter.ai/docs/use-cases/reasoning-tokens,
    // https://openrouter.ai/docs/features/prompt-caching
    Row {
        provider: "openrouter",
        models: &["anthropic/", "~anthropic/"],
        accent: Accent {
            effort: Effort::Nested(NONE_TO_HIGH),
            quirks: &[Quirk::CacheControl],
            ..COMPATIBLE
        },
    },
    Row {
        provider: "openrouter",
        models: &[],
        accent: Accent { effort: Effort::Nested(NONE_TO_HIGH), ..COMPATIBLE },
    },
    // https://ai.google.dev/gemini-api/docs/openai: thinking of 2.5 Pro and of all 3 models cannot be
    // turned off. https://ai.google.dev/gemini-api/docs/thought-signatures: a call of a 3 model
    // without a signature is refused; a fixed text takes its place where there is none.
    // https://ai.google.dev/api/caching#Schema has the keywords that schemas may hold.
    Row {
        provider: "gemini",
        models: &["gemini-2.5-flash"],
        accent: Accent {
            effort: Effort::Levels(NONE_TO_HIGH),
            quirks: &[Quirk::PlainSchemas],
            ..COMPATIBLE
        },
    },
    Row {
        provider: "gemini",
        models: &["gemini-2.5"],
        accent: Accent {
            effort: Effort::Levels(LOW_TO_HIGH),
            quirks: &[Quirk::PlainSchemas],
            ..COMPATIBLE
        },
    },
    Row {
        provider: "gemini",
        models: &["gemini-1", "gemini-2", "gemma"],
        accent: Accent { quirks: &[Quirk::PlainSchemas], ..COMPATIBLE },
    },
    Row {
        provider: "gemini",
        models: &[],
        accent: Accent {
            effort: Effort::Levels(LOW_TO_HIGH),
            quirks: &[Quirk::PlainSchemas, Quirk::ThoughtSignatures],
            ..COMPATIBLE
        },
    },
    // https://developers.cloudflare.com/workers-ai/models/gpt-oss-120b/
    Row {
        provider: "workers-ai",
        models: &["gpt-oss"],
        accent: Accent { effort: Effort::Levels(LOW_TO_HIGH), ..COMPATIBLE },
    },
    // https://console.groq.com/docs/reasoning, https://console.groq.com/docs/api-reference
    Row {
        provider: "groq",
        models: &["gpt-oss"],
        accent: Accent {
            output_limit: OutputLimit::MaxCompletionTokens,
            effort: Effort::Levels(LOW_TO_HIGH),
            ..COMPATIBLE
        },
    },
    Row {
        provider: "groq",
        models: &["qwen3"],
        accent: Accent {
            output_limit: OutputLimit::MaxCompletionTokens,
            effort: Effort::Levels(Levels {
                off: "none",
                low: "default",
                medium: "default",
                high: "default",
            }),
            ..COMPATIBLE
        },
    },
    Row {
        provider: "groq",
        models: &[],
        accent: Accent { output_limit: OutputLimit::MaxCompletionTokens, ..COMPATIBLE },
    },
    // https://docs.mistral.ai/inference/conversations/reasoning,
    // https://docs.mistral.ai/api: members that it does not know are refused. The form of the ids is
    // in its own words: "Tool call id was … but must be a-z, A-Z, 0-9, with a length of 9."
    Row {
        provider: "mistral",
        models: &["mistral-small-latest", "mistral-small-2603", "mistral-medium-3-5"],
        accent: Accent {
            effort: Effort::Levels(Levels {
                off: "none",
                low: "high",
                medium: "high",
                high: "high",
            }),
            ..MISTRAL
        },
    },
    Row { provider: "mistral", models: &[], accent: MISTRAL },
    // https://api-docs.deepseek.com/guides/thinking_mode
    Row {
        provider: "deepseek",
        models: &[],
        accent: Accent {
            effort: Effort::Switched(Levels {
                off: "low",
                low: "low",
                medium: "high",
                high: "max",
            }),
            quirks: &[Quirk::ReasoningContent],
            ..COMPATIBLE
        },
    },
    // https://docs.x.ai/developers/model-capabilities/text/reasoning: grok-4.5 cannot be turned off;
    // the other models are chosen by name and refuse to be asked.
    Row {
        provider: "xai",
        models: &["grok-4.3"],
        accent: Accent { effort: Effort::Levels(NONE_TO_HIGH), ..XAI },
    },
    Row {
        provider: "xai",
        models: &["grok-4.5", "grok-4.6"],
        accent: Accent { effort: Effort::Levels(LOW_TO_HIGH), ..XAI },
    },
    Row {
        provider: "xai",
        models: &["grok-3-mini"],
        accent: Accent { effort: Effort::Levels(Levels { medium: "low", ..LOW_TO_HIGH }), ..XAI },
    },
    Row { provider: "xai", models: &[], accent: XAI },
    // https://docs.ollama.com/api/openai-compatibility: models that do not think refuse to be asked,
    // and their names do not tell.
    Row { provider: "ollama", models: &["gpt-oss"], accent: OLLAMA_LEVELS },
    Row {
        provider: "ollama",
        models: &["qwen3", "deepseek-r1", "deepseek-v3", "magistral"],
        accent: Accent { effort: Effort::Levels(NONE_TO_HIGH), ..COMPATIBLE },
    },
];

const MISTRAL: Accent =
    Accent { quirks: &[Quirk::NoStreamOptions, Quirk::NineCharacterIds], ..COMPATIBLE };

const XAI: Accent = Accent { output_limit: OutputLimit::MaxCompletionTokens, ..COMPATIBLE };

const OLLAMA_LEVELS: Accent = Accent { effort: Effort::Levels(LOW_TO_HIGH), ..COMPATIBLE };

/// The accent of a model, whose name is in lower case.
pub(super) fn find(provider: &str, model: &str) -> Accent {
    let begins = |name: &str, start: &str| match start.strip_suffix('$') {
        Some(whole) => name == whole,
        None => name.starts_with(start),
    };
    let fits = |row: &&Row| {
        let named = |start: &&'static str| begins(model, start) || begins(last_part(model), start);
        row.provider == provider && (row.models.is_empty() || row.models.iter().any(named))
    };
    ROWS.iter().find(fits).map_or(COMPATIBLE, |row| row.accent)
}
