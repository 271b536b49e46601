//! Against a real HTTP server that answers by a script.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use axum::Router;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use bytes::Bytes;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;
use crate::spool::{self, Class, Entry};
use crate::time::KTime;

/// One answer of the server.
#[derive(Clone, Copy)]
enum Answer {
    Status(u16),
    Later(u16, &'static str),
    /// Takes the request and never answers.
    Stall,
}

#[derive(Default)]
struct Heard {
    script: Vec<Answer>,
    /// Bodies, with what was answered.
    bodies: Vec<(u16, String)>,
    headers: Vec<HeaderMap>,
    at: Vec<tokio::time::Instant>,
}

type Log = Arc<Mutex<Heard>>;

/// A server that answers by the script and then 200 for ever.
async fn server(script: &[Answer]) -> (String, Log) {
    let log: Log = Arc::new(Mutex::new(Heard { script: script.to_vec(), ..Heard::default() }));
    let router = Router::new().route("/events", post(answer)).with_state(Arc::clone(&log));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, log)
}

async fn answer(Extract(log): Extract<Log>, headers: HeaderMap, body: String) -> Response {
    let answer = {
        let mut heard = lock(&log);
        let answer = if heard.script.is_empty() { Answer::Status(200) } else { heard.script.remove(0) };
        let status = match answer {
            Answer::Status(status) | Answer::Later(status, _) => status,
            Answer::Stall => 0,
        };
        heard.bodies.push((status, body));
        heard.headers.push(headers);
        heard.at.push(tokio::time::Instant::now());
        answer
    };
    match answer {
        Answer::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answer::Later(status, after) => {
            (StatusCode::from_u16(status).unwrap(), [("retry-after", after)]).into_response()
        }
        Answer::Stall => std::future::pending().await,
    }
}

fn settings(urls: &[&str]) -> Settings {
    Settings {
        endpoints: urls.iter().map(|url| Endpoint::parse(url).unwrap()).collect(),
        limits: Limits {
            connect_timeout: Duration::from_millis(500),
            request_timeout: Duration::from_millis(300),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(2),
            ..Limits::default()
        },
        ..Settings::to(Vec::new())
    }
}

/// A spool in a folder of its own and the way from it to a collector.
struct Rig {
    dir: tempfile::TempDir,
    spool: Spool,
    forwarder: Forwarder,
}

const SINK: &str = "collector";

impl Rig {
    /// What is offered at the end is there before the collector is asked for the first time.
    fn filled(settings: Settings, seqs: std::ops::RangeInclusive<u64>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let spool = open_spool(&dir);
        seqs.clone().for_each(|seq| spool.offer(entry(seq), seq == *seqs.end()));
        let end = seqs.clone().count() as u64;
        while spool.reader(SINK, false).gauge().read().events < end {
            std::thread::sleep(Duration::from_millis(1));
        }
        let forwarder = spawn(settings, &spool, &dir).unwrap();
        Self { dir, spool, forwarder }
    }

    fn offer(&self, seqs: std::ops::RangeInclusive<u64>) {
        seqs.for_each(|seq| self.spool.offer(entry(seq), true));
    }

    /// Everything goes out, however long it takes.
    async fn close(self) -> (u64, Vec<Dropped>) {
        let Self { spool, forwarder, .. } = self;
        assert_eq!(spool.close(Duration::from_secs(10)), 0);
        let shared = Arc::clone(&forwarder.shared);
        assert_eq!(forwarder.close(Duration::from_secs(20)).await, 0);
        let state = lock(&shared.state);
        (state.sent_events, state.tally.totals())
    }

    fn status(&self) -> Status {
        self.forwarder.status(Wall(0))
    }

    fn dead_letters(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("dead/dead.ndjson")).unwrap_or_default()
    }
}

fn open_spool(dir: &tempfile::TempDir) -> Spool {
    let limits = spool::Limits::of(64 << 20, spool::WhenFull::DropOldest);
    let settings = spool::Settings { linger: Duration::from_millis(5), ..spool::Settings::of(limits) };
    Spool::open(&dir.path().join("spool"), settings, &[SINK.to_owned()]).unwrap().0
}

fn spawn(settings: Settings, spool: &Spool, dir: &tempfile::TempDir) -> Result<Forwarder, StartError> {
    let client = Client::new(&settings)?;
    Ok(Forwarder::spawn(settings, client, spool, SINK, Arc::new(DeadLetters::in_state(dir.path()))))
}

/// Every tenth is an alarm.
fn entry(seq: u64) -> Entry {
    let class = if seq.is_multiple_of(10) { Class::Alarm } else { Class::Process };
    Entry { class, wall: 0, line: Bytes::from(format!("{seq}\n")) }
}

/// The numbers in the bodies that were answered 200, in order.
fn accepted(log: &Log) -> Vec<u64> {
    let heard = lock(log);
    let bodies = heard.bodies.iter().filter(|(status, _)| (200..300).contains(status));
    bodies.flat_map(|(_, body)| body.lines().map(|line| line.parse().unwrap())).collect()
}

fn counts(status: &Status) -> Vec<(&str, u64)> {
    status.dropped.iter().map(|dropped| (dropped.reason.as_str(), dropped.count)).collect()
}

/// Runs events 1 to 5 against a script: all that is not rejected arrives, in order, once.
async fn check(script: &[Answer], rejected: u64, requests: usize) -> Log {
    let (url, log) = server(script).await;
    let (sent, dropped) = Rig::filled(settings(&[&url]), 1..=5).close().await;
    let expected: Vec<u64> = if rejected == 0 { (1..=5).collect() } else { Vec::new() };
    assert_eq!(accepted(&log), expected);
    let dropped: Vec<_> = dropped.iter().map(|dropped| (dropped.reason.as_str(), dropped.count)).collect();
    match rejected {
        0 => assert_eq!((sent, dropped), (5, vec![])),
        count => assert_eq!((sent, dropped), (0, vec![("rejected", count)])),
    }
    assert_eq!(lock(&log).bodies.len(), requests);
    log
}

#[tokio::test]
async fn a_batch_is_one_post_of_ndjson() {
    for status in [200, 202, 204] {
        let log = check(&[Answer::Status(status)], 0, 1).await;
        let heard = lock(&log);
        assert_eq!(heard.bodies[0].1, "1\n2\n3\n4\n5\n");
        assert_eq!(heard.headers[0]["content-type"], "application/x-ndjson");
        assert!(heard.headers[0].get("authorization").is_none());
    }
}

#[tokio::test]
async fn what_may_heal_is_sent_again() {
    for status in [401, 403, 408, 429, 500, 502, 503, 504, 302] {
        check(&[Answer::Status(status), Answer::Status(status)], 0, 3).await;
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_set_aside_counted_and_does_not_come_again() {
    for code in [400, 404, 415, 422] {
        let (url, log) = server(&[Answer::Status(code)]).await;
        let rig = Rig::filled(settings(&[&url]), 1..=5);
        while rig.status().dropped.is_empty() || rig.status().queued_events > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let status = rig.status();
        assert_eq!(counts(&status), [("rejected", 5)]);
        assert!(!status.healthy && status.last_error.unwrap().contains(&code.to_string()));
        let dead = rig.dead_letters();
        let (told, events) = dead.split_once('\n').unwrap();
        let told: serde_json::Value = serde_json::from_str(told).unwrap();
        assert_eq!(
            (&told["dead_letters"], &told["rejected"], &told["collector"]),
            (&5.into(), &5.into(), &url.as_str().into())
        );
        assert!(told["why"].as_str().unwrap().contains(&code.to_string()), "{told}");
        assert_eq!(events, "1\n2\n3\n4\n5\n");
        // The spool knows of it too: it is told also when this run ends here.
        let untold = rig.spool.untold(KTime::from_secs(100));
        assert_eq!(untold, [Dropped { place: "forward".into(), reason: "rejected".into(), count: 5 }]);
        rig.offer(6..=6);
        rig.close().await;
        assert_eq!(accepted(&log), [6]);
    }
}

#[tokio::test]
async fn of_a_batch_that_is_taken_in_part_the_rest_is_set_aside_and_nothing_comes_again() {
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    let partial = async move || {
        *lock(&counted) += 1;
        let body = r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no more"}}"#;
        ([("content-type", "application/json")], body)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&[&format!("http://{}", listener.local_addr().unwrap())]);
    settings.wire.protocol = Protocol::Otlp;
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/logs", post(partial))).await });
    let rig = Rig::filled(settings, 1..=5);
    while rig.status().dropped.is_empty() || rig.status().queued_events > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let status = rig.status();
    assert_eq!((counts(&status), status.sent_events), (vec![("rejected", 2)], 3));
    let dead = rig.dead_letters();
    let told: serde_json::Value = serde_json::from_str(dead.lines().next().unwrap()).unwrap();
    // Which two it was the collector does not say: all of the batch is kept.
    assert_eq!((&told["dead_letters"], &told["rejected"]), (&5.into(), &2.into()), "{dead}");
    assert!(told["why"].as_str().unwrap().contains("no more"), "{told}");
    rig.close().await;
    assert_eq!(*lock(&asked), 1);
}

#[tokio::test]
async fn a_stalling_collector_is_given_up_and_asked_again() {
    check(&[Answer::Stall], 0, 2).await;
}

#[tokio::test]
async fn retry_after_is_kept() {
    let log = check(&[Answer::Later(429, "1")], 0, 2).await;
    let at = lock(&log).at.clone();
    assert!(at[1] - at[0] >= Duration::from_secs(1), "{:?}", at[1] - at[0]);
}

#[tokio::test]
async fn retry_after_as_a_date_is_understood() {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let date = soon.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let log = check(&[Answer::Later(503, date.leak())], 0, 2).await;
    let at = lock(&log).at.clone();
    assert!(at[1] - at[0] >= Duration::from_millis(900), "{:?}", at[1] - at[0]);
}

#[tokio::test]
async fn too_large_a_batch_is_halved_down_to_the_one_that_is() {
    let status = Answer::Status;
    // 5 -> 2 + 3; 2 goes; 3 -> 1 + 2; 1 goes; 2 goes
    check(&[status(413), status(200), status(413)], 0, 5).await;
    let (url, _) = server(&[status(413)]).await;
    let rig = Rig::filled(settings(&[&url]), 1..=1);
    while rig.status().dropped.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(counts(&rig.status()), [("rejected", 1)]);
}

#[tokio::test]
async fn batches_are_bounded_in_events_and_bytes() {
    for (events, bytes, largest) in [(10, 1 << 20, 10), (1000, 20, 20)] {
        let (url, log) = server(&[]).await;
        let mut settings = settings(&[&url]);
        settings.limits.batch_events = events;
        settings.limits.batch_bytes = bytes;
        Rig::filled(settings, 1..=95).close().await;
        assert_eq!(accepted(&log), (1..=95).collect::<Vec<_>>());
        for (_, body) in &lock(&log).bodies {
            assert!(body.lines().count() <= events && body.len() <= bytes.max(largest), "{body}");
        }
        assert!(lock(&log).bodies.len() >= 10);
    }
}

#[tokio::test]
async fn alarms_of_a_backlog_come_first_and_nothing_comes_twice_or_never() {
    let (url, log) = server(&[]).await;
    let mut settings = settings(&[&url]);
    settings.alarms_first = true;
    settings.limits.batch_events = 7;
    let rig = Rig::filled(settings, 1..=200);
    while accepted(&log).len() < 200 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Caught up, order holds.
    rig.offer(201..=203);
    rig.close().await;
    let alarms = (1..=20).map(|tens| tens * 10);
    let rest = (1..=200).filter(|seq| seq % 10 != 0);
    let expected: Vec<u64> = alarms.chain(rest).chain(201..=203).collect();
    assert_eq!(accepted(&log), expected);
}

#[tokio::test]
async fn a_backlog_is_sent_no_faster_than_allowed() {
    let (url, log) = server(&[]).await;
    let mut settings = settings(&[&url]);
    settings.limits.batch_events = 10;
    // 10 events of 3 bytes each in 0.1 s.
    settings.catch_up = Some(300);
    let began = tokio::time::Instant::now();
    Rig::filled(settings, 100..=149).close().await;
    assert_eq!(accepted(&log), (100..=149).collect::<Vec<_>>());
    // Five batches; the first may go at once, and behind the last nothing waits.
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let at = lock(&log).at.clone();
    assert!(at.windows(2).take(3).all(|pair| pair[1] - pair[0] >= Duration::from_millis(90)), "{at:?}");
}

#[tokio::test]
async fn a_dead_collector_costs_disk_and_what_waits_goes_to_the_next_run() {
    // Bound and never accepted from, then gone: refused.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let down = settings(&[&format!("http://u:hunter2@{dead}/events?key=hunter2")]);
    let rig = Rig::filled(down, 1..=3);
    while rig.status().failures == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let status = rig.status();
    assert_eq!((status.queued_events, status.healthy, status.dropped.len()), (3, false, 0), "{status:?}");
    assert!(!format!("{status:?}").contains("hunter2"), "{status:?}");
    let Rig { dir, spool, forwarder } = rig;
    let began = tokio::time::Instant::now();
    assert_eq!(forwarder.close(Duration::from_millis(100)).await, 3);
    assert!(began.elapsed() < Duration::from_secs(5));
    spool.close(Duration::from_secs(5));
    let (url, log) = server(&[]).await;
    let spool = open_spool(&dir);
    let forwarder = spawn(settings(&[&url]), &spool, &dir).unwrap();
    Rig { dir, spool, forwarder }.close().await;
    assert_eq!(accepted(&log), [1, 2, 3]);
}

#[tokio::test]
async fn the_next_url_takes_over_and_the_first_takes_back() {
    let (first, first_log) = server(&[Answer::Status(503)]).await;
    let (second, second_log) = server(&[]).await;
    let rig = Rig::filled(settings(&[&first, &second]), 1..=1);
    while accepted(&second_log).is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    rig.offer(2..=2);
    rig.close().await;
    assert_eq!((accepted(&first_log), accepted(&second_log)), (vec![2], vec![1]));
}

/// A server that reads the request and hangs up, `times` times; then it is gone for good.
async fn hangs_up(times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    url
}

#[tokio::test]
async fn a_connection_that_closes_early_loses_nothing() {
    let rude = hangs_up(1).await;
    let (good, log) = server(&[]).await;
    Rig::filled(settings(&[&rude, &good]), 1..=5).close().await;
    assert_eq!(accepted(&log), [1, 2, 3, 4, 5]);
}

fn token_file(dir: &tempfile::TempDir, text: &str, mode: u32) -> PathBuf {
    let path = dir.path().join("token");
    let _ = std::fs::remove_file(&path);
    let mut file = std::fs::OpenOptions::new().create(true).write(true).truncate(true).mode(mode).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    path
}

#[tokio::test]
async fn the_token_is_sent_and_read_again_when_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (url, log) = server(&[Answer::Status(200), Answer::Status(401)]).await;
    let mut settings = settings(&[&url]);
    settings.token_file = Some(token_file(&dir, "first\n", 0o600));
    let rig = Rig::filled(settings, 1..=1);
    while accepted(&log).is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    token_file(&dir, "second\n", 0o600);
    rig.offer(2..=2);
    rig.close().await;
    let tokens: Vec<_> =
        lock(&log).headers.iter().map(|headers| headers["authorization"].to_str().unwrap().to_owned()).collect();
    assert_eq!(tokens, ["Bearer first", "Bearer first", "Bearer second"]);
    assert_eq!(accepted(&log), [1, 2]);
}

#[tokio::test]
async fn a_token_file_that_cannot_serve_is_refused_without_showing_it() {
    let dir = tempfile::tempdir().unwrap();
    let cases =
        [("hunter2", 0o644, "chmod o-rwx"), ("", 0o600, "empty"), ("hunter2\nhunter3", 0o600, "one line of printable")];
    for (text, mode, expected) in cases {
        let mut settings = settings(&["http://127.0.0.1:9/"]);
        settings.token_file = Some(token_file(&dir, text, mode));
        let error = Client::new(&settings).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hunter"), "{error}");
    }
    let mut settings = settings(&["http://127.0.0.1:9/"]);
    settings.token_file = Some(dir.path().join("missing"));
    assert!(Client::new(&settings).unwrap_err().to_string().contains("missing"));
}

#[tokio::test]
async fn https_finds_its_roots_and_refuses_what_is_no_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 200 OK\r\n\r\n").await;
        }
    });
    let rig = Rig::filled(settings(&[&url]), 1..=1);
    while rig.status().failures == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(rig.status().sent_events, 0);
}

#[test]
fn each_collector_has_a_name_of_its_own_that_holds_no_secret() {
    let collectors = ["http://u:hunter2@a/?key=1", "http://b/", "http://a/?key=hunter2", "http://a/"];
    let names = Settings::names(&collectors.map(|url| Settings::to(vec![Endpoint::parse(url).unwrap()])));
    assert_eq!(names, ["http://a/", "http://b/", "http://a/ 2", "http://a/ 3"]);
}
