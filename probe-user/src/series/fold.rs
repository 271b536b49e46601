//! What is told of series, folded into steps of time (for charts) or into one sum (for reports). Both bounded by what was
//! asked for.

use std::collections::BTreeMap;

use super::figure::{Figure, PER_GROUP};
use super::play::{Interval, Sink};
use super::report::{GroupSums, MeasureSum, POINTS_MAX, Point, SeriesReport};

/// Distances of points that are easy to read, in seconds; then whole hours.
const STEPS: [i64; 14] = [1, 2, 5, 10, 15, 20, 30, 60, 120, 300, 600, 900, 1800, 3600];
/// Whoever wants to see more than this sees minutes.
pub(super) const SECONDS_SHOWN: i64 = 3_600;

/// Values within some time: the extremes, and what they came to.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) lo: u64,
    pub(super) hi: u64,
    /// Value times seconds.
    total: f64,
    pub(super) seconds: i64,
    seen: bool,
}

impl Sum {
    pub(super) fn hold(&mut self, seconds: i64, value: u64) {
        self.reach(value, value);
        self.total += value as f64 * seconds as f64;
        self.seconds = self.seconds.saturating_add(seconds);
    }

    pub(super) fn reach(&mut self, lo: u64, hi: u64) {
        (self.lo, self.hi) = if self.seen { (self.lo.min(lo), self.hi.max(hi)) } else { (lo, hi) };
        self.seen = true;
    }

    /// Over the time that it is known; `None` where that is none.
    pub(super) fn mean(&self) -> Option<f64> {
        (self.seconds > 0).then(|| self.total / self.seconds as f64)
    }
}

/// Steps of one group's series.
#[derive(Debug)]
pub(super) struct Canvas {
    pub(super) span: Interval,
    pub(super) step: i64,
    name: String,
    /// The group's number in what is told now.
    group: Option<u32>,
    rows: BTreeMap<Figure, Vec<Sum>>,
}

impl Canvas {
    /// For the time from `since` ago until now, with points so far apart or farther.
    pub(super) fn new(name: &str, now: i64, since: i64, step: Option<i64>) -> Self {
        let since = since.max(1);
        let points = i64::try_from(POINTS_MAX).unwrap_or(i64::MAX);
        // The first and the last step are cut by the span's ends.
        let least = ((since + points - 2) / (points - 1)).max(if since > SECONDS_SHOWN { 60 } else { 1 });
        let nice = STEPS.into_iter().find(|step| *step >= least).unwrap_or_else(|| (least + 3599) / 3600 * 3600);
        let step = step.map_or(nice, |step| step.max(nice));
        let from = now.saturating_sub(since).div_euclid(step) * step;
        let to = now.saturating_add(1).saturating_add(step - 1).div_euclid(step) * step;
        let from = from.max(to - step.saturating_mul(points));
        Self { span: Interval { from, to }, step, name: name.to_owned(), group: None, rows: BTreeMap::new() }
    }

    fn each(&mut self, series: u32, from: i64, to: i64, mut fold: impl FnMut(&mut Sum, i64)) {
        if self.group != Some(series / PER_GROUP) {
            return;
        }
        let Some(figure) = Figure::of_series(series) else { return };
        let (span, step) = (self.span, self.step);
        let (mut from, to) = (from.max(span.from), to.min(span.to));
        if from >= to {
            return;
        }
        let steps = usize::try_from((span.to - span.from) / step).unwrap_or_default();
        let row = self.rows.entry(figure).or_insert_with(|| vec![Sum::default(); steps]);
        while from < to {
            let place = (from - span.from) / step;
            let end = (span.from + (place + 1) * step).min(to);
            if let Some(sum) = usize::try_from(place).ok().and_then(|place| row.get_mut(place)) {
                fold(sum, end - from);
            }
            from = end;
        }
    }

    /// The series, with points where something is known.
    pub(super) fn series(&self) -> Vec<SeriesReport> {
        let point = |figure: Figure, at: usize, sum: &Sum| {
            let begin = self.span.from + i64::try_from(at).unwrap_or_default() * self.step;
            let value = |quanta: u64| figure.value(quanta as f64);
            Some(Point(begin, value(sum.lo), figure.value(sum.mean()?), value(sum.hi)))
        };
        let series = self.rows.iter().map(|(figure, row)| SeriesReport {
            measure: figure.measure().as_str().to_owned(),
            unit: figure.unit().to_owned(),
            points: row.iter().enumerate().filter_map(|(at, sum)| point(*figure, at, sum)).collect(),
        });
        series.filter(|series| !series.points.is_empty()).collect()
    }
}

impl Sink for Canvas {
    fn renumbered(&mut self) {
        self.group = None;
    }

    fn named(&mut self, group: u32, name: &str) {
        if name == self.name {
            self.group = Some(group);
        }
    }

    fn wants(&self, first: u32, last: u32) -> bool {
        self.group.is_some_and(|group| (first / PER_GROUP..=last / PER_GROUP).contains(&group))
    }

    fn forget_from(&mut self, from: i64) {
        let place = usize::try_from((from - self.span.from).div_euclid(self.step)).unwrap_or(0);
        for row in self.rows.values_mut() {
            row.iter_mut().skip(place).for_each(|sum| *sum = Sum::default());
        }
    }

    fn held(&mut self, series: u32, from: i64, to: i64, value: u64) {
        self.each(series, from, to, |sum, seconds| sum.hold(seconds, value));
    }

    fn reached(&mut self, series: u32, from: i64, to: i64, lo: u64, hi: u64) {
        self.each(series, from, to, |sum, _| sum.reach(lo, hi));
    }
}

/// Most groups that are summed up: over a week of changing policies there may be others each day.
const GROUPS_MAX: usize = 10_000;

/// One sum for each series of each group within a span.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) span: Interval,
    names: BTreeMap<u32, String>,
    /// Under the present numbers.
    sums: BTreeMap<u32, Sum>,
    groups: BTreeMap<String, BTreeMap<Figure, Sum>>,
}

impl Totals {
    pub(super) const fn new(span: Interval) -> Self {
        Self { span, names: BTreeMap::new(), sums: BTreeMap::new(), groups: BTreeMap::new() }
    }

    /// All groups by name.
    pub(super) fn groups(mut self) -> Vec<GroupSums> {
        self.renumbered();
        let sums =
            |sums: BTreeMap<Figure, Sum>| sums.into_iter().filter_map(|(figure, sum)| sum.report(figure)).collect();
        self.groups.into_iter().map(|(name, of)| GroupSums { name, measures: sums(of) }).collect()
    }
}

impl Sum {
    /// With what was seen at another time.
    fn absorb(&mut self, other: &Self) {
        if other.seen {
            self.reach(other.lo, other.hi);
            self.total += other.total;
            self.seconds = self.seconds.saturating_add(other.seconds);
        }
    }

    fn report(&self, figure: Figure) -> Option<MeasureSum> {
        let value = |quanta: u64| figure.value(quanta as f64);
        Some(MeasureSum {
            measure: figure.measure().as_str().to_owned(),
            unit: figure.unit().to_owned(),
            seconds: self.seconds as f64,
            lowest: value(self.lo),
            mean: figure.value(self.mean()?),
            highest: value(self.hi),
        })
    }
}

impl Sink for Totals {
    fn renumbered(&mut self) {
        for (series, sum) in std::mem::take(&mut self.sums) {
            let Some(name) = self.names.get(&(series / PER_GROUP)) else { continue };
            let Some(figure) = Figure::of_series(series) else { continue };
            if self.groups.len() >= GROUPS_MAX && !self.groups.contains_key(name) {
                continue;
            }
            self.groups.entry(name.clone()).or_default().entry(figure).or_default().absorb(&sum);
        }
        self.names.clear();
    }

    fn named(&mut self, group: u32, name: &str) {
        self.names.insert(group, name.to_owned());
    }

    fn wants(&self, _: u32, _: u32) -> bool {
        true
    }

    /// A sum cannot give back what was added to it: what a clock that was set back tells anew counts twice.
    fn forget_from(&mut self, _: i64) {}

    fn held(&mut self, series: u32, from: i64, to: i64, value: u64) {
        let (from, to) = (from.max(self.span.from), to.min(self.span.to));
        if from < to {
            self.sums.entry(series).or_default().hold(to - from, value);
        }
    }

    fn reached(&mut self, series: u32, from: i64, to: i64, lo: u64, hi: u64) {
        if from < self.span.to && to > self.span.from {
            self.sums.entry(series).or_default().reach(lo, hi);
        }
    }
}
