//! Which of a turn's models is asked first: those that failed lately are left out for a while, by all
//! turns of this process. Pure, with time passed in.
//!
//! Invariants: the order of the models is the user's; when all of them rest, the first is asked all
//! the same; the table is bounded.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::retry::Rest;
use crate::limits::{MODEL_REST_LONG, MODEL_REST_SHORT, RESTING_MODELS_MAX};

/// The models that rest, by `provider/model`, and until when.
#[derive(Debug, Default)]
pub struct RestingModels {
    until: HashMap<String, Instant>,
}

impl RestingModels {
    /// Lets a model rest, at least as long as its provider asks.
    pub fn rest(&mut self, model: &str, rest: Rest, asked: Option<Duration>, now: Instant) {
        let least = match rest {
            Rest::None => return,
            Rest::Short => MODEL_REST_SHORT,
            Rest::Long => MODEL_REST_LONG,
        };
        self.until.retain(|_, until| *until > now);
        if self.until.len() < RESTING_MODELS_MAX || self.until.contains_key(model) {
            self.until.insert(model.to_owned(), now + asked.unwrap_or_default().max(least));
        }
    }

    /// A model that has answered rests no longer.
    pub fn wake(&mut self, model: &str) {
        self.until.remove(model);
    }

    /// The positions of those of `models` to ask, in order.
    pub fn to_ask(&self, models: &[String], now: Instant) -> Vec<usize> {
        let rests = |model: &String| self.until.get(model).is_some_and(|until| *until > now);
        let awake: Vec<usize> =
            (0..).zip(models).filter(|(_, model)| !rests(model)).map(|(at, _)| at).collect();
        if awake.is_empty() { vec![0] } else { awake }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models() -> [String; 3] {
        ["a/x", "b/y", "c/z"].map(str::to_owned)
    }

    #[test]
    fn a_model_that_failed_is_left_out_until_its_rest_is_over() {
        let now = Instant::now();
        let mut resting = RestingModels::default();
        assert_eq!(resting.to_ask(&models(), now), [0, 1, 2]);
        resting.rest("a/x", Rest::Short, None, now);
        resting.rest("b/y", Rest::Long, None, now);
        resting.rest("c/z", Rest::None, Some(MODEL_REST_LONG), now);
        assert_eq!(resting.to_ask(&models(), now), [2]);
        assert_eq!(resting.to_ask(&models(), now + MODEL_REST_SHORT), [0, 2]);
        assert_eq!(resting.to_ask(&models(), now + MODEL_REST_LONG), [0, 1, 2]);
    }

    #[test]
    fn a_rest_is_as_long_as_the_provider_asks() {
        let now = Instant::now();
        let mut resting = RestingModels::default();
        let asked = MODEL_REST_LONG * 2;
        resting.rest("a/x", Rest::Short, Some(asked), now);
        assert_eq!(resting.to_ask(&models(), now + MODEL_REST_LONG), [1, 2]);
        assert_eq!(resting.to_ask(&models(), now + asked), [0, 1, 2]);
    }

    #[test]
    fn when_all_rest_the_first_is_asked() {
        let now = Instant::now();
        let mut resting = RestingModels::default();
        for model in models() {
            resting.rest(&model, Rest::Long, None, now);
        }
        assert_eq!(resting.to_ask(&models(), now), [0]);
        resting.wake("b/y");
        assert_eq!(resting.to_ask(&models(), now), [1]);
    }

    #[test]
    fn the_table_is_bounded() {
        let now = Instant::now();
        let mut resting = RestingModels::default();
        for n in 0..2 * RESTING_MODELS_MAX {
            resting.rest(&format!("p/{n}"), Rest::Short, None, now);
        }
        assert_eq!(resting.until.len(), RESTING_MODELS_MAX);
        resting.rest("late/one", Rest::Short, None, now + MODEL_REST_SHORT);
        assert_eq!(resting.until.len(), 1);
    }
}
