//! Who is whose child: an index from each parent to the processes in the table that name it.
//!
//! It goes by what the children say, so that it is right whether the parent is known, not yet known or already gone,
//! and its size follows the number of processes in the table.

use smallvec::SmallVec;

use super::ProcessKey;
use super::hash::{Map, trim};
use super::table::Table;

/// Nearly all parents have one child at a time.
type Siblings = SmallVec<[ProcessKey; 2]>;

/// The index. Where each child stands in it is kept with the child ([`super::store::Entry::kin`]).
#[derive(Debug, Default)]
pub(super) struct Kin {
    children: Map<ProcessKey, Siblings>,
}

impl Kin {
    /// The children of a process; empty when it has none.
    pub(super) fn children(&self, parent: ProcessKey) -> &[ProcessKey] {
        self.children.get(&parent).map_or(&[], Siblings::as_slice)
    }

    /// Adds a child; returns its place.
    pub(super) fn add(&mut self, child: ProcessKey, parent: ProcessKey) -> usize {
        let siblings = self.children.entry(parent).or_default();
        siblings.push(child);
        siblings.len() - 1
    }

    /// Takes out the child in this place; returns the one that has the place now.
    pub(super) fn take_out(&mut self, parent: ProcessKey, place: usize) -> Option<ProcessKey> {
        let siblings = self.children.get_mut(&parent)?;
        if place < siblings.len() {
            siblings.swap_remove(place);
        }
        let moved = siblings.get(place).copied();
        if siblings.is_empty() {
            self.children.remove(&parent);
            trim(&mut self.children);
        }
        moved
    }

    /// How many parents there are.
    #[cfg(test)]
    pub(super) fn parents(&self) -> usize {
        self.children.len()
    }
}

impl<T: Default> Table<T> {
    /// Makes a process a child of `parent` and of nobody else.
    pub(super) fn adopt(&mut self, key: ProcessKey, parent: Option<ProcessKey>) {
        let Some(entry) = self.store.get_mut(key) else { return };
        if entry.kin.map(|(parent, _)| parent) == parent {
            return;
        }
        let before = std::mem::replace(&mut entry.kin, parent.map(|parent| (parent, self.kin.add(key, parent))));
        self.leave_kin(before);
    }

    /// Takes a child out of its place; its own children keep naming it as their parent.
    pub(super) fn leave_kin(&mut self, kin: Option<(ProcessKey, usize)>) {
        let Some((parent, place)) = kin else { return };
        if let Some(moved) = self.kin.take_out(parent, place)
            && let Some(moved) = self.store.get_mut(moved)
        {
            moved.kin = Some((parent, place));
        }
    }

    /// Each child stands where it is said to stand, and nobody else does.
    #[cfg(test)]
    pub(super) fn kin_is_right(&self) -> bool {
        let stands = |(key, (parent, place)): (ProcessKey, (ProcessKey, usize))| {
            self.kin.children(parent).get(place) == Some(&key)
        };
        let places: Vec<_> = self.store.iter().filter_map(|entry| Some((entry.process.key, entry.kin?))).collect();
        places.len() == self.kin.children.values().map(Siblings::len).sum::<usize>() && places.into_iter().all(stands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::KTime;

    fn key(tgid: u32) -> ProcessKey {
        ProcessKey { tgid, start: KTime(u64::from(tgid)) }
    }

    #[test]
    fn children_leave_without_a_trace() {
        let mut kin = Kin::default();
        for child in 10..20 {
            assert_eq!(kin.add(key(child), key(1)), usize::try_from(child).unwrap() - 10);
        }
        assert_eq!(kin.take_out(key(1), 2), Some(key(19)));
        assert_eq!(kin.take_out(key(1), 8), None);
        assert_eq!(kin.take_out(key(2), 0), None);
        let left: Vec<u32> = kin.children(key(1)).iter().map(|child| child.tgid).collect();
        assert_eq!(left, [10, 11, 19, 13, 14, 15, 16, 17]);
        for place in (0..8).rev() {
            assert_eq!(kin.take_out(key(1), place), None);
        }
        assert_eq!(kin.parents(), 0);
    }
}
