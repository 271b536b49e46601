//! When what is known is written down: now and then where it has changed, and soon where this host was called down.

use std::path::PathBuf;
use std::time::Duration;

use super::{Done, Loop};
use crate::peers::core::PeerId;
use crate::peers::kept::Kept;
use crate::time::KTime;

/// What is known is written down at most so often.
const KEEP_EVERY: Duration = Duration::from_mins(1);

/// What is written down, and when.
pub(super) struct Keeping {
    pub(super) state_dir: PathBuf,
    boot: [u8; 16],
    /// What was written last: who, in which word of theirs, and the own life.
    last: Vec<(PeerId, u32)>,
    life: u32,
    next: KTime,
    under_way: bool,
}

impl Keeping {
    /// Nothing was written yet.
    pub(super) const fn new(state_dir: PathBuf, boot: [u8; 16], now: KTime) -> Self {
        Self { state_dir, boot, last: Vec::new(), life: 0, next: now, under_way: false }
    }

    /// It has been written, or could not be.
    pub(super) const fn done(&mut self) {
        self.under_way = false;
    }
}

impl Loop {
    /// Writes down what is known, where that has changed.
    pub(super) fn keep(&mut self, now: KTime) {
        let life = self.life();
        let is_due = now >= self.kept.next || life != self.kept.life;
        if self.kept.under_way || !is_due {
            return;
        }
        let known: Vec<(PeerId, u32)> =
            self.site.records().map(|record| (record.member.id(), record.member.incarnation)).collect();
        if known == self.kept.last && life == self.kept.life {
            return;
        }
        self.kept.next = now.after(KEEP_EVERY);
        (self.kept.last, self.kept.life, self.kept.under_way) = (known, life, true);
        let (kept, state_dir, done) = (self.known(), self.kept.state_dir.clone(), self.done.clone());
        tokio::spawn(async move {
            let written = tokio::task::spawn_blocking(move || kept.write(&state_dir)).await;
            let why = match written {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("what is known of the peers cannot be kept: {error}")),
                Err(error) => Some(format!("what is known of the peers cannot be kept: {error}")),
            };
            let _ = done.send(Done::Kept(why)).await;
        });
    }

    pub(super) fn known(&self) -> Kept {
        let incarnation = self.site.members().next().map_or(0, |me| me.member.incarnation);
        let records = self.site.records().cloned().collect();
        Kept { life: self.life(), incarnation, boot: self.kept.boot, records }
    }

    /// How often this host was called down in this boot.
    fn life(&self) -> u32 {
        self.site.members().next().map_or(0, |me| me.member.life)
    }
}
