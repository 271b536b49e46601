//! What values were in the last minutes, as far as this program has seen them: the daemon keeps none of it.

use std::collections::{HashMap, VecDeque};

use super::report::Report;

/// Values kept of each series: five minutes at one a second.
const VALUES_MAX: usize = 300;
/// Series kept at a time; what is beyond has no curve.
const SERIES_MAX: usize = 10_000;
/// Levels that a column of a curve can have, besides none.
pub(super) const LEVELS: u8 = 8;

/// Curves by the name of their bound, or of a group's CPU.
#[derive(Debug, Default)]
pub(super) struct History {
    series: HashMap<String, Series>,
    round: u64,
}

#[derive(Debug, Default)]
struct Series {
    /// `None` where the value was not known.
    values: VecDeque<Option<f32>>,
    round: u64,
}

/// The name of a group's CPU; no bound is called so.
pub(super) fn cpu_of(group: &str) -> String {
    format!("{group} cpu")
}

/// The name of how many members a group has.
pub(super) fn members_of(group: &str) -> String {
    format!("{group} members")
}

impl History {
    /// One more moment. What is not in the report any more is forgotten.
    pub(super) fn push(&mut self, report: &Report) {
        self.round += 1;
        for group in &report.engine.groups {
            self.value(members_of(&group.name), Some(group.members as f64));
            if let Some(usage) = group.usage {
                self.value(cpu_of(&group.name), usage.cpu);
            }
        }
        for bound in report.engine.all().flat_map(|group| &group.bounds) {
            self.value(bound.name.clone(), bound.value);
        }
        let round = self.round;
        self.series.retain(|_, series| series.round == round);
    }

    fn value(&mut self, name: String, value: Option<f64>) {
        if self.series.len() >= SERIES_MAX && !self.series.contains_key(&name) {
            return;
        }
        let series = self.series.entry(name).or_default();
        series.round = self.round;
        if series.values.len() == VALUES_MAX {
            series.values.pop_front();
        }
        #[expect(clippy::cast_possible_truncation, reason = "a curve of eight levels")]
        series.values.push_back(value.map(|value| value as f32));
    }

    /// The newest values as so many columns, each the largest of `each` values, as levels of `full` (or of the largest
    /// value, where that is more). A column without a value is `None`.
    pub(super) fn curve(&self, name: &str, columns: usize, each: usize, full: f64) -> Vec<Option<u8>> {
        let Some(series) = self.series.get(name) else { return Vec::new() };
        let newest: Vec<Option<f32>> = series.values.iter().rev().copied().collect();
        let each = each.max(1);
        // A value stays in its column while the column moves.
        let first = usize::try_from(self.round.saturating_sub(1)).unwrap_or(0) % each + 1;
        let (first, rest) = newest.split_at(first.min(newest.len()));
        let mut peaks: Vec<Option<f32>> = std::iter::once(first)
            .chain(rest.chunks(each))
            .take(columns)
            .map(|chunk| chunk.iter().flatten().copied().max_by(f32::total_cmp))
            .collect();
        peaks.reverse();
        let most = peaks.iter().flatten().fold(full, |most, value| most.max(f64::from(*value)));
        peaks.into_iter().map(|peak| peak.map(|peak| level(f64::from(peak), most))).collect()
    }
}

/// Something is never shown as nothing.
fn level(value: f64, most: f64) -> u8 {
    if value <= 0.0 || most <= 0.0 {
        return 0;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and 8")]
    let level = (value / most * f64::from(LEVELS)).ceil().clamp(1.0, f64::from(LEVELS)) as u8;
    level
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(cpu: &[Option<f64>]) -> Report {
        let group = |(place, cpu): (usize, &Option<f64>)| json!({"name": format!("g{place}"), "usage": {"cpu": cpu}});
        let groups: Vec<_> = cpu.iter().enumerate().map(group).collect();
        serde_json::from_value(json!({"engine": {"groups": groups}})).unwrap()
    }

    #[test]
    fn a_curve_has_the_newest_at_its_end() {
        let mut history = History::default();
        for value in [Some(9.0), Some(0.0), None, Some(0.01), Some(1.0), Some(2.0)] {
            history.push(&report(&[value]));
        }
        let curve = |columns, each, full| history.curve(&cpu_of("g0"), columns, each, full);
        assert_eq!(curve(5, 1, 2.0), [Some(0), None, Some(1), Some(4), Some(8)]);
        assert_eq!(curve(9, 1, 0.0).len(), 6);
        assert_eq!(curve(3, 2, 0.0), [Some(8), Some(1), Some(2)]);
        assert_eq!(curve(2, 2, 16.0), [Some(1), Some(1)]);
        assert!(history.curve("nothing", 5, 1, 0.0).is_empty());
    }

    #[test]
    fn what_is_gone_is_forgotten_and_nothing_grows_without_bound() {
        let mut history = History::default();
        history.push(&report(&[Some(1.0), Some(1.0)]));
        for _ in 0..VALUES_MAX + 10 {
            history.push(&report(&[Some(1.0)]));
        }
        assert_eq!(history.series.len(), 2);
        assert!(history.series.values().all(|series| series.values.len() <= VALUES_MAX));
        history.push(&report(&vec![Some(1.0); SERIES_MAX]));
        assert_eq!(history.series.len(), SERIES_MAX);
    }
}
