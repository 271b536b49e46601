//! Against a real HTTP server that answers by a script.

mod batches;
mod broken;
mod outcomes;
mod reach;
mod secrets;

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
    /// Behind the script: it answers 500 to every request with one of these, or to all of them.
    poison: Vec<u64>,
    broken: bool,
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
        let answer = match heard.script.is_empty() {
            false => heard.script.remove(0),
            true if heard.broken || numbers(&body).any(|number| heard.poison.contains(&number)) => Answer::Status(500),
            true => Answer::Status(200),
        };
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

fn numbers(body: &str) -> impl Iterator<Item = u64> {
    body.lines().map(|line| line.parse().unwrap())
}

/// The numbers in the bodies that were answered 200, in order.
fn accepted(log: &Log) -> Vec<u64> {
    let heard = lock(log);
    let bodies = heard.bodies.iter().filter(|(status, _)| (200..300).contains(status));
    bodies.flat_map(|(_, body)| numbers(body)).collect()
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
