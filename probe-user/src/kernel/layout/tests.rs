use std::path::Path;

use super::*;
use crate::kernel::btf::{BtfError, VMLINUX};

fn running_kernel() -> Btf {
    Btf::read(Path::new(VMLINUX)).expect("these tests need a kernel with BTF")
}

#[test]
fn the_running_kernel_has_everything() {
    let layout = resolve(&running_kernel()).unwrap();
    // Fields of one struct never share a place; that none is 0 by accident shows in their being different.
    let of_task = [layout.task_tgid, layout.task_pid, layout.task_comm, layout.task_start_time, layout.task_mm];
    let mut different = of_task.to_vec();
    different.sort_unstable();
    different.dedup();
    assert_eq!(different.len(), of_task.len(), "{layout:?}");
    assert!(layout.mm_rss_anon > layout.mm_rss_file && layout.mm_rss_shmem > layout.mm_rss_anon);
    assert!(layout.k_sigaction_size >= 32);
}

#[test]
fn damaged_type_information_is_an_error() {
    let check = |bytes: Vec<u8>| assert!(matches!(Btf::parse(bytes), Err(BtfError::Damaged(_))));
    check(vec![]);
    check(vec![0; 64]);
    let whole = std::fs::read(VMLINUX).expect("these tests need a kernel with BTF");
    check(whole[..whole.len() / 2].to_vec());
    check(whole[..20].to_vec());
}

#[test]
fn what_is_missing_is_named_all_at_once() {
    // A kernel without any type: header of 24 bytes, no types, one empty string.
    let mut bytes = Vec::new();
    bytes.extend(0xeb9f_u16.to_ne_bytes());
    bytes.extend([1, 0]);
    for word in [24_u32, 0, 0, 0, 1] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.push(0);
    let missing = resolve(&Btf::parse(bytes).unwrap()).unwrap_err().missing;
    for expected in [
        "tracepoint sched_process_fork",
        "task_struct.tgid",
        "task_struct.se.sum_exec_runtime",
        "mm_struct.rss_stat",
        "struct k_sigaction",
    ] {
        assert!(missing.iter().any(|name| name == expected), "{expected} is not among {missing:?}");
    }
}
