//! What groups used, as text.

use std::fmt::Write as _;

use super::groups::{Consumer, Groups, yaml};
use crate::cli::words::{amount, bytes, span, table};
use crate::event::clean;

/// Groups that bounds are suggested for on a page.
const SUGGESTED_MAX: usize = 20;

/// Who used most, bounds to look at, bounds to paste.
pub(super) fn text(page: &mut String, groups: &Groups) {
    consumers(page, groups);
    if !groups.bounds_to_look_at.is_empty() {
        page.push_str("bounds worth another look:\n");
        for advice in &groups.bounds_to_look_at {
            let limit = amount(&advice.measure, advice.limit);
            let (bound, why) = (clean(&advice.bound), clean(&advice.why));
            let _ = writeln!(page, "  {bound} {limit} is {}: {why}", advice.verdict);
        }
        page.push('\n');
    }
    if groups.suggested.is_empty() {
        page.push_str("suggested bounds: none, for less than an hour is known of every group\n\n");
        return;
    }
    page.push_str("suggested bounds, none of which would have fired; paste them below their group:\n");
    page.push_str(&yaml(&groups.suggested, SUGGESTED_MAX));
    if let Some(more) = groups.suggested.len().checked_sub(SUGGESTED_MAX).filter(|more| *more > 0) {
        let _ = writeln!(page, "  # and for {more} more groups: --format json has all of them");
    }
    page.push('\n');
}

fn consumers(page: &mut String, groups: &Groups) {
    let mut told: Vec<&Consumer> = groups.top_groups_by_cpu.iter().collect();
    let known: Vec<&str> = told.iter().map(|consumer| consumer.name.as_str()).collect();
    let more = groups.top_groups_by_memory.iter().filter(|consumer| !known.contains(&consumer.name.as_str()));
    told.extend(more);
    if told.is_empty() {
        return;
    }
    let heads = ["GROUP", "KNOWN FOR", "PROCESSES", "CPU", "HIGHEST CPU", "MEMORY", "HIGHEST MEMORY"];
    let mut rows = vec![heads.map(str::to_owned)];
    for consumer in told {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let count = consumer.count_mean.zip(consumer.count_highest);
        rows.push([
            clean(&consumer.name),
            span(consumer.seconds),
            or_dash(count.map(|(mean, highest)| format!("{mean:.1}, at most {highest:.0}"))),
            or_dash(consumer.cpu_seconds.map(|cpu| format!("{cpu:.2} s"))),
            or_dash(consumer.cpu_highest.map(|cpu| amount("cpu", cpu))),
            or_dash(consumer.memory_mean.map(bytes)),
            or_dash(consumer.memory_highest.map(bytes)),
        ]);
    }
    table(page, &rows);
    page.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::groups::{Advice, Suggested, SuggestedBound};
    use super::*;

    #[test]
    fn a_page() {
        let web = Consumer {
            name: "we\u{1b}b".into(),
            seconds: 7_200.0,
            count_mean: Some(2.95),
            count_highest: Some(4.0),
            cpu_seconds: Some(720.5),
            cpu_highest: Some(0.333),
            memory_mean: Some(1e7),
            memory_highest: Some(1e8),
        };
        let job = Consumer { name: "backup".into(), seconds: 60.0, memory_mean: Some(3e7), ..Consumer::default() };
        let advice = Advice {
            bound: "web.cpu.max".into(),
            measure: "cpu".into(),
            limit: 4.0,
            verdict: "never near",
            why: "seen 0.00 cores to 0.33 cores".into(),
        };
        let bound = SuggestedBound { measure: "count".into(), bound: "{ max: 6 }".into(), why: "seen 1 to 4".into() };
        let groups = Groups {
            top_groups_by_cpu: vec![web.clone()],
            top_groups_by_memory: vec![job, web],
            bounds_to_look_at: vec![advice],
            suggested: vec![Suggested { group: "on".into(), bounds: vec![bound] }],
            all: Vec::new(),
        };
        let mut page = String::new();
        text(&mut page, &groups);
        insta::assert_snapshot!(page, @r#"
        GROUP    KNOWN FOR  PROCESSES       CPU       HIGHEST CPU  MEMORY    HIGHEST MEMORY
        we\x1bb  2h         3.0, at most 4  720.50 s  0.33 cores   9.5 MiB   95.4 MiB
        backup   1m         -               -         -            28.6 MiB  -

        bounds worth another look:
          web.cpu.max 4.00 cores is never near: seen 0.00 cores to 0.33 cores

        suggested bounds, none of which would have fired; paste them below their group:
        groups:
          "on":
            count: { max: 6 }  # seen 1 to 4
        "#);
        let mut page = String::new();
        text(&mut page, &Groups::default());
        assert_eq!(page, "suggested bounds: none, for less than an hour is known of every group\n\n");
    }
}
