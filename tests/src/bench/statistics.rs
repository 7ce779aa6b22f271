//! Medians and their like. Pure.

use std::time::Duration;

/// A list of measurements of one thing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// Adds a duration, in milliseconds.
    pub(crate) fn push(&mut self, duration: Duration) {
        self.0.push(duration.as_secs_f64() * 1000.0);
    }

    /// Adds a number.
    pub(crate) fn push_number(&mut self, number: f64) {
        self.0.push(number);
    }

    /// The value below which `share` of the measurements lie (nearest rank).
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a rank within a short list"
        )]
        let rank = ((sorted.len() as f64 * share).ceil() as usize).max(1) - 1;
        sorted.get(rank).copied().unwrap_or(f64::NAN)
    }

    /// Number of measurements.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let mut series = Series::default();
        for number in [5.0, 1.0, 4.0, 2.0, 3.0] {
            series.push_number(number);
        }
        let found = [0.0, 0.5, 0.95, 1.0].map(|share| series.quantile(share).to_string());
        assert_eq!(found, ["1", "3", "5", "5"]);
    }
}
