//! What the history of measures answers, as the local API gives it.

use serde::{Deserialize, Serialize};

/// Most points of one series in an answer.
pub const POINTS_MAX: usize = 2_000;

/// One group or job over a span of time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HistoryReport {
    /// Its name.
    pub name: String,
    /// Where the span begins, RFC 3339.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// How far apart the points are.
    pub step_seconds: f64,
    /// Each measure that something is known of.
    pub series: Vec<SeriesReport>,
    /// The bounds on these measures as they are now; those on each process by itself are not about the group's values.
    pub bounds: Vec<BoundReport>,
}

/// One measure over that span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SeriesReport {
    /// `count`, `cpu` and so on.
    pub measure: String,
    /// `1`, `cores`, `bytes` or `bytes/s`.
    pub unit: String,
    /// Ascending by time; a step that nothing is known of has none, and there are [`POINTS_MAX`] at most.
    pub points: Vec<Point>,
}

/// One step: when it begins (seconds since 1970), the lowest value in it, the mean, the highest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point(pub i64, pub f64, pub f64, pub f64);

/// One bound of the group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoundReport {
    /// What it is about.
    pub measure: String,
    /// `min` or `max`.
    pub bound: String,
    /// In the measure's own unit.
    pub limit: f64,
    /// Of the alarms that it raises.
    pub severity: String,
}

/// Every group and job over a span of time, summed up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasuresReport {
    /// Where the span begins, RFC 3339.
    pub from: String,
    /// Where it ends.
    pub to: String,
    /// Those that something is known of, by name.
    pub groups: Vec<GroupSums>,
}

/// One group or job over that span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GroupSums {
    /// Its name.
    pub name: String,
    /// Each measure that something is known of.
    pub measures: Vec<MeasureSum>,
}

/// One measure over that span.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeasureSum {
    /// `count`, `cpu` and so on.
    pub measure: String,
    /// As in [`SeriesReport`].
    pub unit: String,
    /// For how many seconds of the span it is known.
    pub seconds: f64,
    /// Its lowest value in them.
    pub lowest: f64,
    /// The mean over them.
    pub mean: f64,
    /// The highest.
    pub highest: f64,
}

/// How the history of measures stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Status {
    /// Length of its files.
    pub bytes: u64,
    /// What they may grow to.
    pub max_bytes: u64,
    /// Groups and jobs whose measures are kept now.
    pub groups: usize,
    /// Those for which there is no room in memory: nothing is kept of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub groups_left_out: usize,
    /// How far back values of each second reach; absent while there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_reach: Option<f64>,
    /// The same of minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes_reach: Option<f64>,
    /// The oldest went for want of room before they were old: less than an hour of seconds, or than seven days of minutes, fits.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub short: bool,
    /// Why nothing is written to disk, while that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
    /// Blocks (up to a minute of all groups) that were lost since the start: not written, or damaged.
    #[serde(skip_serializing_if = "is_zero_u64")]
    pub lost_blocks: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero_u64(number: &u64) -> bool {
    *number == 0
}
