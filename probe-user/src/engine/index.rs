//! Which groups a process could belong to, found without asking each of them.
//!
//! Most selectors name an executable or a comm. A pattern whose last component has no wildcard can only match paths that
//! end in that component, so such groups are found by one look-up; only the rest is held against every process.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::group::GroupState;
use crate::model::Process;
use crate::policy::spec::Selector;

/// Group indices by what their selectors name.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_name: HashMap<Arc<str>, usize>,
    by_exe: HashMap<Box<str>, Vec<usize>>,
    by_comm: HashMap<Box<str>, Vec<usize>>,
    rest: Vec<usize>,
    parents: HashSet<usize>,
}

impl Index {
    pub(super) fn new(groups: &[GroupState]) -> Self {
        let mut index = Self::default();
        for (group, state) in groups.iter().enumerate() {
            index.by_name.insert(Arc::clone(&state.spec.name), group);
            let (map, names) = match (exe_names(&state.spec.select), comms(&state.spec.select)) {
                (Some(names), _) => (&mut index.by_exe, names),
                (None, Some(names)) => (&mut index.by_comm, names),
                (None, None) => {
                    index.rest.push(group);
                    continue;
                }
            };
            for name in names {
                let groups: &mut Vec<usize> = map.entry(name.into()).or_default();
                if groups.last() != Some(&group) {
                    groups.push(group);
                }
            }
        }
        let selectors = groups.iter().flat_map(|state| [Some(&state.spec.select), state.except.as_ref()]).flatten();
        let parents = selectors.flat_map(|select| &select.parent).filter_map(|name| index.by_name(name)).collect();
        Self { parents, ..index }
    }

    /// Some selector names the group as `parent`.
    pub(super) fn is_parent(&self, group: usize) -> bool {
        self.parents.contains(&group)
    }

    /// The group of that name.
    pub(super) fn by_name(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Adds every group whose selector may match the process; others cannot.
    pub(super) fn candidates(&self, process: &Process, found: &mut Vec<usize>) {
        let name = process.program.exe.rsplit('/').next().unwrap_or_default();
        found.extend(self.by_exe.get(name).into_iter().flatten());
        found.extend(self.by_comm.get(&*process.identity.comm).into_iter().flatten());
        found.extend(&self.rest);
    }
}

fn exe_names(select: &Selector) -> Option<Vec<&str>> {
    let names = select.exe.iter().map(|exe| literal(exe.glob.as_str().rsplit('/').next()?));
    names.collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
}

fn comms(select: &Selector) -> Option<Vec<&str>> {
    let names = select.comm.iter().map(|comm| literal(comm.as_str()));
    names.collect::<Option<Vec<_>>>().filter(|names| !names.is_empty())
}

/// The text if it stands for nothing but itself.
fn literal(pattern: &str) -> Option<&str> {
    (!pattern.contains(['*', '?', '[', ']', '{', '}', '\\', ','])).then_some(pattern)
}
