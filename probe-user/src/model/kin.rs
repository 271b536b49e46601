//! Who is whose child: an index from each parent to the processes in the table that name it.
//!
//! It goes by what the children say, so that it is right whether the parent is known, not yet known or already gone,
//! and its size follows the number of processes in the table.

use super::ProcessKey;
use super::hash::{Map, trim};

/// The index.
#[derive(Debug, Default)]
pub(super) struct Kin {
    children: Map<ProcessKey, Vec<ProcessKey>>,
    /// Where each child stands: its parent, and its place in that parent's list.
    places: Map<ProcessKey, (ProcessKey, usize)>,
}

impl Kin {
    /// The children of a process; empty when it has none.
    pub(super) fn children(&self, parent: ProcessKey) -> &[ProcessKey] {
        self.children.get(&parent).map_or(&[], Vec::as_slice)
    }

    /// Makes `child` a child of `parent` and of nobody else.
    pub(super) fn adopt(&mut self, child: ProcessKey, parent: Option<ProcessKey>) {
        if self.places.get(&child).map(|(parent, _)| *parent) == parent {
            return;
        }
        self.forget(child);
        if let Some(parent) = parent {
            let siblings = self.children.entry(parent).or_default();
            self.places.insert(child, (parent, siblings.len()));
            siblings.push(child);
        }
    }

    /// Takes a child out; its own children keep naming it as their parent.
    pub(super) fn forget(&mut self, child: ProcessKey) {
        let Some((parent, place)) = self.places.remove(&child) else { return };
        trim(&mut self.places);
        let Some(siblings) = self.children.get_mut(&parent) else { return };
        siblings.swap_remove(place);
        if let Some(moved) = siblings.get(place) {
            self.places.insert(*moved, (parent, place));
        } else if siblings.is_empty() {
            self.children.remove(&parent);
            trim(&mut self.children);
        }
    }

    /// Children and parents in the index.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.places.len(), self.children.len())
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
    fn children_move_and_leave_without_a_trace() {
        let mut kin = Kin::default();
        for child in 10..20 {
            kin.adopt(key(child), Some(key(1)));
        }
        kin.adopt(key(12), Some(key(2)));
        kin.adopt(key(12), Some(key(2)));
        kin.forget(key(10));
        kin.adopt(key(13), None);
        let mut left: Vec<u32> = kin.children(key(1)).iter().map(|child| child.tgid).collect();
        left.sort_unstable();
        assert_eq!(left, [11, 14, 15, 16, 17, 18, 19]);
        assert_eq!(kin.children(key(2)), [key(12)]);
        for child in 10..20 {
            kin.forget(key(child));
        }
        assert_eq!(kin.sizes(), (0, 0));
    }
}
