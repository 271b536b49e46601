//! Messages over TCP: one for each connection. Who accepts it begins with random bytes, and the message is sealed with
//! them, so that it counts for this connection alone.
//!
//! ```text
//! -> challenge, 16 bytes
//! <- header (of a salt made for it, number 1), length of what is sealed (4 bytes, big-endian), sealed words
//! -> one byte, once it was let in
//! ```
//!
//! Sizes, time and the number of connections are bounded; what is wrong ends the connection and is counted.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ring::rand::{SecureRandom as _, SystemRandom};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::core::RELIABLE_BYTES;
use super::keys::Key;
use super::refused::Refusal;
use super::seal::{HEADER_BYTES, Header, HeaderError, Kind, SALT_BYTES, SaltKey, TAG_BYTES, TO_BYTES};
use crate::outlet::lock;

/// Longest message.
pub(super) const MESSAGE_MAX: usize = RELIABLE_BYTES;
/// How long a connection may take in all.
pub(super) const WITHIN: Duration = Duration::from_secs(5);
/// Connections that are accepted at a time, and of one address.
const STREAMS_MAX: usize = 16;
const STREAMS_EACH: usize = 4;
/// Says that a message was let in.
const TAKEN: u8 = 1;
const CHALLENGE_BYTES: usize = 16;

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("no answer within {WITHIN:?}")]
    Slow,
    #[error("it was not let in: another key, or another version")]
    Refused,
    #[error("it cannot be sealed")]
    Seal,
}

/// Sends a message; it has arrived when this is well.
pub(super) async fn send(to: SocketAddr, key: &Key, words: &[u8]) -> Result<(), StreamError> {
    let whole = async {
        let mut stream = TcpStream::connect(to).await?;
        give(&mut stream, key, words).await
    };
    timeout(WITHIN, whole).await.unwrap_or(Err(StreamError::Slow))
}

async fn give<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, key: &Key, words: &[u8]) -> Result<(), StreamError> {
    let mut challenge = [0; CHALLENGE_BYTES];
    stream.read_exact(&mut challenge).await?;
    let mut salt = [0; SALT_BYTES];
    SystemRandom::new().fill(&mut salt).map_err(|_| StreamError::Seal)?;
    let header = Header { kind: Kind::Stream, key_id: key.id, salt, to: [0; TO_BYTES], number: 1 };
    let salted = SaltKey::new(key, &salt).ok_or(StreamError::Seal)?;
    let packet = salted.seal(&header, &challenge, words).ok_or(StreamError::Seal)?;
    let (front, sealed) = packet.split_at(HEADER_BYTES.min(packet.len()));
    let length = u32::try_from(sealed.len()).map_err(|_| StreamError::Seal)?;
    let message = [front, &length.to_be_bytes()[..], sealed].concat();
    stream.write_all(&message).await?;
    match stream.read_u8().await {
        Ok(TAKEN) => Ok(()),
        _ => Err(StreamError::Refused),
    }
}

/// Takes the message of a connection that was accepted.
pub(super) async fn take<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    keys: &[Key],
    within: Duration,
) -> Result<Vec<u8>, Refusal> {
    let whole = async {
        let mut challenge = [0; CHALLENGE_BYTES];
        SystemRandom::new().fill(&mut challenge).map_err(|_| Refusal::Room)?;
        stream.write_all(&challenge).await.map_err(|_| Refusal::Malformed)?;
        let mut front = [0; HEADER_BYTES + 4];
        stream.read_exact(&mut front).await.map_err(|_| Refusal::Malformed)?;
        let (header, length) = Header::read(&front).map_err(|error| match error {
            HeaderError::Malformed => Refusal::Malformed,
            HeaderError::Version => Refusal::Version,
        })?;
        let length = length.try_into().map(u32::from_be_bytes).map_err(|_| Refusal::Malformed)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if header.kind != Kind::Stream || header.number != 1 || !(TAG_BYTES..=MESSAGE_MAX + TAG_BYTES).contains(&length)
        {
            return Err(Refusal::Malformed);
        }
        // Looked at before the rest is read: who has no key gets no memory.
        let key = keys.iter().find(|key| key.id == header.key_id).ok_or(Refusal::UnknownKey)?;
        let mut sealed = Vec::new();
        let mut rest = stream.take(u64::try_from(length).unwrap_or(0));
        // What is set aside follows what comes, not what the length claims.
        rest.read_to_end(&mut sealed).await.map_err(|_| Refusal::Malformed)?;
        if sealed.len() != length {
            return Err(Refusal::Malformed);
        }
        let opener = SaltKey::new(key, &header.salt).ok_or(Refusal::Seal)?;
        let words = opener.open(&header, &challenge, &sealed).ok_or(Refusal::Seal)?;
        // Who sent it may be gone by now.
        let _ = rest.into_inner().write_u8(TAKEN).await;
        Ok(words)
    };
    timeout(within, whole).await.unwrap_or(Err(Refusal::Slow))
}

/// Places for connections.
#[derive(Clone, Debug, Default)]
pub(super) struct Places(Arc<Mutex<HashMap<IpAddr, usize>>>);

/// A place, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    source: IpAddr,
}

impl Places {
    /// A place for a connection from there, if there is one.
    pub(super) fn take(&self, source: IpAddr) -> Option<Place> {
        let mut taken = lock(&self.0);
        let all: usize = taken.values().sum();
        let own = taken.entry(source).or_default();
        if all >= STREAMS_MAX || *own >= STREAMS_EACH {
            if *own == 0 {
                taken.remove(&source);
            }
            return None;
        }
        *own += 1;
        Some(Place { places: self.clone(), source })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.places.0);
        if let Some(own) = taken.get_mut(&self.source) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};
    use tokio::io::duplex;

    use super::*;

    fn key(byte: u8) -> Key {
        Key::new([byte; 32])
    }

    fn block_on<F: Future>(future: F) -> F::Output {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// Sends words from one side to the other.
    #[track_caller]
    fn check(own: u8, others: &[u8], words: &[u8], expected: Result<(), Refusal>) {
        let keys: Vec<Key> = others.iter().map(|byte| key(*byte)).collect();
        let (sent, taken) = block_on(async {
            let (mut near, mut far) = duplex(1 << 12);
            let own = key(own);
            let far = async {
                let taken = take(&mut far, &keys, WITHIN).await;
                drop(far);
                taken
            };
            tokio::join!(give(&mut near, &own, words), far)
        });
        assert_eq!(taken.as_deref().map(|_| ()).map_err(|why| *why), expected);
        assert_eq!(sent.is_ok(), expected.is_ok(), "{sent:?}");
        assert!(taken.is_ok_and(|taken| taken == words) == expected.is_ok());
    }

    #[test]
    fn a_message_arrives_whole_or_not_at_all() {
        check(1, &[1], b"words", Ok(()));
        check(1, &[2, 1], &vec![7; MESSAGE_MAX], Ok(()));
        check(1, &[1], b"", Ok(()));
        check(1, &[2], b"words", Err(Refusal::UnknownKey));
        check(1, &[1], &vec![0; MESSAGE_MAX + 1], Err(Refusal::Malformed));
    }

    #[test]
    fn a_message_counts_for_one_connection() {
        let taken = block_on(async {
            let own = key(1);
            let (mut near, mut far) = duplex(1 << 16);
            // The sender talks to the attacker, who has no key and keeps what it says.
            let recorded = async {
                far.write_all(&[9; CHALLENGE_BYTES]).await.unwrap();
                let mut recorded = vec![0; HEADER_BYTES + 4 + 5 + TAG_BYTES];
                far.read_exact(&mut recorded).await.unwrap();
                drop(far);
                recorded
            };
            let (sent, recorded) = tokio::join!(give(&mut near, &own, b"words"), recorded);
            assert!(matches!(sent, Err(StreamError::Refused)));
            let (mut near, mut far) = duplex(1 << 16);
            near.write_all(&recorded).await.unwrap();
            take(&mut far, &[key(1)], WITHIN).await
        });
        assert_eq!(taken, Err(Refusal::Seal));
    }

    #[test]
    fn who_is_slow_is_let_go() {
        let taken = block_on(async {
            let (_near, mut far) = duplex(1 << 16);
            take(&mut far, &[key(1)], Duration::from_millis(20)).await
        });
        assert_eq!(taken, Err(Refusal::Slow));
    }

    #[test]
    fn places_are_bounded_and_given_back() {
        let places = Places::default();
        let from = |number: u8| IpAddr::from([10, 0, 0, number]);
        let own: Vec<_> = (0..6).map(|_| places.take(from(1))).collect();
        assert_eq!(own.iter().flatten().count(), STREAMS_EACH);
        let others: Vec<_> = (2..40).map(|number| places.take(from(number))).collect();
        assert_eq!(others.iter().flatten().count(), STREAMS_MAX - STREAMS_EACH);
        drop(own);
        assert!(places.take(from(200)).is_some());
        drop(others);
        assert!(lock(&places.0).is_empty());
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_message(bytes in vec(any::<u8>(), 0..300)) {
            let taken = block_on(async {
                let (mut near, mut far) = duplex(1 << 16);
                near.write_all(&bytes).await.unwrap();
                near.shutdown().await.unwrap();
                take(&mut far, &[key(1)], WITHIN).await
            });
            assert!(taken.is_err());
        }
    }
}
