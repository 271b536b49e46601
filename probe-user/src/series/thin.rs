//! Values of seconds thinned to minutes: of each minute the lowest, the mean over the time that it is known, the highest. A
//! minute that is like the one before takes no room.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::figure::QUANTA_MAX;
use super::fold::Sum;
use super::play::Sink;
use super::run::{Pen, What};

const MINUTE: i64 = 60;

/// Takes seconds in and gives minutes out, from one moment on.
#[derive(Debug)]
pub(super) struct Thinner {
    /// The minute that ticks are counted from.
    first: i64,
    /// Series that are taken.
    range: RangeInclusive<u32>,
    series: BTreeMap<u32, Thin>,
}

#[derive(Debug, Default)]
struct Thin {
    /// The present minute.
    minute: i64,
    sum: Sum,
    /// What the next minutes are if nothing is said of them.
    said: Option<u64>,
    pen: Pen,
    run: Vec<u8>,
}

impl Thinner {
    /// For what is told of these series and the time from `from` (seconds since 1970) on.
    pub(super) const fn new(from: i64, range: RangeInclusive<u32>) -> Self {
        Self { first: from.div_euclid(MINUTE), range, series: BTreeMap::new() }
    }

    fn series(&mut self, series: u32) -> Option<(i64, &mut Thin)> {
        let first = self.first;
        let taken = self.range.contains(&series);
        taken.then(|| (first, self.series.entry(series).or_insert_with(|| Thin { minute: first, ..Thin::default() })))
    }

    /// The runs of all series, for an interval that ends at `to`.
    pub(super) fn runs(self, to: i64) -> impl Iterator<Item = (u32, Vec<u8>)> {
        let first = self.first;
        self.series.into_iter().map(move |(series, mut thin)| {
            // Beyond the end nothing is said.
            thin.turn(first, (to - 1).div_euclid(MINUTE) + 1);
            (series, thin.run)
        })
    }
}

impl Thin {
    /// The present minute is over; the next one of which something is known is this.
    fn turn(&mut self, first: i64, minute: i64) {
        let tick = |minute: i64| u32::try_from(minute - first).unwrap_or(u32::MAX);
        if let Some(what) = self.what() {
            let flat = if let What::Flat(value) | What::Spread { mid: value, .. } = what { Some(value) } else { None };
            if self.said.map(What::Flat) != Some(what) {
                self.pen.write(tick(self.minute), what, &mut self.run);
            }
            self.said = flat;
            self.minute += 1;
        }
        self.sum = Sum::default();
        // Minutes without a word are like the last one, so that a lack of them is said.
        if self.minute < minute && self.said.take().is_some() {
            self.pen.write(tick(self.minute), What::Unknown, &mut self.run);
        }
        self.minute = minute;
    }

    fn what(&self) -> Option<What> {
        let mean = self.sum.mean()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a mean of whole numbers in this range lies in it"
        )]
        let mean = mean.round().clamp(0.0, QUANTA_MAX as f64) as u64;
        Some(What::of(self.sum.lo, mean, self.sum.hi))
    }
}

impl Sink for Thinner {
    fn renumbered(&mut self) {}

    fn named(&mut self, _: u32, _: &str) {}

    fn wants(&self, first: u32, last: u32) -> bool {
        first <= *self.range.end() && *self.range.start() <= last
    }

    /// A file of seconds never goes back.
    fn forget_from(&mut self, _: i64) {}

    fn held(&mut self, series: u32, mut from: i64, to: i64, value: u64) {
        let Some((first, thin)) = self.series(series) else { return };
        while from < to {
            let minute = from.div_euclid(MINUTE);
            if minute != thin.minute {
                thin.turn(first, minute);
            }
            let end = to.min((minute + 1) * MINUTE);
            // A value that stays for hours is said once.
            if end - from == MINUTE && thin.said == Some(value) && thin.sum == Sum::default() {
                thin.minute += 1;
            } else {
                thin.sum.hold(end - from, value);
            }
            from = end;
        }
    }

    fn reached(&mut self, series: u32, from: i64, _: i64, lo: u64, hi: u64) {
        let Some((first, thin)) = self.series(series) else { return };
        let minute = from.div_euclid(MINUTE);
        if minute != thin.minute {
            thin.turn(first, minute);
        }
        thin.sum.reach(lo, hi);
    }
}
