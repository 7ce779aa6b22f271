//! The owner's caps on money and tokens.

use super::reader::Reader;
use crate::agent::ledger::{Cap, Caps};
use crate::models::Money;

/// What lifts a cap.
const NONE: &str = "none";

/// Caps of an owner who sets none, in dollars and tokens: a day's use of a personal agent costs
/// about one dollar with a middling model, and the most that a mistake can cost is a day's cap.
const TURN: Cap = Cap { money: Some(Money(2_000_000_000)), tokens: Some(5_000_000) };
const DAY: Cap = Cap { money: Some(Money(5_000_000_000)), tokens: Some(20_000_000) };
const MONTH: Cap = Cap { money: Some(Money(50_000_000_000)), tokens: Some(200_000_000) };

/// Reads the caps.
pub(super) fn read(reader: &mut Reader<'_>) -> Caps {
    Caps {
        turn: cap(reader, "SPEND_PER_TURN_USD", "TOKENS_PER_TURN", TURN),
        day: cap(reader, "SPEND_PER_DAY_USD", "TOKENS_PER_DAY", DAY),
        month: cap(reader, "SPEND_PER_MONTH_USD", "TOKENS_PER_MONTH", MONTH),
    }
}

fn cap(reader: &mut Reader<'_>, money: &str, tokens: &str, default: Cap) -> Cap {
    Cap {
        money: reader.checked(money, default.money, |text| match text {
            NONE => Ok(None),
            text => Money::parse(text)
                .map(Some)
                .ok_or_else(|| format!("{text:?} is neither an amount like 2.50 nor {NONE}")),
        }),
        tokens: reader.checked(tokens, default.tokens, |text| match text {
            NONE => Ok(None),
            text => match text.parse() {
                Ok(tokens) => Ok(Some(tokens)),
                Err(error) => Err(format!("{text:?} is neither {NONE} nor a number: {error}")),
            },
        }),
    }
}
