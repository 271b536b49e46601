//! The only place that reads kernel structs: thin pointers with one method for each field.
//!
//! A read that fails gives zeroes (`bpf_probe_read_kernel` clears its target), which for a valid pointer does not happen.

mod noted;
mod path;

use aya_ebpf::helpers::generated::{bpf_get_current_task, bpf_probe_read_kernel};
use core::mem::MaybeUninit;
use probe_common::record::{COMM_LEN, Flags, Identity};

use crate::globals::layout;

pub(crate) use noted::{NotedSignal, NotedTask, next_in_list, previous_in_list, rss_pages};
pub(crate) use path::{Cursor, Extent, copy_cgroup_path, copy_exe_path};

/// `PF_KTHREAD` of include/linux/sched.h, the same since 2.6.
const PF_KTHREAD: u32 = 0x0020_0000;
/// `PF_FORKNOEXEC`, likewise. Threads have it too.
const PF_FORKNOEXEC: u32 = 0x0000_0040;
/// `SIGNAL_GROUP_EXIT` of include/linux/sched/signal.h.
const SIGNAL_GROUP_EXIT: u32 = 0x0000_0004;

/// Reads a value at `base + offset` in kernel memory.
#[inline(always)]
pub(crate) fn read<T: Copy>(base: *const u8, offset: usize) -> T {
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: the helper fills the whole target, with zeroes when the source cannot be read; T is plain numbers.
    unsafe {
        bpf_probe_read_kernel(value.as_mut_ptr().cast(), size_of::<T>() as u32, base.wrapping_add(offset).cast());
        value.assume_init()
    }
}

/// Loads a field of a struct whose type the verifier knows: what a program was handed, and whatever such loads lead to.
/// The offset is a constant to it, so this is one instruction where [`read`] is a call; an address that cannot be read
/// gives 0 all the same. Numbers and pointers only, and only at the field's own size.
///
/// A pointer is loaded once and before the first branch: from 6.2 on the verifier searches all of the kernel's types by
/// name, up to four times, for each load of a pointer from a task, on each way that leads there. That was half of the
/// daemon's start.
#[inline(always)]
fn load<T: Copy>(base: *const u8, offset: usize) -> T {
    // SAFETY: the verifier holds each such load against the struct's type information, and refuses the program if it is
    // not exactly one of its fields.
    unsafe { core::ptr::read_volatile(base.wrapping_add(offset).cast::<T>()) }
}

/// A `struct task_struct *`.
#[derive(Clone, Copy)]
pub(crate) struct Task(pub(crate) *const u8);

impl Task {
    #[inline(always)]
    pub(crate) fn tgid(self) -> u32 {
        load(self.0, layout!(task_tgid))
    }

    #[inline(always)]
    pub(crate) fn tid(self) -> u32 {
        load(self.0, layout!(task_pid))
    }

    #[inline(always)]
    pub(crate) fn start_time(self) -> u64 {
        load(self.0, layout!(task_start_time))
    }

    #[inline(always)]
    pub(crate) fn group_leader(self) -> Self {
        Self(load(self.0, layout!(task_group_leader)))
    }

    /// Its address, to be noted for later.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    #[inline(always)]
    pub(crate) fn real_parent(self) -> Self {
        Self(load(self.0, layout!(task_real_parent)))
    }

    /// The field is an array of bytes, of which the verifier lets us load several at once.
    #[inline(always)]
    pub(crate) fn comm(self) -> [u8; COMM_LEN] {
        let halves: [u64; 2] = [load(self.0, layout!(task_comm)), load(self.0, layout!(task_comm) + 8)];
        let mut comm = [0; COMM_LEN];
        comm[..8].copy_from_slice(&halves[0].to_ne_bytes());
        comm[8..].copy_from_slice(&halves[1].to_ne_bytes());
        comm
    }

    /// Record flags that describe the task.
    #[inline(always)]
    pub(crate) fn record_flags(self) -> u16 {
        let flags: u32 = load(self.0, layout!(task_flags));
        if flags & PF_KTHREAD == 0 { 0 } else { Flags::KERNEL_THREAD }
    }

    /// It was forked and executed nothing since; of a group's leader.
    #[inline(always)]
    pub(crate) fn never_executed(self) -> bool {
        let flags: u32 = load(self.0, layout!(task_flags));
        flags & PF_FORKNOEXEC != 0
    }

    /// It is on its way into a new program. False where the kernel has no such field.
    #[inline(always)]
    pub(crate) fn is_in_execve(self) -> bool {
        let byte: u8 = load(self.0, layout!(task_in_execve));
        usize::from(byte) & layout!(task_in_execve_mask) != 0
    }

    #[inline(always)]
    pub(crate) fn uid(self) -> u32 {
        load(self.cred(), layout!(cred_uid))
    }

    #[inline(always)]
    fn cred(self) -> *const u8 {
        load(self.0, layout!(task_real_cred))
    }

    #[inline(always)]
    pub(crate) fn exit_code(self) -> i32 {
        load(self.0, layout!(task_exit_code))
    }

    #[inline(always)]
    pub(crate) fn exit_state(self) -> i32 {
        load(self.0, layout!(task_exit_state))
    }

    #[inline(always)]
    pub(crate) fn cpu_ns(self) -> u64 {
        load(self.0, layout!(task_sum_exec_runtime))
    }

    #[inline(always)]
    pub(crate) fn wait_ns(self) -> u64 {
        load(self.0, layout!(task_run_delay))
    }

    #[inline(always)]
    pub(crate) fn read_bytes(self) -> u64 {
        load(self.0, layout!(task_read_bytes))
    }

    #[inline(always)]
    pub(crate) fn write_bytes(self) -> u64 {
        load(self.0, layout!(task_write_bytes))
    }

    #[inline(always)]
    pub(crate) fn mm(self) -> Mm {
        Mm(load(self.0, layout!(task_mm)))
    }

    #[inline(always)]
    pub(crate) fn signal(self) -> SignalStruct {
        SignalStruct(load(self.0, layout!(task_signal)))
    }

    /// Whether the target leaves this signal (1 to 64) to its default action.
    #[inline(always)]
    pub(crate) fn has_default_action(self, signal: u32) -> bool {
        let sighand: *const u8 = load(self.0, layout!(task_sighand));
        let index = (signal as usize).wrapping_sub(1) & 63;
        let action = layout!(sighand_action) + index * layout!(k_sigaction_size);
        // `sa.sa_handler` is the first field of both `sigaction` and `k_sigaction`; SIG_DFL is 0.
        read::<u64>(sighand, action) == 0
    }

    #[inline(always)]
    pub(crate) fn cgroup(self) -> Kernfs {
        let css_set: *const u8 = load(self.0, layout!(task_cgroups));
        let cgroup: *const u8 = load(css_set, layout!(css_set_dfl_cgrp));
        Kernfs(load(cgroup, layout!(cgroup_kn)))
    }

    /// Who this group's leader is, apart from its program.
    #[inline(always)]
    pub(crate) fn identity(self, cgroup: Kernfs) -> Identity {
        let parent = self.real_parent().group_leader();
        let cred = self.cred();
        Identity {
            parent_start_time: parent.start_time(),
            start_boottime: load(self.0, layout!(task_start_boottime)),
            cgroup_id: cgroup.id(),
            parent_tgid: parent.tgid(),
            uid: load(cred, layout!(cred_uid)),
            gid: load(cred, layout!(cred_gid)),
            reserved: 0,
            comm: self.comm(),
        }
    }
}

/// A `struct signal_struct *`: what the threads of a group share.
#[derive(Clone, Copy)]
pub(crate) struct SignalStruct(*const u8);

impl SignalStruct {
    /// Threads that have not reached their exit.
    #[inline(always)]
    pub(crate) fn live(self) -> i32 {
        load(self.0, layout!(signal_live))
    }

    /// Its address, to be noted for later.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    #[inline(always)]
    pub(crate) fn threads(self) -> u32 {
        load(self.0, layout!(signal_nr_threads))
    }

    /// The status that `wait` will return for the whole group of this leader, as `wait_task_zombie` computes it.
    ///
    /// Both codes are loaded before one is chosen: of two loads in two branches LLVM makes one of a chosen address at a chosen
    /// offset, and 5.10 takes each address with each offset.
    #[inline(always)]
    pub(crate) fn wait_status(self, leader: Task) -> i32 {
        let flags: u32 = load(self.0, layout!(signal_flags));
        let (own, of_group): (i32, i32) = (leader.exit_code(), load(self.0, layout!(signal_group_exit_code)));
        if flags & SIGNAL_GROUP_EXIT == 0 { own } else { of_group }
    }

    #[inline(always)]
    pub(crate) fn max_rss_pages(self) -> u64 {
        load(self.0, layout!(signal_maxrss))
    }

    /// It has one thread and no other was ever reaped: whatever a thread did, it ran for some ns first.
    #[inline(always)]
    pub(crate) fn never_had_others(self) -> bool {
        self.threads() == 1 && self.reaped_cpu_ns() == 0
    }

    /// CPU time of the reaped threads, without the last slices of those that reaped themselves.
    #[inline(always)]
    pub(crate) fn reaped_cpu_ns(self) -> u64 {
        load(self.0, layout!(signal_sum_sched_runtime))
    }
}

/// A `struct mm_struct *`; null for a kernel thread.
#[derive(Clone, Copy)]
pub(crate) struct Mm(*const u8);

impl Mm {
    /// Where the arguments stand in the process's own memory: start and length.
    #[inline(always)]
    pub(crate) fn args(self) -> (u64, u64) {
        let start: u64 = load(self.0, layout!(mm_arg_start));
        let end: u64 = load(self.0, layout!(mm_arg_end));
        (start, end.saturating_sub(start))
    }

    /// Resident pages: file, anonymous and shared. From 6.2 on the counters leave out what CPUs have not folded in yet
    /// (some tens of pages each); they can be negative for a moment. Not loaded: the verifier of 5.10 does not look into
    /// arrays of structs.
    #[inline(always)]
    pub(crate) fn rss_pages(self) -> u64 {
        rss_pages(self.0 as u64)
    }
}

#[inline(always)]
fn positive(count: i64) -> u64 {
    if count > 0 { count as u64 } else { 0 }
}

/// A `struct kernfs_node *`: a cgroup's folder.
#[derive(Clone, Copy)]
pub(crate) struct Kernfs(*const u8);

impl Kernfs {
    #[inline(always)]
    pub(crate) fn id(self) -> u64 {
        load(self.0, layout!(kernfs_id))
    }
}

/// A `struct linux_binprm *`: what execve was asked for.
#[derive(Clone, Copy)]
pub(crate) struct Binprm(pub(crate) *const u8);

impl Binprm {
    /// The path as it was executed, a string in kernel memory.
    #[inline(always)]
    pub(crate) fn filename(self) -> *const u8 {
        load(self.0, layout!(bprm_filename))
    }

    #[inline(always)]
    pub(crate) fn argc(self) -> u32 {
        load(self.0, layout!(bprm_argc))
    }
}

/// `si_code` of a `struct kernel_siginfo *`, which may be one of the two special values for "no info": 0 is sent by a
/// process (`SI_USER`), 1 by the kernel (`SI_KERNEL`, 0x80).
#[inline(always)]
pub(crate) fn siginfo_code(info: *const u8) -> i32 {
    match info as usize {
        0 => 0,
        1 => 0x80,
        _ => read(info, layout!(siginfo_code)),
    }
}

/// The comm of the running process's leader. The running task comes as a bare number here (a typed one needs 5.11), so
/// nothing can be loaded from it.
#[inline(always)]
pub(crate) fn current_comm() -> [u8; COMM_LEN] {
    // SAFETY: this helper has no preconditions.
    let current = unsafe { bpf_get_current_task() } as *const u8;
    let leader: *const u8 = read(current, layout!(task_group_leader));
    read(leader, layout!(task_comm))
}
