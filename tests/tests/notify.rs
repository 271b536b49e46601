//! Alarms to webhooks that fail, stall and lie, and to the real Alertmanager; over crashes.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use procprobe_tests::actor::{self, Actor};
use procprobe_tests::alertmanager::Alertmanager;
use procprobe_tests::daemon::{Daemon, PATIENCE, Setup};
use procprobe_tests::event::Event;
use procprobe_tests::hook::{Answer, Hook, Request};
use procprobe_tests::mark;
use ring::hmac;
use serde_json::Value;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// A group `app` of which one process must live; its alarms go to `ops`.
fn policy(mark: &str, destination: &str) -> String {
    let group = actor::group("app", "sleep", mark, "count: { min: 1, severity: critical }\nnotify: [ops]");
    format!("{group}notify:\n  ops: {destination}\n")
}

fn live(mark: &str) -> Actor {
    Actor::start(ACTOR, "sleep 600000", mark)
}

fn secret(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

fn is_turn(turn: &str) -> impl Fn(&Event) -> bool {
    move |event| event.is_alarm(turn, "app.count.min")
}

/// Ids of what was taken, in order.
fn taken(requests: &[Request]) -> Vec<String> {
    let taken = requests.iter().filter(|request| request.taken);
    taken.map(|request| request.header("idempotency-key").to_owned()).collect()
}

/// Ids of all alarms that the daemon printed, in order.
fn printed(daemon: &Daemon) -> Vec<String> {
    let events = daemon.stream.events();
    let alarms = events.iter().filter(|event| is_turn("firing")(event) || is_turn("resolved")(event));
    alarms.map(|event| event.0["id"].as_str().unwrap().to_owned()).collect()
}

/// The daemon's status, once it is as it must be.
fn once(daemon: &Daemon, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = daemon.status();
        if is_so(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{status:#}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_webhook_gets_the_events_themselves_signed() {
    let (mark, hook, folder) = (mark(), Hook::start([]), tempfile::tempdir().unwrap());
    let (token, key) = (secret(folder.path(), "token", "t0psecret\n"), secret(folder.path(), "key", "k3y\n"));
    let destination = format!("{{ webhook: {:?}, token_file: {token}, secret_file: {key} }}", hook.url());
    let mut daemon = Setup::new().policy(&policy(&mark, &destination)).start();
    let firing = daemon.wait_for("the alarm", is_turn("firing"));
    let actor = live(&mark);
    let resolved = daemon.wait_for("its end", is_turn("resolved"));
    let requests = hook.wait_for("both", |requests| (requests.len() == 2).then(|| requests.to_vec()));
    for (request, event) in requests.iter().zip([firing, resolved]) {
        assert_eq!(request.event(), event, "as on stdout");
        assert_eq!(request.line, "POST /hook HTTP/1.1");
        assert_eq!(request.header("content-type"), "application/json");
        assert_eq!(request.header("authorization"), "Bearer t0psecret");
        assert_eq!(request.header("idempotency-key"), event.0["id"].as_str().unwrap());
        let (timestamp, signature) = (request.header("x-procprobe-timestamp"), request.header("x-procprobe-signature"));
        let text = [timestamp.as_bytes(), b".", &request.body].concat();
        let hex = signature.strip_prefix("sha256=").unwrap();
        let tag: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, b"k3y"), &text, &tag).expect("the signature");
    }
    let status = once(&daemon, |status| status["notify"][0]["sent"] == 2);
    let page = String::from_utf8(daemon.command(&["status"]).stdout).unwrap();
    assert!(page.contains("notify ops (webhook http://127.0.0.1:") && page.contains("2 sent, 0 waiting"), "{page}");
    drop(actor);
    assert_eq!(daemon.stop(), Some(0));
    let said = format!("{status}{page}{}{}", daemon.stream.describe(), daemon.stream.log());
    assert!(!said.contains("t0psecret") && !said.contains("k3y\\n"), "{said}");
}

#[test]
fn a_hook_that_fails_stalls_and_lies_gets_each_event_in_order() {
    let mark = mark();
    let hook = Hook::start([
        Answer::Late(Duration::from_secs(3)),
        Answer::HangUp,
        Answer::Later(429, 1),
        Answer::Status(503),
        Answer::Elsewhere,
        Answer::HalfABody,
        Answer::EndlessBody,
        Answer::Status(500),
    ]);
    let destination = format!("{{ webhook: {:?}, timeout: 1s }}", hook.url());
    let daemon = Setup::new().policy(&policy(&mark, &destination)).start();
    for _ in 0..2 {
        let actor = live(&mark);
        daemon.wait_for_count("alarms", 1, is_turn("resolved"));
        drop(actor);
    }
    daemon.wait_for_count("alarms", 3, is_turn("firing"));
    let told = printed(&daemon);
    assert_eq!(told.len(), 5);
    let requests = hook.wait_for("all of them", |all| (taken(all).len() == 5).then(|| all.to_vec()));
    assert_eq!(taken(&requests), told, "each once, in order, under its own id");
    assert!(requests.iter().all(|request| request.line.starts_with("POST /hook ")), "no redirect is followed");
    once(&daemon, |status| status["notify"][0]["failed"] == 0 && status["notify"][0]["healthy"] == true);
}

#[test]
fn what_is_refused_for_good_is_told() {
    let (mark, hook) = (mark(), Hook::start([Answer::Status(422)]));
    let destination = format!("{{ webhook: {:?} }}", hook.url());
    let daemon = Setup::new().policy(&policy(&mark, &destination)).start();
    let actor = live(&mark);
    let lost =
        daemon.wait_for("the loss", |event| event.name() == "procprobe.agent.lost" && event.text("where") == "notify");
    assert_eq!((lost.text("reason"), lost.number("count")), ("rejected", Some(1)));
    let end = daemon.wait_for("the end", is_turn("resolved"));
    hook.wait_for("the next event", |requests| (taken(requests) == [end.0["id"].as_str().unwrap()]).then_some(()));
    drop(actor);
}

#[test]
fn a_crash_while_the_hook_is_down_loses_nothing() {
    let (mark, hook) = (mark(), Hook::down());
    let destination = format!("{{ webhook: {:?} }}", hook.url());
    let mut daemon = Setup::new().policy(&policy(&mark, &destination)).start();
    let firing = daemon.wait_for("the alarm", is_turn("firing"));
    let id = firing.0["id"].as_str().unwrap();
    // Sent at least once in vain, so it is on disk.
    once(&daemon, |status| status["notify"][0]["healthy"] == false);
    let mut actor = None;
    daemon.crash(|| {
        actor = Some(live(&mark));
        hook.come_up([]);
    });
    let end = daemon.wait_for("the end of what was on before", is_turn("resolved"));
    assert_eq!(end.text("reason"), "not seen since a restart");
    let ids = [id, end.0["id"].as_str().unwrap()];
    let requests = hook.wait_for("both", |requests| (requests.len() >= 2).then(|| requests.to_vec()));
    assert_eq!(taken(&requests), ids);
    assert_eq!(requests[0].event(), firing);
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 2);
    drop(actor);
}

#[test]
fn the_real_alertmanager_knows_what_fires_and_what_is_over() {
    let (mark, alertmanager) = (mark(), Alertmanager::start());
    let destination = format!("{{ alertmanager: {:?}, labels: {{ team: web }} }}", alertmanager.url());
    let mut daemon = Setup::new().policy(&policy(&mark, &destination)).start();
    let firing = daemon.wait_for("the alarm", is_turn("firing"));
    let active = |alerts: &Value| alerts.as_array().filter(|alerts| alerts.len() == 1).map(|alerts| alerts[0].clone());
    let alert = alertmanager.wait_for("the alert", "/api/v2/alerts", active);
    for (label, value) in [
        ("alertname", "app.count.min"),
        ("policy", "app"),
        ("kind", "group"),
        ("measure", "count"),
        ("bound", "min"),
        ("severity", "critical"),
        ("team", "web"),
        ("host", firing.0["host"]["host.name"].as_str().unwrap()),
    ] {
        assert_eq!(alert["labels"][label], value, "{alert:#}");
    }
    assert_eq!(alert["labels"].as_object().unwrap().len(), 8, "{alert:#}");
    assert_eq!(alert["annotations"]["summary"], firing.body());
    assert_eq!((&alert["annotations"]["value"], &alert["annotations"]["limit"]), (&"0".into(), &"1".into()));
    let since = |time: &str| time.get(..19).map(str::to_owned);
    assert_eq!(since(alert["startsAt"].as_str().unwrap()), since(firing.text("since")));
    alertmanager.wait_for("its group", "/api/v2/alerts/groups", |groups| {
        let group = groups.as_array()?.iter().find(|group| group["labels"]["policy"] == "app")?;
        (group["alerts"].as_array()?.len() == 1).then_some(())
    });

    let fingerprint = alert["fingerprint"].clone();
    daemon.crash(|| {});
    daemon.wait_for("the alarm again", is_turn("firing"));
    let again = alertmanager.wait_for("the alert, told again", "/api/v2/alerts", |alerts| {
        active(alerts).filter(|again| again["updatedAt"] != alert["updatedAt"])
    });
    assert_eq!(again["fingerprint"], fingerprint, "the same alert after a restart");
    assert_eq!(again["startsAt"], alert["startsAt"], "and since the same moment");

    let actor = live(&mark);
    daemon.wait_for("its end", is_turn("resolved"));
    alertmanager.wait_for("its end", "/api/v2/alerts", |alerts| alerts.as_array()?.is_empty().then_some(()));
    drop(actor);
    assert_eq!(daemon.stop(), Some(0));
}
