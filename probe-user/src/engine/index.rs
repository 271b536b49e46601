//! Which groups a process could belong to, found without asking each of them.
//!
//! Each group is filed under one field of its selector: the first of those below that narrows it down. A look-up by what
//! the process has in that field gives the groups to ask; the others are kept out by that field or one before it. Exact
//! names are found by hash, wildcards and regular expressions by the pieces of text that they cannot do without
//! ([`Pieces`]). Groups that fit nowhere are asked about every process.

use std::collections::HashMap;
use std::sync::Arc;

use super::group::GroupState;
use super::needle::{Pieces, needles};
use super::reread::Hope;
use crate::model::hash::{Map, Set};
use crate::policy::glob::Glob;
use crate::policy::select::Subject;
use crate::policy::spec::{CgroupPattern, PathGlob, Selector, User};

/// Digits of a container's id that every pattern on one has at least.
const CONTAINER_DIGITS: usize = 12;

/// Names come from policies: nobody can pick many that collide.
type Names = Map<Box<str>, Vec<usize>>;

/// Group indices by what their selectors name.
#[derive(Debug, Default)]
pub(super) struct Index {
    by_name: HashMap<Arc<str>, usize>,
    /// Groups that some selector names as `parent`.
    parents: Set<usize>,
    paths: Names,
    files: Names,
    exe: Pieces,
    comms: Names,
    comm: Pieces,
    units: Names,
    containers: Names,
    cgroup: Pieces,
    children_of: Map<usize, Vec<usize>>,
    uids: Map<u32, Vec<usize>>,
    owners: Names,
    args: Pieces,
    /// Asked about every process.
    rest: Vec<usize>,
    /// Some selector names a user.
    names_users: bool,
    /// Groups with bounds that are held against samples.
    sampled: Vec<usize>,
    /// Those filed by user, and by arguments.
    by_user: Set<usize>,
    by_args: Set<usize>,
}

/// How one pattern is found.
enum Key<'a> {
    Path(&'a str),
    File(&'a str),
    Comm(&'a str),
    Unit(&'a str),
    Container(&'a str),
    Exe(Vec<Vec<u8>>),
    CommPieces(Vec<Vec<u8>>),
    Cgroup(Vec<Vec<u8>>),
    ChildOf(usize),
    Uid(u32),
    Owner(&'a str),
    Args(Vec<Vec<u8>>),
}

impl Index {
    pub(super) fn new(groups: &[GroupState]) -> Self {
        let mut index = Self {
            by_name: groups.iter().enumerate().map(|(group, state)| (Arc::clone(&state.spec.name), group)).collect(),
            ..Self::default()
        };
        let selectors = groups.iter().flat_map(|state| [Some(&state.spec.select), state.except.as_ref()]).flatten();
        index.names_users = selectors.clone().any(|select| !select.user.is_empty());
        index.parents = selectors.flat_map(|select| &select.parent).filter_map(|name| index.by_name(name)).collect();
        for (group, state) in groups.iter().enumerate() {
            if state.is_sampled() {
                index.sampled.push(group);
            }
            match index.keys(&state.spec.select) {
                Some(keys) => keys.into_iter().for_each(|key| index.file(group, key)),
                None => index.rest.push(group),
            }
        }
        for pieces in [&mut index.exe, &mut index.comm, &mut index.cgroup, &mut index.args] {
            let groups = pieces.groups();
            if let Err(error) = pieces.build() {
                // More pieces than an automaton can number: slower, and as right.
                tracing::warn!(%error, "patterns are held against every process");
                *pieces = Pieces::default();
                index.rest.extend(groups);
            }
        }
        index
    }

    /// By what the group can be found; `None` for what has to be asked every time.
    fn keys<'a>(&self, select: &'a Selector) -> Option<Vec<Key<'a>>> {
        let parent = |name: &'a Arc<str>| self.by_name(name).map(Key::ChildOf);
        all(&select.exe, exe)
            .or_else(|| all(&select.comm, comm))
            .or_else(|| all(&select.cgroup, cgroup))
            .or_else(|| all(&select.parent, parent))
            .or_else(|| {
                // What keeps a process out by user or arguments may change: which field it is has to be known.
                let only = select.exe.is_empty()
                    && select.comm.is_empty()
                    && select.cgroup.is_empty()
                    && select.parent.is_empty()
                    && !select.kernel_threads;
                let by_args = || all(&select.args, |args| needles(args.as_str()).map(Key::Args));
                let by_user = all(&select.user, |user| Some(user_key(user)));
                if select.user.is_empty() { by_args() } else { by_user }.filter(|_| only)
            })
    }

    fn file(&mut self, group: usize, key: Key<'_>) {
        let (names, name) = match key {
            Key::Path(path) => (&mut self.paths, path),
            Key::File(name) => (&mut self.files, name),
            Key::Comm(comm) => (&mut self.comms, comm),
            Key::Unit(unit) => (&mut self.units, unit),
            Key::Container(id) => (&mut self.containers, id),
            Key::Owner(name) => {
                self.by_user.insert(group);
                (&mut self.owners, name)
            }
            Key::Uid(uid) => {
                self.by_user.insert(group);
                return self.uids.entry(uid).or_default().push(group);
            }
            Key::Args(needles) => {
                self.by_args.insert(group);
                return self.args.add(group, needles);
            }
            Key::Exe(needles) => return self.exe.add(group, needles),
            Key::CommPieces(needles) => return self.comm.add(group, needles),
            Key::Cgroup(needles) => return self.cgroup.add(group, needles),
            Key::ChildOf(parent) => return self.children_of.entry(parent).or_default().push(group),
        };
        names.entry(name.into()).or_default().push(group);
    }

    /// Some selector names the group as `parent`.
    pub(super) fn is_parent(&self, group: usize) -> bool {
        self.parents.contains(&group)
    }

    /// Some selector names a `parent`.
    pub(super) fn names_parents(&self) -> bool {
        !self.parents.is_empty()
    }

    /// Some selector names a user.
    pub(super) const fn names_users(&self) -> bool {
        self.names_users
    }

    /// Groups with bounds that are held against samples.
    pub(super) fn sampled(&self) -> &[usize] {
        &self.sampled
    }

    /// The group of that name.
    pub(super) fn by_name(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Adds every group whose selector may match the process; others cannot. `parent` has the groups of its parent.
    /// A group can be added more than once.
    pub(super) fn candidates(&self, subject: &Subject<'_>, parent: &[usize], found: &mut Vec<usize>) {
        let process = subject.process();
        let (exe, comm, cgroup) = (&*process.program.exe, &*process.identity.comm, &*process.cgroup);
        found.extend(&self.rest);
        look_up(&self.paths, exe, found);
        if !self.files.is_empty() {
            look_up(&self.files, exe.rsplit('/').next().unwrap_or_default(), found);
        }
        self.exe.find(exe, found);
        look_up(&self.comms, comm, found);
        self.comm.find(comm, found);
        if !self.units.is_empty() {
            cgroup.split('/').for_each(|component| look_up(&self.units, component, found));
        }
        if !self.containers.is_empty()
            && let Some(digits) = subject.container().and_then(|id| id.get(..CONTAINER_DIGITS))
        {
            look_up(&self.containers, digits, found);
        }
        self.cgroup.find(cgroup, found);
        if !self.children_of.is_empty() {
            found.extend(parent.iter().filter_map(|group| self.children_of.get(group)).flatten());
        }
        found.extend(self.uids.get(&process.identity.uid).into_iter().flatten());
        if !self.owners.is_empty()
            && let Some(owner) = subject.owner()
        {
            look_up(&self.owners, owner, found);
        }
        if !self.args.is_empty() {
            self.args.find(subject.args(), found);
        }
    }

    /// What could change about the groups that were not asked: `asked` has those that were, each once.
    pub(super) fn hope_of_others(&self, subject: &Subject<'_>, asked: &[usize]) -> Hope {
        let others = |filed: &Set<usize>| {
            !filed.is_empty() && asked.iter().filter(|group| filed.contains(group)).count() < filed.len()
        };
        let hopes = others(&self.by_args) || (subject.may_change_user() && others(&self.by_user));
        if hopes { Hope::Enters } else { Hope::None }
    }
}

fn look_up(names: &Names, name: &str, found: &mut Vec<usize>) {
    found.extend(names.get(name).into_iter().flatten());
}

/// The keys of all patterns of a field; `None` when there are none, or one of them has no key.
fn all<'a, T>(patterns: &'a [T], key: impl Fn(&'a T) -> Option<Key<'a>>) -> Option<Vec<Key<'a>>> {
    patterns.iter().map(key).collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty())
}

fn exe(exe: &PathGlob) -> Option<Key<'_>> {
    let pattern = exe.glob.as_str();
    if exe.glob.is_exact() {
        return Some(if exe.name_only { Key::File(pattern) } else { Key::Path(pattern) });
    }
    // Whatever stands before it, a path that matches ends in this name.
    let name = pattern.rsplit('/').next().filter(|name| !exe.name_only && is_literal(name));
    name.map(Key::File).or_else(|| pieces(&exe.glob).map(Key::Exe))
}

fn comm(comm: &Glob) -> Option<Key<'_>> {
    if comm.is_exact() { Some(Key::Comm(comm.as_str())) } else { pieces(comm).map(Key::CommPieces) }
}

fn cgroup(pattern: &CgroupPattern) -> Option<Key<'_>> {
    match pattern {
        CgroupPattern::Unit(unit) => Some(Key::Unit(unit)),
        CgroupPattern::Container(id) => id.get(..CONTAINER_DIGITS).map(Key::Container),
        CgroupPattern::Path(glob) if glob.is_exact() => Some(Key::Cgroup(vec![glob.as_str().as_bytes().to_vec()])),
        CgroupPattern::Path(glob) => pieces(glob).map(Key::Cgroup),
    }
}

fn user_key(user: &User) -> Key<'_> {
    match user {
        User::Uid(uid) => Key::Uid(*uid),
        User::Name(name) => Key::Owner(name),
    }
}

fn pieces(glob: &Glob) -> Option<Vec<Vec<u8>>> {
    glob.regex().and_then(needles)
}

/// A last component that stands for nothing but itself: no part of it belongs to a `{}` or `[]` that began before it.
fn is_literal(name: &str) -> bool {
    !name.is_empty() && !name.contains(['*', '?', '[', ']', '{', '}', '\\', ','])
}
