//! Settings: defaults, every problem at once, and no secret in any print.

use dialects::Dialect;
use protocol::turn::{ModelApi, ThinkingLevel};

use super::*;
use crate::models::Money;

fn parse(pairs: &[(&str, &str)]) -> Settings {
    let pairs: Vec<(String, String)> =
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Settings::parse(&move |name| pairs.iter().find(|(k, _)| k == name).map(|(_, v)| v.clone()))
}

#[test]
fn nothing_set_is_closed_and_says_what_to_set() {
    let settings = parse(&[]);
    assert!(!settings.dev_mode);
    assert_eq!(settings.sleep_after_ms, Some(600_000));
    let problem = settings.model.unwrap_err();
    assert!(problem.remedy.contains("ANTHROPIC_API_KEY"), "{}", problem.remedy);
    assert_eq!(settings.problems, [problem]);
}

#[test]
fn the_only_key_decides_the_default_model() {
    let model = |pairs| parse(pairs).model.map(|m| format!("{}/{}", m.provider, m.model)).unwrap();
    assert_eq!(model(&[("OPENAI_API_KEY", "k")]), "openai/gpt-5.6-terra");
    assert_eq!(model(&[("GEMINI_API_KEY", "k")]), "gemini/gemini-3.5-flash");
    assert_eq!(model(&[("ANTHROPIC_API_KEY", " k ")]), "anthropic/claude-sonnet-5");
}

#[test]
fn a_model_name_may_hold_slashes() {
    let settings = parse(&[("OPENAI_API_KEY", "k"), ("MODEL", "openai/@cf/meta/llama-3")]);
    assert_eq!(settings.model.unwrap().model, "@cf/meta/llama-3");
}

#[test]
fn a_model_whose_provider_has_no_key_names_the_secret() {
    let settings = parse(&[("OPENAI_API_KEY", "k"), ("MODEL", "anthropic/claude-sonnet-5")]);
    assert!(settings.model.unwrap_err().remedy.contains("ANTHROPIC_API_KEY"));
}

#[test]
fn all_problems_come_at_once() {
    let settings = parse(&[
        ("ANTHROPIC_API_KEY", "k"),
        ("ANTHROPIC_BASE_URL", "api.anthropic.com"),
        ("DEV_MODE", "yes"),
        ("SANDBOX_SLEEP_AFTER", "soon"),
        ("DEMO_MODEL_URL", "http://127.0.0.1:1"),
    ]);
    let text: Vec<String> = settings.problems.iter().map(|p| p.message.clone()).collect();
    let text = text.join("\n");
    for name in ["ANTHROPIC_BASE_URL", "DEV_MODE", "SANDBOX_SLEEP_AFTER", "DEMO_MODEL_URL"] {
        assert!(text.contains(name), "{name} is not in:\n{text}");
    }
}

#[test]
fn fewer_kept_records_are_for_tests_only() {
    let kept = |pairs| parse(pairs).log_records_kept;
    assert_eq!(kept(&[]), LOG_RECORDS_KEPT);
    assert_eq!(kept(&[("DEV_MODE", "true"), ("LOG_RECORDS_KEPT", "6")]), 6);
    for pairs in [
        &[("LOG_RECORDS_KEPT", "6")][..],
        &[("DEV_MODE", "true"), ("LOG_RECORDS_KEPT", "0")],
        &[("DEV_MODE", "true"), ("LOG_RECORDS_KEPT", "9999")],
    ] {
        let settings = parse(pairs);
        assert_eq!(settings.log_records_kept, LOG_RECORDS_KEPT);
        assert!(settings.problems.iter().any(|p| p.message.contains("LOG_RECORDS_KEPT")));
    }
}

#[test]
fn sleep_after_reads_units_and_never() {
    let sleep = |text| parse(&[("SANDBOX_SLEEP_AFTER", text)]).sleep_after_ms;
    assert_eq!(sleep("90s"), Some(90_000));
    assert_eq!(sleep("2h"), Some(7_200_000));
    assert_eq!(sleep("never"), None);
    assert_eq!(sleep("1s"), Some(600_000));
}

#[test]
fn model_timeouts_are_checked_and_handed_on() {
    let settings = parse(&[("MODEL_IDLE_TIMEOUT_MS", "500"), ("MODEL_FIRST_BYTE_TIMEOUT_MS", "x")]);
    assert_eq!(settings.runtime_variables, [("MODEL_IDLE_TIMEOUT_MS", "500".to_owned())]);
    assert!(settings.problems.iter().any(|p| p.message.contains("MODEL_FIRST_BYTE_TIMEOUT_MS")));
}

#[test]
fn printing_the_settings_shows_no_secret() {
    let settings = parse(&[("ANTHROPIC_API_KEY", "sk-canary"), ("OPENAI_API_KEY", "sk-canary")]);
    assert!(!format!("{settings:?}").contains("canary"));
}

const GATEWAY: [(&str, &str); 3] = [
    ("CF_AI_GATEWAY_ACCOUNT_ID", "acct"),
    ("CF_AI_GATEWAY_GATEWAY_ID", "gw"),
    ("CF_AI_GATEWAY_TOKEN", "t"),
];

fn with_gateway(more: &[(&str, &str)]) -> Settings {
    let pairs: Vec<(&str, &str)> = GATEWAY.iter().chain(more).copied().collect();
    parse(&pairs)
}

fn endpoint(settings: &Settings, name: &str, model: &str) -> String {
    let provider = settings.provider(name).unwrap_or_else(|| panic!("no provider {name}"));
    let dialect = match provider.api(model) {
        ModelApi::AnthropicMessages => Dialect::AnthropicMessages,
        ModelApi::OpenaiChat => Dialect::OpenAiChat,
        ModelApi::OpenaiResponses => Dialect::OpenAiResponses,
    };
    provider.endpoint(dialect)
}

#[test]
fn every_provider_is_called_where_it_says() {
    for (key, name, model, url) in [
        ("ANTHROPIC_API_KEY", "anthropic", "m", "https://api.anthropic.com/v1/messages"),
        ("OPENAI_API_KEY", "openai", "m", "https://api.openai.com/v1/responses"),
        ("OPENROUTER_API_KEY", "openrouter", "m", "https://openrouter.ai/api/v1/chat/completions"),
        (
            "GEMINI_API_KEY",
            "gemini",
            "m",
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
        ),
        ("GROQ_API_KEY", "groq", "m", "https://api.groq.com/openai/v1/chat/completions"),
        ("MISTRAL_API_KEY", "mistral", "m", "https://api.mistral.ai/v1/chat/completions"),
        ("DEEPSEEK_API_KEY", "deepseek", "m", "https://api.deepseek.com/v1/chat/completions"),
        ("XAI_API_KEY", "xai", "m", "https://api.x.ai/v1/chat/completions"),
    ] {
        assert_eq!(endpoint(&parse(&[(key, "k")]), name, model), url);
    }
    let local = parse(&[("OLLAMA_BASE_URL", "http://127.0.0.1:11434/"), ("MODEL", "ollama/q3:8b")]);
    assert_eq!(endpoint(&local, "ollama", "q3:8b"), "http://127.0.0.1:11434/v1/chat/completions");
    assert!(local.provider("ollama").unwrap().credential().is_none());
    assert_eq!(local.problems, []);
}

#[test]
fn a_gateway_is_called_by_the_providers_own_paths() {
    let base = "https://gateway.ai.cloudflare.com/v1/acct/gw";
    for (key, name, path) in [
        ("ANTHROPIC_API_KEY", "anthropic", "anthropic/v1/messages"),
        ("OPENAI_API_KEY", "openai", "openai/responses"),
        ("OPENROUTER_API_KEY", "openrouter", "openrouter/chat/completions"),
        ("GEMINI_API_KEY", "gemini", "google-ai-studio/v1beta/openai/chat/completions"),
        ("GROQ_API_KEY", "groq", "groq/chat/completions"),
        ("MISTRAL_API_KEY", "mistral", "mistral/v1/chat/completions"),
        ("DEEPSEEK_API_KEY", "deepseek", "deepseek/chat/completions"),
        ("XAI_API_KEY", "xai", "grok/v1/chat/completions"),
        ("CLOUDFLARE_API_TOKEN", "workers-ai", "workers-ai/v1/chat/completions"),
    ] {
        let settings = with_gateway(&[(key, "k")]);
        assert_eq!(endpoint(&settings, name, "m"), format!("{base}/{path}"));
        assert!(settings.provider(name).unwrap().through_gateway, "{name}");
    }
    // An address of the owner's own stands above the gateway.
    let own = with_gateway(&[("GROQ_API_KEY", "k"), ("GROQ_BASE_URL", "https://g.example/v1")]);
    assert_eq!(endpoint(&own, "groq", "m"), "https://g.example/v1/chat/completions");
    assert!(!own.provider("groq").unwrap().through_gateway);
}

#[test]
fn the_accounts_own_api_speaks_each_authors_format() {
    let settings = parse(&[("CF_AI_GATEWAY_ACCOUNT_ID", "acct"), ("CLOUDFLARE_API_TOKEN", "k")]);
    let base = "https://api.cloudflare.com/client/v4/accounts/acct/ai/v1";
    for (model, path) in [
        ("anthropic/claude-sonnet-4-5", "messages"),
        ("openai/gpt-4.1", "responses"),
        ("@cf/openai/gpt-oss-120b", "chat/completions"),
        ("google/gemini-2.5-pro", "chat/completions"),
    ] {
        assert_eq!(endpoint(&settings, "cloudflare", model), format!("{base}/{path}"));
    }
    let provider = settings.provider("cloudflare").unwrap();
    assert_eq!(provider.credential(), Some(("authorization", "Bearer k".into())));
    assert_eq!(endpoint(&settings, "workers-ai", "@cf/x"), format!("{base}/chat/completions"));
}

#[test]
fn stored_keys_and_one_bill_need_no_key_here() {
    let settings = with_gateway(&[
        ("CF_AI_GATEWAY_STORED_KEYS", "anthropic, google-ai-studio"),
        ("MODEL", "google-ai-studio/gemini-2.5-flash"),
    ]);
    assert_eq!(settings.problems, []);
    assert_eq!(settings.provider("anthropic").unwrap().credential(), None);
    let model = settings.model.unwrap();
    assert_eq!((model.provider.as_str(), model.model.as_str()), ("gemini", "gemini-2.5-flash"));
    let route = with_gateway(&[("MODEL", "gateway/dynamic/support")]);
    assert_eq!(route.model.as_ref().unwrap().model, "dynamic/support");
    assert_eq!(
        endpoint(&route, "gateway", "dynamic/support"),
        "https://gateway.ai.cloudflare.com/v1/acct/gw/compat/chat/completions"
    );
    let unknown = with_gateway(&[("CF_AI_GATEWAY_STORED_KEYS", "ollama")]);
    assert!(unknown.problems.iter().any(|p| p.message.contains("CF_AI_GATEWAY_STORED_KEYS")));
}

#[test]
fn moltworkers_variables_keep_their_meaning() {
    let settings = parse(&[
        ("CLOUDFLARE_AI_GATEWAY_API_KEY", "k"),
        ("CF_AI_GATEWAY_ACCOUNT_ID", "acct"),
        ("CF_AI_GATEWAY_GATEWAY_ID", "gw"),
        ("CF_AI_GATEWAY_MODEL", "workers-ai/@cf/meta/llama-3.3-70b-instruct-fp8-fast"),
    ]);
    assert_eq!(settings.problems, []);
    let model = settings.model.as_ref().unwrap();
    assert_eq!(
        (model.provider.as_str(), model.model.as_str(), model.context_tokens),
        ("workers-ai", "@cf/meta/llama-3.3-70b-instruct-fp8-fast", 24_000)
    );
    let provider = settings.provider("workers-ai").unwrap();
    assert_eq!(provider.credential(), Some(("authorization", "Bearer k".into())));
    let legacy = parse(&[
        ("AI_GATEWAY_API_KEY", "k"),
        ("AI_GATEWAY_BASE_URL", "https://gateway.ai.cloudflare.com/v1/a/g/openai"),
    ]);
    assert_eq!(
        endpoint(&legacy, "openai", "m"),
        "https://gateway.ai.cloudflare.com/v1/a/g/openai/chat/completions"
    );
}

#[test]
fn half_a_gateway_says_which_half_is_missing() {
    for (set, missing) in [
        (("CF_AI_GATEWAY_GATEWAY_ID", "gw"), "CF_AI_GATEWAY_ACCOUNT_ID"),
        (("CF_AI_GATEWAY_TOKEN", "t"), "CF_AI_GATEWAY_GATEWAY_ID"),
        (("CLOUDFLARE_AI_GATEWAY_API_KEY", "k"), "CF_AI_GATEWAY_GATEWAY_ID"),
    ] {
        let settings = parse(&[set, ("ANTHROPIC_API_KEY", "k")]);
        let said: Vec<&str> = settings.problems.iter().map(|p| p.message.as_str()).collect();
        assert!(said.iter().any(|said| said.contains(set.0) && said.contains(missing)), "{said:?}");
        assert!(settings.model.is_ok());
    }
    // The account alone is for the account's own API.
    let account = [("CF_AI_GATEWAY_ACCOUNT_ID", "acct"), ("ANTHROPIC_API_KEY", "k")];
    assert_eq!(parse(&account).problems, []);
}

#[test]
fn a_key_with_quotes_or_a_space_inside_is_reported_and_never_shown() {
    for key in ["\"sk-canary\"", "sk canary", "sk-canary\nOPENAI", "sk-canaryé"] {
        let settings = parse(&[("ANTHROPIC_API_KEY", key)]);
        let said = format!("{:?}", settings.problems);
        assert!(said.contains("ANTHROPIC_API_KEY") && !said.contains("canary"), "{said}");
        assert!(settings.model.is_err());
    }
    assert!(parse(&[("ANTHROPIC_API_KEY", " sk-canary \n")]).model.is_ok());
}

#[test]
fn another_server_in_openais_place_is_asked_by_the_older_api() {
    let api = |pairs: &[(&str, &str)]| parse(pairs).model.unwrap().api;
    let own = ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1");
    let key = ("OPENAI_API_KEY", "k");
    assert_eq!(api(&[key]), ModelApi::OpenaiResponses);
    assert_eq!(api(&[key, own]), ModelApi::OpenaiChat);
    assert_eq!(api(&[key, own, ("OPENAI_API", "responses")]), ModelApi::OpenaiResponses);
    assert_eq!(api(&[key, ("OPENAI_API", "chat")]), ModelApi::OpenaiChat);
    let compatible = [
        ("COMPATIBLE_BASE_URL", "http://127.0.0.1:1"),
        ("COMPATIBLE_API", "anthropic"),
        ("MODEL", "compatible/m"),
    ];
    assert_eq!(api(&compatible), ModelApi::AnthropicMessages);
}

#[test]
fn known_models_bring_their_limits_and_unknown_ones_are_taken_for_small() {
    let model = |pairs: &[(&str, &str)]| parse(pairs).model.unwrap();
    let key = ("ANTHROPIC_API_KEY", "k");
    let known = model(&[key, ("THINKING", "low")]);
    assert_eq!(
        (known.context_tokens, known.max_output_tokens, known.images),
        (1_000_000, 16_000, true)
    );
    assert_eq!(known.thinking, Some(ThinkingLevel::Low));
    let unknown = model(&[key, ("MODEL", "anthropic/claude-next"), ("THINKING", "low")]);
    assert_eq!((unknown.context_tokens, unknown.images, unknown.thinking), (128_000, false, None));
    let owner = ("MODELS", "anthropic/claude-next,32000,4000,1,2");
    let own = model(&[key, ("MODEL", "anthropic/claude-next"), owner]);
    assert_eq!((own.context_tokens, own.max_output_tokens), (32_000, 4_000));
    let more = model(&[key, ("MAX_OUTPUT_TOKENS", "64000")]);
    assert_eq!(more.max_output_tokens, 64_000);
    let wrong = parse(&[key, ("MODELS", "anthropic/claude-next,many,4000,1,2")]);
    assert!(wrong.problems.iter().any(|p| p.message.contains("MODELS")));
}

#[test]
fn fallbacks_are_models_of_providers_that_are_set_up() {
    let keys = [("ANTHROPIC_API_KEY", "k"), ("GROQ_API_KEY", "k")];
    let with = |fallbacks: &'static str| parse(&[keys[0], keys[1], ("MODEL_FALLBACKS", fallbacks)]);
    let settings = with("groq/openai/gpt-oss-120b, anthropic/claude-haiku-4-5");
    let names: Vec<String> =
        settings.fallbacks.iter().map(|m| format!("{}/{}", m.provider, m.model)).collect();
    assert_eq!(names, ["groq/openai/gpt-oss-120b", "anthropic/claude-haiku-4-5"]);
    assert_eq!(settings.problems, []);
    let settings = with("xai/grok-4.5,groq/openai/gpt-oss-120b");
    assert_eq!(settings.fallbacks.len(), 1);
    assert!(settings.problems[0].remedy.contains("XAI_API_KEY"), "{:?}", settings.problems);
}

#[test]
fn caps_are_modest_unless_the_owner_says_otherwise() {
    let money = |money: Option<Money>| money.map(|money| money.to_string());
    let caps = parse(&[]).caps;
    assert_eq!(money(caps.turn.money).as_deref(), Some("$2.00"));
    assert_eq!(money(caps.day.money).as_deref(), Some("$5.00"));
    assert_eq!(money(caps.month.money).as_deref(), Some("$50.00"));
    let caps = parse(&[("SPEND_PER_DAY_USD", "0.25"), ("TOKENS_PER_MONTH", "none")]).caps;
    assert_eq!(money(caps.day.money).as_deref(), Some("$0.25"));
    assert_eq!(caps.month.tokens, None);
    let settings = parse(&[("SPEND_PER_DAY_USD", "lots")]);
    assert_eq!(money(settings.caps.day.money).as_deref(), Some("$5.00"));
    assert!(settings.problems.iter().any(|p| p.message.contains("SPEND_PER_DAY_USD")));
}

#[test]
fn what_nobody_bills_costs_nothing_and_what_is_unknown_counts_as_dear() {
    let settings = parse(&[("OLLAMA_BASE_URL", "http://127.0.0.1:1"), ("GROQ_API_KEY", "k")]);
    let price = |name: &str| settings.known_model(name, "some-model").price;
    assert_eq!(price("ollama"), Price::default());
    assert_eq!(price("groq"), UNKNOWN.price);
}
