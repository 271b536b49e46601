//! What an earlier daemon has told of what comes out again now.
//!
//! Notes say which event got which number; the numbers say which of these were accepted. An event that is told again and
//! was accepted is left out, once. Of what has not come out again yet the next daemon must know as well: the exit of a process
//! that waits for its account comes out with every daemon that takes its records in, until its end lies before what is settled.

use std::collections::{BTreeMap, HashMap};
use std::ops::Deref;
use std::sync::atomic::AtomicU64;

use super::Numbers;
use super::note::{Alarms, Note, Said, mark};
use crate::event::Event;
use crate::kernel::tail::{Kind, Tail};

/// Marks of what was accepted and has not come out again, each with its number.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<u64, u64>);

impl Told {
    /// What these notes tell of; what the accepted events said of alarms and losses is taken in.
    pub(super) fn of(notes: &[Note], numbers: Numbers, alarms: &mut Alarms, lost: &mut BTreeMap<String, u64>) -> Self {
        let runs: Vec<(u64, u64)> = notes
            .iter()
            .filter_map(|note| match note {
                Note::Run { accepted, first } => Some((*accepted, *first)),
                _ => None,
            })
            .collect();
        let is_accepted =
            |seq: u64| seq <= numbers.accepted && !runs.iter().any(|(accepted, first)| seq > *accepted && seq < *first);
        let mut told = HashMap::new();
        for note in notes {
            match note {
                Note::Told { seq, mark } if is_accepted(*seq) => drop(told.insert(*mark, *seq)),
                Note::Said { seq, what } if is_accepted(*seq) => Said::apply(what.clone(), alarms, lost),
                _ => {}
            }
        }
        Self(told)
    }

    /// Whether this event was told. The next one like it is another one.
    pub(super) fn take(&mut self, event: &Event) -> bool {
        !self.0.is_empty() && mark(event).is_some_and(|mark| self.0.remove(&mark).is_some())
    }

    /// Nothing of it comes out any more.
    pub(super) fn forget(&mut self) {
        self.0 = HashMap::new();
    }

    /// What must be known behind any position that is settled now.
    pub(super) fn notes(&self) -> impl Iterator<Item = Note> {
        self.0.iter().map(|(mark, seq)| Note::Told { seq: *seq, mark: *mark })
    }
}

/// The notes behind the settled position; `wrong` gets what is wrong with them.
pub(super) fn notes<M: Deref<Target = [AtomicU64]>>(tail: &Tail<M>, wrong: &mut Vec<String>) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut at = tail.settled().position;
    loop {
        match tail.read(at) {
            Ok(None) => return notes,
            Ok(Some((frame, next))) => {
                if frame.kind == Kind::Note {
                    notes.extend(Note::read(&frame.bytes));
                }
                at = next;
            }
            Err(error) => {
                wrong.push(format!("{error}: what the last daemon had read may be told again or be lost"));
                return notes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::event::{Attribute, Attributes, Severity, name};
    use crate::kernel::tail::{About, Settled};
    use crate::time::KTime;

    fn exit(pid: u32) -> Event {
        let mut attributes = Attributes::default();
        attributes.put("process.pid", pid).put_attribute("process.creation.time", Attribute::BootTime(5));
        let (name, severity) = (name::PROCESS_EXIT, Severity::Info);
        Event { name, severity, at: KTime(9), body: String::new(), attributes, alarm: None }
    }

    fn told(seq: u64, pid: u32) -> Note {
        Note::of(seq, &exit(pid)).unwrap()
    }

    fn of(notes: &[Note], accepted: u64, first: u64) -> Told {
        Told::of(notes, Numbers { accepted, first }, &mut Alarms::new(), &mut BTreeMap::new())
    }

    /// Which of the exits of 1 to 4 are left out.
    #[track_caller]
    fn check(notes: &[Note], accepted: u64, expected: &[u32]) {
        let mut told = of(notes, accepted, 1000);
        let left_out: Vec<u32> = (1..=4).filter(|pid| told.take(&exit(*pid))).collect();
        assert_eq!(left_out, expected, "{notes:?}, {accepted} accepted");
        assert!((1..=4).all(|pid| !told.take(&exit(pid))), "each is left out once");
    }

    #[test]
    fn what_was_accepted_is_left_out() {
        let notes = [told(1, 1), told(2, 2), told(3, 3)];
        check(&[], 100, &[]);
        check(&notes, 0, &[]);
        check(&notes, 2, &[1, 2]);
        check(&notes, 3, &[1, 2, 3]);
        // The next run began at 100 when 1 was accepted: 2 and 3 never were, whatever is accepted later.
        let next = [&notes[..], &[Note::Run { accepted: 1, first: 100 }, told(100, 2)]].concat();
        check(&next, 1, &[1]);
        check(&next, 99, &[1]);
        check(&next, 100, &[1, 2]);
        let third = [&next[..], &[Note::Run { accepted: 100, first: 200 }, told(200, 3), told(201, 4)]].concat();
        check(&third, 200, &[1, 2, 3]);
    }

    #[test]
    fn what_has_not_come_out_again_is_known_to_all_who_follow() {
        let mut daemon = of(&[told(1, 1), told(2, 2)], 2, 100);
        assert!(daemon.take(&exit(1)));
        for run in 1..5 {
            // Each is killed before the exit of 2 comes out again, and has settled what lies before.
            let mut notes: Vec<Note> = daemon.notes().collect();
            notes.push(Note::Run { accepted: run * 100, first: run * 100 + 50 });
            daemon = of(&notes, run * 100 + 60, run * 100 + 100);
        }
        assert!(!daemon.take(&exit(1)) && daemon.take(&exit(2)) && !daemon.take(&exit(2)));
        assert_eq!(daemon.notes().count(), 0);
    }

    #[test]
    fn notes_are_read_from_what_is_settled_to_the_first_damage() {
        let memory: Box<[AtomicU64]> = (0..64).map(|_| AtomicU64::new(0)).collect();
        let mut tail = Tail::make(&memory[..], About::default());
        tail.append(Kind::Note, &told(1, 1).write());
        let position = tail.end();
        tail.append(Kind::Record, b"a record is no note");
        tail.append(Kind::Note, b"nor is this");
        tail.append(Kind::Note, &told(2, 2).write());
        let mut wrong = Vec::new();
        assert_eq!(notes(&tail, &mut wrong), [told(1, 1), told(2, 2)]);
        tail.settle(Settled { position, generation: 1 });
        assert_eq!(notes(&tail, &mut wrong), [told(2, 2)]);
        assert_eq!(wrong, [""; 0]);
        // The head of the record's frame: of a kind that there is not.
        let head = memory.iter().find(|word| word.load(Ordering::Relaxed) == (1 << 32) + 19).unwrap();
        head.store(7 << 32, Ordering::Relaxed);
        assert_eq!(notes(&tail, &mut wrong), []);
        assert!(wrong.len() == 1 && wrong[0].contains("damaged"), "{wrong:?}");
    }
}
