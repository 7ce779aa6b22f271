//! What tokens cost. Pure.
//!
//! Invariant: a cost is never rounded down, so a sum of costs never says less than was spent.

use dialects::Usage;

/// Money, in billionths of a US dollar: fine enough for one token of the cheapest model, and nine
/// million dollars fit into the numbers that a database hands to JavaScript.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Money(pub(crate) u64);

/// Billionths of a dollar in a dollar.
const PER_DOLLAR: u64 = 1_000_000_000;

impl Money {
    /// Reads an amount in dollars such as `5`, `0.50` or `12.5`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        decimal(text, 9).map(Self)
    }

    /// An amount that a provider reports as a JSON number; `None` for what is no amount.
    pub(crate) fn reported(dollars: f64) -> Option<Self> {
        #[expect(clippy::cast_precision_loss, reason = "a bound, far from exactness")]
        let max = u64::MAX as f64 / 2.0;
        let nanos = (dollars * 1e9).ceil();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
        let whole = (0.0..max).contains(&nanos).then_some(nanos as u64);
        whole.map(Self)
    }

    /// The sum, or the most that can be said.
    #[must_use]
    pub(crate) fn plus(self, more: Self) -> Self {
        Self(self.0.saturating_add(more.0))
    }
}

impl std::fmt::Display for Money {
    /// Dollars and cents, with more digits for what is less than a cent.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let cent = PER_DOLLAR / 100;
        if self.0 == 0 || self.0 >= cent {
            let cents = self.0.div_ceil(cent);
            return write!(f, "${}.{:02}", cents / 100, cents % 100);
        }
        let digits = format!("{:05}", self.0.div_ceil(PER_DOLLAR / 100_000));
        write!(f, "$0.{}", digits.trim_end_matches('0'))
    }
}

/// A decimal number as a whole number of `10^-places`.
pub(super) fn decimal(text: &str, places: u32) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let places = usize::try_from(places).ok()?;
    if whole.is_empty() || fraction.len() > places || !digits(whole) || !digits(fraction) {
        return None;
    }
    let scale = 10_u64.checked_pow(u32::try_from(places).ok()?)?;
    let fraction: u64 =
        format!("{fraction:0<places$}").parse().ok().or((places == 0).then_some(0))?;
    whole.parse::<u64>().ok()?.checked_mul(scale)?.checked_add(fraction)
}

/// Prices of one model, each in billionths of a dollar per thousand tokens, which is the published
/// price in dollars per million tokens, times a million.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Price {
    /// Input tokens that have nothing to do with a cache.
    pub(crate) input: u64,
    /// Output tokens.
    pub(crate) output: u64,
    /// Input tokens read from the provider's cache.
    pub(crate) cache_read: u64,
    /// Input tokens written to the provider's cache.
    pub(crate) cache_write: u64,
    /// What changes for a long input.
    pub(crate) long: Option<Long>,
}

/// How a long input is priced: the whole request costs more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Long {
    /// Input tokens above which it counts.
    pub(crate) above_tokens: u64,
    /// Factor of all input prices, in hundredths.
    pub(crate) input_percent: u64,
    /// Factor of the output price, in hundredths.
    pub(crate) output_percent: u64,
}

impl Price {
    /// What a call costs of which this was counted.
    pub(crate) fn cost(&self, usage: &Usage) -> Money {
        let input = usage
            .input_tokens
            .saturating_mul(self.input)
            .saturating_add(usage.cache_read_tokens.saturating_mul(self.cache_read))
            .saturating_add(usage.cache_write_tokens.saturating_mul(self.cache_write));
        self.total(usage.total_input_tokens(), input, usage.output_tokens)
    }

    /// The most that a call can cost that takes so many tokens in and gives so many out: all of them
    /// at the dearest way to be read.
    pub(crate) fn most(&self, input_tokens: u64, output_tokens: u64) -> Money {
        let dearest = self.input.max(self.cache_write).max(self.cache_read);
        self.total(input_tokens, input_tokens.saturating_mul(dearest), output_tokens)
    }

    fn total(&self, input_tokens: u64, input: u64, output_tokens: u64) -> Money {
        let output = output_tokens.saturating_mul(self.output);
        let (input, output) = match self.long {
            Some(long) if input_tokens > long.above_tokens => (
                input.saturating_mul(long.input_percent).div_ceil(100),
                output.saturating_mul(long.output_percent).div_ceil(100),
            ),
            _ => (input, output),
        };
        Money(input.saturating_add(output).div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn money_is_read_and_shown() {
        assert_eq!(Money::parse("5"), Some(Money(5_000_000_000)));
        assert_eq!(Money::parse("0.50"), Some(Money(500_000_000)));
        for none in ["", ".5", "-1", "1e3", "$5", "1.0000000001", "5 "] {
            assert_eq!(Money::parse(none), None, "{none:?}");
        }
        let shown = |nanos| Money(nanos).to_string();
        assert_eq!(shown(0), "$0.00");
        assert_eq!(shown(5_000_000_000), "$5.00");
        assert_eq!(shown(1_234_567_890), "$1.24");
        assert_eq!(shown(9_999_999), "$0.01");
        assert_eq!(shown(2_000_000), "$0.002");
        assert_eq!(shown(1), "$0.00001");
    }

    #[test]
    fn reported_amounts_are_amounts() {
        assert_eq!(Money::reported(0.000_25), Some(Money(250_000)));
        for none in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(Money::reported(none), None);
        }
    }

    /// Sonnet 5: 2 and 10 dollars per million, 0.2 from the cache, 2.5 into it.
    const SONNET: Price = Price {
        input: 2_000_000,
        output: 10_000_000,
        cache_read: 200_000,
        cache_write: 2_500_000,
        long: None,
    };

    #[test]
    fn each_kind_of_token_has_its_price() {
        let usage = Usage {
            input_tokens: 1_000_000,
            output_tokens: 100_000,
            cache_read_tokens: 500_000,
            cache_write_tokens: 200_000,
        };
        assert_eq!(SONNET.cost(&usage).to_string(), "$3.60");
    }

    #[test]
    fn a_long_input_makes_the_whole_request_dearer() {
        let long = Long { above_tokens: 100, input_percent: 200, output_percent: 150 };
        let price = Price { long: Some(long), ..SONNET };
        assert_eq!(price.most(100, 10), SONNET.most(100, 10));
        assert_eq!(price.most(101, 0).0, 2 * SONNET.most(101, 0).0);
        assert_eq!(price.most(101, 10).0, 2 * SONNET.most(101, 0).0 + 150 * 1000);
    }

    proptest! {
        #[test]
        fn no_call_costs_more_than_its_most(
            input in 0_u64..2_000_000, read in 0_u64..2_000_000, write in 0_u64..2_000_000,
            output in 0_u64..200_000, above in 0_u64..3_000_000,
        ) {
            let long = Long { above_tokens: above, input_percent: 200, output_percent: 150 };
            let price = Price { long: Some(long), ..SONNET };
            let usage = Usage {
                input_tokens: input,
                output_tokens: output,
                cache_read_tokens: read,
                cache_write_tokens: write,
            };
            prop_assert!(price.cost(&usage) <= price.most(input + read + write, output));
        }
    }
}
