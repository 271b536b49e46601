//! What can be seen of the daemon over HTTP, by the real Prometheus; and a collector that is out of reach.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::ptrace;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use procprobe_tests::actor::{self, Actor};
use procprobe_tests::collector::Down;
use procprobe_tests::daemon::{PATIENCE, Setup};
use procprobe_tests::mark;
use procprobe_tests::prometheus::{Prometheus, lint};
use procprobe_tests::web::{Answer, get};
use serde_json::{Value, json};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

fn live(mark: &str) -> Actor {
    Actor::start(ACTOR, "sleep 600000", mark)
}

fn secret(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("http.token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Its health, once it is this status.
fn healthy_as(address: SocketAddr, status: u16) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = get(address, "/health", "").unwrap();
        if answer.status == status {
            return serde_json::from_str(&answer.body).unwrap();
        }
        assert!(Instant::now() < deadline, "{answer:#?}");
    }
}

#[test]
fn prometheus_counts_the_processes_of_a_group() {
    let mark = mark();
    let bounds = "count: { max: 1, severity: critical }\nmemory: { max: 1GiB }";
    let policy = actor::group("app", "sleep", &mark, bounds);
    // Of each kind one, for promtool to see all names.
    let others = "host:\n- disk_free: { min: 1 B, path: / }\n\
                  jobs:\n  backup: { match: { exe: /nonexistent }, schedule: '0 2 * * *', start_within: 15m }\n\
                  logs:\n  panics: { path: '/nonexistent/*.log', any: [Panic], lines: { max: 3, within: 1m } }\n";
    let daemon = Setup::new().http("127.0.0.1:0").policy(&format!("{policy}{others}")).start();
    let address = daemon.http_address();
    let prometheus =
        Prometheus::scrape(&format!("  - job_name: procprobe\n    static_configs: [{{ targets: ['{address}'] }}]\n"));
    let _one = live(&mark);
    let two = live(&mark);
    let is = |expected: f64| move |values: &[(Value, f64)]| values.len() == 1 && (values[0].1 - expected).abs() < 0.5;
    prometheus.wait_for("procprobe_group_processes{group='app'}", is(2.0));
    let firing = "procprobe_alarm_firing{policy='app', measure='count', bound='max', severity='critical'}";
    prometheus.wait_for(firing, is(1.0));
    drop(two);
    prometheus.wait_for("procprobe_group_processes{group='app'}", is(1.0));
    prometheus.wait_for(firing, is(0.0));
    prometheus.wait_for("procprobe_group_resident_memory_bytes{group='app'} > 100000", |values| values.len() == 1);
    prometheus.wait_for("procprobe_host_disk_free_bytes{mountpoint='/'} > 1", |values| values.len() == 1);
    prometheus.wait_for("up{job='procprobe'}", is(1.0));
    prometheus.wait_for("rate(procprobe_cpu_seconds_total[30s]) > 0", |values| values.len() == 1);
    let text = get(address, "/metrics", "").unwrap().body;
    assert_eq!(lint(&text), "", "promtool is content with\n{text}");
    let version = Value::from(env!("CARGO_PKG_VERSION"));
    prometheus.wait_for("procprobe_build_info", |values| values.iter().any(|(labels, _)| labels["version"] == version));
}

#[test]
fn beyond_loopback_it_takes_a_token() {
    let refused = Setup::new().http("0.0.0.0:0").refuse();
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(78), "{why}");
    assert!(why.contains("--http") && why.contains("http.token_file"), "{why}");
    let folder = tempfile::tempdir().unwrap();
    let token = secret(folder.path(), "first\n");
    let config = folder.path().join("config.yaml");
    fs::write(&config, format!("http: {{ token_file: {} }}\n", token.display())).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let daemon = Setup::new().http("0.0.0.0:0").args([Path::new("--config"), &config]).start();
    let address = SocketAddr::new("127.0.0.1".parse().unwrap(), daemon.http_address().port());
    let ask =
        |token: &str| -> Answer { get(address, "/metrics", &format!("Authorization: Bearer {token}\r\n")).unwrap() };
    assert_eq!((ask("first").status, ask("second").status), (200, 401));
    assert_eq!(get(address, "/health", "").unwrap().status, 401);
    secret(folder.path(), "second\n");
    daemon.reload();
    daemon.wait_for("the reload", |event| event.name() == "procprobe.agent.reloaded");
    assert_eq!((ask("first").status, ask("second").status), (401, 200));
}

#[test]
fn a_port_that_is_taken_costs_the_metrics_alone() {
    // Nobody else's: others of this kind listen on 127.0.0.1.
    let taken = TcpListener::bind("127.0.0.78:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mark = mark();
    let policy = actor::group("app", "sleep", &mark, "count: { max: 0 }");
    let daemon = Setup::new().http(&address.to_string()).policy(&policy).start();
    let started = daemon.wait_for("the start", |event| event.name() == "procprobe.agent.started");
    let degraded = started.0["attributes"]["degraded"].to_string();
    assert!(degraded.contains(&address.to_string()) && degraded.contains("in use"), "{degraded}");
    let _actor = live(&mark);
    daemon.wait_for("an alarm all the same", |event| event.is_alarm("firing", "app.count.max"));
    drop(taken);
    daemon.reload();
    let reloaded = daemon.wait_for("the reload", |event| event.name() == "procprobe.agent.reloaded");
    assert_eq!(reloaded.0["attributes"]["degraded"], json!([]));
    assert_eq!(healthy_as(address, 200), json!({"healthy": true, "reasons": []}));
    assert_eq!(daemon.status()["agent"]["degraded"], json!([]));
}

#[test]
fn a_pipeline_that_stands_still_is_unhealthy_until_it_goes_on() {
    let daemon = Setup::new().http("127.0.0.1:0").start();
    let address = daemon.http_address();
    healthy_as(address, 200);
    // The daemon's first thread alone, the pipeline's, is halted; SIGSTOP would halt all of them.
    let pipeline = Pid::from_raw(daemon.pid().cast_signed());
    ptrace::seize(pipeline, ptrace::Options::empty()).unwrap();
    ptrace::interrupt(pipeline).unwrap();
    waitpid(pipeline, Some(WaitPidFlag::__WALL)).unwrap();
    let health = healthy_as(address, 503);
    assert!(health["reasons"][0].as_str().unwrap().contains("stands still"), "{health}");
    assert_eq!(get(address, "/metrics", "").unwrap().status, 503);
    ptrace::detach(pipeline, None).unwrap();
    assert_eq!(healthy_as(address, 200)["reasons"], json!([]));
}

#[test]
fn a_collector_out_of_reach_is_told_and_so_is_its_return() {
    let collector = Down::reserve();
    let url = collector.url();
    let daemon = Setup::new().args(["--collector", &url]).start();
    // Half a minute until it counts, and then up to another one until the collector is tried again.
    let bound = Duration::from_mins(2);
    let find = |name: &'static str| {
        daemon.stream.find(name, bound, |events| events.iter().find(|event| event.name() == name).cloned())
    };
    let down = find("procprobe.path.down").0["attributes"].clone();
    assert_eq!(down["collector"], json!(url));
    assert!(down["why"].as_str().unwrap().contains("refused"), "{down}");
    let collector = collector.up([]);
    let restored = find("procprobe.path.restored").0["attributes"].clone();
    assert_eq!(restored["collector"], json!(url));
    assert!(restored["duration"].as_f64().unwrap() >= 30.0, "{restored}");
    // The start, the outage itself and a heartbeat at least.
    assert!(restored["spooled"].as_u64().unwrap() >= 3, "{restored}");
    let deadline = Instant::now() + PATIENCE;
    let has = |name: &str| collector.accepted().iter().any(|event| event.name() == name);
    while !(has("procprobe.path.down") && has("procprobe.path.restored")) {
        assert!(Instant::now() < deadline, "{:#?}", collector.accepted());
        std::thread::sleep(Duration::from_millis(50));
    }
}
