//! The listener against raw clients, with a pipeline of a few lines or none that answers.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Instant;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;
use crate::engine::Status;
use crate::serve::{StatusReport, reasons};

/// Short enough for a test, long enough for a busy machine.
const SHORT: Times = Times {
    head: Duration::from_millis(200),
    connection: Duration::from_millis(1500),
    answer: Duration::from_millis(100),
    viewer: Duration::from_millis(1500),
};
/// Nothing in a test is to end by itself.
const LONG: Times = Times {
    head: Duration::from_mins(1),
    connection: Duration::from_mins(1),
    answer: Duration::from_mins(1),
    viewer: Duration::from_mins(1),
};

fn anywhere() -> config::Http {
    config::Http { listen: Some("127.0.0.1:0".parse().unwrap()), token_file: None }
}

/// A file that holds a token.
fn token(folder: &TempDir, text: &str) -> PathBuf {
    let path = folder.path().join("token");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn serving(settings: &config::Http, queries: &mpsc::Sender<Query>, times: Times) -> (Http, SocketAddr) {
    let mut http = Http::bind(settings);
    http.serve_within(queries, times);
    let address = http.address().unwrap_or_else(|| panic!("{:?}", http.note()));
    (http, address)
}

/// A pipeline that answers each status with this report.
fn pipeline(engine: Status) -> mpsc::Sender<Query> {
    let (queries, mut inbox) = mpsc::channel(8);
    tokio::spawn(async move {
        while let Some(query) = inbox.recv().await {
            if let Query::Status { reply } = query {
                let mut report = StatusReport { engine: engine.clone(), ..StatusReport::default() };
                report.unhealthy = reasons(&report);
                let _ = reply.send(report);
            }
        }
    });
    queries
}

/// One raw request; the whole answer.
async fn raw(address: SocketAddr, head: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn get(address: SocketAddr, path: &str) -> String {
    raw(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}")).await
}

fn check(answer: &str, parts: &[&str]) {
    for part in parts {
        assert!(answer.contains(part), "{part} is not in {answer}");
    }
}

#[tokio::test]
async fn metrics_and_health_come_from_the_pipeline() {
    let queries = pipeline(Status { processes: 7, ..Status::default() });
    let (_http, address) = serving(&anywhere(), &queries, LONG);
    check(
        &get(address, "/metrics").await,
        &[
            "HTTP/1.1 200 OK\r\n",
            "content-type: text/plain; version=0.0.4; charset=utf-8\r\n",
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-store\r\n",
            "\nprocprobe_processes 7\n",
        ],
    );
    check(&get(address, "/health").await, &["HTTP/1.1 200 OK\r\n", r#"{"healthy":true,"reasons":[]}"#]);
    for (head, expected) in [
        ("GET /nothing HTTP/1.1\r\nHost: localhost", "404 "),
        ("POST / HTTP/1.1\r\nHost: localhost", "405 "),
        ("GET /metrics HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site", "403 "),
        ("POST /metrics HTTP/1.1\r\nHost: localhost", "405 "),
        ("DELETE /health HTTP/1.1\r\nHost: localhost", "405 "),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example", "421 "),
        ("GET /metrics HTTP/1.1", "200 "),
    ] {
        check(&raw(address, head).await, &[&format!("HTTP/1.1 {expected}"), "nosniff"]);
    }
}

#[tokio::test]
async fn the_page_is_sealed() {
    let queries = pipeline(Status::default());
    let (_http, address) = serving(&anywhere(), &queries, LONG);
    let page = get(address, "/").await;
    check(
        &page,
        &[
            "HTTP/1.1 200 OK\r\n",
            "content-type: text/html; charset=utf-8\r\n",
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-store\r\n",
            "referrer-policy: no-referrer\r\n",
            "x-frame-options: DENY\r\n",
            "cross-origin-resource-policy: same-origin\r\n",
            "content-security-policy: default-src 'none'; script-src 'sha256-",
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n",
        ],
    );
    assert!(!page.contains("unsafe-"), "{page}");
    let data = get(address, "/v1/alarms").await;
    check(&data, &["nosniff", "content-security-policy: default-src 'none'; frame-ancestors 'none'\r\n", "DENY"]);
}

#[tokio::test]
async fn a_daemon_in_trouble_is_unhealthy() {
    let queries = pipeline(Status { degraded: true, degraded_seconds: Some(2.0), ..Status::default() });
    let (_http, address) = serving(&anywhere(), &queries, LONG);
    check(&get(address, "/health").await, &["HTTP/1.1 503 ", r#""healthy":false"#, "records were lost 2.0 s ago"]);
    check(&get(address, "/metrics").await, &["HTTP/1.1 200 ", "\nprocprobe_process_table_in_doubt 1\n"]);
}

#[tokio::test]
async fn a_pipeline_that_stands_still_is_told_by_who_does_not() {
    // Its inbox is there, and nobody reads it: more ask than it holds.
    let (queries, inbox) = mpsc::channel(2);
    let (_http, address) = serving(&anywhere(), &queries, SHORT);
    for _ in 0..4 {
        check(&get(address, "/health").await, &["HTTP/1.1 503 ", "the daemon stands still: no answer within 100ms"]);
    }
    check(&get(address, "/metrics").await, &["HTTP/1.1 503 ", "stands still"]);
    drop(inbox);
    check(&get(address, "/health").await, &["HTTP/1.1 503 ", "the daemon is ending"]);
}

#[tokio::test]
async fn with_a_token_nobody_else_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let settings = config::Http { token_file: Some(token(&folder, "first\n")), ..anywhere() };
    let queries = pipeline(Status::default());
    let (mut http, address) = serving(&settings, &queries, LONG);
    let with = async |path: &str, token: &str| {
        raw(address, &format!("GET {path} HTTP/1.1\r\nHost: any.example\r\nAuthorization: Bearer {token}")).await
    };
    check(&with("/metrics", "first").await, &["HTTP/1.1 200 "]);
    for path in ["/metrics", "/health", "/nothing", "/v1/live", "/v1/alarms", "/v1/events", "/v1/group?name=a"] {
        check(&with(path, "second").await, &["HTTP/1.1 401 ", "www-authenticate: Bearer"]);
        check(&get(address, path).await, &["HTTP/1.1 401 "]);
    }
    // The page is where a token is asked for; it says nothing of this host.
    check(&get(address, "/").await, &["HTTP/1.1 200 ", "<!doctype html>"]);
    token(&folder, "second\n");
    http.reload(&settings, &queries);
    assert_eq!(http.address(), Some(address), "the port stays");
    check(&with("/metrics", "first").await, &["HTTP/1.1 401 "]);
    check(&with("/metrics", "second").await, &["HTTP/1.1 200 "]);
    // A token that cannot be read any more opens nothing.
    std::fs::remove_file(folder.path().join("token")).unwrap();
    http.reload(&settings, &queries);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
    check(&http.note().unwrap(), &["http.token_file", "No such file"]);
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_tried_again() {
    let taken = TcpListener::bind("127.0.0.77:0").unwrap();
    let address = taken.local_addr().unwrap();
    let settings = config::Http { listen: Some(address), token_file: None };
    let queries = pipeline(Status::default());
    let mut http = Http::bind(&settings);
    http.serve(&queries);
    assert_eq!(http.address(), None);
    check(&http.note().unwrap(), &["no page and no metrics over HTTP", &address.to_string(), "in use", "reload"]);
    http.reload(&settings, &queries);
    assert!(http.note().is_some(), "still taken");
    drop(taken);
    http.reload(&settings, &queries);
    assert_eq!((http.address(), http.note()), (Some(address), None));
    check(&get(address, "/health").await, &["HTTP/1.1 200 "]);
    http.reload(&config::Http { listen: None, token_file: None }, &queries);
    assert_eq!((http.address(), http.note()), (None, None));
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn slow_and_idle_clients_do_not_keep_others_out() {
    let queries = pipeline(Status::default());
    let (_http, address) = serving(&anywhere(), &queries, SHORT);
    let began = Instant::now();
    let mut idle = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: loc").await.unwrap();
        idle.push(stream);
    }
    check(&get(address, "/health").await, &["HTTP/1.1 200 "]);
    assert!(began.elapsed() >= SHORT.head, "there was no room before");
    for mut stream in idle {
        let mut answer = Vec::new();
        // However it ends, it ends.
        let _ = stream.read_to_end(&mut answer).await;
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answer_is_let_go() {
    // More than the two sockets hold.
    let group = |number: usize| crate::engine::GroupStatus {
        name: format!("{number:0>4000}"),
        declared: String::new(),
        members: 1,
        usage: None,
        bounds: Vec::new(),
    };
    let queries = pipeline(Status { groups: (0..1500).map(group).collect(), ..Status::default() });
    let (_http, address) = serving(&anywhere(), &queries, Times { answer: LONG.answer, ..SHORT });
    let mut deaf = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").await.unwrap();
        deaf.push(stream);
    }
    check(&get(address, "/nothing").await, &["HTTP/1.1 404 "]);
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let queries = pipeline(Status::default());
    let (_http, address) = serving(&anywhere(), &queries, LONG);
    for head in [
        format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(2 * HEAD_MAX)),
        format!("GET /metrics HTTP/1.1\r\n{}X: y", "X: y\r\n".repeat(2 * HEADERS_MAX)),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        // It may be closed before all of it is sent.
        let _ = stream.write_all(format!("{head}\r\n\r\n").as_bytes()).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    check(&get(address, "/health").await, &["HTTP/1.1 200 "]);
}
