//! What is kept of a group, and as which whole numbers: a measure's values are counted in quanta of its own, so that what is
//! written is exact and small.

use crate::policy::spec::Measure;

/// Larger values are kept as this one; below it a quantum more or less is still told by an `f64`.
pub(super) const QUANTA_MAX: u64 = 1 << 53;

/// Numbers of a group's series in a file: its own number times this, plus the figure's.
pub(super) const PER_GROUP: u32 = 16;

/// One measure of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Figure(u8);

/// In the order of their numbers, which files hold: only ever add at the end.
const KEPT: [(Measure, f64, &str); Figure::COUNT] = [
    (Measure::Count, 1.0, "1"),
    (Measure::Threads, 1.0, "1"),
    (Measure::Cpu, 1e-4, "cores"),
    (Measure::CpuWait, 1e-4, "cores"),
    // Sums of pages.
    (Measure::Memory, 4096.0, "bytes"),
    (Measure::Read, 1.0, "bytes/s"),
    (Measure::Write, 1.0, "bytes/s"),
    (Measure::Starts, 1.0, "1"),
    (Measure::Exits, 1.0, "1"),
    (Measure::Failures, 1.0, "1"),
    (Measure::OomKills, 1.0, "1"),
];

impl Figure {
    /// How many there are.
    pub const COUNT: usize = 11;

    /// All of them, in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..).take(Self::COUNT).map(Self)
    }

    /// That of a measure; `None` where nothing is kept of it.
    pub fn of(measure: Measure) -> Option<Self> {
        Self::all().find(|figure| figure.measure() == measure)
    }

    /// The measure that is called so.
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|figure| figure.measure().as_str() == name)
    }

    /// What is measured.
    pub fn measure(self) -> Measure {
        self.entry().0
    }

    /// In which unit.
    pub fn unit(self) -> &'static str {
        self.entry().2
    }

    /// Its number among the figures.
    pub(super) fn place(self) -> usize {
        usize::from(self.0)
    }

    /// Its series in a group of that number.
    pub(super) fn series(self, group: u32) -> u32 {
        group.saturating_mul(PER_GROUP).saturating_add(u32::from(self.0))
    }

    /// The figure that a series is of; `None` of one that this version does not know.
    pub(super) fn of_series(series: u32) -> Option<Self> {
        Self::all().find(|figure| u32::from(figure.0) == series % PER_GROUP)
    }

    /// A value as whole quanta.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "there is no checked conversion from f64; this one saturates and takes NaN for 0, and the range is cut before"
    )]
    pub(super) fn quanta(self, value: f64) -> u64 {
        (value / self.entry().1).round().clamp(0.0, QUANTA_MAX as f64) as u64
    }

    /// Quanta as a value.
    pub(super) fn value(self, quanta: f64) -> f64 {
        // Multiplied with what a quantum's part of 1 is, 0.0003 comes out as 0.00030000000000000003.
        let size = self.entry().1;
        if size < 1.0 { quanta / (1.0 / size).round() } else { quanta * size }
    }

    fn entry(self) -> &'static (Measure, f64, &'static str) {
        KEPT.get(self.place()).unwrap_or(&KEPT[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_measure_of_a_group_but_age_is_kept_under_the_number_it_has() {
        let kept: Vec<Option<usize>> = Measure::GROUP.iter().map(|m| Figure::of(*m).map(Figure::place)).collect();
        assert_eq!(kept, (0..11).map(Some).chain([None]).collect::<Vec<_>>());
        for figure in Figure::all() {
            assert_eq!(Figure::of_series(figure.series(7)), Some(figure));
            assert_eq!(Figure::named(figure.measure().as_str()), Some(figure));
        }
        assert_eq!(Figure::of_series(7 * PER_GROUP + 11), None);
    }

    #[test]
    fn values_come_back_as_they_are_measured() {
        let check = |measure, value: f64, expected: f64| {
            let figure = Figure::of(measure).unwrap();
            assert_eq!(figure.value(figure.quanta(value) as f64).to_bits(), expected.to_bits(), "{measure:?} {value}");
        };
        check(Measure::Count, 3.0, 3.0);
        check(Measure::Cpu, 0.000_31, 0.0003);
        check(Measure::Cpu, 1.5, 1.5);
        check(Measure::Memory, 8192.0, 8192.0);
        check(Measure::Memory, 8191.0, 8192.0);
        check(Measure::Read, f64::NAN, 0.0);
        check(Measure::Read, -4.0, 0.0);
        check(Measure::Write, f64::INFINITY, QUANTA_MAX as f64);
    }
}
