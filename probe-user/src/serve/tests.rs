//! Server and client against each other, with a pipeline of a few lines.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::client::{Told, alarms, events, group, history, matches, measures, status};
use super::events::STREAMS;
use super::*;
use crate::spool::{Class, Entry, Spool};

fn api(dir: &tempfile::TempDir) -> Api {
    Api { socket: dir.path().join("api.sock"), mode: 0o600, group: None }
}

fn report() -> StatusReport {
    StatusReport {
        log_files: None,
        agent: AgentReport { version: "1".into(), pid: 7, uptime: 1.5, ..AgentReport::default() },
        engine: engine::Status { started: true, ..engine::Status::default() },
        lost: vec![Dropped { place: "kernel".into(), reason: "ring_full".into(), count: 3 }],
        ..StatusReport::default()
    }
}

/// Answers as the pipeline does; a match gets its subject back.
async fn answer(inbox: mpsc::Receiver<Query>) {
    let dir = tempfile::tempdir().unwrap();
    let spool = Arc::new(spooled(&dir));
    answer_from(inbox, spool).await;
}

async fn answer_from(mut inbox: mpsc::Receiver<Query>, spool: Arc<Spool>) {
    while let Some(query) = inbox.recv().await {
        match query {
            Query::Status { reply } => drop(reply.send(report())),
            Query::Events { since, follow, reply } => {
                let view = spool.view();
                let view = if follow { view.from_now() } else { view };
                let since = since.map_or(i64::MIN, |since| i64::try_from(since.as_secs()).unwrap());
                let _ = reply.send(view.since(since));
            }
            Query::Peers { reply } => drop(reply.send(None)),
            Query::Group { name, reply } => {
                let roster = Roster { name: name.clone(), members: 1, ..Roster::default() };
                let _ = reply.send((name == "a b&c").then_some(roster));
            }
            Query::History { name, since, step, reply } => {
                let step_seconds = step.map_or(since.as_secs_f64(), |step| step.as_secs_f64());
                let report = HistoryReport { name: name.clone(), step_seconds, ..HistoryReport::default() };
                let _ = reply.send((name == "a b&c").then_some(report));
            }
            Query::Measures { since, reply } => {
                let _ = reply.send(MeasuresReport { from: since.as_secs().to_string(), ..MeasuresReport::default() });
            }
            Query::Alarms { reply } => {
                let told = |name: &str, event: &'static str| ToldAlarm {
                    name: name.into(),
                    instance: Some("}".into()),
                    event: Bytes::from_static(event.as_bytes()),
                };
                let alarms = vec![told("a\"}", "{\"body\":\"x\"}\n"), told("b", "{}")];
                let _ = reply.send(AlarmsOn { alarms, left_out: 2 });
            }
            Query::Match { subject, reply } => {
                let verdict = Verdict { why: format!("{subject:?}"), ..Verdict::default() };
                let _ = reply.send(Ok(MatchReport { process: None, groups: vec![verdict] }));
            }
        }
    }
}

fn spooled(dir: &tempfile::TempDir) -> Spool {
    let limits = spool::Limits::of(64 << 20, spool::WhenFull::DropOldest);
    Spool::open(&dir.path().join("spool"), spool::Settings::of(limits), &[]).unwrap().0
}

/// The number is its time too; every tenth is an alarm.
fn entry(number: i64, padding: usize) -> Entry {
    let name = if number % 10 == 0 { "procprobe.policy.firing" } else { "procprobe.process.exit" };
    let line = format!("{{\"name\":\"{name}\",\"seq\":{number},\"x\":\"{}\"}}\n", "x".repeat(padding));
    Entry { class: Class::of(name), wall: number, line: line.into() }
}

fn numbers(lines: &[Vec<u8>]) -> Vec<i64> {
    let number = |line: &Vec<u8>| serde_json::from_slice::<serde_json::Value>(line).unwrap()["seq"].as_i64().unwrap();
    lines.iter().map(number).collect()
}

/// Waits until everything is on disk.
async fn on_disk(spool: &Spool) {
    let mut view = spool.view().from_now();
    while spool.status().unwritten > 0 {
        let _ = tokio::time::timeout(Duration::from_millis(20), view.ready()).await;
    }
    assert_eq!(spool.status().dropped, []);
}

#[tokio::test]
async fn the_history_is_told_from_a_moment_on_by_name_and_as_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Arc::new(spooled(&dir));
    (1..=3000).for_each(|number| spool.offer(entry(number, 50), number == 3000));
    on_disk(&spool).await;
    let (_server, inbox) = spawn(&api(&dir)).unwrap();
    tokio::spawn(answer_from(inbox, Arc::clone(&spool)));
    let socket = api(&dir).socket;
    for (since, name, expected) in [
        (None, None, (1..=3000).collect::<Vec<_>>()),
        (Some("2990s"), None, (2990..=3000).collect()),
        (None, Some("*.policy.*"), (1..=300).map(|tens| tens * 10).collect()),
        (Some("2990s"), Some("procprobe.policy.firing"), vec![2990, 3000]),
        (None, Some("nothing"), vec![]),
    ] {
        let told = Told { since: since.map(str::to_owned), name: name.map(str::to_owned), follow: false };
        let mut lines = Vec::new();
        let take = |line: &[u8]| {
            lines.push(line.to_vec());
            true
        };
        events(&socket, &told, take).await.unwrap();
        assert_eq!(numbers(&lines), expected, "{told:?}");
    }
    let told = Told { name: Some("*.policy.*".into()), follow: true, ..Told::default() };
    let (sender, mut lines) = mpsc::unbounded_channel();
    let following =
        tokio::spawn(async move { events(&socket, &told, |line| sender.send(line.to_vec()).is_ok()).await });
    // It follows from some moment on: what comes behind that comes in order.
    let mut next = 3010;
    let first = loop {
        spool.offer(entry(next, 0), true);
        match tokio::time::timeout(Duration::from_millis(50), lines.recv()).await {
            Ok(line) => break numbers(&[line.unwrap()])[0],
            Err(_) => next += 10,
        }
    };
    spool.offer(entry(next + 1, 0), true);
    spool.offer(entry(next + 10, 0), true);
    let mut seen = vec![first];
    while *seen.last().unwrap() < next + 10 {
        seen.extend(numbers(&[lines.recv().await.unwrap()]));
    }
    assert!(seen.windows(2).all(|pair| pair[1] == pair[0] + 10), "{seen:?}");
    drop(lines);
    spool.offer(entry(next + 20, 0), true);
    following.await.unwrap().unwrap();
}

#[tokio::test]
async fn few_histories_are_read_at_a_time_and_a_gone_reader_makes_room() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, socket) = serving(&dir);
    let mut readers = Vec::new();
    for _ in 0..STREAMS {
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_all(b"GET /v1/events?follow=true HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 15];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 200 OK");
        readers.push(stream);
    }
    let refused = raw(&socket, "GET /v1/events HTTP/1.1").await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    status(&socket).await.unwrap();
    readers.pop();
    let began = tokio::time::Instant::now();
    while raw(&socket, "GET /v1/events HTTP/1.1").await.starts_with("HTTP/1.1 503") {
        assert!(began.elapsed() < Duration::from_secs(20), "its place is still taken");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn serving(dir: &tempfile::TempDir) -> (Server, PathBuf) {
    let (server, inbox) = spawn(&api(dir)).unwrap();
    tokio::spawn(answer(inbox));
    (server, api(dir).socket)
}

/// One raw request; the whole answer.
async fn raw(socket: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn status_and_match_go_through_the_pipeline() {
    let dir = tempfile::tempdir().unwrap();
    let (server, socket) = serving(&dir);
    let told = status(&socket).await.unwrap();
    assert_eq!(told, json!(report()));
    let fields = Fields { exe: Some("/a b/ü&c".into()), args: Some("-x=1 +2".into()), ..Fields::default() };
    for subject in [Subject::Pid(4211), Subject::Fields(fields)] {
        let told = matches(&socket, &subject).await.unwrap();
        assert_eq!(told.groups[0].why, format!("{subject:?}"));
    }
    server.close();
    assert!(!socket.exists());
}

#[tokio::test]
async fn members_and_alarms_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, socket) = serving(&dir);
    assert_eq!(group(&socket, "a b&c").await.unwrap().members, 1);
    let missing = group(&socket, "no\nsuch").await.unwrap_err().to_string();
    assert!(missing.contains("there is no group or job `no\\nsuch`"), "{missing}");
    let on: serde_json::Value = alarms(&socket).await.unwrap();
    let expected = json!({"left_out": 2, "alarms": [
        {"name": "a\"}", "instance": "}", "event": {"body": "x"}}, {"name": "b", "instance": "}", "event": {}},
    ]});
    assert_eq!(on, expected);
}

#[tokio::test]
async fn histories_of_measures_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, socket) = serving(&dir);
    assert_eq!(history(&socket, "a b&c", "90s", None).await.unwrap().step_seconds.to_bits(), 90_f64.to_bits());
    assert_eq!(history(&socket, "a b&c", "2h", Some("1m")).await.unwrap().step_seconds.to_bits(), 60_f64.to_bits());
    let missing = history(&socket, "no\nsuch", "1h", None).await.unwrap_err().to_string();
    assert!(missing.contains("there is no group or job `no\\nsuch`"), "{missing}");
    for (since, step, what) in [("soon", None, "since: "), ("1h", Some("x"), "step: ")] {
        let refused = history(&socket, "a b&c", since, step).await.unwrap_err().to_string();
        assert!(refused.contains(what), "{refused}");
    }
    assert_eq!(measures(&socket, "24h").await.unwrap().from, "86400");
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, socket) = serving(&dir);
    for (request, expected) in [
        ("GET /v1/match HTTP/1.1", "400 "),
        ("GET /v1/match?pid=x HTTP/1.1", "400 "),
        ("GET /v1/match?pid=-1 HTTP/1.1", "400 "),
        ("GET /v1/match?pid=1&exe=a HTTP/1.1", "400 "),
        ("GET /v1/match?nonsense=1 HTTP/1.1", "400 "),
        ("GET /v1/match?pid=1 HTTP/1.1", "200 "),
        ("GET /v1/group HTTP/1.1", "400 "),
        ("GET /v1/group?name=x HTTP/1.1", "404 "),
        ("GET /v1/group?name=a%20b%26c HTTP/1.1", "200 "),
        ("GET /v1/alarms HTTP/1.1", "200 "),
        ("GET /v1/events?since=10 HTTP/1.1", "400 "),
        ("GET /v1/events?name=[ HTTP/1.1", "400 "),
        ("GET /v1/events?folow=true HTTP/1.1", "400 "),
        ("GET /v1/events?since=10m&name=*.exit HTTP/1.1", "200 "),
        ("GET /v2/status HTTP/1.1", "404 "),
        ("POST /v1/status HTTP/1.1", "405 "),
    ] {
        let answer = raw(&socket, request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{request}: {answer}");
        // What is no HTTP gets no answer that is sure to arrive, and does no harm.
        let mut stream = UnixStream::connect(&socket).await.unwrap();
        stream.write_all(b"\0nonsense\r\n\r\n").await.unwrap();
    }
}

async fn check_error(socket: &Path, expected: &str) {
    let error = status(socket).await.unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[tokio::test]
async fn without_a_daemon_the_error_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let socket = api(&dir).socket;
    check_error(&socket, "start one with `procprobe run`").await;
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    check_error(&socket, "no procprobe daemon answers").await;
}

#[tokio::test]
async fn a_daemon_that_ends_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, inbox) = spawn(&api(&dir)).unwrap();
    drop(inbox);
    check_error(&api(&dir).socket, "the daemon is ending").await;
}

#[tokio::test]
async fn something_else_on_the_socket_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(api(&dir).socket).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await;
            // Until the client is done, or its answer would be cut.
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    check_error(&api(&dir).socket, "not procprobe's").await;
}

#[tokio::test]
async fn idle_clients_do_not_keep_others_out_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let lifetime = Duration::from_millis(100);
    let (_server, inbox) = spawn_with(&api(&dir), lifetime).unwrap();
    tokio::spawn(answer(inbox));
    let socket = api(&dir).socket;
    let mut idle = Vec::new();
    for _ in 0..40 {
        idle.push(UnixStream::connect(&socket).await.unwrap());
    }
    let began = tokio::time::Instant::now();
    let answer = raw(&socket, "GET /v1/status HTTP/1.1").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(began.elapsed() >= lifetime, "there was no room before");
}
