//! The model: every second of every series, and what is done to it and to the real thing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::super::figure::Figure;
use super::super::fold::Canvas;
use super::super::play::{Interval, Player};
use super::super::recorder::{Look, Reading, Recorder};
use super::super::report::Point;
use super::super::shelf::Shelf;
use crate::spool::ram::Ram;

/// When it begins, within a minute.
pub(super) const START: i64 = 1_764_000_030;

pub(super) const GROUPS: [&str; 3] = ["web", "db", "jobs"];

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// The daemon looks again so many seconds later.
    Wait(i64),
    /// Nobody looks for so long, or the clock is set.
    Jump(i64),
    Note {
        group: usize,
        figure: usize,
        value: u64,
    },
    Lose {
        group: usize,
        figure: usize,
    },
    Cut(bool),
    Restart,
}

pub(super) fn deeds(most: usize, back: bool) -> impl Strategy<Value = Vec<Deed>> {
    let place = || (0..GROUPS.len(), prop_oneof![Just(0), Just(2), Just(4)]);
    let (backwards, forwards) = if back { (-400..-2_i64, 91..400_i64) } else { (100..4_000, 91..9_000) };
    let deed = prop_oneof![
        8 => (0..3_i64).prop_map(Deed::Wait),
        3 => (0..80_i64).prop_map(Deed::Wait),
        12 => (place(), prop_oneof![0..4_u64, 0..1_000_000_u64])
            .prop_map(|((group, figure), value)| Deed::Note { group, figure, value }),
        1 => place().prop_map(|(group, figure)| Deed::Lose { group, figure }),
        1 => any::<bool>().prop_map(Deed::Cut),
        1 => prop_oneof![Just(91), forwards].prop_map(Deed::Jump),
        1 => backwards.prop_map(Deed::Jump),
        1 => Just(Deed::Restart),
    ];
    prop::collection::vec(deed, 1..most)
}

/// Lowest, last and highest of a second.
type Cell = (u64, u64, u64);

#[derive(Debug, Default)]
struct Series {
    seconds: BTreeMap<i64, Cell>,
    value: Option<u64>,
    /// The second that something was noted in.
    noted: Option<i64>,
}

#[derive(Debug)]
pub(super) struct World {
    recorder: Recorder,
    pub(super) shelf: Shelf<Ram>,
    now: i64,
    looked: Option<i64>,
    series: BTreeMap<(usize, usize), Series>,
    /// What the recorder thinks it is.
    standing: i64,
    /// Everything before this was told; it counts.
    told: i64,
    /// Seconds that were told twice: which counts depends on what is still there.
    twice: BTreeSet<i64>,
    /// A daemon that ends is not there again in the same second.
    pub(super) slow: bool,
    /// The latest that it ever was.
    pub(super) latest: i64,
}

impl World {
    pub(super) fn new() -> Self {
        let shelf = Shelf::open(Ram::default(), 64 << 20, &mut Vec::new()).unwrap();
        let mut world = Self {
            recorder: Recorder::default(),
            shelf,
            now: START,
            looked: None,
            series: BTreeMap::new(),
            standing: 0,
            told: i64::MIN,
            twice: BTreeSet::new(),
            slow: false,
            latest: 0,
        };
        world.look();
        world
    }

    fn look(&mut self) {
        match self.recorder.look(self.now) {
            Look::GoesOn => {
                let looked = self.looked.unwrap();
                self.standing = self.now.max(looked);
                for series in self.series.values_mut() {
                    if let Some(value) = series.value {
                        let seconds = (looked + 1..=self.standing).filter(|second| *second >= self.told);
                        series.seconds.extend(seconds.map(|second| (second, (value, value, value))));
                    }
                }
            }
            Look::Begins { ended } => {
                if let Some(block) = ended {
                    self.shelf.put(&block).unwrap();
                }
                let told = self.looked.map_or(self.told, |looked| looked + 1);
                self.standing = self.now;
                self.begin(told);
            }
        }
        self.looked = Some(self.standing);
        if self.recorder.is_due() {
            let fresh = self.shelf.is_full();
            self.cut(fresh);
        }
    }

    fn cut(&mut self, fresh: bool) {
        if let Some(block) = self.recorder.cut(fresh) {
            self.shelf.put(&block).unwrap();
        }
    }

    /// Nothing is known any more; where the clock was set back, everything is told anew from there.
    fn begin(&mut self, told: i64) {
        let set_back = self.standing < told.saturating_sub(2);
        self.told = if set_back { i64::MIN } else { told };
        self.twice.extend(self.standing..self.told);
        for series in self.series.values_mut() {
            if set_back {
                series.seconds.split_off(&self.standing);
            }
            (series.value, series.noted) = (None, None);
        }
    }

    fn note(&mut self, group: usize, figure: usize, reading: Reading) {
        let mut readings = [Reading::AsBefore; Figure::COUNT];
        readings[figure] = reading;
        self.recorder.note(group, &Arc::from(GROUPS[group]), &readings);
    }

    pub(super) fn act(&mut self, deed: Deed) {
        match deed {
            Deed::Wait(seconds) | Deed::Jump(seconds) => {
                self.now += seconds;
                self.look();
                self.latest = self.latest.max(self.now);
            }
            Deed::Note { group, figure, value } => {
                let of = Figure::all().nth(figure).unwrap();
                self.note(group, figure, Reading::Value(of.value(value as f64)));
                let series = self.series.entry((group, figure)).or_default();
                let now = self.standing;
                if now < self.told {
                    // It was told before, by another daemon.
                } else if series.noted == Some(now) {
                    let (lo, _, hi) = series.seconds[&now];
                    series.seconds.insert(now, (lo.min(value), value, hi.max(value)));
                } else if series.value != Some(value) {
                    series.noted = Some(now);
                    series.seconds.insert(now, (value, value, value));
                }
                series.value = Some(value);
            }
            Deed::Lose { group, figure } => {
                self.now += 1;
                self.look();
                self.note(group, figure, Reading::Unmeasured);
                if let Some(series) = self.series.get_mut(&(group, figure)) {
                    if self.standing >= self.told {
                        series.seconds.remove(&self.standing);
                    }
                    series.value = None;
                }
                self.now += 1;
                self.look();
            }
            Deed::Cut(fresh) => self.cut(fresh),
            Deed::Restart => {
                if let Some(block) = self.recorder.end() {
                    self.shelf.put(&block).unwrap();
                }
                if self.slow {
                    self.now += 2;
                }
                let empty = Shelf::open(Ram::default(), 64 << 20, &mut Vec::new()).unwrap();
                let old = std::mem::replace(&mut self.shelf, empty);
                self.reopen(old.into_disk());
            }
        }
    }

    pub(super) fn reopen(&mut self, disk: Ram) {
        self.shelf = Shelf::open(disk, 64 << 20, &mut Vec::new()).unwrap();
        self.shelf.thin_all();
        self.recorder = Recorder::default();
        self.told = self.looked.take().map_or(self.told, |looked| looked + 1);
        self.look();
    }

    /// What is answered of a series.
    pub(super) fn answer(&mut self, group: usize, figure: usize, since: i64, step: i64) -> (Interval, i64, Vec<Point>) {
        let mut canvas = Canvas::new(GROUPS[group], self.standing, since, Some(step));
        let (span, step) = (canvas.span, canvas.step);
        let told = self.shelf.play(span, &mut canvas).unwrap();
        let tail = self.recorder.tail(Some(GROUPS[group]));
        let mut player = Player::of_seconds(&mut canvas, told);
        player.renumbered();
        player.interval(Interval { from: tail.from, to: tail.to });
        for (number, (name, runs)) in (0..).zip(&tail.groups) {
            player.named(number, name);
            for (figure, run) in runs {
                player.run(figure.series(number), run);
            }
        }
        player.end();
        let measure = Figure::all().nth(figure).unwrap().measure().as_str();
        let series = canvas.series().into_iter().find(|series| series.measure == measure);
        (span, step, series.map(|series| series.points).unwrap_or_default())
    }

    fn expected(&self, key: (usize, usize), span: Interval, step: i64) -> Vec<(Point, i64)> {
        let Some(series) = self.series.get(&key) else { return Vec::new() };
        let of = Figure::all().nth(key.1).unwrap();
        let mut steps: BTreeMap<i64, (u64, u64, u64, i64)> = BTreeMap::new();
        for (second, (lo, mid, hi)) in series.seconds.range(span.from..span.to.min(self.standing + 1)) {
            let begin = span.from + (second - span.from) / step * step;
            let fold = steps.entry(begin).or_insert((u64::MAX, 0, 0, 0));
            *fold = (fold.0.min(*lo), fold.1 + mid, fold.2.max(*hi), fold.3 + 1);
        }
        let point = |(at, (lo, sum, hi, seconds)): (i64, (u64, u64, u64, i64))| {
            let value = |quanta: f64| of.value(quanta);
            (Point(at, value(lo as f64), value(sum as f64 / seconds as f64), value(hi as f64)), seconds)
        };
        steps.into_iter().map(point).collect()
    }

    pub(super) fn check(&mut self, since: i64, step: i64) {
        for key in self.series.keys().copied().collect::<Vec<_>>() {
            let (span, step, points) = self.answer(key.0, key.1, since, step);
            let expected: Vec<Point> = self.expected(key, span, step).into_iter().map(|(point, _)| point).collect();
            assert_eq!(points.len(), expected.len(), "{key:?}\n{points:?}\n{expected:?}");
            for (point, expected) in points.iter().zip(&expected) {
                assert_eq!((point.0, point.1, point.3), (expected.0, expected.1, expected.3), "{key:?}");
                assert!((point.2 - expected.2).abs() <= expected.2.abs() * 1e-9, "{key:?} {point:?} {expected:?}");
            }
        }
    }

    /// Means of minutes that are not known as a whole may be off.
    pub(super) fn check_minutes(&mut self, since: i64) {
        for key in self.series.keys().copied().collect::<Vec<_>>() {
            let (span, step, points) = self.answer(key.0, key.1, since, 60);
            assert_eq!(step, 60);
            let quantum = Figure::all().nth(key.1).unwrap().value(1.0);
            let expected = self.expected(key, span, step);
            assert_eq!(points.len(), expected.len(), "{key:?}\n{points:?}\n{expected:?}");
            for (point, (expected, seconds)) in points.iter().zip(&expected) {
                if self.twice.range(point.0..point.0 + 60).next().is_some() {
                    continue;
                }
                assert_eq!((point.0, point.1, point.3), (expected.0, expected.1, expected.3), "{key:?}");
                let off = (point.2 - expected.2).abs();
                assert!(*seconds < 60 || off <= quantum, "{key:?} {point:?} {expected:?}");
                assert!(point.1 <= point.2 + quantum && point.2 <= point.3 + quantum, "{point:?}");
            }
        }
    }

    /// Every point of an answer is one that was.
    pub(super) fn check_nothing_is_wrong(&mut self, since: i64) {
        for key in self.series.keys().copied().collect::<Vec<_>>() {
            let (span, step, points) = self.answer(key.0, key.1, since, 1);
            assert_eq!(step, 1);
            let expected = self.expected(key, span, step);
            // Of minutes that are not known as a whole an answer makes whole ones.
            let reach = self.shelf.reach(self.standing)[0].unwrap_or(i64::MAX);
            let by_second = |point: &Point| point.0 >= reach && !self.twice.contains(&point.0);
            for point in points.into_iter().filter(by_second) {
                assert!(expected.iter().any(|(expected, _)| *expected == point), "{key:?} {point:?}");
            }
        }
    }
}
