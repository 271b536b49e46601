//! Who a member is: what it says about itself, and that it said so.

use std::net::SocketAddr;

/// Bytes of a name, a zone, a label's key or its value.
pub const TEXT_BYTES_MAX: usize = 64;
/// Labels of a member.
pub const LABELS_MAX: usize = 16;
/// Bytes that all labels of a member take together.
const LABEL_BYTES_MAX: usize = 400;

/// A host's identity: the first half of its public key, which nobody else can have without breaking the key itself. What
/// is signed is checked against the whole key, and the first key seen for an identity or a name stays.
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
    pub leaving: Option<super::Why>,
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
        for (what, text) in [("name", &self.name), ("zone", &self.zone)].into_iter().chain(
            self.labels.iter().flat_map(|(key, value)| [("label", key), ("the value of a label", value)]),
        ) {
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
