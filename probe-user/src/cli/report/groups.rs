//! What groups and jobs used, from the history of measures: who used most, which bounds are worth another look, and which bounds
//! would not have fired. Pure.
//!
//! Nothing is said of less than an hour: an hour says little about a day, a day little about a month end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::words::{amount, span};
use crate::event::clean;
use crate::replay::suggest::{self, LEAST};
use crate::series::{Figure, GroupSums, MeasureSum, MeasuresReport};

/// Groups that are told as those that used most.
const TOP: usize = 10;
/// From this share of its limit on a value is near it, and up to that one it is far away.
const NEAR: f64 = 0.8;
const FAR: f64 = 0.5;

/// What the history of measures says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Groups {
    /// Those that used most CPU, the first most.
    pub(super) top_groups_by_cpu: Vec<Consumer>,
    /// The same of memory, on average.
    pub(super) top_groups_by_memory: Vec<Consumer>,
    /// Bounds that are always near, or that nothing came near.
    pub(super) bounds_to_look_at: Vec<Advice>,
    /// Bounds that would not have fired.
    pub(super) suggested: Vec<Suggested>,
    /// All of it.
    #[serde(rename = "groups")]
    pub(super) all: Vec<GroupSums>,
}

/// What a group or job used.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Consumer {
    pub(super) name: String,
    /// For how long it is known.
    pub(super) seconds: f64,
    pub(super) count_mean: Option<f64>,
    pub(super) count_highest: Option<f64>,
    pub(super) cpu_seconds: Option<f64>,
    pub(super) cpu_highest: Option<f64>,
    pub(super) memory_mean: Option<f64>,
    pub(super) memory_highest: Option<f64>,
}

/// A bound and what the past says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Advice {
    /// `web.cpu.max`
    pub(super) bound: String,
    pub(super) measure: String,
    pub(super) limit: f64,
    /// `always near` or `never near`.
    pub(super) verdict: &'static str,
    /// In words.
    pub(super) why: String,
}

/// Bounds for one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Suggested {
    pub(super) group: String,
    /// In the order of POLICY.md.
    pub(super) bounds: Vec<SuggestedBound>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct SuggestedBound {
    pub(super) measure: String,
    /// As it stands in a policy: `{ min: 2, max: 6, for: 10s }`
    pub(super) bound: String,
    pub(super) why: String,
}

/// What `status` says of groups, as far as it matters here.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Now {
    engine: Engine,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Engine {
    groups: Vec<Group>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Group {
    name: String,
    bounds: Vec<Bound>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Bound {
    name: String,
    measure: String,
    #[serde(rename = "bound")]
    side: String,
    limit: f64,
    within_seconds: Option<f64>,
    /// It judges each process by itself.
    processes: Option<serde_json::Value>,
}

impl Groups {
    /// The groups that are worth a chart, those that used most first.
    pub(super) fn names(&self, most: usize) -> Vec<String> {
        let used = self.top_groups_by_cpu.iter().chain(&self.top_groups_by_memory).map(|consumer| &consumer.name);
        let mut names: Vec<String> = Vec::new();
        for name in used.chain(self.all.iter().map(|group| &group.name)) {
            if names.len() < most && !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }
}

/// Makes sense of what the daemon answered.
pub(super) fn groups(measures: MeasuresReport, now: &Now) -> Groups {
    let mut all: Vec<Consumer> = measures.groups.iter().map(consumer).collect();
    let by = |all: &mut Vec<Consumer>, used: fn(&Consumer) -> f64| {
        all.sort_by(|a, b| used(b).total_cmp(&used(a)));
        all.iter().filter(|consumer| used(consumer) > 0.0).take(TOP).cloned().collect()
    };
    let top_groups_by_cpu = by(&mut all, |consumer| consumer.cpu_seconds.unwrap_or(0.0));
    let top_groups_by_memory = by(&mut all, |consumer| consumer.memory_mean.unwrap_or(0.0));
    let sums: BTreeMap<&str, &GroupSums> = measures.groups.iter().map(|group| (group.name.as_str(), group)).collect();
    let (mut bounds_to_look_at, mut suggested) = (Vec::new(), Vec::new());
    for group in &now.engine.groups {
        let Some(sums) = sums.get(group.name.as_str()) else { continue };
        for bound in &group.bounds {
            let sum = sums.measures.iter().find(|sum| sum.measure == bound.measure);
            bounds_to_look_at.extend(sum.filter(|sum| is_enough(sum)).and_then(|sum| advice(bound, sum)));
        }
        let bounds: Vec<SuggestedBound> = sums.measures.iter().filter_map(|sum| suggestion(group, sum)).collect();
        if !bounds.is_empty() {
            suggested.push(Suggested { group: group.name.clone(), bounds });
        }
    }
    Groups { top_groups_by_cpu, top_groups_by_memory, bounds_to_look_at, suggested, all: measures.groups }
}

fn consumer(group: &GroupSums) -> Consumer {
    let of = |measure: &str| group.measures.iter().find(|sum| sum.measure == measure);
    let (count, cpu, memory) = (of("count"), of("cpu"), of("memory"));
    Consumer {
        name: group.name.clone(),
        seconds: group.measures.iter().map(|sum| sum.seconds).fold(0.0, f64::max),
        count_mean: count.map(|sum| sum.mean),
        count_highest: count.map(|sum| sum.highest),
        cpu_seconds: cpu.map(|sum| sum.mean * sum.seconds),
        cpu_highest: cpu.map(|sum| sum.highest),
        memory_mean: memory.map(|sum| sum.mean),
        memory_highest: memory.map(|sum| sum.highest),
    }
}

fn is_enough(sum: &MeasureSum) -> bool {
    sum.seconds >= LEAST.as_secs_f64()
}

/// `seen 2 to 4, 2.95 on average over 23h`
fn seen(sum: &MeasureSum) -> String {
    let show = |value: f64| amount(&sum.measure, (value * 100.0).round() / 100.0);
    let over = span(sum.seconds);
    if sum.lowest.to_bits() == sum.highest.to_bits() {
        return format!("always {} over {over}", show(sum.mean));
    }
    format!("seen {} to {}, {} on average over {over}", show(sum.lowest), show(sum.highest), show(sum.mean))
}

/// What the past says of a bound; `None` where there is nothing to say.
fn advice(bound: &Bound, sum: &MeasureSum) -> Option<Advice> {
    // A limit of 0 has nothing below it, and a process's limit is not the group's.
    if bound.limit <= 0.0 || bound.processes.is_some() {
        return None;
    }
    let verdict = match bound.side.as_str() {
        "max" if sum.mean >= NEAR * bound.limit => "always near",
        "max" if sum.highest < FAR * bound.limit => "never near",
        // As many as there must be are as many as are wanted, mostly.
        "min" if sum.measure != "count" && sum.mean * NEAR <= bound.limit => "always near",
        "min" if sum.lowest > bound.limit / FAR => "never near",
        _ => return None,
    };
    let (bound, measure, limit) = (bound.name.clone(), sum.measure.clone(), bound.limit);
    Some(Advice { bound, measure, limit, verdict, why: seen(sum) })
}

fn suggestion(group: &Group, sum: &MeasureSum) -> Option<SuggestedBound> {
    let measure = Figure::named(&sum.measure)?.measure();
    // Of what never happened nothing is known, but that it need not happen.
    if !is_enough(sum) || (sum.highest <= 0.0 && sum.measure != "failures" && sum.measure != "oom_kills") {
        return None;
    }
    let within =
        group.bounds.iter().filter(|bound| bound.measure == sum.measure).find_map(|bound| bound.within_seconds);
    if measure.is_windowed() && within.is_none() {
        return None;
    }
    let within = within.and_then(|within| Duration::try_from_secs_f64(within).ok()).unwrap_or_default();
    let least = (sum.lowest >= 1.0).then_some(sum.lowest);
    let bound = suggest::bound(measure, least, sum.highest, within);
    Some(SuggestedBound { measure: sum.measure.clone(), bound, why: seen(sum) })
}

/// Suggestions as lines of a policy file; those of the first `most` groups.
pub(super) fn yaml(suggested: &[Suggested], most: usize) -> String {
    let mut text = String::new();
    for Suggested { group, bounds } in suggested.iter().take(most) {
        let head = if text.is_empty() { "groups:\n" } else { "" };
        let _ = writeln!(text, "{head}  {}:", suggest::yaml_name(group));
        for SuggestedBound { measure, bound, why } in bounds {
            let _ = writeln!(text, "    {measure}: {bound}  # {}", clean(why));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sum(measure: &str, seconds: f64, [lowest, mean, highest]: [f64; 3]) -> MeasureSum {
        let unit = String::new();
        MeasureSum { measure: measure.into(), unit, seconds, lowest, mean, highest }
    }

    fn report(measures: Vec<MeasureSum>) -> MeasuresReport {
        let groups = vec![GroupSums { name: "web".into(), measures }];
        MeasuresReport { groups, ..MeasuresReport::default() }
    }

    fn now(bounds: &serde_json::Value) -> Now {
        serde_json::from_value(json!({"engine": {"groups": [{"name": "web", "bounds": bounds}]}})).unwrap()
    }

    #[test]
    fn suggestions_are_bounds_that_hold_with_their_reason() {
        let windows =
            json!([{"measure": "starts", "within_seconds": 60.0}, {"measure": "oom_kills", "within_seconds": 90.0}]);
        let measures = vec![
            sum("count", 7_200.0, [2.0, 2.95, 4.0]),
            sum("threads", 3_599.0, [1.0, 1.0, 1.0]),
            sum("cpu", 7_200.0, [0.0, 0.1, 0.333]),
            sum("memory", 90_000.0, [1e6, 1e7, 1e8]),
            sum("read", 7_200.0, [0.0, 0.0, 0.0]),
            sum("write", 7_200.0, [0.0, 1.0, 5_000.0]),
            sum("starts", 7_200.0, [0.0, 0.1, 3.0]),
            sum("failures", 7_200.0, [0.0, 0.0, 0.0]),
            sum("oom_kills", 7_200.0, [0.0, 0.0, 0.0]),
            sum("from-tomorrow", 7_200.0, [0.0, 0.0, 1.0]),
        ];
        let groups = groups(report(measures), &now(&windows));
        insta::assert_snapshot!(yaml(&groups.suggested, 9), @r"
        groups:
          web:
            count: { min: 2, max: 6, for: 10s }  # seen 2 to 4, 2.95 on average over 2h
            cpu: { max: 0.5 cores, for: 30s }  # seen 0.00 cores to 0.33 cores, 0.10 cores on average over 2h
            memory: { max: 124MiB, for: 1m }  # seen 976.6 KiB to 95.4 MiB, 9.5 MiB on average over 1d1h
            write: { max: 10KiB/s, for: 1m }  # seen 0 B/s to 4.9 KiB/s, 1 B/s on average over 2h
            starts: { max: 5, within: 1m }  # seen 0 to 3, 0.1 on average over 2h
            oom_kills: { max: 0, within: 90s }  # always 0 over 2h
        ");
        assert_eq!(yaml(&groups.suggested, 0), "");
    }

    #[test]
    fn a_group_that_was_away_has_no_minimum() {
        let groups = groups(report(vec![sum("count", 3_600.0, [0.0, 0.9, 1.0])]), &now(&json!([])));
        assert_eq!(groups.suggested[0].bounds[0].bound, "{ max: 3, for: 10s }");
        // Who is not in the policies any more gets no bounds.
        let nobody = super::groups(report(vec![sum("count", 3_600.0, [1.0; 3])]), &Now::default());
        assert_eq!(nobody.suggested, []);
    }

    #[test]
    fn bounds_that_are_always_near_or_never_are_told() {
        let check = |measure: &str, bound: serde_json::Value, values: [f64; 3], expected: Option<&str>| {
            let groups = groups(report(vec![sum(measure, 3_600.0, values)]), &now(&json!([bound])));
            let verdict = groups.bounds_to_look_at.first().map(|advice| advice.verdict);
            assert_eq!(verdict, expected, "{measure} {bound} {values:?}");
        };
        let bound = |measure: &str, side: &str, limit: f64| json!({"measure": measure, "bound": side, "limit": limit});
        check("cpu", bound("cpu", "max", 1.0), [0.1, 0.85, 0.9], Some("always near"));
        check("cpu", bound("cpu", "max", 1.0), [0.1, 0.2, 0.49], Some("never near"));
        check("cpu", bound("cpu", "max", 1.0), [0.1, 0.2, 0.7], None);
        check("failures", bound("failures", "max", 0.0), [0.0, 0.0, 0.0], None);
        check("count", bound("count", "min", 2.0), [2.0, 2.0, 2.0], None);
        check("count", bound("count", "min", 2.0), [5.0, 6.0, 7.0], Some("never near"));
        check("memory", bound("memory", "min", 100.0), [100.0, 110.0, 120.0], Some("always near"));
        check("memory", json!({"measure": "memory", "bound": "max", "limit": 9.0, "processes": {}}), [1.0; 3], None);
    }

    #[test]
    fn those_that_used_most_come_first() {
        let group = |name: &str, cpu: f64, memory: f64| GroupSums {
            name: name.into(),
            measures: vec![sum("cpu", 100.0, [0.0, cpu, 2.0]), sum("memory", 100.0, [0.0, memory, 9.0])],
        };
        let all = vec![group("a", 0.1, 0.0), group("b", 0.5, 1.0), group("c", 0.0, 3.0)];
        let groups = groups(MeasuresReport { groups: all, ..MeasuresReport::default() }, &Now::default());
        let names = |top: &[Consumer]| top.iter().map(|consumer| consumer.name.clone()).collect::<Vec<_>>();
        assert_eq!(
            (names(&groups.top_groups_by_cpu), names(&groups.top_groups_by_memory)),
            (vec!["b".into(), "a".into()], vec!["c".into(), "b".into()])
        );
        assert_eq!(groups.top_groups_by_cpu[0].cpu_seconds, Some(50.0));
    }
}
