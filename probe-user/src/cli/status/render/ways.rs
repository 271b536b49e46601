//! The ways out as text: collectors with their metrics, the spool, destinations of notifications.

use std::fmt::Write as _;

use serde_json::Value;

use super::{bytes, list, span, word};
use crate::event::clean;

pub(super) fn collector(page: &mut String, collector: &Value) {
    let url = |url: &Value| match collector["proxies"][url.as_str().unwrap_or_default()].as_str() {
        Some(proxy) => format!("{} (by {})", word(url), clean(proxy)),
        None => word(url),
    };
    let urls: Vec<String> = list(&collector["urls"]).iter().map(url).collect();
    let state = if collector["healthy"].as_bool() == Some(true) { "takes events" } else { "does not take events" };
    let _ = writeln!(
        page,
        "collector {}: {state}; {} sent, {} waiting{}",
        urls.join(", "),
        collector["sent_events"],
        collector["queued_events"],
        collector["queued_age"].as_f64().map(|age| format!(" for {}", span(age))).unwrap_or_default(),
    );
    if let Some(error) = collector["last_error"].as_str() {
        let _ = writeln!(page, "  {}", clean(error));
    }
    if let Some(suspects) = collector["suspects"].as_u64() {
        let _ = writeln!(page, "  it breaks over {suspects} of them: they come late, in smaller parts");
    }
    if collector["metrics"].is_object() {
        metrics(page, &collector["metrics"]);
    }
    for note in list(&collector["notes"]) {
        let _ = writeln!(page, "  {}", word(note));
    }
}

/// `metrics every 15s: not taken; 12 sent, 3 waiting`
fn metrics(page: &mut String, metrics: &Value) {
    let state = if metrics["healthy"].as_bool() == Some(true) { "taken" } else { "not taken" };
    let every = span(metrics["every"].as_f64().unwrap_or_default());
    let _ =
        writeln!(page, "  metrics every {every}: {state}; {} sent, {} waiting", metrics["sent"], metrics["waiting"]);
    if let Some(error) = metrics["last_error"].as_str() {
        let _ = writeln!(page, "    {}", clean(error));
    }
}

/// `measures: of 12 groups; 3.0 KiB of 64.0 MiB on disk; each second for 1h, each minute for 7d`
pub(super) fn measures(page: &mut String, measures: &Value) {
    let Some(most) = measures["max_bytes"].as_f64() else { return };
    let held = measures["bytes"].as_f64().unwrap_or(0.0);
    let left_out = measures["groups_left_out"].as_u64().map(|groups| format!(", {groups} without room"));
    let mut words = vec![format!("of {} groups{}", measures["groups"], left_out.unwrap_or_default())];
    words.push(format!("{} of {} on disk", bytes(held), bytes(most)));
    let reach = |key: &str| measures[key].as_f64().map(span);
    match (reach("seconds_reach"), reach("minutes_reach")) {
        (Some(seconds), Some(minutes)) => words.push(format!("each second for {seconds}, each minute for {minutes}")),
        (Some(seconds), None) => words.push(format!("each second for {seconds}")),
        (None, _) => {}
    }
    if measures["short"].as_bool() == Some(true) {
        words.push("the oldest went for want of room".to_owned());
    }
    if let Some(lost) = measures["lost_blocks"].as_u64() {
        words.push(format!("{lost} blocks lost"));
    }
    if let Some(why) = measures["failing"].as_str() {
        words.push(format!("cannot be written: {}", clean(why)));
    }
    let _ = writeln!(page, "measures: {}", words.join("; "));
}

pub(super) fn spool(page: &mut String, spool: &Value) {
    let Some(most) = spool["max_bytes"].as_f64() else { return };
    let held = spool["bytes"].as_f64().unwrap_or(0.0);
    let _ = write!(page, "spool: {} of {} on disk", bytes(held), bytes(most));
    if let Some(why) = spool["failing"].as_str() {
        let lasting = spool["failing_seconds"].as_f64().map(|time| format!(" for {}", span(time))).unwrap_or_default();
        let waiting = &spool["unwritten"];
        let _ = write!(page, "; cannot be written{lasting}, {waiting} events wait in memory: {}", clean(why));
    }
    page.push('\n');
}

pub(super) fn destination(page: &mut String, destination: &Value) {
    let state = if destination["healthy"].as_bool() == Some(true) { "takes alarms" } else { "does not take alarms" };
    let on = destination["active"].as_u64().map(|on| format!(", {on} on")).unwrap_or_default();
    let _ = writeln!(
        page,
        "notify {} ({} {}): {state}; {} sent, {} waiting, {} refused{on}",
        word(&destination["name"]),
        word(&destination["kind"]),
        word(&destination["url"]),
        destination["sent"],
        destination["pending"],
        destination["failed"],
    );
    if let Some(error) = destination["last_error"].as_str() {
        let _ = writeln!(page, "  {}", clean(error));
    }
}
