//! Viewers against a pipeline of a few lines: what they are sent, what they cost, and who is let go.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::*;
use crate::engine::{GroupStatus, Member, Roster, Status};
use crate::serve::http::{Times, start};
use crate::serve::{AlarmsOn, Query, StatusReport, ToldAlarm};

const BOUND: Duration = Duration::from_secs(20);

/// What the pipeline says of its groups, and how often it was asked.
#[derive(Clone, Default)]
struct Stage {
    members: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    padding: usize,
}

impl Stage {
    fn report(&self) -> StatusReport {
        let group = |name: String, members| GroupStatus {
            name,
            declared: String::new(),
            members,
            usage: None,
            bounds: Vec::new(),
        };
        let mut groups = vec![group("still".into(), 1), group("web".into(), self.members.load(Ordering::Relaxed))];
        groups.extend(
            (0..self.padding).map(|number| group(format!("{number:0>4000}"), self.asked.load(Ordering::Relaxed))),
        );
        let engine = Status { groups, firing: vec!["web.count.min".into()], ..Status::default() };
        StatusReport { engine, ..StatusReport::default() }
    }

    async fn answer(self, mut inbox: mpsc::Receiver<Query>) {
        while let Some(query) = inbox.recv().await {
            match query {
                Query::Status { reply } => {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    drop(reply.send(self.report()));
                }
                Query::Group { name, reply } => {
                    let member =
                        Member { pid: 7, exe: "/bin/a".into(), command: "a hunter2".into(), ..Member::default() };
                    let roster =
                        Roster { name: name.clone(), members: 1, processes: vec![member], ..Roster::default() };
                    drop(reply.send((name == "web").then_some(roster)));
                }
                Query::Alarms { reply } => {
                    let event =
                        br#"{"name":"procprobe.policy.firing","body":"web: 0","attributes":{"line":"hunter2"}}"#;
                    let alarm =
                        ToldAlarm { name: "web.count.min".into(), instance: None, event: Bytes::from_static(event) };
                    drop(reply.send(AlarmsOn { alarms: vec![alarm], left_out: 0 }));
                }
                _ => {}
            }
        }
    }

    /// Answers on a port, with this patience.
    fn serve(&self, patience: Duration, guard: Arc<Guard>) -> (super::super::Running, SocketAddr) {
        let (queries, inbox) = mpsc::channel(8);
        tokio::spawn(self.clone().answer(inbox));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let router = super::super::routes::router(queries, guard, BOUND, patience);
        let times = Times { head: BOUND, connection: BOUND, answer: BOUND, viewer: patience };
        (start(listener, router, times).unwrap(), address)
    }
}

/// One who looks.
struct Viewer {
    stream: TcpStream,
    read: String,
}

impl Viewer {
    async fn join(address: SocketAddr, query: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!("GET /v1/live{query} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self { stream, read: String::new() }
    }

    /// Reads until this stands there; what came before goes.
    async fn until(&mut self, wanted: &str) -> String {
        let reading = async {
            let mut looked = 0;
            loop {
                if let Some(at) = self.read.get(looked..).and_then(|rest| rest.find(wanted)) {
                    return self.read.drain(..looked + at + wanted.len()).collect();
                }
                // It may have come in part; where that is within a letter all of it is looked at again.
                looked = self.read.len().saturating_sub(wanted.len());
                looked = if self.read.is_char_boundary(looked) { looked } else { 0 };
                let mut bytes = vec![0; 65536];
                let read = self.stream.read(&mut bytes).await.unwrap();
                assert!(read > 0, "it ended with {}", self.read);
                self.read.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
            }
        };
        timeout(BOUND, reading).await.unwrap_or_else(|_| panic!("{wanted} does not come"))
    }

    /// The next frame.
    async fn frame(&mut self) -> Value {
        self.until("event: rows\ndata: ").await;
        serde_json::from_str(&self.until("\n\n").await).unwrap()
    }
}

#[tokio::test]
async fn everything_comes_first_and_then_what_changes() {
    let stage = Stage::default();
    let (_running, address) = stage.serve(BOUND, Arc::default());
    let mut viewer = Viewer::join(address, "", "").await;
    let head = viewer.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
    let first = viewer.frame().await;
    assert_eq!((&first["first"], &first["set"]["group/still"]["members"]), (&true.into(), &1.into()));
    assert_eq!(first["set"]["alarms"]["alarms"][0]["name"], "web.count.min");
    stage.members.store(3, Ordering::Relaxed);
    loop {
        let frame = viewer.frame().await;
        assert_eq!(frame["set"].get("group/still"), None, "it stands still");
        if frame["set"]["group/web"]["members"] == 3 {
            return;
        }
    }
}

#[tokio::test]
async fn members_are_sent_to_who_looks_at_their_group() {
    let (_running, address) = Stage::default().serve(BOUND, Arc::default());
    let mut viewer = Viewer::join(address, "?group=web", "").await;
    let first = viewer.frame().await;
    assert_eq!(first["set"]["roster"]["members"], 1);
    assert_eq!(first["set"]["process/7/0"]["exe"], "/bin/a");
    let mut viewer = Viewer::join(address, "?group=nobody", "").await;
    assert_eq!(viewer.frame().await["set"]["roster"], Value::Null);
    let mut viewer = Viewer::join(address, "?grup=web", "").await;
    assert!(viewer.until("\r\n\r\n").await.starts_with("HTTP/1.1 400"));
}

#[tokio::test]
async fn arguments_and_lines_are_for_who_has_the_token() {
    let guard = Arc::new(Guard::default());
    let (_running, address) = Stage::default().serve(BOUND, Arc::clone(&guard));
    let mut open = Viewer::join(address, "?group=web", "").await;
    let first = open.frame().await;
    assert!(first["set"]["alarms"]["alarms"][0]["event"]["hidden"] == true, "{first}");
    assert!(!first.to_string().contains("hunter2"), "{first}");
    guard.set_token(Some("hunter3"));
    let ended = async {
        let mut bytes = vec![0; 65536];
        while open.stream.read(&mut bytes).await.unwrap() > 0 {}
    };
    timeout(BOUND, ended).await.expect("who was let in without it is let go");
    let mut with = Viewer::join(address, "?group=web", "Authorization: Bearer hunter3\r\n").await;
    // The picture that is there may be of before.
    let mut told = with.frame().await["set"].clone();
    assert_eq!(told["process/7/0"]["command"], "a hunter2");
    while told["alarms"]["alarms"][0]["event"]["attributes"]["line"] != "hunter2" {
        told = with.frame().await["set"].clone();
    }
}

#[tokio::test]
async fn nothing_is_asked_while_nobody_looks() {
    let stage = Stage::default();
    let (_running, address) = stage.serve(BOUND, Arc::default());
    let mut viewer = Viewer::join(address, "", "").await;
    viewer.frame().await;
    drop(viewer);
    let quiet = async {
        loop {
            let before = stage.asked.load(Ordering::Relaxed);
            tokio::time::sleep(3 * EVERY).await;
            if stage.asked.load(Ordering::Relaxed) == before {
                return;
            }
        }
    };
    timeout(BOUND, quiet).await.expect("it is asked on and on");
    Viewer::join(address, "", "").await.frame().await;
}

#[tokio::test]
async fn one_viewer_too_many_is_told_so_and_short_answers_go_on() {
    let stage = Stage::default();
    let (_running, address) = stage.serve(BOUND, Arc::default());
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        let mut viewer = Viewer::join(address, "", "").await;
        viewer.frame().await;
        viewers.push(viewer);
    }
    let mut refused = Viewer::join(address, "", "").await;
    let head = refused.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    refused.until("8 others look already").await;
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    timeout(BOUND, stream.read_to_string(&mut answer)).await.expect("there is room").unwrap();
    assert!(answer.contains("healthy"), "{answer}");
    viewers.pop();
    // Its going is noticed with the next frame.
    let joined = async {
        loop {
            let mut viewer = Viewer::join(address, "", "").await;
            if viewer.until("\r\n\r\n").await.starts_with("HTTP/1.1 200") {
                return;
            }
        }
    };
    timeout(BOUND, joined).await.expect("a place is free");
}

#[tokio::test]
async fn a_viewer_that_takes_nothing_is_let_go_and_one_that_does_stays() {
    // More than the two sockets hold, all of it new with each picture.
    let stage = Stage { padding: 1500, ..Stage::default() };
    let patience = Duration::from_secs(4);
    let (_running, address) = stage.serve(patience, Arc::default());
    let mut deaf = Viewer::join(address, "", "").await;
    let mut awake = Viewer::join(address, "", "").await;
    let began = Instant::now();
    while began.elapsed() < 2 * patience {
        awake.until("event: rows").await;
    }
    let ended = async {
        let mut bytes = vec![0; 1 << 20];
        while deaf.stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    };
    timeout(BOUND, ended).await.expect("its stream has ended");
    awake.until("event: rows").await;
}
