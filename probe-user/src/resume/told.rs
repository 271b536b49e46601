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
