//! Where the running kernel keeps what the programs read.
//!
//! Rust emits no CO-RE relocations, so the daemon resolves each offset from /sys/kernel/btf/vmlinux at start and hands
//! the whole struct to the programs as the read-only global [`LAYOUT_GLOBAL`]. The verifier sees constants.

/// Name of the read-only global that holds the [`KernelLayout`].
pub const LAYOUT_GLOBAL: &str = "LAYOUT";
/// Name of the read-only global (u64): a record that nobody waits for wakes the daemon only when this many ns passed
/// since the last wake-up.
pub const WAKE_GAP_GLOBAL: &str = "WAKE_GAP_NS";
/// Name of the read-only global (u64): with this many bytes waiting in the ring the daemon is woken whatever the gap.
pub const WAKE_FILL_GLOBAL: &str = "WAKE_FILL_BYTES";
/// Name of the read-only global (u64): with this many bytes waiting in the ring, what is left of it is kept for records that
/// somebody waits for.
pub const BATCHED_FILL_GLOBAL: &str = "BATCHED_FILL_BYTES";
/// Name of the read-only global (u32): how many bytes of the arguments are taken along; 0 takes none, more than
/// [`crate::record::ARGS_CAP`] is cut to that.
pub const ARGS_MAX_GLOBAL: &str = "ARGS_MAX";

/// Declares the layout once: the struct that the programs read, and the words in its order that the loader hands over.
macro_rules! kernel_layout {
    ($($(#[$doc:meta])* $field:ident,)*) => {
        /// Byte offsets inside kernel structs, and the few facts about shapes that changed between kernel versions.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct KernelLayout {
            $($(#[$doc])* pub $field: u32,)*
        }

        impl KernelLayout {
            /// Every word 0: what the object is compiled with, before the loader fills it in.
            pub const UNRESOLVED: Self = Self { $($field: 0),* };

            /// All words in the order in which they lie in memory: the bytes of the global.
            pub const fn words(&self) -> [u32; size_of::<Self>() / 4] {
                [$(self.$field),*]
            }
        }
    };
}

kernel_layout! {
    /// `task_struct.tgid`
    task_tgid,
    /// `task_struct.pid`
    task_pid,
    /// `task_struct.comm`
    task_comm,
    /// `task_struct.flags`
    task_flags,
    /// `task_struct.exit_code`
    task_exit_code,
    /// `task_struct.exit_state`
    task_exit_state,
    /// `task_struct.group_leader`
    task_group_leader,
    /// `task_struct.real_parent`
    task_real_parent,
    /// `task_struct.start_time`
    task_start_time,
    /// `task_struct.start_boottime` (5.5; `real_start_time` before)
    task_start_boottime,
    /// `task_struct.mm`
    task_mm,
    /// `task_struct.signal`
    task_signal,
    /// `task_struct.sighand`
    task_sighand,
    /// `task_struct.real_cred`
    task_real_cred,
    /// `task_struct.cgroups`
    task_cgroups,
    /// `task_struct.se.sum_exec_runtime`
    task_sum_exec_runtime,
    /// `task_struct.sched_info.run_delay` (CONFIG_SCHED_INFO)
    task_run_delay,
    /// `task_struct.ioac.read_bytes` (CONFIG_TASK_IO_ACCOUNTING)
    task_read_bytes,
    /// `task_struct.ioac.write_bytes` (CONFIG_TASK_IO_ACCOUNTING)
    task_write_bytes,
    /// `task_struct.thread_node`, the entry in the group's list of threads; 0 when the kernel has no such field
    task_thread_node,
    /// `task_struct.in_execve`: the byte that holds the bit
    task_in_execve,
    /// The bit in that byte; 0 when the kernel has no such field
    task_in_execve_mask,
    /// `signal_struct.live`
    signal_live,
    /// `signal_struct.nr_threads`
    signal_nr_threads,
    /// `signal_struct.thread_head`, the group's list of threads; 0 when the kernel has no such field
    signal_thread_head,
    /// `signal_struct.flags`
    signal_flags,
    /// `signal_struct.group_exit_code`
    signal_group_exit_code,
    /// `signal_struct.maxrss`, pages
    signal_maxrss,
    /// `signal_struct.sum_sched_runtime`
    signal_sum_sched_runtime,
    /// `sighand_struct.action`
    sighand_action,
    /// size of `struct k_sigaction`
    k_sigaction_size,
    /// `cred.uid`
    cred_uid,
    /// `cred.gid`
    cred_gid,
    /// `mm_struct.arg_start`
    mm_arg_start,
    /// `mm_struct.arg_end`
    mm_arg_end,
    /// `mm_struct.exe_file`
    mm_exe_file,
    /// `mm_struct.rss_stat`: the count of file pages
    mm_rss_file,
    /// `mm_struct.rss_stat`: the count of anonymous pages
    mm_rss_anon,
    /// `mm_struct.rss_stat`: the count of shared-memory pages
    mm_rss_shmem,
    /// `file.f_path.mnt`
    file_mnt,
    /// `file.f_path.dentry`
    file_dentry,
    /// `dentry.d_parent`
    dentry_parent,
    /// `dentry.d_name.name`
    dentry_name,
    /// `vfsmount.mnt_root`
    vfsmount_root,
    /// `mount.mnt`: how far the `vfsmount` is inside its `mount`
    mount_mnt,
    /// `mount.mnt_parent`
    mount_parent,
    /// `mount.mnt_mountpoint`
    mount_mountpoint,
    /// `linux_binprm.filename`
    bprm_filename,
    /// `linux_binprm.argc`
    bprm_argc,
    /// `css_set.dfl_cgrp`
    css_set_dfl_cgrp,
    /// `cgroup.kn`
    cgroup_kn,
    /// `kernfs_node.id`
    kernfs_id,
    /// `kernfs_node.name`
    kernfs_name,
    /// `kernfs_node.parent` (`__parent` from 6.15)
    kernfs_parent,
    /// `kernel_siginfo.si_code`
    siginfo_code,
    /// 1 when `mark_victim` passes a task (6.8), 0 when it passes a pid
    mark_victim_has_task,
}
