//! A report of usage as a text for a person. Pure.

use protocol::object::{Amount, UsageLine, UsageReport};

use super::ledger::{Caps, from_wire};
use crate::models::Money;

/// The report in Markdown.
pub(crate) fn text(report: &UsageReport) -> String {
    let mut lines = vec![
        format!("- today: {}, of {}", amount(report.today), amount(report.day_cap)),
        format!("- this month: {}, of {}", amount(report.month), amount(report.month_cap)),
        format!("- one task may use {}", amount(report.turn_cap)),
        "- settings of these caps: `SPEND_PER_TURN_USD`, `SPEND_PER_DAY_USD`, \
         `SPEND_PER_MONTH_USD`, `TOKENS_PER_TURN`, `TOKENS_PER_DAY`, `TOKENS_PER_MONTH`"
            .to_owned(),
    ];
    for (usage, title) in [
        (&report.by_day, "day"),
        (&report.by_model, "model"),
        (&report.by_session, "conversation"),
        (&report.by_channel, "channel"),
    ] {
        if !usage.is_empty() {
            lines.push(format!("\n**{} days by {title}**\n", report.days));
            lines.extend(usage.iter().map(line));
        }
    }
    lines.join("\n")
}

/// What may be spent, for the log.
pub(crate) fn caps_text(caps: &Caps) -> String {
    let [turn, day, month] = [caps.turn, caps.day, caps.month].map(|cap| amount(cap.into()));
    format!("models may use {turn} in a task, {day} in a day, {month} in a month")
}

fn amount(amount: Amount) -> String {
    let money = amount.nanodollars.map(|nanodollars| Money(nanodollars).to_string());
    let tokens = amount.tokens.map(|tokens| format!("{} tokens", grouped(tokens)));
    match (money, tokens) {
        (Some(money), Some(tokens)) => format!("{money} and {tokens}"),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => "as much as it likes".to_owned(),
    }
}

fn line(line: &UsageLine) -> String {
    let guessed = match line.estimated {
        0 => String::new(),
        count => format!(", {count} of them estimated"),
    };
    let cached = match line.usage.cache_read_tokens {
        0 => String::new(),
        cached => format!(" ({} from the cache)", grouped(cached)),
    };
    let calls = if line.calls == 1 { "call" } else { "calls" };
    format!(
        "- {}: {} for {} {calls}{guessed}; {} tokens in{cached}, {} out",
        if line.name.is_empty() { "(none)" } else { &line.name },
        Money(line.nanodollars),
        line.calls,
        grouped(from_wire(line.usage).total_input_tokens()),
        grouped(line.usage.output_tokens)
    )
}

/// A number with its thousands parted.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (!head.is_empty()).then(|| head.to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::session::Usage;

    #[test]
    fn numbers_are_grouped() {
        let shown: Vec<String> = [0, 12, 999, 1_000, 20_000_000].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "12", "999", "1,000", "20,000,000"]);
    }

    #[test]
    fn a_report_says_what_was_spent_and_what_may_be() {
        let usage = Usage {
            input_tokens: 1_000,
            output_tokens: 50,
            cache_read_tokens: 200,
            cache_write_tokens: 0,
        };
        let line = UsageLine {
            name: "anthropic/claude-sonnet-5".into(),
            calls: 3,
            estimated: 1,
            usage,
            nanodollars: 20_000_000,
        };
        let report = UsageReport {
            today: Amount { nanodollars: Some(20_000_000), tokens: Some(1_250) },
            day_cap: Amount { nanodollars: Some(5_000_000_000), tokens: None },
            days: 7,
            by_model: vec![line],
            ..UsageReport::default()
        };
        let text = text(&report);
        assert!(text.contains("- today: $0.02 and 1,250 tokens, of $5.00"), "{text}");
        assert!(text.contains("- one task may use as much as it likes"), "{text}");
        let line = "- anthropic/claude-sonnet-5: $0.02 for 3 calls, 1 of them estimated; \
                    1,200 tokens in (200 from the cache), 50 out";
        assert!(text.ends_with(line), "{text}");
        assert!(!text.contains("by day"), "{text}");
    }
}
