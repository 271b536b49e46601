//! Against a real HTTP server; ticks are real and short.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use prost::Message as _;
use tokio::net::TcpListener;

use super::*;
use crate::event::Host;
use crate::metrics::{Family, Kind, Point};
use crate::time::Wall;

const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Heard {
    /// What is answered; 200 after these.
    script: VecDeque<u16>,
    /// Answered instead while it is set.
    down: bool,
    taken: Vec<ExportMetricsServiceRequest>,
    requests: usize,
}

type Log = Arc<Mutex<Heard>>;

async fn server(script: &[u16]) -> (String, Log) {
    let log: Log = Arc::new(Mutex::new(Heard { script: script.iter().copied().collect(), ..Heard::default() }));
    let router = Router::new().route("/v1/metrics", post(answer)).with_state(Arc::clone(&log));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, log)
}

async fn answer(Extract(log): Extract<Log>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut heard = lock(&log);
    heard.requests += 1;
    assert_eq!(headers["content-type"], "application/x-protobuf");
    assert_eq!(headers["content-encoding"], "zstd");
    let status = if heard.down { 503 } else { heard.script.pop_front().unwrap_or(200) };
    if status == 200 {
        let plain = zstd::bulk::decompress(&body, 1 << 20).unwrap();
        heard.taken.push(ExportMetricsServiceRequest::decode(&*plain).unwrap());
    }
    StatusCode::from_u16(status).unwrap()
}

fn settings(url: &str) -> Settings {
    let mut settings = Settings::to(vec![Endpoint::parse(url).unwrap()]);
    settings.wire.protocol = Protocol::Otlp;
    settings.wire.compression = super::super::Compression::Zstd;
    settings.wire.metrics_interval = Some(Duration::from_millis(5));
    settings.limits.backoff_min = Duration::from_millis(2);
    settings.limits.backoff_max = Duration::from_millis(10);
    settings
}

fn snapshot(number: u64) -> Snapshot {
    let point = |name: &str, value| Point { labels: vec![("policy", name.into())], value };
    let family = |name, unit, kind, points| Family { name, help: "what it says", unit, kind, points };
    Snapshot {
        host: Arc::new(Host { name: "web-1".into(), id: "h".into(), boot_id: "b".into() }),
        began: Wall(1_000),
        at: Wall(2_000),
        families: vec![
            family("procprobe_numbers_total", "1", Kind::Counter, vec![point("a", number as f64)]),
            family("procprobe_share", "1", Kind::Gauge, vec![point("a \"b\"\n", 0.5), point("c", 2.0)]),
        ],
    }
}

/// Snapshots numbered from 0, and none after so many.
fn numbered(most: u64) -> (Ask, Arc<Mutex<u64>>) {
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let ask: Ask = Box::new(move || {
        let mut count = lock(&count);
        let made = (*count < most).then(|| snapshot(*count));
        *count += u64::from(made.is_some());
        Box::pin(std::future::ready(made))
    });
    (ask, asked)
}

fn numbers(log: &Log) -> Vec<u64> {
    lock(log).taken.iter().map(number).collect()
}

fn number(request: &ExportMetricsServiceRequest) -> u64 {
    let Some(Data::Sum(sum)) = &request.resource_metrics[0].scope_metrics[0].metrics[0].data else { panic!("no sum") };
    let Some(Value::AsDouble(number)) = sum.data_points[0].value else { panic!("no double") };
    format!("{number}").parse().unwrap()
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn drops(reporter: &Reporter) -> Vec<(String, u64)> {
    reporter.dropped().into_iter().map(|dropped| (dropped.reason, dropped.count)).collect()
}

/// Runs four snapshots against a script: these arrive, and these points are lost.
async fn check(script: &[u16], arrive: &[u64], lost: &[(&str, u64)]) {
    let (url, log) = server(script).await;
    let (ask, _) = numbered(4);
    let reporter = Reporter::spawn(&settings(&url), ask).unwrap().unwrap();
    until("the last one", || numbers(&log).last() == Some(&3)).await;
    assert_eq!(numbers(&log), arrive);
    let lost: Vec<_> = lost.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
    assert_eq!(drops(&reporter), lost);
    let untold: Vec<_> = reporter.untold(KTime::from_secs(1)).into_iter().map(|one| (one.place, one.count)).collect();
    assert_eq!(untold, lost.iter().map(|(_, count)| ("metrics".to_owned(), *count)).collect::<Vec<_>>());
}

#[tokio::test]
async fn each_snapshot_arrives_once() {
    check(&[], &[0, 1, 2, 3], &[]).await;
}

#[tokio::test]
async fn what_may_heal_is_sent_again_in_order() {
    check(&[503, 429, 401, 500], &[0, 1, 2, 3], &[]).await;
}

#[tokio::test]
async fn what_is_refused_for_good_is_dropped_and_its_points_counted() {
    check(&[400, 413], &[2, 3], &[("rejected", 6)]).await;
}

#[tokio::test]
async fn a_snapshot_is_a_request() {
    let (url, log) = server(&[]).await;
    let (ask, _) = numbered(1);
    let reporter = Reporter::spawn(&settings(&url), ask).unwrap().unwrap();
    until("one", || numbers(&log).len() == 1).await;
    drop(reporter);
    let request = lock(&log).taken[0].clone();
    let resource = &request.resource_metrics[0];
    let names: Vec<_> = resource.resource.as_ref().unwrap().attributes.iter().map(|one| one.key.as_str()).collect();
    assert_eq!(names, ["host.name", "host.id", "boot.id", "service.name", "service.version"]);
    let [counter, gauge] = &resource.scope_metrics[0].metrics[..] else { panic!("{request:?}") };
    assert_eq!(
        (&*counter.name, &*counter.unit, &*counter.description),
        ("procprobe_numbers_total", "1", "what it says")
    );
    let Some(Data::Sum(sum)) = &counter.data else { panic!("{counter:?}") };
    assert!(sum.is_monotonic && sum.aggregation_temporality == 2);
    assert_eq!((sum.data_points[0].start_time_unix_nano, sum.data_points[0].time_unix_nano), (1_000, 2_000));
    let Some(Data::Gauge(values)) = &gauge.data else { panic!("{gauge:?}") };
    let points: Vec<_> = values.data_points.iter().map(|point| (&*point.attributes[0].key, point.value)).collect();
    assert_eq!(points, [("policy", Some(Value::AsDouble(0.5))), ("policy", Some(Value::AsDouble(2.0)))]);
}

#[tokio::test]
async fn while_it_is_down_the_newest_wait() {
    let (url, log) = server(&[]).await;
    lock(&log).down = true;
    let (ask, asked) = numbered(50);
    let reporter = Reporter::spawn(&settings(&url), ask).unwrap().unwrap();
    until("all of them", || *lock(&asked) == 50 && lock(&log).requests > 2).await;
    until("a full queue", || drops(&reporter) == [("queue_full".to_owned(), 30 * 3)]).await;
    let (status, _) = reporter.status();
    assert!(!status.healthy && status.failures > 2 && status.waiting == 20 && status.sent == 0, "{status:?}");
    assert!(status.last_error.as_ref().unwrap().starts_with(&format!("{url}/: HTTP 503")), "{status:?}");
    lock(&log).down = false;
    until("the newest", || reporter.status().0.sent == 20).await;
    assert_eq!(numbers(&log), (30..50).collect::<Vec<_>>());
    let (status, notes) = reporter.status();
    assert_eq!((status.healthy, status.last_error, status.waiting, notes), (true, None, 0, vec![]));
}

#[test]
fn waiting_snapshots_are_bounded_in_bytes_too() {
    let shared = Shared { state: Mutex::new(State::new()), wake: Notify::new() };
    let body = |bytes: usize| Body {
        bytes: vec![0; bytes].into(),
        content_type: "application/x-protobuf",
        content_encoding: None,
        plain: Bytes::new(),
        records: 1,
    };
    for (bytes, waiting) in [(BYTES_MAX / 2, 1), (BYTES_MAX / 2, 2), (1, 2), (BYTES_MAX * 2, 1), (1, 1)] {
        shared.push(body(bytes));
        assert_eq!(lock(&shared.state).waiting.len(), waiting, "{bytes}");
    }
    assert_eq!(lock(&shared.state).tally.totals()[0].count, 4);
}

#[tokio::test]
async fn without_otlp_or_interval_there_is_nothing_to_report() {
    for (protocol, interval) in [(Protocol::Ndjson, Some(Duration::from_secs(15))), (Protocol::Otlp, None)] {
        let mut settings = settings("http://127.0.0.1:9");
        (settings.wire.protocol, settings.wire.metrics_interval) = (protocol, interval);
        assert!(Reporter::spawn(&settings, numbered(1).0).unwrap().is_none());
    }
}
