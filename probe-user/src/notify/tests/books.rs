//! What an Alertmanager is told: alerts by their labels, while they last, and their ends.

use super::*;

/// One step: seconds, and what happens.
enum Step {
    On(&'static str, Option<&'static str>),
    Off(&'static str, Option<&'static str>),
    /// Tells what is due and takes note of it.
    Tell,
}
use Step::{Off, On, Tell};

fn notice(seconds: u64, alarm: &str, instance: Option<&str>, kind: &str, turn: AlarmTurn) -> Notice {
    let alarm = Alarm { name: alarm.into(), instance: instance.map(Into::into), turn, notify: vec!["pager".into()] };
    let time = format!("2026-01-01T00:{:02}:{:02}.000000000Z", seconds / 60, seconds % 60);
    let event = json!({
        "id": "h:b:1", "time": time, "severity": "critical", "body": "app: 1 process", "host": {"host.name": "web-1"},
        "attributes": {"policy.name": "app", "policy.kind": kind, "measure": "count", "bound": "min", "limit": 2,
            "value": 1, "since": time, "evidence": [{"process.pid": 7, "oom": false}]},
    });
    Notice::new(&alarm, &format!("h:b:{seconds}"), &Bytes::from(event.to_string()))
}

/// Plays steps; each telling is one line: second, and `alertname[@instance] since..end` of each alert.
#[track_caller]
fn check(kind: &str, steps: &[(u64, Step)], expected: &[&str]) -> Value {
    let mut book = Book::new(vec![("team".into(), "web".into()), ("severity".into(), "mine".into())]);
    let start = tokio::time::Instant::now();
    let midnight: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let (mut told, mut last) = (Vec::new(), Value::Null);
    for (seconds, step) in steps {
        match step {
            On(alarm, instance) => book.note(&notice(*seconds, alarm, *instance, kind, AlarmTurn::Fired)),
            Off(alarm, instance) => book.note(&notice(*seconds, alarm, *instance, kind, AlarmTurn::Resolved)),
            Tell => {
                let now = start + Duration::from_secs(*seconds);
                let wall = midnight + Duration::from_secs(*seconds);
                let Some(batch) = book.due(now, wall) else {
                    told.push(format!("{seconds}"));
                    continue;
                };
                let alerts: Vec<Value> = serde_json::from_slice(&batch.body).unwrap();
                let words = alerts.iter().map(|alert| {
                    let instance = alert["labels"]["instance"].as_str().map(|i| format!("@{i}")).unwrap_or_default();
                    let at = |name: &str| {
                        let time: jiff::Timestamp = alert[name].as_str().unwrap().parse().unwrap();
                        time.as_second() - midnight.as_second()
                    };
                    let name = alert["labels"]["alertname"].as_str().unwrap();
                    format!("{name}{instance} {}..{}", at("startsAt"), at("endsAt"))
                });
                told.push(format!("{seconds} {}", words.collect::<Vec<_>>().join(", ")));
                last = alerts[0].clone();
                book.told(&batch, now);
            }
        }
    }
    assert_eq!(told, expected);
    last
}

#[test]
fn an_alert_is_told_again_while_it_lasts_and_its_end_once() {
    let steps = [
        (0, Tell),
        (1, On("app.count.min", None)),
        (2, Tell),
        (30, Tell),
        (62, Tell),
        (70, On("app.count.min", None)),
        (71, Tell),
        (90, Off("app.count.min", None)),
        (91, Tell),
        (400, Tell),
    ];
    let told = ["0", "2 app.count.min 1..302", "30", "62 app.count.min 1..362", "71 app.count.min 1..371"];
    let end = ["91 app.count.min 1..90", "400"];
    let alert = check("group", &steps, &[told.as_slice(), &end].concat());
    let labels = json!({"alertname": "app.count.min", "bound": "min", "host": "web-1", "kind": "group", "measure": "count",
        "policy": "app", "severity": "critical", "team": "web"});
    assert_eq!(alert["labels"], labels);
    assert_eq!(alert["annotations"]["summary"], "app: 1 process");
    assert_eq!(alert["annotations"]["value"], "1");
    assert_eq!(alert["annotations"]["evidence"], "process.pid=7 oom=false");
}

#[test]
fn the_alarm_of_many_processes_is_one_alert_until_the_last_is_well() {
    let steps = [
        (1, On("app.memory.max", Some("11"))),
        (3, On("app.memory.max", Some("12"))),
        (4, Tell),
        (5, Off("app.memory.max", Some("11"))),
        (6, Tell),
        (7, Off("app.memory.max", Some("12"))),
        (8, Tell),
    ];
    check("group", &steps, &["4 app.memory.max 1..304", "6", "8 app.memory.max 1..7"]);
}

#[test]
fn disks_are_alerts_of_their_own() {
    let steps = [
        (1, On("host.disk_free.min", Some("/"))),
        (2, On("host.disk_free.min", Some("/srv"))),
        (3, Tell),
        (4, Off("host.disk_free.min", Some("/"))),
        (5, Tell),
    ];
    check(
        "host",
        &steps,
        &["3 host.disk_free.min@/ 1..303, host.disk_free.min@/srv 2..303", "5 host.disk_free.min@/ 1..4"],
    );
}

#[test]
fn what_begins_anew_before_its_end_was_told_is_on() {
    let steps = [
        (1, On("a", None)),
        (2, Tell),
        (3, Off("a", None)),
        (4, On("a", None)),
        (5, Tell),
        (6, Off("b", None)),
        (7, Tell),
    ];
    check("log", &steps, &["2 a 1..302", "5 a 4..305", "7"]);
}

#[test]
fn what_changed_while_it_was_told_is_told_again() {
    let mut book = Book::new(Vec::new());
    let (now, wall) = (tokio::time::Instant::now(), jiff::Timestamp::now());
    book.note(&notice(1, "a", None, "log", AlarmTurn::Fired));
    let batch = book.due(now, wall).unwrap();
    book.note(&notice(2, "a", None, "log", AlarmTurn::Resolved));
    book.told(&batch, now);
    assert_eq!((book.untold(), book.on()), (1, 0));
    let batch = book.due(now, wall).unwrap();
    book.told(&batch, now);
    assert_eq!((book.untold(), book.next(now)), (0, None));
}
