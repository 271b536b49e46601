//! The alert rules and the dashboard of docs/: promtool is content with them, and each of their expressions is answered by a
//! real Prometheus that scrapes a real daemon.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use procprobe_tests::actor::{self, Actor};
use procprobe_tests::collector::Down;
use procprobe_tests::daemon::Setup;
use procprobe_tests::mark;
use procprobe_tests::prometheus::Prometheus;
use procprobe_tests::web::get;
use serde_json::Value;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// There once something has been dropped, while a bound cannot be judged, and while the kernel counts what its programs take.
const SELDOM: [&str; 3] =
    ["procprobe_events_dropped_total", "procprobe_bound_unknown", "procprobe_kernel_program_run_seconds_total"];

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs")
}

fn promtool(arguments: &[&str]) {
    let output = Command::new("promtool").args(arguments).current_dir(docs().join("prometheus")).output();
    let output =
        output.unwrap_or_else(|error| panic!("cannot start promtool ({error}): `cargo xtask test` fetches it"));
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}

#[test]
fn alert_rules_fire_when_they_should() {
    promtool(&["check", "rules", "procprobe.rules.yml"]);
    promtool(&["test", "rules", "procprobe.rules.test.yml"]);
}

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(docs().join("grafana/procprobe.json")).unwrap()).unwrap()
}

/// Everything under a key of this name, at any depth.
fn all<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            for (name, inner) in fields {
                if name == key {
                    found.extend(inner.as_str());
                }
                all(inner, key, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| all(item, key, found)),
        _ => (),
    }
}

/// Expressions of the dashboard with what Grafana would put into them, and those of the rules.
fn expressions() -> Vec<String> {
    let dashboard = dashboard();
    let mut found = Vec::new();
    all(&dashboard, "expr", &mut found);
    let filled =
        |text: &&str| text.replace("$instance", ".*").replace("$group", ".*").replace("$__rate_interval", "1m");
    let mut expressions: Vec<String> = found.iter().map(filled).collect();
    let rules = fs::read_to_string(docs().join("prometheus/procprobe.rules.yml")).unwrap();
    expressions.extend(rules.lines().filter_map(|line| line.trim().strip_prefix("expr: ")).map(str::to_owned));
    assert!(expressions.len() > 40, "{expressions:#?}");
    expressions
}

/// The names of our metrics in a text.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| word.starts_with("procprobe_"))
}

#[test]
fn prometheus_answers_what_dashboard_and_rules_ask() {
    let mark = mark();
    let bounds = "count: { max: 100 }\ncpu: { max: 100 cores }\ncpu_wait: { max: 100 cores }\nmemory: { max: 1TiB }\n\
                  read: { max: 1TiB/s }\nwrite: { max: 1TiB/s }\nnotify: [ops]";
    let group = actor::group("app", "sleep", &mark, bounds);
    let collector = Down::reserve();
    let others = format!(
        "host:\n- disk_free: {{ min: 0.01%, path: / }}\n- memory_available: {{ min: 0.01% }}\n\
         - pressure_cpu: {{ max: 99.9% }}\n- pressure_memory: {{ max: 99.9% }}\n- pressure_io: {{ max: 99.9% }}\n\
         jobs:\n  nightly: {{ match: {{ args: \" {mark}-job$\" }}, schedule: '0 2 * * *', start_within: 15m }}\n\
         logs:\n  panics: {{ path: '/nonexistent/*.log', any: [Panic], lines: {{ max: 3, within: 1m }} }}\n\
         notify:\n  ops: {{ webhook: \"{}\" }}\n",
        collector.url()
    );
    let setup = Setup::new().http("127.0.0.1:0").args(["--collector", &collector.url()]);
    let daemon = setup.policy(&format!("{group}{others}")).start();
    let address = daemon.status()["agent"]["http"].as_str().unwrap().parse().unwrap();
    let _member = Actor::start(ACTOR, "sleep 600000", &mark);
    Actor::start(ACTOR, "exit 0", &format!("{mark}-job")).wait();
    let prometheus =
        Prometheus::scrape(&format!("  - job_name: procprobe\n    static_configs: [{{ targets: ['{address}'] }}]\n"));
    prometheus.wait_for("procprobe_job_last_success", |values| values.len() == 1);
    prometheus.wait_for("procprobe_group_cpu_cores{group='app'}", |values| values.len() == 1);
    let exposed = get(address, "/metrics", "").unwrap().body;
    let exposed: BTreeSet<&str> = names(&exposed).chain(SELDOM).collect();
    for expression in expressions() {
        let unknown: Vec<&str> = names(&expression).filter(|name| !exposed.contains(name)).collect();
        assert!(unknown.is_empty(), "{unknown:?} of `{expression}` is not exported");
        // Whether there is anything or not: an expression that makes no sense is no answer.
        prometheus.wait_for(&expression, |_| true);
    }
}

#[test]
fn the_dashboard_is_laid_out() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.len(), panels.len(), "each panel has an id of its own");
    let mut taken = BTreeSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel:#} is too wide");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{} overlaps another", panel["title"]);
            }
        }
        let targets = panel["targets"].as_array().map_or(0, Vec::len);
        assert!(panel["type"] == "row" || targets > 0, "{} shows nothing", panel["title"]);
    }
}
