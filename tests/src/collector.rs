//! A collector in a thread: just enough HTTP to take NDJSON and to answer as told.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sched::{CloneFlags, setns};
use rustix::net::{AddressFamily, SocketType, bind, getsockname, listen, socket};
use serde_json::Value;

use crate::event::Event;

/// A listening collector. It goes on until the test process ends.
#[derive(Clone, Debug)]
pub struct Collector {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    heard: Mutex<Heard>,
    /// Answers are given again.
    released: Condvar,
}

#[derive(Debug, Default)]
struct Heard {
    /// No answer is given for now; so many are due.
    holds: bool,
    held: usize,
    answers: VecDeque<u16>,
    accepted: Vec<String>,
    refused: usize,
    faults: Vec<String>,
}

/// A collector that is down: its port is taken, and connections to it are refused.
#[derive(Debug)]
pub struct Down(OwnedFd);

impl Down {
    /// Of a port that is free now.
    pub fn reserve() -> Self {
        let bound = socket(AddressFamily::INET, SocketType::STREAM, None).and_then(|socket| {
            bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0))?;
            Ok(socket)
        });
        Self(bound.unwrap_or_else(|error| panic!("bind: {error}")))
    }

    /// For `--collector`.
    pub fn url(&self) -> String {
        let address = getsockname(&self.0).and_then(SocketAddr::try_from);
        format!("http://{}/events", address.unwrap_or_else(|error| panic!("getsockname: {error}")))
    }

    /// It answers from now on: the first requests with these codes, all others with 200.
    pub fn up(self, answers: impl IntoIterator<Item = u16>) -> Collector {
        listen(&self.0, 16).unwrap_or_else(|error| panic!("listen: {error}"));
        Collector::listening(self.0.into(), answers)
    }
}

impl Collector {
    /// Answers the first requests with these codes, all others with 200.
    pub fn start(answers: impl IntoIterator<Item = u16>) -> Self {
        Down::reserve().up(answers)
    }

    /// One that listens there, in the network namespace of this file.
    pub fn start_in(namespace: &Path, address: SocketAddr) -> Self {
        let file = File::open(namespace).unwrap_or_else(|error| panic!("{}: {error}", namespace.display()));
        // A thread can go elsewhere alone, and its sockets stay where they were made.
        let there = thread::spawn(move || {
            setns(&file, CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("setns: {error}"));
            TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"))
        });
        let listener = there.join().unwrap_or_else(|_| panic!("no collector in {}", namespace.display()));
        Self::listening(listener, [])
    }

    fn listening(listener: TcpListener, answers: impl IntoIterator<Item = u16>) -> Self {
        let address = listener.local_addr().unwrap_or_else(|error| panic!("listen: {error}"));
        let heard = Heard { answers: answers.into_iter().collect(), ..Heard::default() };
        let shared = Arc::new(Shared { heard: Mutex::new(heard), ..Shared::default() });
        let listening = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let shared = Arc::clone(&listening);
                thread::spawn(move || {
                    // An error is the client closing its connection.
                    let _ = converse(stream, &shared);
                });
            }
        });
        Self { address, shared }
    }

    /// For `--collector`.
    pub fn url(&self) -> String {
        format!("http://{}/events", self.address)
    }

    /// Events of requests that were answered with 2xx, in the order in which they came.
    pub fn accepted(&self) -> Vec<Event> {
        let parse = |line: &String| serde_json::from_str(line).ok().map(Event);
        self.shared.heard().accepted.iter().filter_map(parse).collect()
    }

    /// The number of the last event that was answered so; 0 before the first.
    pub fn last_seq(&self) -> u64 {
        let last = self.shared.heard().accepted.last().and_then(|line| serde_json::from_str(line).ok());
        last.map_or(0, |event| Event(event).seq())
    }

    /// All of them as lines, and forgets them.
    pub fn take_lines(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.heard().accepted)
    }

    /// From now on requests are taken in and not answered.
    pub fn hold(&self) {
        self.shared.heard().holds = true;
    }

    /// How many requests were taken in and are not answered.
    pub fn held(&self) -> usize {
        self.shared.heard().held
    }

    /// Answers all of them, and those that come.
    pub fn release(&self) {
        self.shared.heard().holds = false;
        self.shared.released.notify_all();
    }

    /// Requests that were answered with something else.
    pub fn refused(&self) -> usize {
        self.shared.heard().refused
    }

    /// What was wrong with requests: method, content type, lines that are not JSON.
    pub fn faults(&self) -> Vec<String> {
        self.shared.heard().faults.clone()
    }
}

impl Shared {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests of one connection, until the client closes it.
fn converse(stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request)? == 0 {
            return Ok(());
        }
        let (mut length, mut ndjson) = (0, false);
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let header = header.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            match header.split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().unwrap_or(0),
                Some(("content-type", value)) => ndjson = value.trim().starts_with("application/x-ndjson"),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let code = take(&request, ndjson, &body, shared);
        write!(writer, "HTTP/1.1 {code} Told So\r\nContent-Length: 0\r\n\r\n")?;
        writer.flush()?;
    }
}

/// What is answered, once answers are given.
fn take(request: &str, ndjson: bool, body: &[u8], shared: &Shared) -> u16 {
    let mut heard = shared.heard();
    let mut events = Vec::new();
    for line in body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let text = String::from_utf8_lossy(line).into_owned();
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => events.push(text),
            Err(error) => heard.faults.push(format!("{error}: {text}")),
        }
    }
    if !request.starts_with("POST /events ") || !ndjson || events.is_empty() {
        heard.faults.push(format!("{} lines, application/x-ndjson: {ndjson}, {request:?}", events.len()));
    }
    let code = heard.answers.pop_front().unwrap_or(200);
    if (200..300).contains(&code) {
        heard.accepted.extend(events);
    } else {
        heard.refused += 1;
    }
    heard.held += 1;
    while heard.holds {
        heard = shared.released.wait(heard).unwrap_or_else(PoisonError::into_inner);
    }
    heard.held -= 1;
    code
}
