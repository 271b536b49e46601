//! Server and client against each other, with a pipeline of a few lines.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::client::{matches, status};
use super::*;

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
async fn answer(mut inbox: mpsc::Receiver<Query>) {
    while let Some(query) = inbox.recv().await {
        match query {
            Query::Status { reply } => drop(reply.send(report())),
            Query::Match { subject, reply } => {
                let verdict = Verdict { why: format!("{subject:?}"), ..Verdict::default() };
                let _ = reply.send(Ok(MatchReport { process: None, groups: vec![verdict] }));
            }
        }
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
