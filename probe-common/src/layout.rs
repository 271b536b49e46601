//! Where the running kernel keeps what the programs read.
//!
//! Rust emits no CO-RE relocations, so the daemon resolves each offset from /sys/kernel/btf/vmlinux at start and hands
//! the whole struct to the programs as the read-only global [`LAYOUT_GLOBAL`]. The verifier sees constants.

/// Name of the read-only global that holds the [`KernelLayout`].
pub const LAYOUT_GLOBAL: &str = "LAYOUT";
/// Name of the read-only global that holds the [`Settings`].
pub const SETTINGS_GLOBAL: &str = "SETTINGS";

/// Byte offsets inside kernel structs, and the few facts about shapes that changed between kernel versions.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelLayout {
    /// `task_struct.tgid`
    pub task_tgid: u32,
    /// `task_struct.pid`
    pub task_pid: u32,
    /// `task_struct.comm`
    pub task_comm: u32,
    /// `task_struct.flags`
    pub task_flags: u32,
    /// `task_struct.exit_code`
    pub task_exit_code: u32,
    /// `task_struct.exit_state`
    pub task_exit_state: u32,
    /// `task_struct.group_leader`
    pub task_group_leader: u32,
    /// `task_struct.real_parent`
    pub task_real_parent: u32,
    /// `task_struct.start_time`
    pub task_start_time: u32,
    /// `task_struct.start_boottime` (5.5; `real_start_time` before)
    pub task_start_boottime: u32,
    /// `task_struct.mm`
    pub task_mm: u32,
    /// `task_struct.signal`
    pub task_signal: u32,
    /// `task_struct.sighand`
    pub task_sighand: u32,
    /// `task_struct.real_cred`
    pub task_real_cred: u32,
    /// `task_struct.cgroups`
    pub task_cgroups: u32,
    /// `task_struct.se.sum_exec_runtime`
    pub task_sum_exec_runtime: u32,
    /// `task_struct.sched_info.run_delay` (CONFIG_SCHED_INFO)
    pub task_run_delay: u32,
    /// `task_struct.ioac.read_bytes` (CONFIG_TASK_IO_ACCOUNTING)
    pub task_read_bytes: u32,
    /// `task_struct.ioac.write_bytes` (CONFIG_TASK_IO_ACCOUNTING)
    pub task_write_bytes: u32,
    /// `signal_struct.live`
    pub signal_live: u32,
    /// `signal_struct.nr_threads`
    pub signal_nr_threads: u32,
    /// `signal_struct.flags`
    pub signal_flags: u32,
    /// `signal_struct.group_exit_code`
    pub signal_group_exit_code: u32,
    /// `signal_struct.maxrss`, pages
    pub signal_maxrss: u32,
    /// `signal_struct.sum_sched_runtime`
    pub signal_sum_sched_runtime: u32,
    /// `sighand_struct.action`
    pub sighand_action: u32,
    /// size of `struct k_sigaction`
    pub k_sigaction_size: u32,
    /// `cred.uid`
    pub cred_uid: u32,
    /// `cred.gid`
    pub cred_gid: u32,
    /// `mm_struct.arg_start`
    pub mm_arg_start: u32,
    /// `mm_struct.arg_end`
    pub mm_arg_end: u32,
    /// `mm_struct.exe_file`
    pub mm_exe_file: u32,
    /// `mm_struct.rss_stat`: the count of file pages
    pub mm_rss_file: u32,
    /// `mm_struct.rss_stat`: the count of anonymous pages
    pub mm_rss_anon: u32,
    /// `mm_struct.rss_stat`: the count of shared-memory pages
    pub mm_rss_shmem: u32,
    /// `file.f_path.mnt`
    pub file_mnt: u32,
    /// `file.f_path.dentry`
    pub file_dentry: u32,
    /// `dentry.d_parent`
    pub dentry_parent: u32,
    /// `dentry.d_name.name`
    pub dentry_name: u32,
    /// `vfsmount.mnt_root`
    pub vfsmount_root: u32,
    /// `mount.mnt`: how far the `vfsmount` is inside its `mount`
    pub mount_mnt: u32,
    /// `mount.mnt_parent`
    pub mount_parent: u32,
    /// `mount.mnt_mountpoint`
    pub mount_mountpoint: u32,
    /// `linux_binprm.filename`
    pub bprm_filename: u32,
    /// `linux_binprm.argc`
    pub bprm_argc: u32,
    /// `css_set.dfl_cgrp`
    pub css_set_dfl_cgrp: u32,
    /// `cgroup.kn`
    pub cgroup_kn: u32,
    /// `kernfs_node.id`
    pub kernfs_id: u32,
    /// `kernfs_node.name`
    pub kernfs_name: u32,
    /// `kernfs_node.parent` (`__parent` from 6.15)
    pub kernfs_parent: u32,
    /// `kernel_siginfo.si_code`
    pub siginfo_code: u32,
    /// 1 when `mark_victim` passes a task (6.8), 0 when it passes a pid
    pub mark_victim_has_task: u32,
}

/// What the daemon's configuration tells the programs.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// A record that nobody waits for wakes the daemon only when this many ns passed since the last wake-up.
    pub wake_gap_ns: u64,
    /// Records waiting in the ring, in bytes, from which on the daemon is woken whatever the gap.
    pub wake_fill_bytes: u64,
    /// How many bytes of the arguments are taken along, at most [`crate::record::ARGS_CAP`]; 0 takes none.
    pub args_max: u32,
    /// The daemon's own tgid: its own signals and exits are recorded like everybody's, but never wake it.
    pub daemon_tgid: u32,
}
