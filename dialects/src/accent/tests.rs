use super::*;

fn of(provider: &str, model: &str) -> Accent {
    Accent::of(provider, model)
}

#[test]
fn what_is_unknown_gets_the_least() {
    let accent = of("compatible", "my-model");
    assert_eq!(accent.output_limit, OutputLimit::MaxTokens);
    assert_eq!(accent.effort, Effort::Unasked);
    assert_eq!(accent.claude, Claude::Unasked);
    assert!(accent.quirks.is_empty());
    assert_eq!(of("nobody", "gpt-5.1"), accent);
    assert_eq!(of("cloudflare", "openai/gpt-5.1"), accent);
}

#[test]
fn generations_of_claude() {
    for (model, claude) in [
        ("claude-3-5-sonnet-20241022", Claude::Unasked),
        ("claude-3-7-sonnet-latest", Claude::Budget),
        ("claude-opus-4-20250514", Claude::Budget),
        ("claude-opus-4-1", Claude::Budget),
        ("claude-haiku-4-5-20251001", Claude::Budget),
        ("anthropic/claude-sonnet-4.5", Claude::Budget),
        ("claude-sonnet-4-6", Claude::Adaptive),
        ("anthropic/claude-opus-4.8", Claude::Adaptive),
        ("claude-opus-5", Claude::Adaptive),
        ("claude-opus-5-20260801", Claude::Adaptive),
        ("claude-fable-5", Claude::AlwaysAdaptive),
        ("claude-fable-5-1", Claude::PrefixBound),
        ("Claude-Opus-5-5", Claude::PrefixBound),
        ("claude-haiku-6", Claude::PrefixBound),
        ("gpt-5.1", Claude::Unasked),
    ] {
        assert_eq!(of("anthropic", model).claude, claude, "{model}");
    }
}

#[test]
fn openai_models_have_their_own_least_effort() {
    for (model, off) in [
        ("gpt-4.1", None),
        ("gpt-4o-mini", None),
        ("gpt-5-chat-latest", None),
        ("gpt-5-pro", None),
        ("my-own-server", None),
        ("o4-mini", Some("low")),
        ("gpt-5", Some("minimal")),
        ("gpt-5-mini", Some("minimal")),
        ("gpt-5-codex", Some("low")),
        ("gpt-5.1", Some("none")),
        ("gpt-5.4-mini", Some("none")),
        ("gpt-6-luna", Some("none")),
    ] {
        let accent = of("openai", model);
        let least = match accent.effort {
            Effort::Levels(levels) => Some(levels.off),
            _ => None,
        };
        assert_eq!(least, off, "{model}");
        assert_eq!(accent.output_limit, OutputLimit::MaxCompletionTokens);
        let is_newer = ["gpt-5.4-mini", "gpt-6-luna"].contains(&model);
        assert_eq!(accent.has(Quirk::ToolsOnlyWithoutEffort), is_newer, "{model}");
    }
}

#[test]
fn makers_before_the_name_do_not_matter() {
    let groq = of("groq", "openai/gpt-oss-120b");
    assert_eq!(groq, of("groq", "gpt-oss-120b"));
    assert_ne!(groq, of("groq", "llama-3.3-70b-versatile"));
    assert_ne!(of("workers-ai", "@cf/openai/gpt-oss-20b").effort, Effort::Unasked);
    assert!(of("openrouter", "anthropic/claude-sonnet-5").has(Quirk::CacheControl));
    assert!(!of("openrouter", "openai/gpt-5.1").has(Quirk::CacheControl));
}

#[test]
fn compatible_providers_have_their_rules() {
    assert!(of("mistral", "mistral-large-latest").has(Quirk::NineCharacterIds));
    assert!(of("mistral", "mistral-small-latest").has(Quirk::NoStreamOptions));
    assert!(of("deepseek", "deepseek-v4-pro").has(Quirk::ReasoningContent));
    assert!(of("gemini", "gemini-3.5-flash").has(Quirk::ThoughtSignatures));
    assert!(!of("gemini", "gemini-2.5-pro").has(Quirk::ThoughtSignatures));
    assert_eq!(of("xai", "grok-4-fast-reasoning").effort, Effort::Unasked);
    assert_ne!(of("xai", "grok-4.5").effort, Effort::Unasked);
}
