//! Paths of cgroups, by id. The kernel side tells each path once; processes name the id.
//!
//! Bounded: at most [`PATHS_MAX`] paths. When there are more, those that no process of the table uses are dropped, and
//! a process that enters such a cgroup later has an unknown path ("") until the next scan tells it again. If all are in
//! use, a new path still reaches the processes that wait for it, but is not kept.

use std::sync::Arc;

use super::hash::{Map, trim};

/// Most paths that are kept.
pub(super) const PATHS_MAX: usize = 65_536;
/// A full map is swept once for so many new paths: a sweep looks at every path.
const SWEEP_EVERY: u32 = 1024;

/// Paths by id, and who waits for one.
#[derive(Debug, Default)]
pub(super) struct Cgroups {
    paths: Map<u64, Arc<str>>,
    /// How many processes wait for the path of an id.
    waiting: Map<u64, u32>,
    /// New paths since the last sweep of a full map.
    pressed: u32,
}

impl Cgroups {
    pub(super) fn path(&self, id: u64) -> Option<&Arc<str>> {
        self.paths.get(&id)
    }

    /// One process more whose cgroup has this id and no known path.
    pub(super) fn wait(&mut self, id: u64) {
        *self.waiting.entry(id).or_default() += 1;
    }

    /// One less.
    pub(super) fn stop_waiting(&mut self, id: u64) {
        if let Some(count) = self.waiting.get_mut(&id) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&id);
                trim(&mut self.waiting);
            }
        }
    }

    /// Whether processes wait for the path of this id.
    pub(super) fn is_awaited(&self, id: u64) -> bool {
        self.waiting.contains_key(&id)
    }

    /// Keeps a path.
    pub(super) fn learn(&mut self, id: u64, path: &Arc<str>) {
        if let Some(known) = self.paths.get_mut(&id) {
            if **known != **path {
                known.clone_from(path);
            }
            return;
        }
        if self.paths.len() >= PATHS_MAX {
            if self.pressed.is_multiple_of(SWEEP_EVERY) {
                // The map's own reference is the only one left when no process uses the path.
                self.paths.retain(|_, path| Arc::strong_count(path) > 1);
            }
            self.pressed = self.pressed.wrapping_add(1);
            if self.paths.len() >= PATHS_MAX {
                return;
            }
        }
        self.paths.insert(id, path.clone());
    }

    /// All that are kept.
    pub(super) fn all(&self) -> impl Iterator<Item = (u64, &Arc<str>)> {
        self.paths.iter().map(|(id, path)| (*id, path))
    }

    /// Paths kept, and ids waited for.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.paths.len(), self.waiting.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_map_drops_what_nobody_uses_and_stays_bounded() {
        let mut cgroups = Cgroups::default();
        let used: Vec<Arc<str>> = (0..10).map(|id| Arc::from(format!("/used/{id}"))).collect();
        for (id, path) in (0..).zip(&used) {
            cgroups.learn(id, path);
        }
        for id in 10..200_000_u64 {
            cgroups.learn(id, &Arc::from("/idle"));
            assert!(cgroups.sizes().0 <= PATHS_MAX);
        }
        assert!((0..10).all(|id| cgroups.path(id).is_some()));
        assert!(cgroups.path(199_999).is_some());
        assert!(cgroups.path(11).is_none());
    }

    #[test]
    fn a_map_full_of_used_paths_takes_no_more_until_some_are_free() {
        let mut cgroups = Cgroups::default();
        let mut used: Vec<Arc<str>> = (0..65_536).map(|id| Arc::from(format!("/{id}"))).collect();
        for (id, path) in (0..).zip(&used) {
            cgroups.learn(id, path);
        }
        cgroups.learn(70_000, &Arc::from("/late"));
        assert!(cgroups.path(70_000).is_none());
        used.clear();
        for _ in 0..SWEEP_EVERY {
            cgroups.learn(70_000, &Arc::from("/late"));
        }
        assert!(cgroups.path(70_000).is_some());
    }
}
