//! OTLP against a real OpenTelemetry collector, decoded by code that is not ours: what arrives is what was told.

use std::path::Path;

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Daemon, Setup};
use procprobe_tests::event::Event;
use procprobe_tests::mark;
use procprobe_tests::otel::{Receiver, Rotel};
use serde_json::{Value, json};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

fn config(folder: &Path, text: &str) -> Setup {
    let file = folder.join("procprobe.yaml");
    std::fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    Setup::new().args([Path::new("--config"), &file])
}

/// The same events, field by field and in the same order.
fn check(receiver: &Receiver, daemon: &Daemon) {
    let told: Vec<Value> = daemon.stream.events().into_iter().map(|event| event.0).collect();
    let arrived = receiver.wait_for("the last event", |receiver| {
        let events = receiver.events();
        (events.last().map(|event| &event["id"]) == told.last().map(|event| &event["id"])).then_some(events)
    });
    assert_eq!(arrived.len(), told.len());
    for (arrived, told) in arrived.iter().zip(&told) {
        assert_eq!(arrived, told);
    }
}

#[test]
fn events_and_metrics_arrive_as_they_were_told() {
    let (mark, folder) = (mark(), tempfile::tempdir().unwrap());
    let (behind, direct) = (Receiver::start(), Receiver::start());
    let rotel = Rotel::start(&behind);
    // This collector does not know zstd: it refuses the first body, and must not lose it.
    let text = format!(
        "collector:\n\
         - {{ url: \"{}\", protocol: otlp, compression: zstd, metrics_interval: 1s }}\n\
         - {{ url: \"{}/v1/logs\", protocol: otlp, compression: gzip, metrics_interval: off }}\n",
        rotel.url(),
        direct.url()
    );
    let policy = group("herd", "sleep", &mark, "count: { max: 1 }");
    let mut daemon = config(folder.path(), &text).policy(&policy).start();
    let mut herd = Actor::start(ACTOR, "herd 3 sleep 600000", &mark);
    herd.told();
    let alarm = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "herd.count.max"));
    assert!(!alarm.evidence().is_empty(), "lists of maps travel, too: {}", alarm.0);
    let living = |receiver: &Receiver, count: f64| {
        let points = receiver.points("procprobe_group_processes");
        let last = points.into_iter().rfind(|(labels, _, _)| labels["group"] == "herd")?;
        ((last.1 - count).abs() < 0.5).then_some(last)
    };
    let (labels, _, metric) = behind.wait_for("three of them", |receiver| living(receiver, 3.0));
    assert_eq!((labels, &metric["unit"]), (json!({"group": "herd"}), &json!("{process}")));
    assert!(metric["gauge"].is_object(), "{metric}");
    herd.finish();
    behind.wait_for("none of them", |receiver| living(receiver, 0.0));
    let cpu = behind.points("procprobe_cpu_seconds_total");
    assert!(cpu.iter().all(|(_, value, _)| *value > 0.0) && cpu.is_sorted_by_key(|(_, value, _)| *value), "{cpu:?}");
    let sum = &cpu[0].2["sum"];
    assert_eq!(sum["is_monotonic"], true);
    assert_eq!(sum["aggregation_temporality"], "AGGREGATION_TEMPORALITY_CUMULATIVE");

    assert_eq!(daemon.stop(), Some(0));
    check(&behind, &daemon);
    check(&direct, &daemon);
    assert!(direct.encodings().iter().all(|encoding| encoding.as_deref() == Some("gzip")));
    assert!(direct.points("procprobe_group_processes").is_empty(), "metrics are off there");
    let exits = daemon.stream.events().iter().filter(|event| event.is_exit()).count();
    assert!(exits >= 3, "{}", daemon.stream.describe());
}

#[test]
fn a_collector_that_comes_late_gets_everything_once() {
    let (mark, folder) = (mark(), tempfile::tempdir().unwrap());
    let receiver = Receiver::start();
    let free = procprobe_tests::port::free();
    // The first URL is nobody's; the second takes over.
    let text = format!(
        "collector: {{ url: [\"http://{free}\", \"{}\"], protocol: otlp, metrics_interval: 1s }}\n",
        receiver.url()
    );
    let policy = group("some", "exit", &mark, "count: { max: 100 }");
    let mut daemon = config(folder.path(), &text).policy(&policy).start();
    for _ in 0..20 {
        Actor::start(ACTOR, "exit 0", &mark).finish();
    }
    daemon.wait_for_count("the exits", 20, Event::is_exit);
    receiver.wait_for("metrics", |receiver| receiver.points("procprobe_build_info").pop());
    assert_eq!(daemon.stop(), Some(0));
    check(&receiver, &daemon);
}
