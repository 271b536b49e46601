use super::*;
use crate::maps::{CpuState, GroupAccount, LOSS_REASONS};

/// The wire as it is in ABI version 1. A change here is a change of the ABI: raise `ABI_VERSION`.
#[test]
fn sizes_are_those_of_abi_version_1() {
    assert_eq!(crate::ABI_VERSION, 1);
    let sizes = [
        ("Header", size_of::<Header>(), 40),
        ("Identity", size_of::<Identity>(), 56),
        ("Fork", size_of::<Fork>(), 112),
        ("Exec", size_of::<Exec>(), 112),
        ("Exit", size_of::<Exit>(), 88),
        ("Account", size_of::<Account>(), 80),
        ("Signal", size_of::<Signal>(), 72),
        ("Oom", size_of::<Oom>(), 40),
        ("Rename", size_of::<Rename>(), 56),
        ("Cgroup", size_of::<Cgroup>(), 56),
        ("Task", size_of::<Task>(), 120),
        ("Usage", size_of::<Usage>(), 120),
        ("CpuState", size_of::<CpuState>(), 8 + 8 * LOSS_REASONS + 8),
        ("GroupAccount", size_of::<GroupAccount>(), 64),
    ];
    for (name, found, golden) in sizes {
        assert_eq!(found, golden, "{name}");
    }
}

/// An exec record byte by byte (little-endian machines; the others swap each number).
#[cfg(target_endian = "little")]
fn golden_exec() -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend([2, 0, 2, 0]); // kind 2, flags EXE_CUT
    bytes.extend([133, 0, 0, 0]); // size 112 + 9 + 4 + 8
    bytes.extend([1, 0, 0, 0]); // cpu
    bytes.extend([0x0a, 0x01, 0, 0]); // tgid 266
    bytes.extend([7, 0, 0, 0, 0, 0, 0, 0]); // seq
    bytes.extend([0, 1, 0, 0, 0, 0, 0, 0]); // time 256
    bytes.extend([0, 0, 1, 0, 0, 0, 0, 0]); // start_time 65536
    bytes.extend([5, 0, 0, 0, 0, 0, 0, 0]); // parent_start_time
    bytes.extend([6, 0, 0, 0, 0, 0, 0, 0]); // start_boottime
    bytes.extend([9, 0, 0, 0, 0, 0, 0, 0]); // cgroup_id
    bytes.extend([3, 0, 0, 0]); // parent_tgid
    bytes.extend([33, 0, 0, 0]); // uid
    bytes.extend([34, 0, 0, 0]); // gid
    bytes.extend([0, 0, 0, 0]);
    bytes.extend(b"ls\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    bytes.extend([2, 0, 0, 0]); // args_count
    bytes.extend([8, 0, 0, 0]); // args_bytes
    bytes.extend([9, 0, 4, 0, 8, 0, 0, 0]); // exe_len, filename_len, args_len, reserved
    bytes.extend(b"ls\0usr\0x\0");
    bytes.extend(b"./ls");
    bytes.extend(b"ls\0--all");
    bytes
}

#[test]
#[cfg(target_endian = "little")]
fn golden_exec_decodes() {
    let bytes = golden_exec();
    let Raw::Exec { exec, exe, filename, args } = decode(&bytes).unwrap() else { panic!("not an exec") };
    assert_eq!((exec.header.tgid, exec.header.seq, exec.header.time, exec.header.start_time), (266, 7, 256, 65536));
    assert_eq!((exec.identity.parent_tgid, exec.identity.uid, exec.identity.gid), (3, 33, 34));
    assert_eq!((exec.args_count, exec.args_bytes), (2, 8));
    assert_eq!((exe, filename, args), (&b"ls\0usr\0x\0"[..], &b"./ls"[..], &b"ls\0--all"[..]));
}

#[test]
#[cfg(target_endian = "little")]
fn broken_records_are_refused() {
    let check = |bytes: &[u8], expected: DecodeError| assert_eq!(decode(bytes), Err(expected));
    let good = golden_exec();
    // Cut anywhere, it is short; nothing panics.
    for length in 0..good.len() {
        assert!(matches!(decode(&good[..length]), Err(DecodeError::Short { .. })), "cut to {length}");
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        bytes
    };
    check(&with(0, 99), DecodeError::Kind(99));
    check(&with(0, 0), DecodeError::Kind(0));
    check(&with(104, 8), DecodeError::Size { stated: 133, parts: 132 });
    check(&with(104, 200), DecodeError::Short { needed: 200, found: 21 });
    check(&with(4, 20), DecodeError::Short { needed: 8, found: 4 });
    let longer = [good.clone(), vec![0]].concat();
    check(&longer, DecodeError::Short { needed: 133, found: 134 });
}

#[test]
#[cfg(target_endian = "little")]
fn a_run_of_records_decodes_one_by_one() {
    let run = [golden_exec(), golden_exec()].concat();
    let (first, rest) = decode_next(&run).unwrap();
    let (second, rest) = decode_next(rest).unwrap();
    assert_eq!(first, second);
    assert!(rest.is_empty());
}
