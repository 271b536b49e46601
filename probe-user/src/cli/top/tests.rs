//! Keys and answers in, pictures out.

mod hosts;
mod pictures;
mod random;
mod steps;

use std::time::Duration;

use jiff::tz::TimeZone;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use serde_json::{Value, json};

use super::draw::draw;
use super::paint::Looks;
use super::report::Report;
use super::state::{About, Effect, Input, State};
use super::told::Told;
use crate::engine::{Member, Roster};

const LOOKS: Looks = Looks { colours: true, attributes: true, unicode: true };
const BARE: Looks = Looks { colours: false, attributes: false, unicode: false };

/// A daemon with two groups, one of which is in trouble, a log and two jobs.
fn answer() -> Value {
    json!({
        "time": "2026-11-22T01:00:10.000000000Z",
        "agent": {"version": "0.1.0", "host": "web-1", "pid": 7, "uptime": 3700.0, "seq": 42, "processes": 123,
            "told": "matched", "degraded": ["no pins"],
            "cost": {"cpu_seconds": 3.7, "rss_bytes": 6_291_456, "peak_rss_bytes": 7_340_032, "wakeups": 4000},
            "kernel": {"programs": [{"name": "exec", "run_count": 4, "run_time_ns": 2000}],
                "records": [["fork", 5], ["exec", 4]]}},
        "engine": {"processes": 123, "degraded": false, "firing": ["nginx.count.min", "backup.success"], "groups": [
            {"name": "nginx", "declared": "web.yaml:3", "members": 1,
                "usage": {"cpu": 0.25, "memory_bytes": 64 << 20, "threads": 2},
                "bounds": [
                    {"name": "nginx.count.min", "measure": "count", "bound": "min", "severity": "critical", "limit": 2.0,
                        "value": 1.0, "nearness": 2.0, "state": "firing", "since_seconds": 75.0},
                    {"name": "nginx.cpu.max", "measure": "cpu", "bound": "max", "severity": "warning", "limit": 1.0,
                        "value": 0.25, "nearness": 0.25, "state": "healthy"}]},
            {"name": "데이터베이스\u{1b}[31m", "declared": "db.yaml:3", "members": 12, "bounds": []},
            {"name": "worker", "declared": "web.yaml:9", "members": 3, "bounds": [
                {"name": "worker.starts.max", "measure": "starts", "bound": "max", "severity": "warning", "limit": 5.0,
                    "value": 4.5, "nearness": 0.9, "within_seconds": 60.0, "lower_limit": true, "state": "healthy"}]}],
            "logs": [{"name": "app-errors", "declared": "logs.yaml:3", "matched": 0, "bounds": [
                {"name": "app-errors.lines.max", "measure": "lines", "bound": "max", "severity": "warning", "limit": 0.0,
                    "value": 0.0, "within_seconds": 60.0, "state": "healthy"}]}],
            "host": [{"name": "host.load.max", "severity": "warning", "instances": [{"state": "healthy"}]}],
            "jobs": [
                {"name": "backup", "declared": "jobs.yaml:3", "schedule": "0 2 * * *", "timezone": "UTC",
                    "next": "2026-11-22T02:00:00.000000000Z", "missed": 1, "running": [],
                    "last": {"outcome": "failed", "ended_seconds": 3600.0, "duration_seconds": 192.0, "cpu_seconds": 1.5},
                    "alarms": [{"name": "backup.success", "measure": "success", "severity": "warning", "state": "firing",
                        "since_seconds": 3600.0}]},
                {"name": "index", "declared": "jobs.yaml:9", "missed": 0, "alarms": [],
                    "running": [{"pid": 99, "seconds": 75.0, "processes": 3}]}]},
        "spool": {"bytes": 2048, "max_bytes": 1 << 20, "unwritten": 0, "dropped": []},
        "collectors": [], "notify": [], "lost": [],
        "dropped": [{"where": "stdout", "reason": "queue_full", "count": 9}],
    })
}

fn report(value: Value) -> Input {
    Input::Report(Box::new(serde_json::from_value::<Report>(value).unwrap()))
}

/// The same with a site, of which two are down, and a set of it that is in trouble.
fn with_site() -> Value {
    let mut answer = answer();
    answer["peers"] = json!({"members": {"alive": 3, "host_down": 1, "agent_down": 1, "left": 0}, "score": 0,
        "reached": 3, "asked": 4, "isolated": false, "notes": []});
    answer["engine"]["peers"] = json!([{"name": "web-hosts", "declared": "hosts.yaml:3", "members": 4,
        "shares": [true, false], "bounds": [
            {"name": "web-hosts.alive.min", "measure": "alive", "bound": "min", "severity": "critical", "limit": 0.8,
                "value": 0.75, "nearness": 1.067, "state": "firing", "since_seconds": 61.0},
            {"name": "web-hosts.down.max", "measure": "down", "bound": "max", "severity": "warning", "limit": 2.0,
                "value": 1.0, "nearness": 0.5, "state": "healthy"}]}]);
    answer["engine"]["firing"] = json!(["nginx.count.min", "web-hosts.alive.min", "backup.success"]);
    answer
}

/// Who is there, as this host, web-1, sees them.
fn site() -> Input {
    let members = json!([
        {"name": "web-1", "zone": "seoul-a", "labels": {"role": "web"}, "address": "10.0.0.1:7946", "state": "alive",
            "verdict": "alive", "since_seconds": 3700.0, "collector": "reached", "myself": true},
        {"name": "db-1", "zone": "", "labels": {}, "address": "10.0.0.5:7946", "state": "alive", "verdict": "alive",
            "since_seconds": 60.0, "heard_seconds": 2.0, "round_trip_seconds": 0.0123, "collector": "lost",
            "myself": false},
        {"name": "web-2", "zone": "seoul-a", "labels": {"role": "web", "rack": "7\u{1b}"},
            "address": "10.0.0.2:7946", "state": "down", "verdict": "host_down", "incident": "abcd12",
            "since_seconds": 75.0, "heard_seconds": 90.0, "round_trip_seconds": 0.0004, "collector": "reached",
            "myself": false},
        {"name": "web-3", "zone": "seoul-b", "labels": {}, "address": "10.0.0.3:7946", "state": "suspect",
            "verdict": "alive", "since_seconds": 3.0, "heard_seconds": 1.0, "collector": "unknown", "myself": false},
        {"name": "web-4", "zone": "seoul-b", "labels": {}, "address": "10.0.0.4:7946", "state": "down",
            "verdict": "agent_down", "since_seconds": 30.0, "collector": "reached", "myself": false},
    ]);
    Input::Peers(Ok(Box::new(serde_json::from_value(json!({ "me": {}, "members": members })).unwrap())))
}

fn alarms() -> Input {
    let event = json!({"time": "2026-11-22T00:58:55Z", "severity": "critical",
        "body": "nginx: 1 process, minimum 2; 4211 killed by SIGKILL from 99 (bash)",
        "attributes": {"since": "2026-11-22T00:58:55Z", "evidence": [
            {"process.pid": 4211, "process.executable.path": "/usr/sbin/nginx", "process.exit.signal": "SIGKILL",
                "killer.pid": 99, "killer.command": "bash\u{7}", "oom": false}]}});
    let on = json!({"left_out": 0, "alarms": [{"name": "nginx.count.min", "instance": null, "event": event}]});
    Input::Alarms(serde_json::from_value(on).unwrap())
}

fn told(number: u32, name: &str, body: &str, facts: &Value) -> Told {
    let event = json!({"id": number.to_string(), "time": format!("2026-11-22T01:00:{:02}.5Z", number % 60),
        "severity": "info", "name": name, "body": body, "attributes": facts});
    Told::of(event.to_string().as_bytes()).unwrap()
}

fn member(pid: u32, parent: u32, command: &str) -> Member {
    Member {
        pid,
        parent: Some(parent),
        user: Some("www-data".into()),
        comm: "nginx".into(),
        exe: "/usr/sbin/nginx".into(),
        command: command.into(),
        age_seconds: f64::from(pid),
        start_boot_ns: u64::from(pid),
        threads: 1,
        cpu: Some(f64::from(pid) / 1000.0),
        memory_bytes: Some(u64::from(pid) << 20),
        ..Member::default()
    }
}

fn roster() -> Input {
    let processes = vec![
        member(10, 1, "nginx: master"),
        member(20, 10, "nginx: worker \u{1b}[2J"),
        member(21, 20, "sh -c 'x'"),
        member(30, 10, "nginx: worker"),
        member(40, 999, "elsewhere"),
    ];
    Input::Roster(Ok(Box::new(Roster {
        name: "nginx".into(),
        members: 5,
        sampled: true,
        processes,
        ..Roster::default()
    })))
}

fn state() -> State {
    State::new(TimeZone::UTC)
}

/// A state that has heard of everything.
fn full() -> State {
    let mut state = state();
    let at = Duration::from_secs;
    state.step(at(0), report(answer()));
    let mut later = answer();
    later["agent"]["uptime"] = json!(3701.0);
    later["agent"]["cost"]["cpu_seconds"] = json!(3.705);
    later["agent"]["cost"]["wakeups"] = json!(4003);
    state.step(at(1), report(later));
    state.step(at(1), alarms());
    let exit = told(
        3,
        "procprobe.process.exit",
        "true (77) exited with code 0 after 3ms",
        &json!({"process.uptime": 0.003, "process.cpu.time": 0.001}),
    );
    let start = told(2, "procprobe.process.start", "true (77) started: /bin/true", &json!({}));
    state.step(at(1), Input::Told(vec![start, exit], 0));
    state
}

fn press(state: &mut State, code: KeyCode) -> Option<Effect> {
    state.step(Duration::from_secs(2), Input::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_text(state: &mut State, text: &str) {
    for letter in text.chars() {
        assert_eq!(press(state, KeyCode::Char(letter)), None);
    }
}

/// The picture's lines, without what is free at their ends.
fn picture(state: &mut State, columns: u16, rows: u16) -> String {
    lines(&drawn(state, LOOKS, columns, rows))
}

fn drawn(state: &mut State, looks: Looks, columns: u16, rows: u16) -> Buffer {
    let mut buffer = Buffer::empty(Rect::new(0, 0, columns, rows));
    draw(state, looks, &mut buffer);
    buffer
}

fn lines(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let mut text = String::new();
    for row in buffer.content().chunks(width) {
        let mut skip = 0;
        let mut line = String::new();
        for cell in row {
            // A wide letter covers the cell behind it.
            if skip == 0 {
                line.push_str(cell.symbol());
                skip = super::paint::width(cell.symbol()).max(1);
            }
            skip -= 1;
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
