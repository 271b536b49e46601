//! One request against real sockets that answer well, badly, or not at all.

mod faults;
mod secrets;
mod tls;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::forward::{Compression, Limits};
use crate::outlet::lock;

/// How long one that never answers is waited for.
const SHORT: Duration = Duration::from_millis(1500);

/// What a server does with a connection.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Hangs up without a look.
    Close,
    /// Reads the request and hangs up.
    ReadAndClose,
    /// Never reads and never answers.
    Ignore,
    /// Reads the request, waits, and writes this.
    Say(Duration, String),
    /// Reads the request, writes this, and nothing more, for ever.
    SayAndStall(String),
    /// Reads the request, writes the first, and then the second for ever, with a wait in between.
    Endless(String, &'static [u8], Duration),
}

impl Act {
    /// No status ever comes of it.
    fn is_silent(&self) -> bool {
        match self {
            Self::Ignore => true,
            Self::Say(after, _) => !after.is_zero(),
            Self::Endless(head, ..) => !head.contains("\r\n\r\n"),
            Self::Close | Self::ReadAndClose | Self::SayAndStall(_) => false,
        }
    }
}

/// Requests as they came: head and body.
pub(super) type Heard = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

/// An answer with this status, these headers and this body.
pub(super) fn answer(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}", body.len())
}

pub(super) fn say(status: &str, headers: &str, body: &str) -> Act {
    Act::Say(Duration::ZERO, answer(status, headers, body))
}

/// Listens, and does this with every connection.
async fn server(act: Act) -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let heard = Heard::default();
    let log = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (act, log) = (act.clone(), Arc::clone(&log));
            // An error is the client that has had enough.
            tokio::spawn(async move { play(stream, act, &log).await });
        }
    });
    (format!("http://{address}/events"), heard)
}

async fn play(mut stream: impl AsyncRead + AsyncWrite + Unpin, act: Act, log: &Heard) -> std::io::Result<()> {
    match act {
        Act::Close => Ok(()),
        Act::Ignore => std::future::pending().await,
        Act::ReadAndClose => request(&mut stream, log).await.map(drop),
        Act::Say(after, answer) => {
            while request(&mut stream, log).await? {
                tokio::time::sleep(after).await;
                stream.write_all(answer.as_bytes()).await?;
                stream.flush().await?;
            }
            Ok(())
        }
        Act::SayAndStall(answer) => {
            request(&mut stream, log).await?;
            stream.write_all(answer.as_bytes()).await?;
            stream.flush().await?;
            std::future::pending().await
        }
        Act::Endless(head, piece, between) => {
            request(&mut stream, log).await?;
            stream.write_all(head.as_bytes()).await?;
            loop {
                stream.write_all(piece).await?;
                stream.flush().await?;
                tokio::time::sleep(between).await;
            }
        }
    }
}

/// Reads one request; false at the end of the connection.
async fn request(stream: &mut (impl AsyncRead + Unpin), log: &Heard) -> std::io::Result<bool> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(false);
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    lock(log).push((head, body));
    Ok(true)
}

pub(super) fn settings(url: &str, protocol: Protocol) -> Settings {
    let mut settings = Settings::to(vec![Endpoint::parse(url).unwrap()]);
    settings.wire.protocol = protocol;
    settings.limits = Limits {
        // Nothing waits so long when all is well, and a busy machine may take its time.
        connect_timeout: Duration::from_secs(20),
        request_timeout: Duration::from_secs(20),
        ..Limits::default()
    };
    settings
}

/// Stored lines; their content is the collector's business.
pub(super) fn lines(count: usize) -> Vec<Bytes> {
    (0..count).map(|number| Bytes::from(format!("{{\"number\":{number}}}\n"))).collect()
}

/// Sends lines once.
pub(super) async fn send(settings: &Settings, lines: &[Bytes]) -> Outcome {
    let mut client = Client::new(settings).unwrap();
    let body = client.encode(lines);
    client.send(&settings.endpoints[0], &body).await
}
