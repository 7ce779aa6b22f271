//! What is known of models: how much they take, what they cost, what they can. The table is
//! `known.csv`; the owner's setting `MODELS` has lines of the same form and wins. Pure.
//!
//! Invariant: an unknown model is taken for small and dear, so that a request fits and a cap holds.

pub(crate) mod price;

pub(crate) use price::{Money, Price};

use price::{Long, decimal};

const KNOWN: &str = include_str!("known.csv");

/// Authors of models under the names that resellers (`OpenRouter`, Cloudflare's account API) put
/// before the slash, and the names of their own providers here.
const AUTHORS: &[(&str, &str)] = &[
    ("@cf", "workers-ai/@cf"),
    ("anthropic", "anthropic"),
    ("deepseek", "deepseek"),
    ("google", "gemini"),
    ("google-ai-studio", "gemini"),
    ("grok", "xai"),
    ("groq", "groq"),
    ("mistral", "mistral"),
    ("mistralai", "mistral"),
    ("openai", "openai"),
    ("workers-ai", "workers-ai"),
    ("x-ai", "xai"),
    ("xai", "xai"),
];

/// A model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Model {
    /// Tokens that it takes in and gives out together.
    pub(crate) context_tokens: u32,
    /// Most tokens of one answer.
    pub(crate) output_tokens: u32,
    /// What they cost.
    pub(crate) price: Price,
    /// Whether it takes images.
    pub(crate) images: bool,
    /// Whether it can think before it answers.
    pub(crate) thinking: bool,
    /// Whether it is in a table, or only assumed.
    pub(crate) known: bool,
}

/// What is assumed of an unknown model: the context of nearly all that are offered, and the price of
/// the dearer ones in common use.
pub(crate) const UNKNOWN: Model = Model {
    context_tokens: 128_000,
    output_tokens: 16_000,
    price: Price {
        input: 5_000_000,
        output: 25_000_000,
        cache_read: 5_000_000,
        cache_write: 5_000_000,
        long: None,
    },
    images: false,
    thinking: false,
    known: false,
};

/// What is known of `provider/model`, in the owner's lines or in the table. A date or `-latest` at
/// the name's end does not matter, and neither does a reseller before the author's name.
pub(crate) fn find(owner: &str, provider: &str, model: &str) -> Option<Model> {
    let names = names(provider, model);
    let tables = [owner, KNOWN];
    let found = |name: &String| tables.iter().find_map(|table| line(table, name)?.ok());
    names.iter().find_map(found)
}

/// Every line of the owner's that does not read, as a sentence.
pub(crate) fn wrong_lines(owner: &str) -> Vec<String> {
    lines(owner)
        .filter_map(|line| model(line).err().map(|why| format!("{line:?}: {why}")))
        .collect()
}

/// The names under which a model may be in a table, best first.
fn names(provider: &str, model: &str) -> Vec<String> {
    let own = format!("{provider}/{model}");
    let authored = model.split_once('/').and_then(|(author, name)| {
        let (_, provider) = AUTHORS.iter().find(|(known, _)| *known == author)?;
        Some(format!("{provider}/{name}"))
    });
    let mut names = Vec::new();
    for name in [Some(own), authored].into_iter().flatten() {
        let bare = undated(&name).to_owned();
        names.push(name);
        names.push(bare);
    }
    // OpenRouter writes the versions of Anthropic's models with a dot.
    let dashed = names.iter().filter(|name| name.starts_with("anthropic/"));
    let dashed: Vec<String> = dashed.map(|name| name.replace('.', "-")).collect();
    names.extend(dashed);
    names
}

/// A name without the date, or the `-latest`, at its end.
fn undated(name: &str) -> &str {
    if let Some(bare) = name.strip_suffix("-latest") {
        return bare;
    }
    let is_date = |tail: &str| {
        let digits = tail.bytes().filter(u8::is_ascii_digit).count();
        digits == 8 && tail.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    };
    // `-20250929` and `-2025-09-29`.
    [9, 11]
        .into_iter()
        .filter_map(|length| {
            name.len().checked_sub(length).and_then(|at| name.split_at_checked(at))
        })
        .find(|(_, tail)| tail.strip_prefix('-').is_some_and(is_date))
        .map_or(name, |(bare, _)| bare)
}

/// The lines of a table. The owner's may stand in one line, parted by semicolons.
fn lines(table: &str) -> impl Iterator<Item = &str> {
    let lines = table.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.flat_map(|line| line.split(';')).map(str::trim).filter(|line| !line.is_empty())
}

/// The model of this name in a table, if it has a line there.
fn line(table: &str, name: &str) -> Option<Result<Model, String>> {
    let is_named = |line: &&str| line.split(',').next().is_some_and(|first| first.trim() == name);
    lines(table).find(is_named).map(model)
}

/// Reads one line. Everything behind the price of answers may be left away.
fn model(line: &str) -> Result<Model, String> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let field = |index: usize| fields.get(index).copied().unwrap_or_default();
    if !field(0).contains('/') {
        return Err("it does not begin with provider/model".into());
    }
    let tokens = |index: usize, what: &str| match field(index).parse::<u32>() {
        Ok(tokens) if tokens > 0 => Ok(tokens),
        _ => Err(format!("{what} is no number of tokens")),
    };
    let dollars = |index: usize, what: &str| {
        decimal(field(index), 6).ok_or(format!("{what} is no number of dollars"))
    };
    let or_input = |index: usize, what: &str, input| match field(index) {
        "" => Ok(input),
        _ => dollars(index, what),
    };
    let input = dollars(3, "the price of input")?;
    let can = |what: &str| field(8).split('+').any(|word| word == what);
    if let Some(word) = field(8).split('+').find(|word| !["", "images", "thinking"].contains(word))
    {
        return Err(format!("{word:?} is neither images nor thinking"));
    }
    Ok(Model {
        context_tokens: tokens(1, "the context")?,
        output_tokens: tokens(2, "the output")?,
        price: Price {
            input,
            output: dollars(4, "the price of answers")?,
            cache_read: or_input(5, "the price of cache reads", input)?,
            cache_write: or_input(6, "the price of cache writes", input)?,
            long: long(field(7))?,
        },
        images: can("images"),
        thinking: can("thinking"),
        known: true,
    })
}

fn long(text: &str) -> Result<Option<Long>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let parts: Vec<&str> = text.split(':').collect();
    let [above, input, output] = parts.as_slice() else {
        return Err("the price of long inputs is not tokens:factor:factor".into());
    };
    let percent = |text| decimal(text, 2).ok_or(format!("{text:?} is no factor"));
    Ok(Some(Long {
        above_tokens: decimal(above, 0).ok_or(format!("{above:?} is no number of tokens"))?,
        input_percent: percent(input)?,
        output_percent: percent(output)?,
    }))
}

/// The providers and models in the table.
#[cfg(test)]
pub(crate) fn known_names() -> Vec<(&'static str, &'static str)> {
    lines(KNOWN).filter_map(|line| line.split(',').next()?.split_once('/')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn known(provider: &str, model: &str) -> Option<u64> {
        find("", provider, model).map(|model| model.price.input)
    }

    #[test]
    fn every_line_of_the_table_reads_and_names_its_model_once() {
        assert_eq!(wrong_lines(KNOWN), Vec::<String>::new());
        let mut names: Vec<&str> = lines(KNOWN).filter_map(|line| line.split(',').next()).collect();
        assert!(names.len() > 80);
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_known_model_leaves_room_for_a_question() {
        for line in lines(KNOWN) {
            let model = model(line).unwrap();
            assert!(model.output_tokens < model.context_tokens, "{line}");
        }
    }

    #[test]
    fn dates_and_resellers_do_not_matter() {
        let sonnet = known("anthropic", "claude-sonnet-4-5");
        assert_eq!(sonnet, Some(3_000_000));
        assert_eq!(known("anthropic", "claude-sonnet-4-5-20250929"), sonnet);
        assert_eq!(known("openrouter", "anthropic/claude-sonnet-4.5"), sonnet);
        assert_eq!(known("cloudflare", "anthropic/claude-sonnet-4-5"), sonnet);
        assert_eq!(known("openai", "gpt-4o-2024-08-06"), known("openai", "gpt-4o"));
        assert_eq!(known("cloudflare", "@cf/openai/gpt-oss-20b"), Some(200_000));
        assert_eq!(known("workers-ai", "@cf/openai/gpt-oss-20b"), Some(200_000));
        assert_eq!(known("gateway", "google-ai-studio/gemini-2.5-pro"), Some(1_250_000));
    }

    #[test]
    fn a_model_that_only_begins_alike_is_another() {
        assert_ne!(known("openai", "gpt-5.1-codex-mini"), known("openai", "gpt-5.1"));
        assert_eq!(known("openai", "gpt-5.1-turbo"), None);
        assert_eq!(known("ollama", "qwen3"), None);
    }

    #[test]
    fn the_owners_lines_win() {
        let owner = "ollama/qwen3, 32768, 8192, 0, 0; openai/gpt-5,400000,128000,1,8,0.1,,,images";
        let own = find(owner, "ollama", "qwen3").unwrap();
        assert_eq!((own.context_tokens, own.price.cost(&dialects::Usage::default()).0), (32768, 0));
        assert_eq!(find(owner, "openai", "gpt-5").unwrap().price.input, 1_000_000);
        assert!(!find(owner, "openai", "gpt-5").unwrap().thinking);
        assert!(wrong_lines(owner).is_empty());
    }

    #[test]
    fn a_line_that_does_not_read_says_why() {
        for (line, why) in [
            ("gpt,1,1,1,1", "provider/model"),
            ("a/b,x,1,1,1", "context"),
            ("a/b,1,0,1,1", "output"),
            ("a/b,1,1,,1", "price of input"),
            ("a/b,1,1,1,1,x", "cache reads"),
            ("a/b,1,1,1,1,,,5", "long inputs"),
            ("a/b,1,1,1,1,,,,sight", "sight"),
        ] {
            let wrong = wrong_lines(line);
            assert!(wrong.len() == 1 && wrong[0].contains(why), "{line}: {wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_of_the_owner_breaks_the_table(owner in "\\PC{0,200}", name in "\\PC{0,40}") {
            let _ = wrong_lines(&owner);
            let _ = find(&owner, "openai", &name);
            prop_assert!(find(&owner, "anthropic", "claude-sonnet-5").is_some());
        }
    }
}
