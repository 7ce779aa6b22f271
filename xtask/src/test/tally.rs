//! What came of the checks.

use anyhow::Error;

/// Passed and failed, and what was left out.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Counts {
    /// Tests or checks that passed.
    pub(super) passed: usize,
    /// Those that did not.
    pub(super) failed: usize,
    /// `name: reason` of each that was not run.
    pub(super) skipped: Vec<String>,
}

/// What came of one check.
#[derive(Debug)]
pub(super) struct Outcome {
    counts: Counts,
    /// Worth knowing although nothing failed.
    remark: Option<String>,
    /// The output of a failure.
    detail: Option<String>,
}

impl Outcome {
    /// A check that passed.
    pub(super) fn passed() -> Self {
        let counts = Counts { passed: 1, ..Counts::default() };
        Self { counts, remark: None, detail: None }
    }

    /// A check that could not be done or did not pass.
    pub(super) fn broken(error: &Error) -> Self {
        let counts = Counts { failed: 1, ..Counts::default() };
        Self { counts, remark: None, detail: Some(format!("{error:#}")) }
    }

    /// A check that was left out.
    pub(super) fn left_out(reason: &str) -> Self {
        let counts = Counts { skipped: vec![reason.to_owned()], ..Counts::default() };
        Self { counts, remark: None, detail: None }
    }

    /// Tests that were counted; `failure` when the run as a whole failed.
    pub(super) fn counted(mut counts: Counts, failure: Option<Error>) -> Self {
        if failure.is_some() && counts.failed == 0 {
            // The tests were not built, or the runner itself failed.
            counts.failed = 1;
        }
        Self { counts, remark: None, detail: failure.map(|error| format!("{error:#}")) }
    }

    /// The same, with a remark.
    pub(super) fn remark(mut self, remark: String) -> Self {
        self.remark = Some(remark);
        self
    }

    /// Whether nothing failed.
    pub(super) fn is_good(&self) -> bool {
        self.counts.failed == 0
    }

    /// One line for the terminal.
    pub(super) fn line(&self) -> String {
        let Counts { passed, failed, skipped } = &self.counts;
        let verdict = match (passed, failed, skipped.len()) {
            (1, 0, 0) => "passed".to_owned(),
            (0, 1, 0) => "FAILED".to_owned(),
            (0, 0, _) => "skipped".to_owned(),
            (_, 0, 0) => format!("{passed} passed"),
            (_, 0, skipped) => format!("{passed} passed, {skipped} skipped"),
            (_, _, skipped) => format!("{passed} passed, {failed} FAILED, {skipped} skipped"),
        };
        match &self.remark {
            Some(remark) => format!("{verdict}; {remark}"),
            None => verdict,
        }
    }

    /// The output of a failure.
    pub(super) fn detail(&self) -> Option<&str> {
        self.detail.as_deref()
    }
}

/// What came of all checks.
#[derive(Debug, Default)]
pub(super) struct Tally {
    counts: Counts,
}

impl Tally {
    /// Adds a check's outcome.
    pub(super) fn add(&mut self, name: &str, outcome: Outcome) {
        let Counts { passed, failed, skipped } = outcome.counts;
        self.counts.passed += passed;
        self.counts.failed += failed;
        // A check that was left out as a whole gives its reason alone; tests give their names.
        let whole = passed + failed == 0 && skipped.len() == 1;
        let named =
            skipped.into_iter().map(|line| if whole { format!("{name}: {line}") } else { line });
        self.counts.skipped.extend(named);
    }

    /// Notes something that was not even tried.
    pub(super) fn skip(&mut self, name: &str, reason: &str) {
        self.counts.skipped.push(format!("{name}: {reason}"));
    }

    /// How many failed.
    pub(super) fn failed(&self) -> usize {
        self.counts.failed
    }

    /// `name: reason` of each that was not run.
    pub(super) fn skipped(&self) -> &[String] {
        &self.counts.skipped
    }

    /// The closing line.
    pub(super) fn summary(&self) -> String {
        let Counts { passed, failed, skipped } = &self.counts;
        format!("{passed} passed, {failed} failed, {} skipped", skipped.len())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn everything_is_counted_once() {
        let mut tally = Tally::default();
        tally.add("format", Outcome::passed());
        tally.add("clippy", Outcome::broken(&anyhow!("bad")));
        tally.add("deny", Outcome::left_out("not installed"));
        let counts = Counts { passed: 7, failed: 0, skipped: vec!["a::b: no browser".into()] };
        tally.add("tests", Outcome::counted(counts, None));
        tally.skip("system", "the build failed");
        assert_eq!(tally.summary(), "8 passed, 1 failed, 3 skipped");
        assert_eq!(
            tally.skipped(),
            ["deny: not installed", "a::b: no browser", "system: the build failed"]
        );
    }

    #[test]
    fn a_run_that_fails_without_a_failed_test_has_failed() {
        let outcome = Outcome::counted(Counts::default(), Some(anyhow!("does not compile")));
        assert!(!outcome.is_good());
        assert_eq!(outcome.detail(), Some("does not compile"));
        assert_eq!(outcome.line(), "FAILED");
    }

    #[test]
    fn lines_say_what_matters() {
        let counts = |passed, failed, skipped: usize| Counts {
            passed,
            failed,
            skipped: vec![String::new(); skipped],
        };
        let line = |counts| Outcome::counted(counts, None).line();
        assert_eq!(line(counts(12, 0, 0)), "12 passed");
        assert_eq!(line(counts(12, 2, 1)), "12 passed, 2 FAILED, 1 skipped");
        assert_eq!(Outcome::left_out("x").line(), "skipped");
        assert_eq!(Outcome::passed().remark("9 KB".into()).line(), "passed; 9 KB");
    }
}
