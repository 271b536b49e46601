//! The daemon itself: start, refusal, reload, end, and the collector that hears it.

use std::path::Path;
use std::process::{Command, Output};

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::collector::Collector;
use procprobe_tests::daemon::{Setup, binary, end_of_patience, require_host};
use procprobe_tests::event::Event;
use procprobe_tests::mark;
use rustix::process::Signal;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

#[test]
fn a_signal_ends_it_cleanly_and_it_says_so() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Setup::new().start();
        daemon.signal(signal);
        assert_eq!(daemon.wait().code(), Some(0), "{}", daemon.stream.describe());
        let events = daemon.stream.events();
        assert_eq!(events.last().map(Event::name), Some("procprobe.agent.stopped"), "{}", daemon.stream.describe());
    }
}

#[test]
fn every_event_has_its_place_and_its_host() {
    let mark = mark();
    let mut daemon = Setup::new().policy(&group("some", "exit", &mark, "count: { max: 100 }")).start();
    for _ in 0..20 {
        Actor::start(ACTOR, "exit 0", &mark).finish();
    }
    daemon.wait_for_count("the exits", 20, Event::is_exit);
    assert_eq!(daemon.stop(), Some(0));
    let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let events = daemon.stream.events();
    for (event, next) in events.iter().zip(events.iter().skip(1)) {
        assert_eq!(event.seq() + 1, next.seq(), "{}", next.0);
    }
    for event in &events {
        assert_eq!(event.0["host"]["boot.id"], boot_id.trim(), "{}", event.0);
        assert!(!event.0["host"]["host.name"].as_str().unwrap().is_empty());
        let id = event.0["id"].as_str().unwrap();
        assert!(id.ends_with(&format!(":{}:{:012}", boot_id.trim(), event.seq())), "{id}");
        let time = event.0["time"].as_str().unwrap();
        assert!(time.ends_with('Z') && time.len() == "2026-11-21T22:00:00.123456789Z".len(), "{time}");
        assert!(["info", "warning", "critical"].contains(&event.0["severity"].as_str().unwrap()));
        assert!(!event.body().is_empty(), "{}", event.0);
    }
}

#[test]
fn a_reload_takes_new_policies_and_refuses_broken_ones() {
    let mark = mark();
    let mut herd = Actor::start(ACTOR, "herd 2 sleep 600000", &mark);
    herd.told();
    let of = |bounds: &str| group("herd", "sleep", &mark, bounds);
    let daemon = Setup::new().policy(&of("count: { max: 5 }")).start();

    daemon.replace_policies(&[&of("count: { max: 1 }")]);
    daemon.reload();
    daemon.wait_for("the reload", |event| event.name() == "procprobe.agent.reloaded");
    let firing = daemon.wait_for("the alarm", |event| event.is_alarm("firing", "herd.count.max"));
    assert_eq!((firing.number("value"), firing.number("limit")), (Some(2), Some(1)), "{}", firing.0);

    daemon.replace_policies(&[
        &of("count: { max: 7 }"),
        "groups:\n  other:\n    match: { ex: nginx }\n    cuont: { min: 1 }\n",
    ]);
    daemon.reload();
    let refused = daemon.wait_for("the refusal", |event| event.name() == "procprobe.agent.reload_failed");
    let text = refused.0.to_string();
    assert!(text.contains("1.yaml:4:14") && text.contains("cuont"), "{text}");
    // The policies in force are still the old ones: the file that was good alone has changed nothing.
    daemon.assert_none("all or nothing", |event| event.is_alarm("resolved", "herd.count.max"));
    let _third = Actor::start(ACTOR, "sleep 600000", &mark);

    daemon.replace_policies(&[&of("count: { max: 3 }")]);
    daemon.reload();
    daemon.wait_for("healthy again", |event| event.is_alarm("resolved", "herd.count.max"));
    herd.finish();
}

fn code_and_log(output: &Output) -> (Option<i32>, String) {
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn broken_policies_are_refused_with_78_and_every_place() {
    let setup = Setup::new().file(
        "broken.yaml",
        "version: 1\ngroups:\n  a:\n    match: { exe: [x] }\n    count: { min: 3, max: 2 }\n    memry: { max: 1GiB }\n",
    );
    let (code, log) = code_and_log(&setup.refuse());
    assert_eq!(code, Some(78), "{log}");
    for part in ["broken.yaml:5:", "broken.yaml:6:5", "did you mean `memory`"] {
        assert!(log.contains(part), "{part} is not in:\n{log}");
    }
}

#[test]
fn a_broken_config_is_refused_with_78() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("procprobe.yaml");
    std::fs::write(&config, "sample_intervall: 1s\n").unwrap();
    let (code, log) = code_and_log(&Setup::new().args(["--config".as_ref(), config.as_os_str()]).refuse());
    assert_eq!(code, Some(78), "{log}");
    assert!(log.contains("procprobe.yaml:1:1") && log.contains("sample_interval"), "{log}");
}

#[test]
fn without_capabilities_it_is_refused_with_77() {
    let pins = Path::new("/sys/fs/bpf").join(mark());
    let setup = Setup::new().pins(&pins).under(["setpriv", "--bounding-set=-all", "--inh-caps=-all"]);
    let (code, log) = code_and_log(&setup.refuse());
    assert_eq!(code, Some(77), "{log}");
    assert!(log.contains("without CAP_BPF and CAP_PERFMON; run as root"), "{log}");
    assert!(!pins.exists(), "whoever may run it later would find a directory of somebody else's");
}

#[test]
fn the_doctor_finds_nothing_in_the_way() {
    require_host();
    let output = Command::new(binary()).arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.lines().any(|line| line.starts_with("ok") && line.contains("they load and attach")), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("FAIL")), "{text}");
}

#[test]
fn status_says_what_is_watched_and_is_unhealthy_while_something_fires() {
    let mark = mark();
    let mut herd = Actor::start(ACTOR, "herd 2 sleep 600000", &mark);
    herd.told();
    let daemon = Setup::new().policy(&group("herd", "sleep", &mark, "count: { max: 2 }")).start();
    let healthy = daemon.command(&["status"]);
    let text = String::from_utf8_lossy(&healthy.stdout).into_owned();
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");
    assert!(text.contains("herd"), "{text}");
    assert!(daemon.status().to_string().contains("\"herd\""), "{}", daemon.status());

    let _third = Actor::start(ACTOR, "sleep 600000", &mark);
    daemon.wait_for("the alarm", |event| event.is_alarm("firing", "herd.count.max"));
    assert_eq!(daemon.command(&["status"]).status.code(), Some(1));
    herd.finish();
}

#[test]
fn a_collector_hears_every_event_once_it_accepts() {
    let mark = mark();
    let collector = Collector::start([503, 500]);
    let policy = group("some", "exit", &mark, "count: { max: 100 }");
    let mut daemon = Setup::new().policy(&policy).args(["--collector", &collector.url()]).start();
    for _ in 0..50 {
        Actor::start(ACTOR, "exit 0", &mark).finish();
    }
    daemon.wait_for_count("the exits", 50, Event::is_exit);
    let deadline = end_of_patience();
    while collector.accepted().iter().filter(|event| event.is_exit()).count() < 50 {
        assert!(std::time::Instant::now() < deadline, "{:?}\n{}", collector.faults(), daemon.stream.describe());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(collector.faults(), [""; 0]);
    assert_eq!(collector.refused(), 2);
    assert_eq!(collector.accepted(), daemon.stream.events(), "the same events in the same order");
}
