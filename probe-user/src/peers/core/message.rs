//! The messages that members send each other, written and read by hand.
//!
//! A message is a head (version, kind, who sends it, how new its record is, a digest of all it knows, flags), a body that
//! depends on the kind, and then any number of items: news that ride along.

use super::member::RecordBytes;
use super::statement::{STATEMENT_BYTES, Statement};
use super::wire::{Reader, Write};
use super::{Member, PeerId, Reach, Record};

/// Version of everything in here; another one is no message.
const VERSION: u8 = 1;
/// Parts in which lists of members are compared.
pub(super) const BUCKETS: usize = 64;
/// Bytes that an item about a suspicion takes, with its tag.
const SUSPECT_BYTES: usize = 1 + 16 + 4 + 16 + 2;

/// What every message begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) sender: PeerId,
    /// How new its record is, so that whoever has an older one can ask.
    pub(super) incarnation: u32,
    /// Of the whole list that it knows: the same on two nodes that know the same.
    pub(super) digest: u64,
    pub(super) reach: Reach,
    /// It asks for the receiver's record.
    pub(super) introduce: bool,
}

/// What a message is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Body<'a> {
    /// "Are you there?"
    Ping { seq: u32 },
    /// "I am."
    Ack { seq: u32 },
    /// "Is that one there? I do not hear it."
    PingFor { seq: u32, target: PeerId },
    /// "It is", from a helper.
    Heard { seq: u32 },
    /// "I do not hear it either", from a helper.
    Nack { seq: u32 },
    /// Items only.
    News,
    /// "This is what I know, in parts: what do you know otherwise?"
    Compare { buckets: Box<[u64; BUCKETS]> },
    /// Members of the parts that differ are the items. `wanted`: parts of which the sender wants the other's.
    Members { wanted: u64 },
    /// "I have no path to the collector: tell it this."
    Vouch { words: &'a [u8] },
    /// "I do", or "I have no path either".
    Vouched { told: bool },
}

/// What rides along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item<'a> {
    /// Somebody misses it, since so long: a call to look, no more. It is not signed and brings nobody down.
    Suspect { subject: PeerId, incarnation: u32, accuser: PeerId, age_ms: u16 },
    /// A witness's signed word.
    Said(Statement),
    /// What a member says about itself.
    Record(RecordBytes<'a>),
    /// To the member itself: you were called down in this life.
    Obituary { subject: PeerId, boot: [u8; 16], life: u32 },
}

/// Starts a message; items may follow.
pub(super) fn begin(head: &Head, body: &Body<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    out.u8(VERSION);
    out.u8(match body {
        Body::Ping { .. } => 1,
        Body::Ack { .. } => 2,
        Body::PingFor { .. } => 3,
        Body::Heard { .. } => 4,
        Body::Nack { .. } => 5,
        Body::News => 6,
        Body::Compare { .. } => 7,
        Body::Members { .. } => 8,
        Body::Vouch { .. } => 9,
        Body::Vouched { .. } => 10,
    });
    out.bytes(&head.sender.0);
    out.u32(head.incarnation);
    out.u64(head.digest);
    out.u8(reach_bits(head.reach) | u8::from(head.introduce) << 2);
    match body {
        Body::Ping { seq } | Body::Ack { seq } | Body::Heard { seq } | Body::Nack { seq } => out.u32(*seq),
        Body::PingFor { seq, target } => {
            out.u32(*seq);
            out.bytes(&target.0);
        }
        Body::News => {}
        Body::Compare { buckets } => buckets.iter().for_each(|bucket| out.u64(*bucket)),
        Body::Members { wanted } => out.u64(*wanted),
        Body::Vouch { words } => {
            out.u16(u16::try_from(words.len()).unwrap_or(u16::MAX));
            out.bytes(words);
        }
        Body::Vouched { told } => out.u8(u8::from(*told)),
    }
    out
}

/// Reads the head and the body; the reader is left at the items.
pub(super) fn read<'a>(reader: &mut Reader<'a>) -> Option<(Head, Body<'a>)> {
    if reader.u8()? != VERSION {
        return None;
    }
    let kind = reader.u8()?;
    let sender = PeerId(reader.array()?);
    let incarnation = reader.u32()?;
    let digest = reader.u64()?;
    let flags = reader.u8()?;
    if flags >= 8 {
        return None;
    }
    let head = Head { sender, incarnation, digest, reach: reach_of(flags & 3)?, introduce: flags & 4 != 0 };
    let body = match kind {
        1 => Body::Ping { seq: reader.u32()? },
        2 => Body::Ack { seq: reader.u32()? },
        3 => Body::PingFor { seq: reader.u32()?, target: PeerId(reader.array()?) },
        4 => Body::Heard { seq: reader.u32()? },
        5 => Body::Nack { seq: reader.u32()? },
        6 => Body::News,
        7 => {
            let mut buckets = Box::new([0; BUCKETS]);
            for bucket in buckets.iter_mut() {
                *bucket = reader.u64()?;
            }
            Body::Compare { buckets }
        }
        8 => Body::Members { wanted: reader.u64()? },
        9 => {
            let length = usize::from(reader.u16()?);
            Body::Vouch { words: reader.bytes(length)? }
        }
        10 => Body::Vouched {
            told: match reader.u8()? {
                0 => false,
                1 => true,
                _ => return None,
            },
        },
        _ => return None,
    };
    Some((head, body))
}

/// What comes next in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    Item(Item<'a>),
    End,
    Malformed,
}

/// Reads one item.
pub(super) fn item<'a>(reader: &mut Reader<'a>) -> Next<'a> {
    if reader.is_empty() {
        return Next::End;
    }
    read_item(reader).map_or(Next::Malformed, Next::Item)
}

fn read_item<'a>(reader: &mut Reader<'a>) -> Option<Item<'a>> {
    Some(match reader.u8()? {
        1 => Item::Suspect {
            subject: PeerId(reader.array()?),
            incarnation: reader.u32()?,
            accuser: PeerId(reader.array()?),
            age_ms: reader.u16()?,
        },
        2 => Item::Said(Statement::read(reader)?),
        3 => {
            let length = usize::from(reader.u16()?);
            Item::Record(RecordBytes::read(reader.bytes(length)?)?)
        }
        4 => Item::Obituary { subject: PeerId(reader.array()?), boot: reader.array()?, life: reader.u32()? },
        _ => return None,
    })
}

/// An item to be sent.
#[derive(Clone, Debug)]
pub(super) enum Told<'a> {
    Suspect { subject: PeerId, incarnation: u32, accuser: PeerId, age_ms: u16 },
    Said(&'a Statement),
    Record(&'a Record),
    Obituary { subject: PeerId, boot: [u8; 16], life: u32 },
}

impl Told<'_> {
    /// To a member, about a life of its own that was held to be over.
    pub(super) fn of_death(member: &Member) -> Self {
        Self::Obituary { subject: member.id(), boot: member.boot, life: member.life }
    }

    /// Adds it, if the message stays within `bytes_max`.
    pub(super) fn add(&self, out: &mut Vec<u8>, bytes_max: usize) -> bool {
        if out.len() + self.bytes() > bytes_max {
            return false;
        }
        match self {
            Self::Suspect { subject, incarnation, accuser, age_ms } => {
                out.u8(1);
                out.bytes(&subject.0);
                out.u32(*incarnation);
                out.bytes(&accuser.0);
                out.u16(*age_ms);
            }
            Self::Said(statement) => {
                out.u8(2);
                statement.write(out);
            }
            Self::Record(record) => {
                out.u8(3);
                out.u16(u16::try_from(record.written_bytes()).unwrap_or(u16::MAX));
                record.write(out);
            }
            Self::Obituary { subject, boot, life } => {
                out.u8(4);
                out.bytes(&subject.0);
                out.bytes(boot);
                out.u32(*life);
            }
        }
        true
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Suspect { .. } => SUSPECT_BYTES,
            Self::Said(_) => 1 + STATEMENT_BYTES,
            Self::Record(record) => 3 + record.written_bytes(),
            Self::Obituary { .. } => 1 + 16 + 16 + 4,
        }
    }
}

pub(super) fn reach_bits(reach: Reach) -> u8 {
    match reach {
        Reach::Unknown => 0,
        Reach::Reached => 1,
        Reach::Lost => 2,
    }
}

pub(super) fn reach_of(bits: u8) -> Option<Reach> {
    match bits {
        0 => Some(Reach::Unknown),
        1 => Some(Reach::Reached),
        2 => Some(Reach::Lost),
        _ => None,
    }
}
