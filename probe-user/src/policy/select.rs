//! Does a process belong to a selector, and if not, which field keeps it out? Pure.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

use super::glob::{Glob, GlobError};
use super::spec::{CgroupPattern, PathGlob, Selector, User, Users};
use crate::model::Process;

/// A field of a selector, in the order in which they are held against a process: cheap ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Kernel threads belong to a group only when it asks for them, and then only they do.
    KernelThread,
    /// `comm`
    Comm,
    /// `exe`
    Exe,
    /// `cgroup`, `unit` or `container`
    Cgroup,
    /// `parent`
    Parent,
    /// `user`: late, because root can become another user without telling anyone (see `args`).
    User,
    /// `args`: last, because a process can rewrite them without telling anyone; a process that only this field keeps
    /// out is worth another look.
    Args,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KernelThread => "kernel_threads",
            Self::User => "user",
            Self::Comm => "comm",
            Self::Exe => "exe",
            Self::Cgroup => "cgroup",
            Self::Parent => "parent",
            Self::Args => "args",
        })
    }
}

/// A process as selectors look at it. What has to be computed is computed once, however many policies look.
#[derive(Debug)]
pub struct Subject<'p> {
    process: &'p Process,
    users: &'p Users,
    owner: OnceCell<Option<&'p str>>,
    args: OnceCell<Cow<'p, str>>,
    container: OnceCell<Option<&'p str>>,
}

impl<'p> Subject<'p> {
    /// The process as it is now.
    pub const fn new(process: &'p Process, users: &'p Users) -> Self {
        Self { process, users, owner: OnceCell::new(), args: OnceCell::new(), container: OnceCell::new() }
    }

    /// The process itself.
    pub const fn process(&self) -> &'p Process {
        self.process
    }

    /// It runs as root, and may yet become another user: the kernel tells nobody when it does.
    pub fn may_change_user(&self) -> bool {
        self.process.identity.uid == 0
    }

    /// Its user's name, where the host knows one.
    pub fn owner(&self) -> Option<&'p str> {
        *self.owner.get_or_init(|| self.users.0.get(&self.process.identity.uid).map(|name| &**name))
    }

    /// Its arguments joined by spaces.
    pub fn args(&self) -> &str {
        self.args.get_or_init(|| {
            let args = &*self.process.program.args;
            if args.contains('\0') { Cow::Owned(self.process.program.joined_args()) } else { Cow::Borrowed(args) }
        })
    }

    /// The container that it runs in, by its cgroup.
    pub fn container(&self) -> Option<&'p str> {
        *self.container.get_or_init(|| container_id(&self.process.cgroup))
    }
}

impl Selector {
    /// The first field that keeps this process out; `None` when it belongs. `parent_in` tells whether the process's
    /// parent belongs to the group of that name. Whoever asks many selectors makes one [`Subject`] and uses
    /// [`Self::mismatch_of`].
    pub fn mismatch(&self, process: &Process, users: &Users, parent_in: &dyn Fn(&str) -> bool) -> Option<Field> {
        self.mismatch_of(&Subject::new(process, users), parent_in)
    }

    /// The first field that keeps this process out; `None` when it belongs.
    pub fn mismatch_of(&self, subject: &Subject<'_>, parent_in: &dyn Fn(&str) -> bool) -> Option<Field> {
        let process = subject.process;
        let identity = &process.identity;
        if identity.kernel_thread != self.kernel_threads {
            return Some(Field::KernelThread);
        }
        if !any_of(&self.comm, |glob| glob.is_match(&identity.comm)) {
            return Some(Field::Comm);
        }
        if !any_of(&self.exe, |glob| glob.is_match(&process.program.exe)) {
            return Some(Field::Exe);
        }
        if !any_of(&self.cgroup, |pattern| pattern.is_match(subject)) {
            return Some(Field::Cgroup);
        }
        if !any_of(&self.parent, |group| parent_in(group)) {
            return Some(Field::Parent);
        }
        if !any_of(&self.user, |user| user.is(subject)) {
            return Some(Field::User);
        }
        if !any_of(&self.args, |pattern| pattern.is_match(subject.args())) {
            return Some(Field::Args);
        }
        None
    }
}

/// A field that is not given keeps nobody out.
fn any_of<T>(patterns: &[T], matches: impl FnMut(&T) -> bool) -> bool {
    patterns.is_empty() || patterns.iter().any(matches)
}

impl PathGlob {
    /// From a pattern as people write it.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        let name_only = !pattern.contains('/');
        let glob = if name_only { Glob::name(pattern) } else { Glob::path(pattern) }?;
        Ok(Self { name_only, glob })
    }

    /// Against a whole path; a pattern without "/" looks at the file's name alone.
    pub fn is_match(&self, path: &str) -> bool {
        let subject = if self.name_only { path.rsplit('/').next().unwrap_or(path) } else { path };
        self.glob.is_match(subject)
    }
}

impl User {
    fn is(&self, subject: &Subject<'_>) -> bool {
        match self {
            Self::Uid(wanted) => *wanted == subject.process.identity.uid,
            Self::Name(wanted) => subject.owner() == Some(wanted),
        }
    }
}

impl CgroupPattern {
    fn is_match(&self, subject: &Subject<'_>) -> bool {
        let path = &*subject.process.cgroup;
        match self {
            Self::Path(glob) => glob.is_match(path),
            Self::Unit(unit) => path.split('/').any(|component| component == &**unit),
            Self::Container(id) => subject.container().is_some_and(|found| found.starts_with(&**id)),
        }
    }
}

/// The container id in a cgroup's path: its last component that holds 64 hexadecimal digits, as container runtimes name
/// their cgroups (`docker-<id>.scope`, `cri-containerd-<id>.scope`, `crio-<id>.scope`, or the bare id).
pub fn container_id(path: &str) -> Option<&str> {
    path.rsplit('/').find_map(|component| {
        let bare = component.strip_suffix(".scope").unwrap_or(component);
        let id = bare.rsplit(['-', ':']).next()?;
        (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    })
}

#[cfg(test)]
mod tests;
