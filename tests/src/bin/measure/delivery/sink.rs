//! A collector that takes OTLP over HTTP and only counts: how many events came, and whether their numbers rise by one.
//!
//! It shares two cores with the daemon, so it looks for nothing but each record's `procprobe.seq`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What came so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard {
    /// Log records.
    pub(super) events: u64,
    /// Bytes of bodies with log records.
    pub(super) bytes: u64,
    /// Number of the last event.
    pub(super) seq: u64,
    /// Numbers that were left out, or came again.
    pub(super) out_of_order: u64,
    /// What was no request of this protocol.
    pub(super) faults: Vec<String>,
}

/// The collector. It goes on until the process ends.
#[derive(Debug)]
pub(super) struct Sink {
    address: SocketAddr,
    heard: Arc<Mutex<Heard>>,
}

impl Sink {
    pub(super) fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let shared = Arc::clone(&heard);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let heard = Arc::clone(&shared);
                thread::spawn(move || {
                    // An error is the client closing its connection.
                    let _ = converse(stream, &heard);
                });
            }
        });
        Ok(Self { address, heard })
    }

    /// For `url` of a collector.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn heard(&self) -> Heard {
        lock(&self.heard).clone()
    }
}

fn lock(heard: &Mutex<Heard>) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Requests of one connection, until the client closes it.
fn converse(stream: TcpStream, heard: &Mutex<Heard>) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::with_capacity(256 << 10, stream);
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let logs = line.starts_with("POST /v1/logs ");
        let mut length = 0;
        while line.trim_end() != "" {
            line.clear();
            reader.read_line(&mut line)?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().map_err(std::io::Error::other)?;
            }
        }
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        if logs {
            let mut heard = lock(heard);
            heard.bytes += length as u64;
            if take(&body, &mut heard).is_none() {
                let fault = format!("a body of {length} bytes is not whole");
                heard.faults.push(fault);
            }
        }
        writer.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
    }
}

/// Counts the records of an `ExportLogsServiceRequest`. `None`: it is cut.
fn take(request: &[u8], heard: &mut Heard) -> Option<()> {
    each(request, 1, &mut |resource| {
        each(resource, 2, &mut |scope| {
            each(scope, 2, &mut |record| {
                let mut seq = None;
                each(record, 6, &mut |attribute| {
                    // Its key is the first field: one byte of tag, one of length.
                    if attribute.get(2..).is_some_and(|key| key.starts_with(b"procprobe.seq")) {
                        each(attribute, 2, &mut |value| {
                            seq = number(value, 3);
                            Some(())
                        })?;
                    }
                    Some(())
                })?;
                let seq = seq?;
                heard.out_of_order += u64::from(seq != heard.seq + 1);
                heard.events += 1;
                heard.seq = seq;
                Some(())
            })
        })
    })
}

/// Hands over every field of this number that is a text or a message.
fn each(message: &[u8], wanted: u64, then: &mut dyn FnMut(&[u8]) -> Option<()>) -> Option<()> {
    let mut rest = message;
    while !rest.is_empty() {
        if let (number, Field::Bytes(bytes)) = field(&mut rest)?
            && number == wanted
        {
            then(bytes)?;
        }
    }
    Some(())
}

/// The last field of this number that is a whole number.
fn number(message: &[u8], wanted: u64) -> Option<u64> {
    let (mut rest, mut found) = (message, None);
    while !rest.is_empty() {
        if let (number, Field::Number(value)) = field(&mut rest)?
            && number == wanted
        {
            found = Some(value);
        }
    }
    found
}

enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Other,
}

/// The next field of a message in the encoding of protobuf.
fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Field<'a>)> {
    let tag = varint(rest)?;
    let mut split = |length: u64| {
        let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        *rest = behind;
        Some(bytes)
    };
    let field = match tag & 7 {
        0 => Field::Number(varint(rest)?),
        1 => split(8).map(|_| Field::Other)?,
        2 => {
            let length = varint(rest)?;
            let (bytes, behind) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            *rest = behind;
            Field::Bytes(bytes)
        }
        5 => split(4).map(|_| Field::Other)?,
        _ => return None,
    };
    Some((tag >> 3, field))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
