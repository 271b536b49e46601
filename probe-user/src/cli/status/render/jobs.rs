//! Jobs as text: what runs, how the last run ended, when the next is due.

use std::fmt::Write as _;

use serde_json::Value;

use super::{list, span, word};

/// One line for each job.
pub(super) fn jobs(page: &mut String, engine: &Value) {
    for job in list(&engine["jobs"]) {
        let _ = writeln!(page, "job {}: {}", word(&job["name"]), facts(job).join("; "));
    }
}

fn facts(job: &Value) -> Vec<String> {
    let running: Vec<String> = list(&job["running"])
        .iter()
        .map(|run| {
            let seconds = run["seconds"].as_f64().unwrap_or(0.0);
            format!("{} for {} ({} processes)", run["pid"], span(seconds), run["processes"])
        })
        .collect();
    let mut facts =
        vec![if running.is_empty() { "not running".to_owned() } else { format!("runs: {}", running.join(", ")) }];
    let last = &job["last"];
    if let Some(ended) = last["ended_seconds"].as_f64() {
        let (took, cpu) = (last["duration_seconds"].as_f64(), last["cpu_seconds"].as_f64());
        facts.push(format!(
            "last {} {} ago after {}, {:.2} s of CPU",
            word(&last["outcome"]),
            span(ended),
            span(took.unwrap_or(0.0)),
            cpu.unwrap_or(0.0)
        ));
    }
    if let Some(schedule) = job["schedule"].as_str() {
        let next = job["next"].as_str().map_or_else(|| "not known yet".to_owned(), short);
        facts.push(format!("next {next} ({} in {})", crate::event::clean(schedule), word(&job["timezone"])));
    }
    if let Some(missed) = job["missed"].as_u64().filter(|missed| *missed > 0) {
        facts.push(format!("{missed} missed"));
    }
    facts
}

/// A time without its fraction of a second.
fn short(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{}Z", crate::event::clean(seconds)),
        None => crate::event::clean(time),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_line_for_each_job() {
        let mut page = String::new();
        let engine = json!({"jobs": [
            {"name": "backup", "schedule": "0 2 * * *", "timezone": "Asia/Seoul", "next": "2026-11-22T17:00:00.000000000Z",
             "missed": 2, "running": [{"pid": 42, "seconds": 75.5, "processes": 3}],
             "last": {"outcome": "failed", "ended_seconds": 3600.0, "duration_seconds": 192.0, "cpu_seconds": 1.234}},
            {"name": "index", "missed": 0, "running": []},
            {"name": "early", "schedule": "@daily", "timezone": "UTC", "missed": 0, "running": []},
            7,
        ]});
        super::jobs(&mut page, &engine);
        insta::assert_snapshot!(page, @r"
        job backup: runs: 42 for 1m15s (3 processes); last failed 1h ago after 3m12s, 1.23 s of CPU; next 2026-11-22T17:00:00Z (0 2 * * * in Asia/Seoul); 2 missed
        job index: not running
        job early: not running; next not known yet (@daily in UTC)
        job ?: not running
        ");
    }
}
