//! The members that ended or left last, as evidence.
//!
//! Of a group whose bounds ask for failures only, nothing else is written down, but all ends are counted: what is told are
//! the failures among the last [`NOTES_MAX`], whatever the others were. A group that many short lives pass through costs
//! one number for each.

use std::collections::VecDeque;

use super::evidence::{NOTES_MAX, Note};

/// The notes, oldest first, each with its number among all departures.
#[derive(Debug, Default)]
pub(super) struct Departed {
    notes: VecDeque<(u64, Note)>,
    count: u64,
    /// Of no use but where it tells of a failure.
    only_failures: bool,
}

impl Departed {
    pub(super) fn new(only_failures: bool) -> Self {
        Self { only_failures, ..Self::default() }
    }

    /// One more.
    pub(super) fn add(&mut self, is_failure: bool, note: impl FnOnce() -> Note) {
        self.count += 1;
        while self.notes.front().is_some_and(|(number, _)| !is_among_last(*number, self.count)) {
            self.notes.pop_front();
        }
        if is_failure || !self.only_failures {
            self.notes.push_back((self.count, note()));
        }
    }

    /// Those that are told, oldest first.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Note> + Clone {
        self.notes.iter().map(|(_, note)| note)
    }

    /// What another one knew goes on here.
    pub(super) fn take_over(&mut self, other: &mut Self) {
        self.notes = std::mem::take(&mut other.notes);
        self.count = other.count;
    }
}

fn is_among_last(number: u64, count: u64) -> bool {
    count - number < NOTES_MAX as u64
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::model::Process;
    use crate::record::{Comm, Identity, ProcessKey};
    use crate::time::KTime;

    fn process() -> Process {
        let identity = Identity {
            parent: None,
            start_boot_ns: 0,
            cgroup_id: 0,
            uid: 0,
            gid: 0,
            comm: Comm::default(),
            kernel_thread: false,
        };
        Process::new(ProcessKey { tgid: 2, start: KTime(1) }, identity, Arc::default(), KTime(1))
    }

    proptest! {
        /// What is told of failures is the same, whether the others are written down or not.
        #[test]
        fn failures_are_told_as_if_all_were_kept(failures in prop::collection::vec(any::<bool>(), 0..40)) {
            let (mut all, mut few) = (Departed::default(), Departed::new(true));
            let mut kept = VecDeque::new();
            for (at, is_failure) in (0..).zip(failures) {
                let note = || Note::left(&process(), KTime(at));
                all.add(is_failure, note);
                few.add(is_failure, note);
                kept.push_back((at, is_failure));
                if kept.len() > NOTES_MAX {
                    kept.pop_front();
                }
                let told: Vec<u64> = few.iter().map(|note| note.at.0).collect();
                let failed: Vec<u64> = kept.iter().filter(|(_, failed)| *failed).map(|(at, _)| *at).collect();
                prop_assert_eq!(told, failed);
                let told: Vec<u64> = all.iter().map(|note| note.at.0).collect();
                prop_assert_eq!(told, kept.iter().map(|(at, _)| *at).collect::<Vec<_>>());
            }
        }
    }
}
