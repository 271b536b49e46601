//! What is done with records when new programs take over from others that still told: each is taken once.
//!
//! For a moment both are attached, and what happens in it both tell, each with a time of its own. So there is one moment,
//! `since`: what the old ones told up to it is kept, what the new ones told up to it is left out, and of the rest it is the
//! other way round. Only the data's side of it is here, whatever memory it lies in; [`super::pinned`] attaches and detaches.

use std::ops::Deref;
use std::sync::atomic::AtomicU64;

use probe_common::decode::decode;
use probe_common::record::{Header, RecordKind};

use super::tail::{self, Damaged, Kind, Tail};

/// Two programs at one tracepoint tell of the same thing within so long.
const AROUND_NS: u64 = 1_000_000;

/// Where a tail lies.
pub(super) trait Memory: Deref<Target = [AtomicU64]> {}

impl<M: Deref<Target = [AtomicU64]>> Memory for M {}

/// Puts what the old programs told into the tail of the new ones.
#[derive(Debug)]
pub(super) struct Handover {
    since: u64,
    /// The old tail's last record, until the first of the old ring has been compared with it: a daemon that is killed while it
    /// takes a record leaves it in both.
    last: Option<Vec<u8>>,
    /// Records that found no room.
    missed: u64,
}

impl Handover {
    /// First what was read and is not settled, at the positions that it had.
    pub(super) fn begin<M: Memory, N: Memory>(old: &Tail<M>, new: &mut Tail<N>, since: u64) -> Result<Self, Damaged> {
        let mut at = old.settled().position;
        while let Some((frame, next)) = old.read(at)? {
            new.append(frame.kind, &frame.bytes);
            at = next;
        }
        Ok(Self { since, last: last_record(old), missed: 0 })
    }

    /// Then each record of the old ring.
    pub(super) fn take<N: Memory>(&mut self, item: &[u8], new: &mut Tail<N>) {
        if self.last.take().is_some_and(|last| *last == *item) {
            return;
        }
        // What comes after that the new programs tell.
        let told = decode(item).is_ok_and(|raw| raw.header().time <= self.since);
        self.missed += u64::from(told && !new.append(Kind::Record, item));
    }

    /// How many found no room.
    pub(super) const fn missed(&self) -> u64 {
        self.missed
    }
}

/// Whether the programs before these have told the same: everything up to the moment that these took over, and of what
/// happened around that moment an exec, which is the one thing that means something twice.
pub(super) fn was_told<M: Memory>(tail: &Tail<M>, item: &[u8]) -> bool {
    let since = tail.about().since;
    let Some(header) = decode(item).ok().map(|raw| *raw.header()).filter(|_| since > 0) else { return false };
    if header.time <= since || header.kind != RecordKind::Exec as u16 || header.time > since + AROUND_NS {
        return header.time <= since;
    }
    let same = |frame: &tail::Frame| {
        let other = decode(&frame.bytes).ok().map(|raw| *raw.header());
        let near = |other: Header| other.tgid == header.tgid && other.time <= since && other.time + AROUND_NS > since;
        frame.kind == Kind::Record
            && other.is_some_and(near)
            && frame.bytes.get(size_of::<Header>()..) == item.get(size_of::<Header>()..)
    };
    let mut at = tail.settled().position;
    while let Ok(Some((frame, next))) = tail.read(at) {
        if same(&frame) {
            return true;
        }
        at = next;
    }
    false
}

/// The last record in it.
pub(super) fn last_record<M: Memory>(tail: &Tail<M>) -> Option<Vec<u8>> {
    let (mut at, mut last) = (tail.settled().position, None);
    while let Ok(Some((frame, next))) = tail.read(at) {
        if frame.kind == Kind::Record {
            last = Some(frame.bytes);
        }
        at = next;
    }
    last
}

#[cfg(test)]
mod tests {
    use probe_common::decode::Raw;
    use probe_common::encode::encode;
    use probe_common::record::{Exec, Rename};

    use super::*;
    use crate::kernel::tail::{About, HEAD};

    const SINCE: u64 = 1_000 * AROUND_NS;

    fn memory(words: usize) -> Box<[AtomicU64]> {
        (0..HEAD + words).map(|_| AtomicU64::new(0)).collect()
    }

    /// One thing that happened: which process, an exec or not, and the times by which the old and the new programs tell it.
    #[derive(Clone, Copy)]
    struct Happened {
        tgid: u32,
        exec: bool,
        old: Option<u64>,
        new: Option<u64>,
    }

    /// Far from the change only one of them is attached; around it, times are in us from the moment of the change.
    fn exec(tgid: u32, old: i64, new: i64) -> Happened {
        let time = |us: i64| Some(SINCE.saturating_add_signed(us * 1_000));
        Happened { tgid, exec: true, old: time(old), new: time(new) }
    }

    fn rename(tgid: u32, old: i64, new: i64) -> Happened {
        Happened { exec: false, ..exec(tgid, old, new) }
    }

    fn record(happened: Happened, time: Option<u64>, seq: u64) -> Option<Vec<u8>> {
        let kind = if happened.exec { RecordKind::Exec } else { RecordKind::Rename };
        let header = Header { kind: kind as u16, tgid: happened.tgid, time: time?, seq, ..Header::default() };
        let mut bytes = Vec::new();
        if happened.exec {
            let exec = Exec { header, ..Exec::default() };
            encode(&Raw::Exec { exec, exe: b"a\0", filename: b"/a", args: b"a\0b\0" }, &mut bytes);
        } else {
            encode(&Raw::Rename(Rename { header, ..Rename::default() }), &mut bytes);
        }
        Some(bytes)
    }

    fn tgid(bytes: &[u8]) -> u32 {
        decode(bytes).map(|raw| raw.header().tgid).unwrap()
    }

    /// What is taken, by process, when the last daemon has read the first `read` records of the old ring, and is killed
    /// with the last of these in both places when `torn`.
    fn taken(story: &[Happened], read: usize, torn: bool) -> Vec<u32> {
        let old: Vec<_> = story.iter().zip(1..).filter_map(|(one, seq)| record(*one, one.old, seq)).collect();
        let new: Vec<_> = story.iter().zip(101..).filter_map(|(one, seq)| record(*one, one.new, seq)).collect();
        let mut old_tail = Tail::make(memory(4_096), About::default());
        old[..read].iter().for_each(|item| assert!(old_tail.append(Kind::Record, item)));
        let mut new_tail = Tail::make(memory(4_096), About::default());
        let mut handover = Handover::begin(&old_tail, &mut new_tail, SINCE).unwrap();
        old[read - usize::from(torn)..].iter().for_each(|item| handover.take(item, &mut new_tail));
        assert_eq!(handover.missed(), 0);
        new_tail.go_on(SINCE, Default::default());
        let (mut at, mut taken) = (new_tail.settled().position, Vec::new());
        while let Some((frame, next)) = new_tail.read(at).unwrap() {
            taken.push(tgid(&frame.bytes));
            at = next;
        }
        taken.extend(new.iter().filter(|item| !was_told(&new_tail, item)).map(|item| tgid(item)));
        taken
    }

    #[track_caller]
    fn check(story: &[Happened], expected: &[u32]) {
        let in_old = story.iter().filter(|one| one.old.is_some()).count();
        for read in 0..=in_old {
            for torn in [false, true] {
                if read > 0 || !torn {
                    assert_eq!(taken(story, read, torn), expected, "{read} were read, torn {torn}");
                }
            }
        }
    }

    #[test]
    fn each_record_is_taken_once_whoever_tells_it() {
        let only_old = |tgid, us| Happened { new: None, ..exec(tgid, us, us) };
        let only_new = |tgid, us| Happened { old: None, ..exec(tgid, us, us) };
        check(&[only_old(1, -9_000), only_old(2, -5_000), only_new(3, 9_000)], &[1, 2, 3]);
        // Both are attached: before the change, after it.
        check(&[only_old(1, -900), exec(2, -300, -299), rename(3, -200, -199), only_new(4, 50)], &[1, 2, 3, 4]);
        check(&[only_old(1, -900), only_new(4, 1)], &[1, 4]);
        // An exec that one tells before the change and the other after it; another one of the same process is not the same.
        check(&[exec(1, -1, 0), exec(2, 0, 1), exec(3, -2, 900)], &[1, 2, 3]);
        check(&[exec(1, -1, 1), Happened { old: None, ..exec(1, 0, 2_000) }], &[1, 1]);
        // Any other record may be told twice then: it says the same again.
        check(&[rename(7, -1, 1)], &[7, 7]);
    }

    #[test]
    fn what_the_old_ones_tell_after_the_change_is_left_to_the_new_ones() {
        // The last daemon has read none of these: they came after it was killed.
        let story = [exec(1, -5, -4), exec(2, 3, 4), rename(3, 10, 11)];
        assert_eq!(taken(&story, 0, false), [1, 2, 3]);
        assert_eq!(taken(&story, 1, true), [1, 2, 3]);
    }

    #[test]
    fn what_finds_no_room_is_counted_and_damage_is_told() {
        let item = record(rename(1, -5, -4), Some(SINCE - 5), 1).unwrap();
        let old = Tail::make(memory(64), About::default());
        let mut new = Tail::make(memory(16), About::default());
        let mut handover = Handover::begin(&old, &mut new, SINCE).unwrap();
        for _ in 0..10 {
            handover.take(&item, &mut new);
        }
        let kept = usize::try_from(new.end() / tail::size(item.len())).unwrap();
        assert_eq!((kept > 0, handover.missed()), (true, 10 - kept as u64));
        // What cannot be decoded is nobody's.
        handover.take(b"nonsense", &mut new);
        assert_eq!(handover.missed(), 10 - kept as u64);
    }
}
