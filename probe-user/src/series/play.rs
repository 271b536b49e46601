//! Runs of points as what they mean: from when to when a series had which value. Whoever sums up, thins or draws takes that in
//! as a [`Sink`].

use std::collections::BTreeMap;

use super::run::{NoRun, Points, What};

/// Takes in what is known of series, in the order in which it was noted. Times are seconds since 1970.
pub(super) trait Sink {
    /// Numbers of groups mean others from here on.
    fn renumbered(&mut self);
    /// The group of this number is called so.
    fn named(&mut self, group: u32, name: &str);
    /// Whether any series from `first` to `last` is of use; others may be left out.
    fn wants(&self, first: u32, last: u32) -> bool;
    /// From here on everything is told anew: the clock was set back.
    fn forget_from(&mut self, from: i64);
    /// It had this value from `from` until before `to`.
    fn held(&mut self, series: u32, from: i64, to: i64, value: u64);
    /// Within this time it went down to `lo` and up to `hi`.
    fn reached(&mut self, series: u32, from: i64, to: i64, lo: u64, hi: u64);
}

/// A daemon may begin in the second that the last one ended in, and clocks go back by so many: what is told twice of these
/// seconds counts as it was told first. Beyond that the clock was set back.
const OVERLAP: i64 = 2;

/// From when until before when, seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interval {
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Plays intervals one after the other. Between neighbours values are carried over; across a gap they are not.
#[derive(Debug)]
pub(super) struct Player<'a, S> {
    sink: &'a mut S,
    /// Seconds of a tick.
    tick: i64,
    /// Every interval tells all of its values.
    whole: bool,
    /// Nothing from here on is played.
    until: i64,
    /// Up to where something was played.
    played: Option<i64>,
    /// Nothing before this is played: it was.
    skipped: i64,
    /// The end of the last interval.
    last: Option<i64>,
    interval: Option<Interval>,
    runs: BTreeMap<u32, Vec<u8>>,
    /// Some of the interval cannot be read.
    broken: bool,
    carried: BTreeMap<u32, u64>,
}

impl<'a, S: Sink> Player<'a, S> {
    /// For values of each second. `played`: up to where the sink was told something already.
    pub(super) const fn of_seconds(sink: &'a mut S, played: Option<i64>) -> Self {
        Self::new(sink, 1, false, i64::MAX, played)
    }

    /// For values of each minute before `until`.
    pub(super) const fn of_minutes(sink: &'a mut S, until: i64) -> Self {
        Self::new(sink, 60, true, until, None)
    }

    const fn new(sink: &'a mut S, tick: i64, whole: bool, until: i64, played: Option<i64>) -> Self {
        Self {
            sink,
            tick,
            whole,
            until,
            played,
            skipped: i64::MIN,
            last: None,
            interval: None,
            runs: BTreeMap::new(),
            broken: false,
            carried: BTreeMap::new(),
        }
    }

    /// Numbers of groups mean others from here on, and nothing is carried over.
    pub(super) fn renumbered(&mut self) {
        self.over();
        self.last = None;
        self.carried.clear();
        self.sink.renumbered();
    }

    /// The group of this number is called so.
    pub(super) fn named(&mut self, group: u32, name: &str) {
        self.sink.named(group, name);
    }

    /// Whether any series from `first` to `last` is of use.
    pub(super) fn wants(&self, first: u32, last: u32) -> bool {
        self.sink.wants(first, last)
    }

    /// What follows is about this interval.
    pub(super) fn interval(&mut self, interval: Interval) {
        if self.interval == Some(interval) {
            return;
        }
        self.over();
        if self.whole || self.last != Some(interval.from) {
            self.carried.clear();
        }
        if let Some(played) = self.played.filter(|played| interval.from < *played) {
            if interval.from < played - OVERLAP {
                self.sink.forget_from(interval.from);
                self.skipped = i64::MIN;
            } else {
                self.skipped = played;
            }
        }
        self.interval = Some(interval);
    }

    /// So long was told of, and what is of no use: that time was set back there still counts.
    pub(super) fn pass(&mut self, span: Option<Interval>) {
        self.renumbered();
        if let Some(span) = span {
            self.interval(span);
            self.over();
        }
    }

    /// A run of this interval.
    pub(super) fn run(&mut self, series: u32, run: &[u8]) {
        self.runs.insert(series, run.to_vec());
    }

    /// Some of this interval cannot be read: of whom it does not tell nothing is known, and nothing is carried on.
    pub(super) const fn broken(&mut self) {
        self.broken = true;
    }

    /// The end: up to where something was played.
    pub(super) fn end(mut self) -> Option<i64> {
        self.over();
        self.played
    }

    /// Nothing more comes of the present interval.
    pub(super) fn over(&mut self) {
        let Some(Interval { from, to }) = self.interval.take() else { return };
        let runs = std::mem::take(&mut self.runs);
        let broken = std::mem::take(&mut self.broken);
        if broken {
            self.carried.clear();
        }
        let still: Vec<u32> = self.carried.keys().copied().filter(|series| !runs.contains_key(series)).collect();
        for series in still {
            self.play(series, from, to, &[]);
        }
        for (series, run) in runs {
            self.play(series, from, to, &run);
        }
        if broken {
            self.carried.clear();
        }
        self.last = Some(to);
        self.played =
            Some(if from < self.played.unwrap_or(from) - OVERLAP { to } else { to.max(self.played.unwrap_or(to)) });
    }

    fn play(&mut self, series: u32, from: i64, to: i64, run: &[u8]) {
        let mut value = self.carried.remove(&series);
        if self.each(series, from, to, run, &mut value).is_err() {
            // What came before the damage was right.
            tracing::debug!(series, from, "a run of points in the history of measures is damaged");
            value = None;
        }
        if let Some(value) = value {
            self.carried.insert(series, value);
        }
    }

    fn each(&mut self, series: u32, from: i64, to: i64, run: &[u8], value: &mut Option<u64>) -> Result<(), NoRun> {
        let first = from.div_euclid(self.tick);
        let end = to.min(self.until);
        let mut since = from;
        for point in Points::of(run) {
            let (tick, what) = point?;
            let begin = first.saturating_add(i64::from(tick)).saturating_mul(self.tick);
            let at = begin.clamp(from, to);
            if let Some(value) = *value {
                self.hold(series, since, at.min(end), value);
            }
            since = since.max(at);
            *value = match what {
                What::Flat(value) => Some(value),
                What::Spread { lo, mid, hi } => {
                    let over = begin.saturating_add(self.tick).min(end);
                    let at = at.max(self.skipped);
                    if at < over {
                        self.sink.reached(series, at, over, lo, hi);
                    }
                    Some(mid)
                }
                What::Unknown => None,
            };
        }
        if let Some(value) = *value {
            self.hold(series, since, end, value);
        }
        Ok(())
    }

    fn hold(&mut self, series: u32, from: i64, to: i64, value: u64) {
        let from = from.max(self.skipped);
        if from < to {
            self.sink.held(series, from, to, value);
        }
    }
}
