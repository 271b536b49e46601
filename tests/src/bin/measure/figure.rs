//! One measured figure, and the table of all.

use std::fmt::Write as _;

/// What was measured, what it should reach, what it is.
pub(crate) struct Figure {
    what: String,
    reach: String,
    measured: String,
    reached: bool,
}

impl Figure {
    /// `reached` is the judgement; the texts carry the units.
    pub(crate) fn new(what: impl Into<String>, reach: impl Into<String>, measured: String, reached: bool) -> Self {
        Self { what: what.into(), reach: reach.into(), measured, reached }
    }

    /// For the running commentary.
    pub(crate) fn line(&self) -> String {
        format!(
            "{}: {} (to reach: {}){}",
            self.what,
            self.measured,
            self.reach,
            if self.reached { "" } else { " MISSED" }
        )
    }
}

/// As Markdown, columns aligned.
pub(crate) fn table(figures: &[Figure]) -> String {
    let head = ["what", "reach", "measured", ""];
    let rows: Vec<[&str; 4]> = figures
        .iter()
        .map(|f| [f.what.as_str(), &f.reach, &f.measured, if f.reached { "reached" } else { "MISSED" }])
        .collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).chain([head[column].chars().count(), 3]).max().unwrap_or(3)
    };
    let widths = [width(0), width(1), width(2), width(3)];
    let mut text = String::new();
    let dashes: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    let rule = [dashes[0].as_str(), &dashes[1], &dashes[2], &dashes[3]];
    for row in [head, rule].iter().chain(&rows) {
        for (cell, width) in row.iter().zip(widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
    }
    text
}

/// The middle one; of an even number the upper of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
