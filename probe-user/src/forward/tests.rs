//! Against a real HTTP server that answers by a script.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;

use axum::Router;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::*;

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
        token_file: None,
        wire: Wire::default(),
        limits: Limits {
            linger: Duration::from_millis(10),
            connect_timeout: Duration::from_millis(500),
            request_timeout: Duration::from_millis(300),
            backoff_min: Duration::from_millis(10),
            backoff_max: Duration::from_secs(2),
            ..Limits::default()
        },
    }
}

fn offer(forwarder: &Forwarder, seqs: std::ops::RangeInclusive<u64>) {
    for seq in seqs {
        forwarder.offer(Bytes::from(format!("{seq}\n")), false);
    }
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
async fn check(script: &[Answer], rejected: u64, requests: usize) -> (Status, Log) {
    let (url, log) = server(script).await;
    let forwarder = Forwarder::spawn(settings(&[&url])).unwrap();
    offer(&forwarder, 1..=5);
    let shared = Arc::clone(&forwarder.shared);
    assert_eq!(forwarder.close(Duration::from_secs(20)).await, 0);
    let status = Forwarder { shared, task: tokio::spawn(async {}) }.status();
    let expected: Vec<u64> = if rejected == 0 { (1..=5).collect() } else { Vec::new() };
    assert_eq!(accepted(&log), expected);
    assert_eq!(
        (status.sent_events, counts(&status)),
        match rejected {
            0 => (5, vec![]),
            count => (0, vec![("rejected", count)]),
        }
    );
    assert_eq!(lock(&log).bodies.len(), requests);
    (status, log)
}

#[tokio::test]
async fn a_batch_is_one_post_of_ndjson() {
    for status in [200, 202, 204] {
        let (status, log) = check(&[Answer::Status(status)], 0, 1).await;
        assert!(status.healthy);
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
async fn what_is_refused_for_good_is_dropped_and_counted() {
    for code in [400, 404, 415, 422] {
        let (status, _) = check(&[Answer::Status(code)], 5, 1).await;
        assert!(!status.healthy && status.last_error.unwrap().contains(&code.to_string()));
    }
}

#[tokio::test]
async fn a_stalling_collector_is_given_up_and_asked_again() {
    check(&[Answer::Stall], 0, 2).await;
}

#[tokio::test]
async fn retry_after_is_kept() {
    let (_, log) = check(&[Answer::Later(429, "1")], 0, 2).await;
    let at = lock(&log).at.clone();
    assert!(at[1] - at[0] >= Duration::from_secs(1), "{:?}", at[1] - at[0]);
}

#[tokio::test]
async fn retry_after_as_a_date_is_understood() {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let date = soon.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let (_, log) = check(&[Answer::Later(503, date.leak())], 0, 2).await;
    let at = lock(&log).at.clone();
    assert!(at[1] - at[0] >= Duration::from_millis(900), "{:?}", at[1] - at[0]);
}

#[tokio::test]
async fn too_large_a_batch_is_halved_down_to_the_one_that_is() {
    let status = Answer::Status;
    // 5 -> 2 + 3; 2 goes; 3 -> 1 + 2; 1 goes; 2 goes
    check(&[status(413), status(200), status(413)], 0, 5).await;
    let (url, _) = server(&[status(413)]).await;
    let forwarder = Forwarder::spawn(settings(&[&url])).unwrap();
    offer(&forwarder, 1..=1);
    while forwarder.status().dropped.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(counts(&forwarder.status()), [("rejected", 1)]);
}

#[tokio::test]
async fn batches_are_bounded_in_events_and_bytes() {
    for (events, bytes, largest) in [(10, 1 << 20, 10), (1000, 20, 20)] {
        let (url, log) = server(&[]).await;
        let mut settings = settings(&[&url]);
        settings.limits.batch_events = events;
        settings.limits.batch_bytes = bytes;
        let forwarder = Forwarder::spawn(settings).unwrap();
        offer(&forwarder, 1..=95);
        assert_eq!(forwarder.close(Duration::from_secs(10)).await, 0);
        assert_eq!(accepted(&log), (1..=95).collect::<Vec<_>>());
        for (_, body) in &lock(&log).bodies {
            assert!(body.lines().count() <= events && body.len() <= bytes.max(largest), "{body}");
        }
        assert!(lock(&log).bodies.len() >= 10);
    }
}

#[tokio::test]
async fn an_urgent_event_does_not_wait_for_company() {
    let (url, log) = server(&[]).await;
    let mut settings = settings(&[&url]);
    settings.limits.linger = Duration::from_hours(1);
    let forwarder = Forwarder::spawn(settings).unwrap();
    offer(&forwarder, 1..=1);
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert!(lock(&log).bodies.is_empty());
    forwarder.offer(Bytes::from_static(b"2\n"), true);
    while lock(&log).bodies.is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(accepted(&log), [1, 2]);
}

#[tokio::test]
async fn a_dead_collector_costs_the_queue_and_no_more() {
    // Bound and never accepted from, then gone: refused.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut settings = settings(&[&format!("http://u:hunter2@{dead}/events?key=hunter2")]);
    settings.limits.queue_bytes = 100 * 70;
    let forwarder = Forwarder::spawn(settings).unwrap();
    offer(&forwarder, 1..=3);
    while forwarder.status().failures == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    offer(&forwarder, 4..=10_000);
    let status = forwarder.status();
    assert!(status.queued_bytes <= 7000 && !status.healthy, "{status:?}");
    let dropped = forwarder.untold(KTime::from_secs(1));
    assert_eq!((dropped[0].place.as_str(), dropped[0].reason.as_str()), ("forward", "queue_full"));
    assert_eq!(status.queued_events as u64 + dropped[0].count, 10_000);
    assert!(!format!("{status:?}").contains("hunter2"), "{status:?}");
    let began = tokio::time::Instant::now();
    assert_eq!(forwarder.close(Duration::from_millis(100)).await, status.queued_events);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_next_url_takes_over_and_the_first_takes_back() {
    let (first, first_log) = server(&[Answer::Status(503)]).await;
    let (second, second_log) = server(&[]).await;
    let forwarder = Forwarder::spawn(settings(&[&first, &second])).unwrap();
    forwarder.offer(Bytes::from_static(b"1\n"), true);
    while accepted(&second_log).is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    forwarder.offer(Bytes::from_static(b"2\n"), true);
    assert_eq!(forwarder.close(Duration::from_secs(10)).await, 0);
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
    let forwarder = Forwarder::spawn(settings(&[&rude, &good])).unwrap();
    offer(&forwarder, 1..=5);
    assert_eq!(forwarder.close(Duration::from_secs(10)).await, 0);
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
    let forwarder = Forwarder::spawn(settings).unwrap();
    forwarder.offer(Bytes::from_static(b"1\n"), true);
    while accepted(&log).is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    token_file(&dir, "second\n", 0o600);
    forwarder.offer(Bytes::from_static(b"2\n"), true);
    assert_eq!(forwarder.close(Duration::from_secs(10)).await, 0);
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
        let error = Forwarder::spawn(settings).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("hunter"), "{error}");
    }
    let mut settings = settings(&["http://127.0.0.1:9/"]);
    settings.token_file = Some(dir.path().join("missing"));
    assert!(Forwarder::spawn(settings).unwrap_err().to_string().contains("missing"));
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
    let forwarder = Forwarder::spawn(settings(&[&url])).unwrap();
    offer(&forwarder, 1..=1);
    while forwarder.status().failures == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(forwarder.status().sent_events, 0);
}
