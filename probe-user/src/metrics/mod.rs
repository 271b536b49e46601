//! What can be measured of the daemon and of what it watches: families of points, whatever format they leave in.
//!
//! [`families`] makes them of one [`StatusReport`], so that metrics and `procprobe status` never disagree. Pure.
//!
//! - What is not known is absent, never 0: usage of a group that no bound samples, a mount that does not answer.
//! - Nothing is measured for the metrics' sake: they show what the policies have the daemon look at anyway.
//! - Bounded: points are of policies, bounds, programs and ways out, never of processes, and there are at most
//!   [`POINTS_MAX`] of them; how many were left out is a metric of its own. The daemon's own come first.
//! - Names are Prometheus': base units, `_total` for what only rises, the prefix `procprobe_`. [`text`] writes them down.

mod peers;
mod policies;
mod probe;
#[cfg(test)]
mod tests;
pub mod text;

use std::collections::HashSet;
use std::sync::Arc;

use crate::serve::StatusReport;

/// Most points of one snapshot.
pub const POINTS_MAX: usize = 20_000;
/// Most bytes that the values of their labels take together: some are text from outside, such as mount points.
const LABELS_MAX: usize = 8 << 20;

/// One measure of many things.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Prometheus' name of it.
    pub name: &'static str,
    /// What it says, in one line.
    pub help: &'static str,
    /// Of its values, in UCUM as OpenTelemetry uses it: `s`, `By`, `{process}`, `1` for ratios and flags.
    pub unit: &'static str,
    /// Whether it only rises.
    pub kind: Kind,
    /// One for each thing; never empty, and no two with the same labels.
    pub points: Vec<Point>,
}

/// How a family's values move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Up and down.
    Gauge,
    /// Up, from 0 at the daemon's start.
    Counter,
}

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Of what; never empty texts. The texts come from outside and are not escaped.
    pub labels: Labels,
    /// Finite.
    pub value: f64,
}

/// What tells a family's points apart.
pub type Labels = Vec<(&'static str, Arc<str>)>;

/// Everything that a report says, as metrics.
pub fn families(report: &StatusReport) -> Vec<Family> {
    gather(report, POINTS_MAX)
}

fn gather(report: &StatusReport, points_max: usize) -> Vec<Family> {
    let mut gathered = Gathered { families: Vec::new(), points: points_max, labels: LABELS_MAX, left_out: 0 };
    probe::put(report, &mut gathered);
    peers::put(report, &mut gathered);
    policies::put(report, &mut gathered);
    gathered.finish()
}

/// Families as they are put together, and the room that is left.
struct Gathered {
    families: Vec<Family>,
    points: usize,
    labels: usize,
    left_out: u64,
}

impl Gathered {
    /// Adds a family, without the points that are unknown or for which there is no room; without any point it is left out.
    fn put(&mut self, mut family: Family, points: impl IntoIterator<Item = Point>) {
        let mut seen = HashSet::new();
        for point in points {
            let length = point.labels.iter().map(|(_, value)| value.len()).sum::<usize>();
            if !point.value.is_finite() || seen.contains(&point.labels) {
                continue;
            }
            if self.points == 0 || length > self.labels {
                self.left_out += 1;
                continue;
            }
            (self.points, self.labels) = (self.points - 1, self.labels - length);
            seen.insert(point.labels.clone());
            family.points.push(point);
        }
        if !family.points.is_empty() {
            self.families.push(family);
        }
    }

    fn finish(mut self) -> Vec<Family> {
        let mut left_out = Family::gauge(
            "procprobe_metrics_points_left_out",
            "{point}",
            "Points that this snapshot lacks because it would have become too large.",
        );
        left_out.points.push(Point { labels: Vec::new(), value: self.left_out as f64 });
        self.families.push(left_out);
        self.families
    }
}

impl Family {
    const fn gauge(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, help, unit, kind: Kind::Gauge, points: Vec::new() }
    }

    const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Self {
        Self { name, help, unit, kind: Kind::Counter, points: Vec::new() }
    }
}

/// A point; labels without a text are left out.
fn point(labels: &[(&'static str, &str)], value: f64) -> Point {
    let labels = labels.iter().filter(|(_, text)| !text.is_empty());
    Point { labels: labels.map(|(name, text)| (*name, Arc::from(*text))).collect(), value }
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

/// A wall time as Prometheus has it: seconds since 1970, exact to the millisecond.
fn timestamp(nanos: i64) -> f64 {
    (nanos / 1_000_000) as f64 / 1e3
}
