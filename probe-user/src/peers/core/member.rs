//! Who a member is: what it says about itself, and that it said so.

use std::net::SocketAddr;

use super::wire::{Reader, Write};
use super::{Signer, Why};

/// Bytes of a name, a zone, a label's key or its value.
pub const TEXT_BYTES_MAX: usize = 64;
/// Labels of a member.
pub const LABELS_MAX: usize = 16;
/// Bytes that all labels of a member take together.
const LABEL_BYTES_MAX: usize = 400;

/// A host's identity: the first half of its public key, which nobody else can have without breaking the key itself. What
/// is signed is checked against the whole key, and the first key seen for an identity stays; for a name, while its host is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 16]);

impl PeerId {
    /// Whose key this is.
    pub fn of(public_key: &[u8; 32]) -> Self {
        let [first @ .., _, _, _, _, _, _, _, _, _, _, _, _, _, _, _, _] = *public_key;
        Self(first)
    }
}

/// What a member says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its key.
    pub public_key: [u8; 32],
    /// Its name, unique in the site.
    pub name: String,
    /// Its failure domain; members without one share the empty one.
    pub zone: String,
    /// What policies select it by.
    pub labels: Vec<(String, String)>,
    /// Where it listens, by UDP and TCP.
    pub addr: SocketAddr,
    /// Another port that is open on its host (ssh, say), 0 for none: asked when its daemon is silent.
    pub open_port: u16,
    /// The boot of its host.
    pub boot: [u8; 16],
    /// Rises with everything new that it says about itself.
    pub incarnation: u32,
    /// How often it was called down in this boot.
    pub life: u32,
    /// Nanoseconds from the host's boot to the daemon's start: names the run. Set by the core.
    pub started_ns: u64,
    /// Nanoseconds from the host's boot to when it said this. Set by the core.
    pub up_ns: u64,
    /// Its last words, if it said them.
    pub leaving: Option<Why>,
}

/// What a member said about itself, with its signature: passed on as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// What it says.
    pub member: Member,
    /// That it does.
    pub signature: [u8; 64],
}

/// Why a member cannot be told to others as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooLarge {
    /// A text.
    #[error("{what} {text:?} has {bytes} bytes; at most {TEXT_BYTES_MAX} fit")]
    Text {
        /// Which.
        what: &'static str,
        /// It.
        text: String,
        /// Its size.
        bytes: usize,
    },
    /// Too many labels.
    #[error("{count} labels; at most {LABELS_MAX} fit")]
    Labels {
        /// How many.
        count: usize,
    },
    /// Labels too large together.
    #[error("labels take {bytes} bytes together; at most {LABEL_BYTES_MAX} fit")]
    LabelBytes {
        /// Their size.
        bytes: usize,
    },
}

impl Member {
    /// Whose record this is.
    pub fn id(&self) -> PeerId {
        PeerId::of(&self.public_key)
    }

    /// Whether it can be told to others as it is.
    pub fn check(&self) -> Result<(), TooLarge> {
        for (what, text) in [("name", &self.name), ("zone", &self.zone)]
            .into_iter()
            .chain(self.labels.iter().flat_map(|(key, value)| [("label", key), ("the value of a label", value)]))
        {
            if text.len() > TEXT_BYTES_MAX {
                return Err(TooLarge::Text { what, text: text.clone(), bytes: text.len() });
            }
        }
        if self.labels.len() > LABELS_MAX {
            return Err(TooLarge::Labels { count: self.labels.len() });
        }
        let bytes = self.labels.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        if bytes > LABEL_BYTES_MAX {
            return Err(TooLarge::LabelBytes { bytes });
        }
        Ok(())
    }

    /// Cuts what does not fit.
    pub(super) fn fit(&mut self) {
        for text in [&mut self.name, &mut self.zone] {
            text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
        }
        self.labels.retain(|(key, value)| key.len() <= TEXT_BYTES_MAX && value.len() <= TEXT_BYTES_MAX);
        self.labels.truncate(LABELS_MAX);
        let mut room = LABEL_BYTES_MAX;
        self.labels.retain(|(key, value)| {
            let bytes = key.len() + value.len() + 2;
            let fits = bytes <= room;
            if fits {
                room -= bytes;
            }
            fits
        });
    }
}

/// What is put before a record when it is signed, so that no other signed bytes can stand for one.
const SIGNED_AS: &[u8] = b"procprobe member 1\0";

impl Record {
    /// Says it and signs it.
    pub(super) fn signed(member: Member, signer: &dyn Signer) -> Self {
        let mut bytes = SIGNED_AS.to_vec();
        write_member(&mut bytes, &member);
        Self { member, signature: signer.sign(&bytes) }
    }

    /// Writes it for others.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        write_member(out, &self.member);
        out.bytes(&self.signature);
    }

    /// How many bytes [`Self::write`] writes.
    pub(super) fn written_bytes(&self) -> usize {
        let member = &self.member;
        let labels: usize = member.labels.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        let ip = if member.addr.is_ipv4() { 4 } else { 16 };
        32 + 4 + 4 + 16 + 8 + 8 + 1 + 2 + 1 + ip + 2 + 1 + member.name.len() + 1 + member.zone.len() + 1 + labels + 64
    }
}

/// A record in a message: what is needed to see whether it is news comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordBytes<'a> {
    bytes: &'a [u8],
    /// Whose it says to be.
    pub(super) public_key: [u8; 32],
    /// How new it is.
    pub(super) incarnation: u32,
}

impl<'a> RecordBytes<'a> {
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(bytes);
        Some(Self { bytes, public_key: reader.array()?, incarnation: reader.u32()? })
    }

    /// The record, if it is well formed; whether it was signed is another question.
    pub(super) fn decode(&self) -> Option<Record> {
        let mut reader = Reader(self.bytes);
        let member = read_member(&mut reader)?;
        let signature = reader.array()?;
        (reader.is_empty() && member.check().is_ok()).then_some(Record { member, signature })
    }

    /// Whether its owner signed it.
    pub(super) fn is_signed(&self, signer: &dyn Signer) -> bool {
        let Some((said, signature)) = self.bytes.split_last_chunk() else { return false };
        signer.verify(&self.public_key, &[SIGNED_AS, said].concat(), signature)
    }
}

fn write_member(out: &mut Vec<u8>, member: &Member) {
    out.bytes(&member.public_key);
    out.u32(member.incarnation);
    out.u32(member.life);
    out.bytes(&member.boot);
    out.u64(member.started_ns);
    out.u64(member.up_ns);
    out.u8(match member.leaving {
        None => 0,
        Some(Why::Stop) => 1,
        Some(Why::Reboot) => 2,
    });
    out.u16(member.open_port);
    out.addr(member.addr);
    out.text(&member.name);
    out.text(&member.zone);
    out.u8(u8::try_from(member.labels.len()).unwrap_or(u8::MAX));
    for (key, value) in &member.labels {
        out.text(key);
        out.text(value);
    }
}

fn read_member(reader: &mut Reader<'_>) -> Option<Member> {
    let public_key = reader.array()?;
    let incarnation = reader.u32()?;
    let life = reader.u32()?;
    let boot = reader.array()?;
    let started_ns = reader.u64()?;
    let up_ns = reader.u64()?;
    let leaving = match reader.u8()? {
        0 => None,
        1 => Some(Why::Stop),
        2 => Some(Why::Reboot),
        _ => return None,
    };
    let open_port = reader.u16()?;
    let addr = reader.addr()?;
    let name = reader.text(TEXT_BYTES_MAX)?.to_owned();
    let zone = reader.text(TEXT_BYTES_MAX)?.to_owned();
    let count = usize::from(reader.u8()?);
    if name.is_empty() || count > LABELS_MAX {
        return None;
    }
    let mut labels = Vec::with_capacity(count);
    for _ in 0..count {
        labels.push((reader.text(TEXT_BYTES_MAX)?.to_owned(), reader.text(TEXT_BYTES_MAX)?.to_owned()));
    }
    Some(Member {
        public_key,
        name,
        zone,
        labels,
        addr,
        open_port,
        boot,
        incarnation,
        life,
        started_ns,
        up_ns,
        leaving,
    })
}
