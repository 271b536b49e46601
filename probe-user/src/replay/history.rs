//! What each measure of each group came to over a recording: how long it stood at which value, and how far it went.
//!
//! Values are looked at once a second of the recording and weighted by time; the extremes are those of the engine, which
//! sees every change. Memory is bounded: values closer together than one percent share a place.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::durations::Durations;
use crate::engine::Engine;
use crate::engine::seen::Extent;
use crate::policy::spec::{Measure, PolicySet};
use crate::time::KTime;

/// How often values are looked at.
const EVERY: Duration = Duration::from_secs(1);
/// A gap in the recording longer than this says nothing about the values in it.
const GAP_MAX: Duration = Duration::from_mins(1);

/// One measure of one group.
#[derive(Clone, Debug)]
pub struct Series {
    /// The group.
    pub group: Arc<str>,
    /// What is measured.
    pub measure: Measure,
    /// The window of a counted measure.
    pub within: Duration,
    /// How far it went.
    pub extent: Extent,
    /// Seconds at each value.
    spread: Spread,
}

impl Series {
    /// The value that is not exceeded in this share of the time, 0.99 for 99 %; `None` without any value.
    pub fn at_share(&self, share: f64) -> Option<f64> {
        self.spread.at_share(share)
    }

    /// Seconds in which there was a value.
    pub fn seconds(&self) -> f64 {
        self.spread.places.values().map(|place| place.seconds).sum()
    }
}

/// All measures of all groups, and how long runs took.
#[derive(Clone, Debug)]
pub struct History {
    /// In the order of the groups and of POLICY.md.
    pub series: Vec<Series>,
    /// Of jobs.
    pub(super) durations: Durations,
    looked: Option<KTime>,
}

impl History {
    pub(super) fn new(policies: &PolicySet) -> Self {
        let bounds = policies.groups.iter().flat_map(|group| group.bounds.iter().map(move |bound| (group, bound)));
        let series = bounds.map(|(group, bound)| Series {
            group: Arc::clone(&group.name),
            measure: bound.measure,
            within: bound.within,
            extent: Extent::default(),
            spread: Spread::default(),
        });
        Self { series: series.collect(), durations: Durations::default(), looked: None }
    }

    /// Looks at the values, once a second.
    pub(super) fn look(&mut self, now: KTime, engine: &Engine) {
        let Some(last) = self.looked else {
            self.looked = Some(now);
            return;
        };
        let passed = now.since(last);
        if passed < EVERY {
            return;
        }
        self.looked = Some(now);
        if passed > GAP_MAX {
            return;
        }
        for (series, value) in self.series.iter_mut().zip(engine.values(now)) {
            if let Some(value) = value {
                series.spread.add(value, passed.as_secs_f64());
            }
        }
    }

    pub(super) fn close(mut self, engine: &Engine, durations: Durations) -> Self {
        self.durations = durations;
        for (series, seen) in self.series.iter_mut().zip(engine.seen()) {
            series.extent = seen.extent;
        }
        self
    }
}

/// Time by value.
#[derive(Clone, Debug, Default)]
struct Spread {
    places: BTreeMap<i32, Place>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    seconds: f64,
    highest: f64,
}

impl Spread {
    fn add(&mut self, value: f64, seconds: f64) {
        let place = self.places.entry(place(value)).or_default();
        place.seconds += seconds;
        place.highest = place.highest.max(value);
    }

    fn at_share(&self, share: f64) -> Option<f64> {
        let whole: f64 = self.places.values().map(|place| place.seconds).sum();
        let mut sum = 0.0;
        for place in self.places.values() {
            sum += place.seconds;
            if sum >= whole * share {
                return Some(place.highest);
            }
        }
        self.places.values().next_back().map(|place| place.highest)
    }
}

/// Places of one percent each; 0 and below share the first.
fn place(value: f64) -> i32 {
    if value <= 0.0 || !value.is_finite() {
        return i32::MIN;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "logarithms of floats are below 710, a hundred times that fits"
    )]
    let place = (value.ln() * 100.0).round() as i32;
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_time_not_of_looks() {
        let mut spread = Spread::default();
        spread.add(4.0, 90.0);
        spread.add(5.0, 9.0);
        spread.add(50.0, 1.0);
        let check = |share: f64, expected: f64| assert_eq!(spread.at_share(share), Some(expected), "{share}");
        check(0.0, 4.0);
        check(0.9, 4.0);
        check(0.95, 5.0);
        check(0.99, 5.0);
        check(1.0, 50.0);
        assert_eq!(Spread::default().at_share(0.5), None);
    }

    #[test]
    fn small_counts_have_places_of_their_own() {
        let places: Vec<i32> = (0..100).map(|count| place(f64::from(count))).collect();
        let mut distinct = places.clone();
        distinct.dedup();
        assert_eq!(places, distinct);
        assert!(places.is_sorted());
    }
}
