//! The figures as a table or as JSON.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::statistics::Series;

/// One measured thing.
#[derive(Debug, Serialize)]
struct Figure {
    name: String,
    unit: &'static str,
    median: f64,
    min: f64,
    max: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95: Option<f64>,
    runs: usize,
    /// What we want the median to stay below; absent for a part of something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    below: Option<f64>,
}

/// All figures, in the order in which they were measured.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    figures: Vec<Figure>,
}

impl Report {
    /// Adds repeated measurements.
    pub(crate) fn series(
        &mut self,
        name: &str,
        unit: &'static str,
        series: &Series,
        below: Option<f64>,
    ) {
        self.figures.push(Figure {
            name: name.to_owned(),
            unit,
            median: series.quantile(0.5),
            min: series.quantile(0.0),
            max: series.quantile(1.0),
            p95: (series.len() >= 20).then(|| series.quantile(0.95)),
            runs: series.len(),
            below,
        });
    }

    /// Adds something that is not measured but is.
    pub(crate) fn fact(&mut self, name: &str, unit: &'static str, value: f64, below: Option<f64>) {
        let mut series = Series::default();
        series.push_number(value);
        self.series(name, unit, &series, below);
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = line(["", "median", "", "p95", "min", "max", "wanted"]);
        for figure in &self.figures {
            let wanted = figure.below.map_or_else(String::new, |below| {
                let verdict = if figure.median < below { "ok" } else { "MISSED" };
                format!("< {} {verdict}", short(below))
            });
            let p95 = figure.p95.map_or_else(String::new, short);
            let (min, max) = if figure.runs > 1 {
                (short(figure.min), short(figure.max))
            } else {
                (String::new(), String::new())
            };
            let median = short(figure.median);
            text += &line([&figure.name, &median, figure.unit, &p95, &min, &max, &wanted]);
        }
        text
    }

    /// For programs.
    pub(crate) fn json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

fn line([name, median, unit, p95, min, max, wanted]: [&str; 7]) -> String {
    format!("{name:<58} {median:>10} {unit:<6} {p95:>9} {min:>9} {max:>9}  {wanted}\n")
}

fn short(number: f64) -> String {
    if number.fract() == 0.0 && number.abs() < 1e9 {
        format!("{number:.0}")
    } else {
        format!("{number:.2}")
    }
}

/// What `--help` prints.
pub(crate) fn help() -> String {
    "Measures start, turns, memory and sizes on this machine, through the whole local stack.\n\n\
     Usage: cargo xtask bench [--json] [start] [turns] [edge] [workspace] [sizes]\n\n\
     Without parts, all of them.\n\
     Takes some three minutes after the build, half of them for a workspace of 1 GB.\n\
     Times are milliseconds; run it on a quiet machine.\n"
        .to_owned()
}

/// The program's own output.
pub(crate) fn print(text: &str) -> Result<()> {
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}
