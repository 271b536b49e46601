//! From wire structs to the daemon's own types: text made valid, paths turned round, names shared.

use std::sync::Arc;

use probe_common::decode::{DecodeError, Raw, decode, decode_next};
use probe_common::record::{self as wire, Flags, Header};

use super::programs::{Programs, Told};
use super::texts::Texts;
use crate::record::{Account, Body, Comm, ExitStatus, Identity, ProcessKey, Program, Record, SignalSent, TaskRow};
use crate::time::KTime;

/// Remembers the page size, for pages come from the kernel side as they are, and the texts of the last records.
pub(crate) struct Converter {
    page_bytes: u64,
    exes: Texts,
    filenames: Texts,
    programs: Programs,
}

impl Converter {
    /// For records of a kernel with pages of this size.
    pub(crate) fn with_pages(page_bytes: u64) -> Self {
        Self { page_bytes, exes: Texts::default(), filenames: Texts::default(), programs: Programs::default() }
    }

    /// Forgets the texts of the last records.
    pub(super) fn forget(&mut self) {
        *self = Self::with_pages(self.page_bytes);
    }

    /// The first of several records of the ring that lie one after the other, and what is behind it; `name` says how it
    /// is to name its program.
    pub(crate) fn next<'a, P>(
        &mut self,
        bytes: &'a [u8],
        name: impl FnOnce(&Arc<Program>) -> P,
    ) -> Result<(Record<P>, &'a [u8]), DecodeError> {
        let (raw, rest) = decode_next(bytes)?;
        let header = *raw.header();
        let body = self.body(&raw, name).ok_or(DecodeError::Kind(header.kind))?;
        Ok((Record { at: KTime(header.time), key: key(&header), body }, rest))
    }

    /// One record of the ring.
    pub(super) fn record(&mut self, bytes: &[u8]) -> Result<(Header, Record), DecodeError> {
        let raw = decode(bytes)?;
        let header = *raw.header();
        let body = self.body(&raw, Arc::clone).ok_or(DecodeError::Kind(header.kind))?;
        Ok((header, Record { at: KTime(header.time), key: key(&header), body }))
    }

    /// `None` for what only iterators write.
    fn body<P>(&mut self, raw: &Raw<'_>, name: impl FnOnce(&Arc<Program>) -> P) -> Option<Body<P>> {
        Some(match raw {
            Raw::Fork(fork) => Body::Fork {
                identity: identity(&fork.header, &fork.identity),
                forker: ProcessKey { tgid: fork.forker_tgid, start: KTime(fork.forker_start_time) },
            },
            Raw::Exec { exec, exe, filename, args } => Body::Exec {
                identity: identity(&exec.header, &exec.identity),
                program: self.program(exec, exe, filename, args, name),
            },
            Raw::Exit(exit) => Body::Exit {
                status: ExitStatus::from_wait(exit.status),
                peak_rss_bytes: exit.max_rss_pages.saturating_mul(self.page_bytes),
                cpu_ns: exit.cpu_ns,
                comm: Comm::of_task(exit.comm),
                uid: exit.uid,
                parent_tgid: exit.parent_tgid,
            },
            Raw::Account(account) => Body::Account(Account {
                cpu_ns: account.cpu_ns,
                wait_ns: account.wait_ns,
                read_bytes: account.read_bytes,
                write_bytes: account.write_bytes,
                exact: account.header.flags & Flags::ACCOUNT_PARTIAL == 0,
            }),
            Raw::Signal(signal) => Body::Signal(SignalSent {
                number: u8::try_from(signal.signal).unwrap_or(0),
                by_kernel: signal.code > 0,
                sender_tgid: signal.sender_tgid,
                sender_uid: signal.sender_uid,
                sender_comm: Comm::of_task(signal.sender_comm),
            }),
            Raw::Oom(_) => Body::Oom,
            Raw::Rename(rename) => Body::Rename { comm: Comm::of_task(rename.comm) },
            Raw::Cgroup { cgroup, path: components } => Body::Cgroup {
                id: cgroup.cgroup_id,
                path: path_or_root(components, cgroup.header.flags & Flags::CGROUP_CUT != 0),
            },
            Raw::Task { .. } | Raw::Usage(_) | Raw::GlanceEnd(_) => return None,
        })
    }

    fn program<P>(
        &mut self,
        exec: &wire::Exec,
        exe: &[u8],
        filename: &[u8],
        args: &[u8],
        name: impl FnOnce(&Arc<Program>) -> P,
    ) -> P {
        let cut = exec.header.flags & Flags::EXE_CUT != 0;
        let told = Told { exe, filename, args, counts: (exec.args_count, exec.args_bytes, cut) };
        let Self { exes, filenames, programs, .. } = self;
        let read = || Program {
            // A path that was cut reads otherwise than the same components that are all there are.
            exe: if cut { path(exe, cut) } else { exes.get(exe, |bytes| path(bytes, cut)) },
            filename: filenames.get(filename, |bytes| text(bytes).into()),
            args: arguments(args),
            args_count: exec.args_count,
            args_cut: exec.args_bytes > u32::from(exec.args_len),
        };
        programs.get(told, read, name)
    }
}

/// One row of the scan iterator.
pub(super) fn task_row(task: &wire::Task, exe: &[u8], cgroup: &[u8]) -> TaskRow {
    let flags = task.header.flags;
    TaskRow {
        key: key(&task.header),
        identity: identity(&task.header, &task.identity),
        exe: path(exe, flags & Flags::EXE_CUT != 0),
        cgroup: path_or_root(cgroup, flags & Flags::CGROUP_CUT != 0),
        threads: task.threads,
        zombie: (flags & Flags::ZOMBIE != 0).then(|| ExitStatus::from_wait(task.status)),
        reaped_cpu_ns: task.reaped_cpu_ns,
    }
}

/// The process that a record is about.
pub(super) fn key(header: &Header) -> ProcessKey {
    ProcessKey { tgid: header.tgid, start: KTime(header.start_time) }
}

fn identity(header: &Header, identity: &wire::Identity) -> Identity {
    Identity {
        // tgid 0 is the idle task, which nobody sees.
        parent: (identity.parent_tgid != 0)
            .then_some(ProcessKey { tgid: identity.parent_tgid, start: KTime(identity.parent_start_time) }),
        start_boot_ns: identity.start_boottime,
        cgroup_id: identity.cgroup_id,
        uid: identity.uid,
        gid: identity.gid,
        comm: Comm::of_task(identity.comm),
        kernel_thread: header.flags & Flags::KERNEL_THREAD != 0,
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Arguments without the NULs that close the last one. Some programs fill their arguments with NULs when they rename
/// themselves: those at the end go too.
pub(crate) fn arguments(bytes: &[u8]) -> Box<str> {
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    text(&bytes[..length]).into()
}

/// Components from the leaf to the root, each closed by a NUL, as a path from the root; "…" stands for what was cut.
fn path(components: &[u8], cut: bool) -> Arc<str> {
    if components.is_empty() {
        return "".into();
    }
    let closed = components.strip_suffix(&[0]).unwrap_or(components);
    let mut path = String::with_capacity(closed.len() + 4);
    if cut {
        path.push('…');
    }
    for component in closed.rsplit(|byte| *byte == 0) {
        path.push('/');
        path.push_str(&String::from_utf8_lossy(component));
    }
    path.into()
}

/// A cgroup's path: the root of the hierarchy has no components.
fn path_or_root(components: &[u8], cut: bool) -> Arc<str> {
    if components.is_empty() { "/".into() } else { path(components, cut) }
}

#[cfg(test)]
mod tests;
