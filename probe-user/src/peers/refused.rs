//! Packets that were not let in, counted by reason.

/// Why a packet was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is none of ours: too short, too long, of an unknown kind.
    Malformed,
    /// Another version sealed it.
    Version,
    /// No key of ours sealed it.
    UnknownKey,
    /// Its seal is wrong.
    Seal,
    /// It has come before.
    Replayed,
    /// It was meant for another life of this daemon, or for another host; its sender is told.
    Unbound,
    /// Its source sends too much.
    Flood,
    /// There is no room for another sender, or for another stream.
    Room,
    /// A stream did not end in time.
    Slow,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::Version,
        Self::UnknownKey,
        Self::Seal,
        Self::Replayed,
        Self::Unbound,
        Self::Flood,
        Self::Room,
        Self::Slow,
    ];

    /// The word in status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Version => "version",
            Self::UnknownKey => "unknown_key",
            Self::Seal => "seal",
            Self::Replayed => "replayed",
            Self::Unbound => "unbound",
            Self::Flood => "flood",
            Self::Room => "room",
            Self::Slow => "slow",
        }
    }
}

/// How many were refused for what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refused([u64; Refusal::ALL.len()]);

impl Refused {
    /// One more.
    pub(super) fn count(&mut self, why: Refusal) {
        if let Some(place) = Refusal::ALL.iter().position(|known| *known == why).and_then(|place| self.0.get_mut(place))
        {
            *place = place.saturating_add(1);
        }
    }

    /// Each reason and how often.
    pub fn each(&self) -> impl Iterator<Item = (Refusal, u64)> {
        Refusal::ALL.into_iter().zip(self.0)
    }
}
