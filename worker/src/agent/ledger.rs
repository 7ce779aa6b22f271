//! What model calls may cost and what they did: pure decisions over sums that the books hold.
//!
//! Invariants: a call is made only when everything spent, everything set aside for calls under way
//! and the most that this one can cost stay below every cap; a call whose end was not seen counts
//! with no less than it can have cost.

use dialects::Usage;
use protocol::object::{Amount, Bill};
use protocol::{Problem, ProblemCode};

use crate::limits::OUTPUT_TOKENS_PER_SECOND_MAX;
use crate::models::{Model, Money};

/// The most of one stretch; `None` lifts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cap {
    /// In money.
    pub(crate) money: Option<Money>,
    /// In tokens, in and out together.
    pub(crate) tokens: Option<u64>,
}

impl From<Cap> for Amount {
    fn from(cap: Cap) -> Self {
        Self { nanodollars: cap.money.map(|money| money.0), tokens: cap.tokens }
    }
}

/// The caps of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Caps {
    /// Of one turn.
    pub(crate) turn: Cap,
    /// Of one day in the owner's time zone.
    pub(crate) day: Cap,
    /// Of one month there.
    pub(crate) month: Cap,
}

/// Money and tokens together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Money.
    pub(crate) money: Money,
    /// Tokens, in and out.
    pub(crate) tokens: u64,
}

impl Spent {
    /// The sum.
    #[must_use]
    pub(crate) fn plus(self, more: Self) -> Self {
        Self { money: self.money.plus(more.money), tokens: self.tokens.saturating_add(more.tokens) }
    }
}

/// What counts against the caps now, calls under way included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// In this turn.
    pub(crate) turn: Spent,
    /// Today.
    pub(crate) day: Spent,
    /// This month.
    pub(crate) month: Spent,
}

/// One cap with its names.
struct Named {
    cap: Cap,
    spent: Spent,
    whose: &'static str,
    money_setting: &'static str,
    tokens_setting: &'static str,
    otherwise: &'static str,
}

/// The most that a call can cost that takes so much in and gives so much out.
pub(crate) fn most(model: &Model, input_tokens: u64, output_tokens: u64) -> Spent {
    Spent {
        money: model.price.most(input_tokens, output_tokens),
        tokens: input_tokens.saturating_add(output_tokens),
    }
}

/// Whether a call may be made that costs `most`; else the one sentence for its user.
pub(crate) fn admit(
    caps: &Caps,
    standing: &Standing,
    most: Spent,
    is_known: bool,
) -> Result<(), Problem> {
    let caps = [
        Named {
            cap: caps.turn,
            spent: standing.turn,
            whose: "this task's",
            money_setting: "SPEND_PER_TURN_USD",
            tokens_setting: "TOKENS_PER_TURN",
            otherwise: "say \"go on\" for another turn",
        },
        Named {
            cap: caps.day,
            spent: standing.day,
            whose: "today's",
            money_setting: "SPEND_PER_DAY_USD",
            tokens_setting: "TOKENS_PER_DAY",
            otherwise: "wait until tomorrow",
        },
        Named {
            cap: caps.month,
            spent: standing.month,
            whose: "this month's",
            money_setting: "SPEND_PER_MONTH_USD",
            tokens_setting: "TOKENS_PER_MONTH",
            otherwise: "wait until next month",
        },
    ];
    for named in caps {
        let after = named.spent.plus(most);
        if let Some(cap) = named.cap.money.filter(|cap| after.money > *cap) {
            let guess = if is_known { "" } else { ", since its model's price is not known" };
            return Err(refusal(
                &named,
                named.money_setting,
                format!(
                    "{} of {} cap of {cap} is used, and the next call to the model can cost up to \
                     {}{guess}.",
                    named.spent.money, named.whose, most.money
                ),
            ));
        }
        if let Some(cap) = named.cap.tokens.filter(|cap| after.tokens > *cap) {
            return Err(refusal(
                &named,
                named.tokens_setting,
                format!(
                    "{} of {} cap of {cap} tokens are used, and the next call to the model can take \
                     up to {}.",
                    named.spent.tokens, named.whose, most.tokens
                ),
            ));
        }
    }
    Ok(())
}

fn refusal(named: &Named, setting: &str, message: String) -> Problem {
    Problem::new(ProblemCode::SpendingCap, message)
        .remedy(format!("Raise {setting} (`/usage` shows it), or {}.", named.otherwise))
}

/// What a call counts with in the end, and whether that is an estimate. `reserved` is what was set
/// aside for it.
pub(crate) fn settle(model: &Model, reserved: Reserved, bill: &Bill) -> (Usage, Money, bool) {
    match bill {
        Bill::Nothing => (Usage::default(), Money::default(), false),
        Bill::Counted { usage, cost_nanodollars, .. } => {
            let usage = from_wire(*usage);
            let counted = model.price.cost(&usage);
            (usage, cost_nanodollars.map_or(counted, Money), false)
        }
        Bill::Uncounted { usage, elapsed_ms } => {
            let usage = uncounted(from_wire(*usage), reserved, *elapsed_ms);
            (usage, model.price.cost(&usage), true)
        }
    }
}

/// What was set aside for a call, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reserved {
    /// Taken in.
    pub(crate) input_tokens: u64,
    /// Given out.
    pub(crate) output_tokens: u64,
}

/// What a broken answer counts with: input as counted, or as set aside; output as much as the
/// fastest model can have written in the time, hidden reasoning included.
fn uncounted(counted: Usage, reserved: Reserved, elapsed_ms: u64) -> Usage {
    let written = elapsed_ms.saturating_mul(OUTPUT_TOKENS_PER_SECOND_MAX).div_ceil(1000);
    let output_tokens = written.min(reserved.output_tokens).max(counted.output_tokens);
    match counted.total_input_tokens() {
        0 => Usage { input_tokens: reserved.input_tokens, output_tokens, ..Usage::default() },
        _ => Usage { output_tokens, ..counted },
    }
}

/// The wire's counts as the dialects' own.
pub(crate) fn from_wire(usage: protocol::session::Usage) -> Usage {
    Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cache_read_tokens: usage.cache_read_tokens,
        cache_write_tokens: usage.cache_write_tokens,
    }
}

/// The dialects' counts as the wire's.
pub(crate) fn to_wire(usage: Usage) -> protocol::session::Usage {
    protocol::session::Usage {
        input_tokens: usage.input_tokens,
        output_tokens: usage.output_tokens,
        cache_read_tokens: usage.cache_read_tokens,
        cache_write_tokens: usage.cache_write_tokens,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::UNKNOWN;
    use proptest::prelude::*;

    fn dollars(text: &str) -> Money {
        Money::parse(text).unwrap()
    }

    fn caps(day: Cap) -> Caps {
        let none = Cap { money: None, tokens: None };
        Caps { turn: none, day, month: none }
    }

    fn spent(money: &str, tokens: u64) -> Spent {
        Spent { money: dollars(money), tokens }
    }

    #[test]
    fn a_cap_may_be_reached_and_not_passed() {
        let caps = caps(Cap { money: Some(dollars("5")), tokens: Some(100) });
        let standing = Standing { day: spent("4.90", 90), ..Standing::default() };
        assert_eq!(admit(&caps, &standing, spent("0.10", 10), true), Ok(()));
        let problem = admit(&caps, &standing, spent("0.11", 10), true).unwrap_err();
        assert_eq!(problem.code, ProblemCode::SpendingCap);
        assert_eq!(
            problem.to_string(),
            "$4.90 of today's cap of $5.00 is used, and the next call to the model can cost up to \
             $0.11. Raise SPEND_PER_DAY_USD (`/usage` shows it), or wait until tomorrow."
        );
        let problem = admit(&caps, &standing, spent("0.10", 11), true).unwrap_err();
        assert!(problem.remedy.contains("TOKENS_PER_DAY"), "{problem}");
    }

    #[test]
    fn every_cap_counts_by_itself() {
        let cap = Cap { money: Some(dollars("1")), tokens: None };
        let caps = Caps { turn: cap, day: cap, month: cap };
        let over = spent("1", 0);
        for (standing, setting) in [
            (Standing { turn: over, ..Standing::default() }, "SPEND_PER_TURN_USD"),
            (Standing { day: over, ..Standing::default() }, "SPEND_PER_DAY_USD"),
            (Standing { month: over, ..Standing::default() }, "SPEND_PER_MONTH_USD"),
        ] {
            let problem = admit(&caps, &standing, spent("0.01", 0), true).unwrap_err();
            assert!(problem.remedy.contains(setting), "{problem}");
        }
    }

    const RESERVED: Reserved = Reserved { input_tokens: 1_000, output_tokens: 16_000 };

    fn wire(input: u64, output: u64) -> protocol::session::Usage {
        protocol::session::Usage {
            input_tokens: input,
            output_tokens: output,
            ..protocol::session::Usage::default()
        }
    }

    #[test]
    fn what_the_provider_counts_is_what_counts() {
        let bill = |cost_nanodollars| Bill::Counted {
            usage: wire(10, 20),
            cost_nanodollars,
            answered_by: None,
        };
        let (usage, money, estimated) = settle(&UNKNOWN, RESERVED, &bill(None));
        assert_eq!((usage.input_tokens, usage.output_tokens, estimated), (10, 20, false));
        assert_eq!(money, UNKNOWN.price.cost(&usage));
        assert_eq!(settle(&UNKNOWN, RESERVED, &bill(Some(7))).1, Money(7));
        assert_eq!(settle(&UNKNOWN, RESERVED, &Bill::Nothing).1, Money(0));
    }

    #[test]
    fn a_broken_answer_counts_with_what_can_have_been_written() {
        let settled =
            |usage, elapsed_ms| settle(&UNKNOWN, RESERVED, &Bill::Uncounted { usage, elapsed_ms });
        let (usage, _, estimated) = settled(wire(0, 0), 2_000);
        assert_eq!((usage.input_tokens, usage.output_tokens, estimated), (1_000, 2_000, true));
        assert_eq!(settled(wire(800, 5), 1_000).0.input_tokens, 800);
        assert_eq!(settled(wire(800, 5), u64::MAX).0.output_tokens, 16_000);
    }

    proptest! {
        #[test]
        fn no_order_of_calls_passes_a_cap(
            costs in proptest::collection::vec(1_u64..1_000, 1..60),
            cap in 1_u64..10_000,
        ) {
            let caps = caps(Cap { money: Some(Money(cap)), tokens: None });
            let mut standing = Standing::default();
            for cost in costs {
                let call = Spent { money: Money(cost), tokens: 0 };
                if admit(&caps, &standing, call, true).is_ok() {
                    standing.day = standing.day.plus(call);
                }
                prop_assert!(standing.day.money <= Money(cap));
            }
        }

        #[test]
        fn no_settlement_is_more_than_was_set_aside(
            input in 0_u64..1_000, output in 0_u64..16_000, elapsed_ms in 0_u64..10_000_000,
        ) {
            let bill = Bill::Uncounted { usage: wire(input, output), elapsed_ms };
            let (_, money, _) = settle(&UNKNOWN, RESERVED, &bill);
            prop_assert!(money <= most(&UNKNOWN, 1_000, 16_000).money);
        }
    }
}
