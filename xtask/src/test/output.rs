//! Reads what test runners print.

use std::collections::BTreeSet;

use super::tally::Counts;

/// Counts of a cargo-nextest run.
pub(super) fn nextest(output: &str) -> Counts {
    let summary = output.lines().rev().find(|line| line.trim_start().starts_with("Summary ["));
    let counted = summary.and_then(|line| line.split_once(" run:")).map_or("", |(_, rest)| rest);
    let failed = ["failed", "timed", "exec"].map(|word| number_before(counted, word));
    with_skips(number_before(counted, "passed"), failed.iter().sum(), output)
}

/// Counts of a `cargo test` run, which has a result line for each binary.
pub(super) fn cargo_test(output: &str) -> Counts {
    let results = output.lines().filter_map(|line| line.trim_start().strip_prefix("test result:"));
    let (passed, failed) = results.fold((0, 0), |(passed, failed), line| {
        (passed + number_before(line, "passed"), failed + number_before(line, "failed"))
    });
    with_skips(passed, failed, output)
}

/// Counts of a `node --test` run.
pub(super) fn node(output: &str) -> Counts {
    let count = |word: &str| {
        output
            .lines()
            .filter_map(|line| line.trim_start_matches(['#', 'ℹ', ' ']).strip_prefix(word))
            .find_map(|rest| rest.trim().parse().ok())
            .unwrap_or(0)
    };
    Counts { passed: count("pass "), failed: count("fail "), skipped: Vec::new() }
}

/// What `wrangler` says about the size of an upload.
pub(super) fn upload_size(output: &str) -> Option<String> {
    let line = output.lines().find(|line| line.contains("Total Upload:"))?;
    Some(line.trim().to_owned())
}

/// The number before a word, as in `3 passed`; 0 when it is not there.
fn number_before(text: &str, word: &str) -> usize {
    let mut words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut before = words.next().unwrap_or_default();
    for next in words {
        if let (true, Ok(number)) = (next == word, before.parse()) {
            return number;
        }
        before = next;
    }
    0
}

/// A test that skips itself passes as far as its runner knows, and says so in a line of its own.
fn with_skips(passed: usize, failed: usize, output: &str) -> Counts {
    let lines = output.lines().filter_map(|line| line.trim_start().strip_prefix("SKIPPED: "));
    let skipped: BTreeSet<String> = lines.map(|line| line.trim_end().to_owned()).collect();
    let passed = passed.saturating_sub(skipped.len());
    Counts { passed, failed, skipped: skipped.into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_is_understood() {
        let output = "\
        PASS [   0.005s] a::b
    stdout ───
      SKIPPED: system::browser: no Chromium
      SKIPPED: system::browser: no Chromium
────────────
     Summary [   1.074s] 26/30 tests run: 25 passed (1 slow), 1 failed, 2 timed out, 4 skipped
        FAIL [   0.160s] (25/30) x";
        let counts = nextest(output);
        assert_eq!((counts.passed, counts.failed), (24, 3));
        assert_eq!(counts.skipped, ["system::browser: no Chromium"]);
        let plain = nextest("  Summary [ 0.6s] 30 tests run: 30 passed, 0 skipped\n");
        assert_eq!((plain.passed, plain.failed), (30, 0));
        assert_eq!(nextest("error: could not compile"), Counts::default());
    }

    #[test]
    fn cargo_test_is_summed_up() {
        let output = "\
test a ... ok
SKIPPED: b: because
test result: ok. 5 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s
test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out";
        let counts = cargo_test(output);
        assert_eq!((counts.passed, counts.failed), (6, 3));
        assert_eq!(counts.skipped, ["b: because"]);
    }

    #[test]
    fn node_is_understood_in_both_of_its_styles() {
        for output in ["# tests 3\n# pass 2\n# fail 1\n", "ℹ tests 3\nℹ pass 2\nℹ fail 1\n"] {
            let counts = node(output);
            assert_eq!((counts.passed, counts.failed), (2, 1));
        }
    }

    #[test]
    fn sizes_are_found() {
        let output = "x\nTotal Upload: 1028.52 KiB / gzip: 350.36 KiB\ny";
        let size = "Total Upload: 1028.52 KiB / gzip: 350.36 KiB";
        assert_eq!(upload_size(output).as_deref(), Some(size));
        assert_eq!(upload_size(""), None);
    }
}
