//! Against a real HTTP server that answers by a script, with a real journal in a folder of its own.

mod books;
mod stores;

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};

use axum::Router;
use axum::extract::State as Extract;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::*;
use crate::event::AlarmTurn;
use crate::policy::spec::{Group, Rate, Selector};

/// Long enough for whatever must come.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy)]
enum Answer {
    Status(u16),
    Later(u16, &'static str),
    Elsewhere,
    Stall,
}

#[derive(Default)]
struct Heard {
    script: VecDeque<Answer>,
    requests: Vec<(u16, HeaderMap, String)>,
}

type Log = Arc<Mutex<Heard>>;

/// Answers by the script and then 200 for ever.
async fn server(script: &[Answer]) -> (String, Log) {
    let log: Log = Arc::new(Mutex::new(Heard { script: script.iter().copied().collect(), ..Heard::default() }));
    let router = Router::new().route("/hook", post(answer)).with_state(Arc::clone(&log));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, log)
}

async fn answer(Extract(log): Extract<Log>, headers: HeaderMap, body: String) -> Response {
    let answer = lock(&log).script.pop_front().unwrap_or(Answer::Status(200));
    let status = match answer {
        Answer::Status(status) | Answer::Later(status, _) => status,
        Answer::Elsewhere => 307,
        Answer::Stall => 0,
    };
    lock(&log).requests.push((status, headers, body));
    let code = StatusCode::from_u16(status);
    match answer {
        Answer::Status(_) => code.unwrap().into_response(),
        Answer::Later(_, after) => (code.unwrap(), [("retry-after", after)]).into_response(),
        Answer::Elsewhere => (code.unwrap(), [("location", "/hook")]).into_response(),
        Answer::Stall => std::future::pending().await,
    }
}

/// A test's folder and what it has for policies.
struct Bench {
    folder: TempDir,
    policies: PolicySet,
}

impl Bench {
    fn new(url: &str, change: impl FnOnce(&mut Destination)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut destination = Destination {
            name: "ops".into(),
            declared: "test.yaml:1".into(),
            kind: DestinationKind::Webhook { url: url.into(), secret_file: None },
            token_file: None,
            timeout: PATIENCE,
            max_rate: None,
        };
        change(&mut destination);
        let destinations = [("ops".into(), Arc::new(destination))].into();
        Self { folder, policies: PolicySet { destinations, ..PolicySet::default() } }
    }

    fn open(&self) -> (Notifier, Vec<String>) {
        Notifier::open(self.folder.path(), &self.policies, KTime::from_secs(100), Duration::ZERO)
    }

    fn journal(&self) -> PathBuf {
        self.folder.path().join("notify/journal")
    }

    fn secret(&self, name: &str, text: &str) -> Arc<str> {
        let path = self.folder.path().join(name);
        let _ = fs::remove_file(&path);
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path).unwrap();
        std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        path.to_str().unwrap().into()
    }
}

fn alarm(name: &str, turn: AlarmTurn) -> Alarm {
    Alarm { name: name.into(), instance: None, turn, notify: vec!["ops".into()] }
}

fn event(number: u32) -> Bytes {
    let policy = json!({"policy.name": "app", "policy.kind": "group", "measure": "count", "bound": "min"});
    let event =
        json!({"id": format!("h:b:{number}"), "severity": "critical", "body": "app: no process", "attributes": policy});
    Bytes::from(format!("{event}\n"))
}

/// Alarms `a1`, `a2`... that begin.
fn offer(notifier: &mut Notifier, numbers: std::ops::RangeInclusive<u32>) {
    for number in numbers {
        notifier.offer(&alarm(&format!("a{number}"), AlarmTurn::Fired), &format!("h:b:{number}"), &event(number));
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The ids that were answered 2xx, in order.
fn taken(log: &Log) -> Vec<String> {
    let heard = lock(log);
    let taken = heard.requests.iter().filter(|(status, ..)| (200..300).contains(status));
    taken.map(|(_, headers, _)| headers["idempotency-key"].to_str().unwrap().to_owned()).collect()
}

fn one(notifier: &Notifier) -> Status {
    notifier.status().into_iter().next().unwrap()
}

/// Ends as SIGKILL does: nothing is said, nothing more is written.
async fn crash(notifier: Notifier) {
    let open = notifier.open.unwrap();
    for running in open.lanes.into_values() {
        running.task.abort();
        let _ = running.task.await;
    }
    open.keeping.abort();
    let _ = open.keeping.await;
}

/// Three alarms against a script: each that is not refused arrives once, in order.
async fn check(script: &[Answer], refused: u64, requests: usize) -> Status {
    let (url, log) = server(script).await;
    let bench = Bench::new(&url, |destination| {
        if script.iter().any(|answer| matches!(answer, Answer::Stall)) {
            destination.timeout = Duration::from_millis(500);
        }
    });
    let (mut notifier, notes) = bench.open();
    assert!(notes.is_empty(), "{notes:?}");
    offer(&mut notifier, 1..=3);
    until("all of them", || one(&notifier).sent + one(&notifier).failed == 3).await;
    let first = u32::try_from(refused).unwrap() + 1;
    assert_eq!(taken(&log), (first..=3).map(|number| format!("h:b:{number}")).collect::<Vec<_>>());
    assert_eq!(lock(&log).requests.len(), requests);
    let status = one(&notifier);
    assert_eq!((status.failed, status.pending), (refused, 0));
    assert_eq!(notifier.untold(KTime::from_secs(1)).len(), usize::from(refused > 0), "{:?}", notifier.dropped());
    assert_eq!(notifier.close(PATIENCE).await, 0);
    let kept = fs::read_to_string(bench.folder.path().join("notify/refused.ndjson")).unwrap_or_default();
    let kept: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kept.len() as u64, refused);
    assert!(kept.iter().all(|line| line["destination"] == "ops" && line["event"]["severity"] == "critical"));
    status
}

#[tokio::test]
async fn what_may_heal_is_sent_again_in_order() {
    for status in [401, 403, 408, 429, 500, 503] {
        check(&[Answer::Status(status), Answer::Status(status)], 0, 5).await;
    }
    check(&[Answer::Elsewhere], 0, 4).await;
    check(&[Answer::Stall], 0, 4).await;
}

#[tokio::test]
async fn what_is_refused_for_good_is_set_aside_and_holds_up_nobody() {
    for status in [400, 404, 410, 413, 422] {
        let status = check(&[Answer::Status(status)], 1, 3).await;
        assert!(status.healthy && status.last_error.is_none(), "the others were taken: {status:?}");
    }
}

#[tokio::test]
async fn a_retry_after_is_kept() {
    let began = tokio::time::Instant::now();
    check(&[Answer::Later(429, "2")], 0, 4).await;
    assert!(began.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn an_event_is_posted_as_it_is_and_signed() {
    let (url, log) = server(&[Answer::Status(401)]).await;
    let mut bench = Bench::new(&url, |_| {});
    let (token, key) = (bench.secret("token", "old\n"), bench.secret("key", "s3cret\n"));
    let change = |destination: &Arc<Destination>| Destination {
        kind: DestinationKind::Webhook { url: url.as_str().into(), secret_file: Some(key) },
        token_file: Some(token),
        ..Destination::clone(destination)
    };
    let changed = Arc::new(change(&bench.policies.destinations["ops"]));
    bench.policies.destinations.insert("ops".into(), changed);
    let (mut notifier, _) = bench.open();
    offer(&mut notifier, 1..=1);
    until("a refusal", || !one(&notifier).healthy).await;
    bench.secret("token", "new\n");
    until("the event", || one(&notifier).sent == 1).await;
    let heard = lock(&log);
    let headers = |index: usize, name: &str| heard.requests[index].1[name].to_str().unwrap().to_owned();
    assert_eq!((headers(0, "authorization"), headers(1, "authorization")), ("Bearer old".into(), "Bearer new".into()));
    assert_eq!(headers(1, "content-type"), "application/json");
    assert_eq!(heard.requests[1].2, String::from_utf8_lossy(&event(1)).trim_end());
    let timestamp = headers(1, "x-procprobe-timestamp").parse().unwrap();
    let expected = signature::of(b"s3cret", timestamp, heard.requests[1].2.as_bytes());
    assert_eq!(headers(1, "x-procprobe-signature"), expected);
    assert!((jiff::Timestamp::now().as_second() - timestamp).abs() < 60);
}

#[tokio::test]
async fn secrets_that_everybody_can_read_are_not_used_nor_shown() {
    let (url, log) = server(&[]).await;
    let mut bench = Bench::new(&url.replace("http://", "http://user:hunter2@"), |_| {});
    let token = bench.secret("token", "hunter2");
    fs::set_permissions(&*token, fs::Permissions::from_mode(0o644)).unwrap();
    let changed = Destination { token_file: Some(token), ..Destination::clone(&bench.policies.destinations["ops"]) };
    bench.policies.destinations.insert("ops".into(), Arc::new(changed));
    let (mut notifier, _) = bench.open();
    offer(&mut notifier, 1..=1);
    until("an error", || !one(&notifier).healthy).await;
    let status = one(&notifier);
    assert!(status.last_error.as_ref().is_some_and(|why| why.contains("chmod o-rwx")), "{status:?}");
    assert!(!format!("{status:?}").contains("hunter2"), "{status:?}");
    assert!(lock(&log).requests.is_empty());
}

#[tokio::test]
async fn a_crash_loses_nothing_and_changes_no_id() {
    // It is not tried again before the crash, however late that comes.
    let (url, log) = server(&[Answer::Status(200), Answer::Later(503, "60")]).await;
    let bench = Bench::new(&url, |_| {});
    let (mut notifier, _) = bench.open();
    offer(&mut notifier, 1..=4);
    until("a failure", || !one(&notifier).healthy).await;
    crash(notifier).await;
    // What was under way when the disk stopped.
    let mut journal = fs::OpenOptions::new().append(true).open(bench.journal()).unwrap();
    std::io::Write::write_all(&mut journal, b"{\"facts\":{\"id\"").unwrap();
    let (notifier, notes) = bench.open();
    assert!(notes.is_empty(), "a torn last line is no damage: {notes:?}");
    until("the others", || one(&notifier).pending == 0).await;
    // The first comes again where its answer was not on disk yet, under the same id.
    let mut told = taken(&log);
    told.dedup();
    assert_eq!(told, ["h:b:1", "h:b:2", "h:b:3", "h:b:4"]);
    assert_eq!(notifier.close(PATIENCE).await, 0);
    let (notifier, _) = bench.open();
    assert_eq!(one(&notifier).pending, 0);
    assert_eq!(lock(&notifier.open.as_ref().unwrap().shared.store).active().count(), 4, "they are still on");
}

#[tokio::test]
async fn a_damaged_journal_is_set_aside_and_what_is_good_of_it_counts() {
    let (url, log) = server(&[Answer::Later(503, "60")]).await;
    let bench = Bench::new(&url, |_| {});
    let (mut notifier, _) = bench.open();
    offer(&mut notifier, 1..=3);
    until("a failure", || !one(&notifier).healthy).await;
    crash(notifier).await;
    let text = fs::read_to_string(bench.journal()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(bench.journal(), format!("{}\n{}\n\u{0}garbage\n{}\n", lines[0], lines[1], lines[3])).unwrap();
    let (notifier, notes) = bench.open();
    assert!(notes.len() == 1 && notes[0].contains("line 3") && notes[0].contains("journal.damaged"), "{notes:?}");
    assert!(bench.journal().with_extension("damaged").exists());
    until("the others", || one(&notifier).sent == 2).await;
    assert_eq!(taken(&log), ["h:b:1", "h:b:3"]);
}

#[tokio::test]
async fn without_a_place_for_the_journal_alarms_are_sent_all_the_same() {
    let (url, log) = server(&[]).await;
    let bench = Bench::new(&url, |_| {});
    fs::write(bench.folder.path().join("notify"), "in the way").unwrap();
    let (mut notifier, notes) = bench.open();
    assert!(notes.len() == 1 && notes[0].contains("forgotten at a restart"), "{notes:?}");
    offer(&mut notifier, 1..=2);
    until("both", || one(&notifier).sent == 2).await;
    assert_eq!(taken(&log), ["h:b:1", "h:b:2"]);
}

#[tokio::test]
async fn a_pace_is_kept() {
    let (url, log) = server(&[]).await;
    let rate = Rate { count: 2, per: Duration::from_secs(1) };
    let bench = Bench::new(&url, |destination| destination.max_rate = Some(rate));
    let (mut notifier, _) = bench.open();
    let began = tokio::time::Instant::now();
    offer(&mut notifier, 1..=5);
    until("all five", || one(&notifier).sent == 5).await;
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_eq!(taken(&log).len(), 5);
}

#[tokio::test]
async fn a_reload_leaves_what_stays_and_counts_what_goes() {
    let (url, log) = server(&[Answer::Status(503)]).await;
    let mut bench = Bench::new(&url, |_| {});
    let (mut notifier, _) = bench.open();
    offer(&mut notifier, 1..=1);
    until("a failure", || !one(&notifier).healthy).await;
    assert!(notifier.reload(&bench.policies).is_empty());
    until("the event", || one(&notifier).sent == 1).await;
    assert_eq!(taken(&log), ["h:b:1"]);
    lock(&log).script.extend([Answer::Status(503); 50]);
    offer(&mut notifier, 2..=3);
    until("a failure", || !one(&notifier).healthy && one(&notifier).pending == 2).await;
    bench.policies.destinations.clear();
    notifier.reload(&bench.policies);
    assert!(notifier.status().is_empty());
    let dropped = notifier.dropped();
    assert_eq!((dropped[0].reason.as_str(), dropped[0].count), ("destination_removed", 2));
}

#[tokio::test]
async fn alarms_of_an_earlier_run_that_do_not_come_back_are_over() {
    let (url, log) = server(&[]).await;
    let mut bench = Bench::new(&url, |_| {});
    let group = Group {
        name: "app".into(),
        declared: "test.yaml:1".into(),
        select: Selector::default(),
        except: None,
        include_children: false,
        bounds: Vec::new(),
        response: crate::policy::spec::Response::default(),
        events: true,
    };
    bench.policies.groups.push(group);
    let (mut notifier, _) = bench.open();
    offer(&mut notifier, 1..=2);
    until("both", || one(&notifier).sent == 2).await;
    assert_eq!(notifier.close(PATIENCE).await, 0);

    let (mut notifier, _) = bench.open();
    let over = notifier.next_orphan().unwrap();
    assert!(over > KTime::from_secs(100), "they have time to fire again");
    assert!(notifier.take_orphans(over.before(Duration::from_secs(1))).is_empty());
    offer(&mut notifier, 1..=1);
    let ended = notifier.take_orphans(over);
    assert_eq!(ended.len(), 1, "the other one has come back");
    assert_eq!(ended[0].name, crate::event::name::POLICY_RESOLVED);
    assert_eq!(ended[0].severity, crate::event::Severity::Critical);
    assert_eq!(ended[0].attributes.get("policy.name"), Some(&"app".into()));
    let alarm = ended[0].alarm.as_deref().unwrap();
    assert_eq!((&*alarm.name, alarm.turn), ("a2", AlarmTurn::Resolved));
    notifier.offer(alarm, "h:b:9", &event(9));
    until("its end", || taken(&log).contains(&"h:b:9".to_owned())).await;
    assert_eq!(notifier.close(PATIENCE).await, 0);

    bench.policies.groups.clear();
    let (mut notifier, _) = bench.open();
    let ended = notifier.take_orphans(KTime::from_secs(100));
    assert_eq!(ended.len(), 1, "a policy that is gone is not waited for");
    assert_eq!(ended[0].attributes.get("reason"), Some(&"policy removed".into()));
}
