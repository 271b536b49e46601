//! How packets are sealed: authenticated and encrypted with the shared key, each for one life of one receiver.
//!
//! ```text
//!  0  version (1)    1 byte
//!  1  kind           1 byte    1 words   2 hello   3 stream
//!  2  key id         4 bytes
//!  6  sender's salt 16 bytes   random, new with each start of a daemon
//! 22  receiver's salt, its beginning, 8 bytes (zero: not known; a stream has none)
//! 30  number         8 bytes   big-endian, from 1, never twice of one salt
//! 38  the rest sealed, with a tag of 16 bytes at its end
//! ```
//!
//! ChaCha20-Poly1305. Each salt has a key of its own, made of the shared key by HKDF-SHA256, so that numbers of different
//! senders cannot meet under one key. The header is authenticated with the rest; of a stream also the random bytes that
//! its receiver began with.
//!
//! What is replayed is refused without any clock: a datagram names the receiver's salt, so that it is worth nothing for
//! any other host and after a restart, and within one life its number counts once. Who does not know the receiver's
//! salt is told it by a hello, which is bound to the asker's own; see [`super::guard`].

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt as HkdfSalt};

use super::keys::{ID_BYTES, Key};

/// Bytes of a sender's salt.
pub(super) const SALT_BYTES: usize = 16;
/// Bytes of a receiver's salt that a packet names.
pub(super) const TO_BYTES: usize = 8;
/// Bytes before what is sealed.
pub(super) const HEADER_BYTES: usize = 2 + ID_BYTES + SALT_BYTES + TO_BYTES + 8;
/// Bytes that a seal adds.
pub(super) const TAG_BYTES: usize = 16;
/// The present version.
const VERSION: u8 = 1;
/// Says what keys of salts are for.
const INFO: &[u8] = b"procprobe peers 1";

/// A sender's salt.
pub(super) type Salt = [u8; SALT_BYTES];
/// What a packet names of its receiver's.
pub(super) type To = [u8; TO_BYTES];

/// What a packet is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A packet of the core.
    Words,
    /// Nothing but the sender's salt, for who does not know it.
    Hello,
    /// A message over TCP.
    Stream,
}

/// What a packet begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: Kind,
    pub(super) key_id: [u8; ID_BYTES],
    pub(super) salt: Salt,
    pub(super) to: To,
    pub(super) number: u64,
}

/// Why a header is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Too short, or of an unknown kind.
    Malformed,
    /// Another version's.
    Version,
}

/// The key of one salt.
pub(super) struct SaltKey(LessSafeKey);

impl std::fmt::Debug for SaltKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SaltKey")
    }
}

impl Header {
    pub(super) fn bytes(&self) -> [u8; HEADER_BYTES] {
        let kind = match self.kind {
            Kind::Words => 1,
            Kind::Hello => 2,
            Kind::Stream => 3,
        };
        let parts = [&[VERSION, kind], &self.key_id[..], &self.salt[..], &self.to[..], &self.number.to_be_bytes()[..]];
        let mut bytes = [0; HEADER_BYTES];
        bytes.iter_mut().zip(parts.into_iter().flatten()).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// The header at the front of a packet, and the rest.
    pub(super) fn read(packet: &[u8]) -> Result<(Self, &[u8]), HeaderError> {
        let (header, rest) = packet.split_first_chunk::<HEADER_BYTES>().ok_or(HeaderError::Malformed)?;
        let (&[version, kind], header) = header.split_first_chunk().ok_or(HeaderError::Malformed)?;
        if version != VERSION {
            return Err(HeaderError::Version);
        }
        let kind = match kind {
            1 => Kind::Words,
            2 => Kind::Hello,
            3 => Kind::Stream,
            _ => return Err(HeaderError::Malformed),
        };
        let (key_id, header) = header.split_first_chunk().ok_or(HeaderError::Malformed)?;
        let (salt, header) = header.split_first_chunk().ok_or(HeaderError::Malformed)?;
        let (to, header) = header.split_first_chunk().ok_or(HeaderError::Malformed)?;
        let number = header.try_into().map(u64::from_be_bytes).map_err(|_| HeaderError::Malformed)?;
        Ok((Self { kind, key_id: *key_id, salt: *salt, to: *to, number }, rest))
    }
}

impl SaltKey {
    /// The key of a salt; `None` cannot happen with lengths that fit.
    pub(super) fn new(key: &Key, salt: &Salt) -> Option<Self> {
        let pseudo = HkdfSalt::new(HKDF_SHA256, salt).extract(&key.bytes);
        let material = pseudo.expand(&[INFO], &CHACHA20_POLY1305).ok()?;
        Some(Self(LessSafeKey::new(UnboundKey::from(material))))
    }

    /// Header and sealed words; `more` is authenticated with them.
    pub(super) fn seal(&self, header: &Header, more: &[u8], words: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = words.to_vec();
        let aad = [&header.bytes()[..], more].concat();
        self.0.seal_in_place_append_tag(nonce(header.number), Aad::from(aad), &mut sealed).ok()?;
        let mut packet = Vec::with_capacity(HEADER_BYTES + sealed.len());
        packet.extend_from_slice(&header.bytes());
        packet.append(&mut sealed);
        Some(packet)
    }

    /// The words behind a header; `None` when the seal is not right.
    pub(super) fn open(&self, header: &Header, more: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let mut words = sealed.to_vec();
        let aad = [&header.bytes()[..], more].concat();
        let length = self.0.open_in_place(nonce(header.number), Aad::from(aad), &mut words).ok()?.len();
        words.truncate(length);
        Some(words)
    }
}

fn nonce(number: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes.iter_mut().skip(4).zip(number.to_be_bytes()).for_each(|(to, from)| *to = from);
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::peers::keys::hex;

    fn header(kind: Kind, number: u64) -> Header {
        Header { kind, key_id: Key::new([7; 32]).id, salt: [1; SALT_BYTES], to: [2; TO_BYTES], number }
    }

    fn key() -> SaltKey {
        SaltKey::new(&Key::new([7; 32]), &[1; SALT_BYTES]).unwrap()
    }

    /// What goes over the wire stays as it is: hosts of two versions meet while a fleet is upgraded.
    #[test]
    fn golden_bytes() {
        let packet = key().seal(&header(Kind::Words, 5), b"", b"words").unwrap();
        let (front, rest) = packet.split_at(HEADER_BYTES);
        let id = hex(&Key::new([7; 32]).id);
        let expected = format!("0101{id}{}{}0000000000000005", "01".repeat(16), "02".repeat(8));
        assert_eq!(hex(front), expected);
        assert_eq!(rest.len(), 5 + TAG_BYTES);
        assert_eq!(hex(&packet), GOLDEN);
    }

    /// Made by another implementation of HKDF and ChaCha20-Poly1305.
    const GOLDEN: &str = "010194b2ed4c0101010101010101010101010101010102020202020202020000000000000005\
                          6e33fd04572cca7ddba037d841141f7abcc16b0386";

    #[test]
    fn whatever_is_changed_is_noticed() {
        let packet = key().seal(&header(Kind::Stream, 9), b"challenge", b"some words").unwrap();
        let open = |packet: &[u8], more: &[u8]| {
            let (header, rest) = Header::read(packet).ok()?;
            key().open(&header, more, rest)
        };
        assert_eq!(open(&packet, b"challenge").as_deref(), Some(&b"some words"[..]));
        assert_eq!(open(&packet, b"another"), None);
        for place in 0..packet.len() {
            let mut changed = packet.clone();
            changed[place] ^= 1;
            // Another salt or key id leads to another key before anything is opened.
            let is_of_another = (2..2 + ID_BYTES + SALT_BYTES).contains(&place);
            assert!(is_of_another || open(&changed, b"challenge").is_none(), "byte {place}");
            let cut = packet.get(..place).unwrap();
            assert_eq!(open(cut, b"challenge"), None);
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_no_packet(bytes in vec(any::<u8>(), 0..200)) {
            if let Ok((header, rest)) = Header::read(&bytes) {
                assert!(key().open(&header, b"", rest).is_none());
                assert_eq!(Header::read(&header.bytes()), Ok((header, &[][..])));
            }
        }

        #[test]
        fn what_was_sealed_is_opened(words in vec(any::<u8>(), 0..1500), number in 1_u64.., more in vec(any::<u8>(), 0..20)) {
            let header = header(Kind::Words, number);
            let packet = key().seal(&header, &more, &words).unwrap();
            let (read, rest) = Header::read(&packet).unwrap();
            assert_eq!(read, header);
            assert_eq!(key().open(&read, &more, rest), Some(words));
        }
    }
}
