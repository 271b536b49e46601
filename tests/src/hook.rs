//! A webhook in a thread, which can be told to misbehave.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::PATIENCE;
use crate::event::Event;

/// What it does with a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Answers.
    Status(u16),
    /// Answers, with so many seconds of Retry-After.
    Later(u16, u64),
    /// Answers 200 after so long.
    Late(Duration),
    /// Closes the connection instead of an answer.
    HangUp,
    /// Answers 200, and closes in the middle of the body.
    HalfABody,
    /// Answers 200 with a body that goes on for as long as it is read.
    EndlessBody,
    /// 307 to another path here.
    Elsewhere,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// Method and path.
    pub line: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// As it came.
    pub body: Vec<u8>,
    /// It was answered 200 at once.
    pub taken: bool,
}

impl Request {
    /// The body as an event.
    pub fn event(&self) -> Event {
        Event(serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}")))
    }

    /// A header, "" when it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The webhook. It goes on until the test process ends.
#[derive(Clone, Debug)]
pub struct Hook {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug, Default)]
struct Heard {
    answers: VecDeque<Answer>,
    requests: Vec<Request>,
}

impl Hook {
    /// Does this with the first requests, and answers all others with 200.
    pub fn start(answers: impl IntoIterator<Item = Answer>) -> Self {
        let hook = Self::down();
        hook.come_up(answers);
        hook
    }

    /// Nobody listens there yet.
    pub fn down() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap_or_else(|error| panic!("listen: {error}"));
        let address = listener.local_addr().unwrap_or_else(|error| panic!("listen: {error}"));
        Self { address, heard: Arc::default() }
    }

    /// Listens from now on.
    pub fn come_up(&self, answers: impl IntoIterator<Item = Answer>) {
        self.heard().answers.extend(answers);
        let listener = TcpListener::bind(self.address).unwrap_or_else(|error| panic!("listen: {error}"));
        let heard = Arc::clone(&self.heard);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let heard = Arc::clone(&heard);
                thread::spawn(move || {
                    // An error is the client closing its connection.
                    let _ = converse(stream, &heard);
                });
            }
        });
    }

    /// For a policy.
    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.heard().requests.clone()
    }

    /// What is found among the requests, once it is there. Panics with all of them after [`PATIENCE`].
    pub fn wait_for<T>(&self, what: &str, mut find: impl FnMut(&[Request]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = find(&self.heard().requests) {
                return found;
            }
            assert!(Instant::now() < deadline, "{what} did not come: {:#?}", self.requests());
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests of one connection, until either side closes it.
fn converse(stream: TcpStream, heard: &Mutex<Heard>) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            reader.read_line(&mut header)?;
            let Some((name, value)) = header.trim_end().split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let answer = {
            let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = heard.answers.pop_front().unwrap_or(Answer::Status(200));
            let taken = matches!(answer, Answer::Status(200) | Answer::HalfABody | Answer::EndlessBody);
            heard.requests.push(Request { line: line.trim_end().to_owned(), headers, body, taken });
            answer
        };
        match answer {
            Answer::Status(code) => write!(writer, "HTTP/1.1 {code} Told So\r\nContent-Length: 0\r\n\r\n")?,
            Answer::Later(code, after) => {
                write!(writer, "HTTP/1.1 {code} Later\r\nRetry-After: {after}\r\nContent-Length: 0\r\n\r\n")?;
            }
            Answer::Late(after) => {
                thread::sleep(after);
                write!(writer, "HTTP/1.1 200 Late\r\nContent-Length: 0\r\n\r\n")?;
            }
            Answer::HangUp => return Ok(()),
            Answer::HalfABody => {
                write!(writer, "HTTP/1.1 200 Half\r\nContent-Length: 100\r\n\r\nhalf of")?;
                return Ok(());
            }
            Answer::EndlessBody => {
                write!(writer, "HTTP/1.1 200 Much\r\n\r\n")?;
                loop {
                    writer.write_all(&[b'x'; 4096])?;
                }
            }
            Answer::Elsewhere => {
                write!(writer, "HTTP/1.1 307 There\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")?;
            }
        }
        writer.flush()?;
    }
}
