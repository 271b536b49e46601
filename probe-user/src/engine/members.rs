//! The members of a group that are alive: in and out in no time, and in their order only where that can be seen.

use crate::model::hash::{Set, trim_set};
use crate::record::ProcessKey;

/// Processes, each once.
#[derive(Debug, Default)]
pub(super) struct Members(Set<ProcessKey>);

impl Members {
    /// False when it is one already.
    pub(super) fn insert(&mut self, key: ProcessKey) -> bool {
        self.0.insert(key)
    }

    /// False when it is none.
    pub(super) fn remove(&mut self, key: ProcessKey) -> bool {
        let was_member = self.0.remove(&key);
        trim_set(&mut self.0);
        was_member
    }

    pub(super) fn contains(&self, key: ProcessKey) -> bool {
        self.0.contains(&key)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In an order that depends on nothing but what came and went.
    pub(super) fn iter(&self) -> impl Iterator<Item = ProcessKey> {
        self.0.iter().copied()
    }

    /// By their keys.
    pub(super) fn in_order(&self) -> Vec<ProcessKey> {
        let mut keys: Vec<ProcessKey> = self.iter().collect();
        keys.sort_unstable();
        keys
    }
}
