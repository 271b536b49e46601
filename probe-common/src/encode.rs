//! Records as the kernel side lays them out, for whoever makes up records: tests and generated recordings. The kernel
//! side itself writes its structs in place.

use crate::decode::Raw;
use crate::fields::with_structs;
use crate::record::{
    Account, COMM_LEN, Cgroup, Exec, Exit, Fork, GlanceEnd, Header, Identity, Oom, RecordKind, Rename, Signal, Task,
    Usage,
};

/// Appends a record. Kind, size and the lengths of its tail are those of its parts, whatever its fields say.
///
/// A tail that is longer than its length field can say is cut off.
pub fn encode(raw: &Raw<'_>, bytes: &mut impl Extend<u8>) {
    match *raw {
        Raw::Fork(fork) => Fork { header: whole::<Fork>(fork.header, RecordKind::Fork, &[]), ..fork }.put(bytes),
        Raw::Exec { exec, exe, filename, args } => {
            let tail = [fit(exe), fit(filename), fit(args)];
            let header = whole::<Exec>(exec.header, RecordKind::Exec, &tail);
            let [exe_len, filename_len, args_len] = tail.map(length);
            Exec { header, exe_len, filename_len, args_len, ..exec }.put(bytes);
            tails(&tail, bytes);
        }
        Raw::Exit(exit) => Exit { header: whole::<Exit>(exit.header, RecordKind::Exit, &[]), ..exit }.put(bytes),
        Raw::Account(account) => {
            Account { header: whole::<Account>(account.header, RecordKind::Account, &[]), ..account }.put(bytes);
        }
        Raw::Signal(signal) => {
            Signal { header: whole::<Signal>(signal.header, RecordKind::Signal, &[]), ..signal }.put(bytes);
        }
        Raw::Oom(oom) => Oom { header: whole::<Oom>(oom.header, RecordKind::Oom, &[]) }.put(bytes),
        Raw::Rename(rename) => {
            Rename { header: whole::<Rename>(rename.header, RecordKind::Rename, &[]), ..rename }.put(bytes);
        }
        Raw::Cgroup { cgroup, path } => {
            let tail = [fit(path)];
            let header = whole::<Cgroup>(cgroup.header, RecordKind::Cgroup, &tail);
            Cgroup { header, path_len: length(fit(path)), ..cgroup }.put(bytes);
            tails(&tail, bytes);
        }
        Raw::Task { task, exe, cgroup } => {
            let tail = [fit(exe), fit(cgroup)];
            let header = whole::<Task>(task.header, RecordKind::Task, &tail);
            let [exe_len, cgroup_len] = tail.map(length);
            Task { header, exe_len, cgroup_len, ..task }.put(bytes);
            tails(&tail, bytes);
        }
        Raw::GlanceEnd(end) => {
            GlanceEnd { header: whole::<GlanceEnd>(end.header, RecordKind::GlanceEnd, &[]) }.put(bytes);
        }
        Raw::Usage(usage) => Usage { header: whole::<Usage>(usage.header, RecordKind::Usage, &[]), ..usage }.put(bytes),
    }
}

/// The header of a record with this tail.
fn whole<T>(header: Header, kind: RecordKind, tail: &[&[u8]]) -> Header {
    let size = size_of::<T>() + tail.iter().map(|part| part.len()).sum::<usize>();
    Header { kind: kind as u16, size: u32::try_from(size).unwrap_or(u32::MAX), ..header }
}

fn fit(part: &[u8]) -> &[u8] {
    part.get(..usize::from(u16::MAX)).unwrap_or(part)
}

fn length(part: &[u8]) -> u16 {
    u16::try_from(part.len()).unwrap_or(u16::MAX)
}

fn tails(parts: &[&[u8]], bytes: &mut impl Extend<u8>) {
    for part in parts {
        bytes.extend(part.iter().copied());
    }
}

trait Put {
    fn put(&self, bytes: &mut impl Extend<u8>);
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Put for $number {
            fn put(&self, bytes: &mut impl Extend<u8>) {
                bytes.extend(self.to_ne_bytes());
            }
        }
    )*};
}

numbers!(u16, u32, u64, i32);

impl Put for [u8; COMM_LEN] {
    fn put(&self, bytes: &mut impl Extend<u8>) {
        bytes.extend(self.iter().copied());
    }
}

impl Put for [u16; 3] {
    fn put(&self, bytes: &mut impl Extend<u8>) {
        for number in self {
            number.put(bytes);
        }
    }
}

/// Writes each struct's fields in their order; a field that is forgotten here does not compile.
macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {
        $(impl Put for $name {
            fn put(&self, bytes: &mut impl Extend<u8>) {
                let Self { $($field),* } = self;
                $($field.put(bytes);)*
            }
        })*
    };
}

with_structs!(structs);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode;
    use std::vec::Vec;

    /// What is encoded decodes to the same, and again to the same bytes.
    #[track_caller]
    fn check(raw: &Raw<'_>, size: usize) {
        let mut bytes = Vec::new();
        encode(raw, &mut bytes);
        assert_eq!(bytes.len(), size);
        let decoded = decode(&bytes).unwrap();
        let mut again = Vec::new();
        encode(&decoded, &mut again);
        assert_eq!(again, bytes, "{decoded:?}");
        assert_eq!((decoded.header().tgid, decoded.header().time), (7, 9));
    }

    #[test]
    fn every_kind_comes_back() {
        let header = Header { tgid: 7, time: 9, seq: 3, ..Header::default() };
        let comm = *b"worker\0\0\0\0\0\0\0\0\0\0";
        let identity = Identity { uid: 33, comm, ..Identity::default() };
        check(&Raw::Fork(Fork { header, identity, forker_tgid: 1, ..Fork::default() }), 112);
        let exec = Exec { header, identity, args_count: 2, ..Exec::default() };
        check(&Raw::Exec { exec, exe: b"ls\0bin\0", filename: b"ls", args: b"ls\0-l\0" }, 112 + 15);
        check(&Raw::Exit(Exit { header, status: 256, comm, ..Exit::default() }), 88);
        check(&Raw::Account(Account { header, cpu_ns: 5, threads: 1, ..Account::default() }), 80);
        check(&Raw::Signal(Signal { header, signal: 9, sender_comm: comm, ..Signal::default() }), 72);
        check(&Raw::Oom(Oom { header }), 40);
        check(&Raw::Rename(Rename { header, comm }), 56);
        let cgroup = Cgroup { header, cgroup_id: 4, ..Cgroup::default() };
        check(&Raw::Cgroup { cgroup, path: b"web\0" }, 56 + 4);
        let task = Task { header, identity, threads: 2, ..Task::default() };
        check(&Raw::Task { task, exe: b"ls\0", cgroup: b"web\0" }, 120 + 7);
        check(&Raw::Usage(Usage { header, cpu_ns: 8, gone_write_bytes: 2, ..Usage::default() }), 120);
        check(&Raw::GlanceEnd(GlanceEnd { header }), 40);
    }

    #[test]
    fn a_tail_is_cut_to_what_its_length_can_say() {
        let long = std::vec![b'x'; 70_000];
        let mut bytes = Vec::new();
        encode(&Raw::Cgroup { cgroup: Cgroup::default(), path: &long }, &mut bytes);
        assert!(matches!(decode(&bytes), Ok(Raw::Cgroup { path, .. }) if path.len() == 65_535));
    }
}
