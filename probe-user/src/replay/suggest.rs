//! Bounds from history: what a group or a job did, with headroom, as YAML to paste.
//!
//! A minimum is set only on `count`, and only where the group was there all the time. Nothing is suggested from less than
//! [`LEAST`]: an hour says little about a day, a day little about a month end, and the text says on how much it rests.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::durations::Took;
use super::history::{History, Series};
use super::summary::Summary;
use crate::engine::text::{amount, span};
use crate::event::Severity;
use crate::policy::spec::{Bound, Group, Limit, Measure, Per, PolicySet, Side};

/// Nothing is suggested from less history than this.
pub const LEAST: Duration = Duration::from_hours(1);
/// Windows of counted measures.
const WITHIN: Duration = Duration::from_mins(1);

/// What can be suggested, in the order of POLICY.md.
const MEASURES: [Measure; 9] = [
    Measure::Count,
    Measure::Threads,
    Measure::Cpu,
    Measure::CpuWait,
    Measure::Memory,
    Measure::Read,
    Measure::Write,
    Measure::Starts,
    Measure::Failures,
];

/// The same groups with bounds that never fire, one for each measure that can be suggested.
pub(super) fn probes(policies: &PolicySet) -> PolicySet {
    let groups = policies.groups.iter().map(|group| Group {
        bounds: MEASURES.iter().map(|measure| probe(*measure, &group.declared)).collect(),
        ..group.clone()
    });
    PolicySet { groups: groups.collect(), ..PolicySet::default() }
}

fn probe(measure: Measure, declared: &Arc<str>) -> Bound {
    Bound {
        measure,
        side: Side::Max,
        limit: Limit::Absolute(f64::INFINITY),
        clear: None,
        hold: Duration::ZERO,
        keep_firing: Duration::ZERO,
        within: if measure.is_windowed() { WITHIN } else { Duration::ZERO },
        per: Per::Group,
        severity: Severity::Info,
        declared: Arc::clone(declared),
    }
}

/// The suggestions as YAML, or why there are none.
pub fn suggest(summary: &Summary, history: &History, host: &str) -> Result<String, String> {
    let length = Duration::try_from_secs_f64(summary.seconds.max(0.0)).unwrap_or(Duration::MAX);
    if length < LEAST {
        return Err(format!(
            "the recording holds {} of history; nothing is suggested from less than {}: a day or a week says more",
            span(length),
            span(LEAST)
        ));
    }
    let mut text = format!(
        "# Suggested from {} of {host}, {} to {}.\n\
         # Limits are what held in 99.5 % of that time, with headroom: they know nothing of what did not happen in it.\n",
        span(length),
        summary.began,
        summary.ended
    );
    if history.series.is_empty() && history.durations.jobs().next().is_none() {
        return Err("the policies have no groups and no jobs: there is nothing to suggest bounds for".into());
    }
    let mut group = None;
    for series in &history.series {
        if group.is_none() {
            text.push_str("groups:\n");
        }
        if group != Some(&series.group) {
            group = Some(&series.group);
            let _ = writeln!(text, "  {}:", yaml_name(&series.group));
        }
        text.push_str(&line(series));
    }
    for (place, (job, took)) in history.durations.jobs().enumerate() {
        if place == 0 {
            text.push_str("jobs:\n");
        }
        let _ = writeln!(text, "  {}:\n{}", yaml_name(job), duration_line(took));
    }
    Ok(text)
}

/// The bound on how long a run takes, or a comment that says why there is none. There is no minimum: how long the shortest
/// useful run takes is not to be seen from outside.
fn duration_line(took: Option<Took>) -> String {
    let Some(Took { runs, shortest, longest }) = took else {
        return "    # duration: no run ended well".into();
    };
    let limit = with_headroom(longest.as_secs_f64(), 1.5).max(1);
    // Of what takes long nobody wants to read seconds.
    let max = if limit < 600 { format!("{limit}s") } else { format!("{}m", limit.div_ceil(60)) };
    let times = if runs == 1 { "1 run".to_owned() } else { format!("{runs} runs") };
    format!("    duration: {{ max: {max} }}  # {times}, {} to {}", span(shortest), span(longest))
}

/// One key of a group, or a comment that says why there is none.
fn line(series: &Series) -> String {
    let key = series.measure.as_str();
    let spread = [0.005, 0.5, 0.995].map(|share| series.at_share(share));
    let ([Some(low), Some(middle), Some(high)], Some(highest)) = (spread, series.extent.highest) else {
        return format!("    # {key}: never had a value\n");
    };
    // What has been there for minutes only is no history of its own.
    if series.seconds() < LEAST.as_secs_f64() {
        let seconds = Duration::try_from_secs_f64(series.seconds()).unwrap_or_default();
        return format!("    # {key}: had a value for {} only, too little to suggest from\n", span(seconds));
    }
    let lowest = series.extent.lowest.map_or(low, |lowest| lowest.value);
    let show = |value: f64| amount(series.measure, value, 2);
    let seen = format!("seen {} to {}, mostly {}", show(lowest), show(highest.value), show(middle));
    if highest.value <= 0.0 {
        return match series.measure {
            Measure::Failures => format!("    {key}: {{ max: 0, within: {} }}  # none seen\n", span(series.within)),
            _ => format!("    # {key}: nothing seen\n"),
        };
    }
    // A group that was away for a moment is away for a moment again.
    let least = (low >= 1.0).then(|| (low * 0.8).floor().max(1.0));
    let most = if series.measure.is_windowed() { highest.value } else { high };
    format!("    {key}: {}  # {seen}\n", bound(series.measure, least, most, series.within))
}

/// A bound in the policy language that `most`, and of a count `least`, is no breach of.
pub(crate) fn bound(measure: Measure, least: Option<f64>, most: f64, within: Duration) -> String {
    match measure {
        Measure::Count => {
            let max = format!("max: {}", with_headroom(most, 1.25) + 1);
            let min = least.map(|least| format!("min: {least}, ")).unwrap_or_default();
            format!("{{ {min}{max}, for: 10s }}")
        }
        Measure::Threads => format!("{{ max: {}, for: 1m }}", with_headroom(most, 1.5)),
        Measure::Cpu | Measure::CpuWait => format!("{{ max: {} cores, for: 30s }}", hundredths_up(most * 1.5)),
        Measure::Memory => format!("{{ max: {}MiB, for: 1m }}", units_up(most * 1.3, 1_048_576.0)),
        Measure::Read | Measure::Write => format!("{{ max: {}KiB/s, for: 1m }}", units_up(most * 2.0, 1024.0)),
        _ => format!("{{ max: {}, within: {} }}", with_headroom(most, 1.5), duration(within)),
    }
}

/// As policies write it: in one unit.
fn duration(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (secs, 0) if secs >= 60 && secs.is_multiple_of(60) => format!("{}m", secs / 60),
        (secs, 0) => format!("{secs}s"),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "there is no checked conversion from f64; this one saturates, which is what is wanted"
)]
fn with_headroom(value: f64, factor: f64) -> u64 {
    (value.max(0.0) * factor).ceil() as u64
}

/// Rounded up to hundredths, at least one.
fn hundredths_up(value: f64) -> f64 {
    (value * 100.0).ceil().max(1.0) / 100.0
}

/// So many whole units, at least one.
fn units_up(bytes: f64, unit: f64) -> u64 {
    with_headroom((bytes / unit).max(1.0), 1.0)
}

/// A plain name as it is, any other quoted: JSON's way is one of YAML's.
pub(crate) fn yaml_name(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        && !matches!(
            name.to_ascii_lowercase().as_str(),
            "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
        );
    if is_plain { name.to_owned() } else { serde_json::Value::from(name).to_string() }
}
