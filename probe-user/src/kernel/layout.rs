//! Resolves where this kernel keeps what the programs read, before anything is loaded.
//!
//! Everything that is missing is named at once; then nothing is attached.

use probe_common::layout::KernelLayout;

use super::btf::{Btf, Field};

/// The tracepoints that the programs attach to.
pub const TRACEPOINTS: [&str; 7] = [
    "sched_process_fork",
    "sched_process_exec",
    "sched_process_exit",
    "sched_process_free",
    "signal_generate",
    "mark_victim",
    "task_rename",
];

/// This kernel lacks something that the programs need.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("this kernel lacks {}; procprobe needs Linux 5.10 or later with CONFIG_DEBUG_INFO_BTF, CONFIG_SCHED_INFO and CONFIG_TASK_IO_ACCOUNTING", missing.join(", "))]
pub struct LayoutError {
    /// Fields as `struct.field`, tracepoints as `tracepoint name`.
    pub missing: Vec<String>,
}

/// `mm_struct.rss_stat` indices, from enum of include/linux/mm_types_task.h (unchanged since 4.5).
const MM_FILEPAGES: u32 = 0;
const MM_ANONPAGES: u32 = 1;
const MM_SHMEMPAGES: u32 = 3;

struct Resolver<'a> {
    btf: &'a Btf,
    /// The struct asked for last: fields are asked for struct by struct, and finding one is a walk over all types.
    last: Option<(&'static str, Option<u32>)>,
    missing: Vec<String>,
}

/// Offsets of all fields and presence of all tracepoints.
pub fn resolve(btf: &Btf) -> Result<KernelLayout, LayoutError> {
    let mut kernel = Resolver { btf, last: None, missing: Vec::new() };
    for tracepoint in TRACEPOINTS {
        if !btf.has_tracepoint(tracepoint) {
            kernel.missing.push(format!("tracepoint {tracepoint}"));
        }
    }
    let rss = kernel.rss_counters();
    let in_execve = kernel.bit("task_struct", "in_execve");
    let layout = KernelLayout {
        task_tgid: kernel.offset("task_struct", &["tgid"]),
        task_pid: kernel.offset("task_struct", &["pid"]),
        task_comm: kernel.offset("task_struct", &["comm"]),
        task_flags: kernel.offset("task_struct", &["flags"]),
        task_exit_code: kernel.offset("task_struct", &["exit_code"]),
        task_exit_state: kernel.offset("task_struct", &["exit_state"]),
        task_group_leader: kernel.offset("task_struct", &["group_leader"]),
        task_real_parent: kernel.offset("task_struct", &["real_parent"]),
        task_start_time: kernel.offset("task_struct", &["start_time"]),
        task_start_boottime: kernel.offset("task_struct", &["start_boottime", "real_start_time"]),
        task_mm: kernel.offset("task_struct", &["mm"]),
        task_signal: kernel.offset("task_struct", &["signal"]),
        task_sighand: kernel.offset("task_struct", &["sighand"]),
        task_real_cred: kernel.offset("task_struct", &["real_cred"]),
        task_cgroups: kernel.offset("task_struct", &["cgroups"]),
        task_sum_exec_runtime: kernel.offset("task_struct", &["se.sum_exec_runtime"]),
        task_run_delay: kernel.offset("task_struct", &["sched_info.run_delay"]),
        task_read_bytes: kernel.offset("task_struct", &["ioac.read_bytes"]),
        task_write_bytes: kernel.offset("task_struct", &["ioac.write_bytes"]),
        task_thread_node: kernel.optional("task_struct", "thread_node"),
        task_in_execve: in_execve.map_or(0, |field| field.offset),
        task_in_execve_mask: in_execve.map_or(0, |field| 1 << field.bit),
        signal_live: kernel.offset("signal_struct", &["live"]),
        signal_nr_threads: kernel.offset("signal_struct", &["nr_threads"]),
        signal_thread_head: kernel.optional("signal_struct", "thread_head"),
        signal_flags: kernel.offset("signal_struct", &["flags"]),
        signal_group_exit_code: kernel.offset("signal_struct", &["group_exit_code"]),
        signal_maxrss: kernel.offset("signal_struct", &["maxrss"]),
        signal_sum_sched_runtime: kernel.offset("signal_struct", &["sum_sched_runtime"]),
        sighand_action: kernel.offset("sighand_struct", &["action"]),
        k_sigaction_size: kernel.size("k_sigaction"),
        cred_uid: kernel.offset("cred", &["uid"]),
        cred_gid: kernel.offset("cred", &["gid"]),
        mm_arg_start: kernel.offset("mm_struct", &["arg_start"]),
        mm_arg_end: kernel.offset("mm_struct", &["arg_end"]),
        mm_exe_file: kernel.offset("mm_struct", &["exe_file"]),
        mm_rss_file: rss.at(MM_FILEPAGES),
        mm_rss_anon: rss.at(MM_ANONPAGES),
        mm_rss_shmem: rss.at(MM_SHMEMPAGES),
        file_mnt: kernel.offset("file", &["f_path.mnt"]),
        file_dentry: kernel.offset("file", &["f_path.dentry"]),
        dentry_parent: kernel.offset("dentry", &["d_parent"]),
        dentry_name: kernel.offset("dentry", &["d_name.name"]),
        vfsmount_root: kernel.offset("vfsmount", &["mnt_root"]),
        mount_mnt: kernel.offset("mount", &["mnt"]),
        mount_parent: kernel.offset("mount", &["mnt_parent"]),
        mount_mountpoint: kernel.offset("mount", &["mnt_mountpoint"]),
        bprm_filename: kernel.offset("linux_binprm", &["filename"]),
        bprm_argc: kernel.offset("linux_binprm", &["argc"]),
        css_set_dfl_cgrp: kernel.offset("css_set", &["dfl_cgrp"]),
        cgroup_kn: kernel.offset("cgroup", &["kn"]),
        kernfs_id: kernel.offset("kernfs_node", &["id"]),
        kernfs_name: kernel.offset("kernfs_node", &["name"]),
        kernfs_parent: kernel.offset("kernfs_node", &["parent", "__parent"]),
        siginfo_code: kernel.offset("kernel_siginfo", &["si_code"]),
        mark_victim_has_task: u32::from(btf.tracepoint_argument_is_pointer("mark_victim", 0) == Some(true)),
    };
    if kernel.missing.is_empty() { Ok(layout) } else { Err(LayoutError { missing: kernel.missing }) }
}

impl Resolver<'_> {
    fn struct_named(&mut self, name: &'static str) -> Option<u32> {
        match self.last {
            Some((last, id)) if last == name => id,
            _ => {
                let id = self.btf.struct_named(name);
                self.last = Some((name, id));
                id
            }
        }
    }

    /// The offset of the first of these names that the struct has.
    fn offset(&mut self, name: &'static str, paths: &[&str]) -> u32 {
        let found = self
            .struct_named(name)
            .and_then(|id| paths.iter().find_map(|path| self.btf.field(id, path)))
            .map(|field| field.offset);
        found.unwrap_or_else(|| {
            self.missing.push(format!("{name}.{}", paths.first().copied().unwrap_or_default()));
            0
        })
    }

    /// The offset of a field without which something is only more work; 0 when it is missing, where no such field lies.
    fn optional(&mut self, name: &'static str, path: &str) -> u32 {
        self.struct_named(name).and_then(|id| self.btf.field(id, path)).map_or(0, |field| field.offset)
    }

    /// A bit field that not every kernel has. Where bits are counted from the other end it is taken for missing.
    fn bit(&mut self, name: &'static str, path: &str) -> Option<Field> {
        let id = self.struct_named(name)?;
        self.btf.field(id, path).filter(|_| cfg!(target_endian = "little"))
    }

    fn size(&mut self, name: &'static str) -> u32 {
        self.struct_named(name).and_then(|id| self.btf.size_of(id)).unwrap_or_else(|| {
            self.missing.push(format!("struct {name}"));
            0
        })
    }

    /// `mm_struct.rss_stat` is a struct with an array of counters until 6.1, and an array of `percpu_counter` from 6.2.
    fn rss_counters(&mut self) -> RssCounters {
        let counters = self.btf.struct_named("mm_struct").and_then(|mm| {
            let plain = self.btf.field(mm, "rss_stat.count");
            if let Some(count) = plain {
                let (_, stride) = self.btf.element(count)?;
                return Some(RssCounters { first: count.offset, stride });
            }
            let array = self.btf.field(mm, "rss_stat")?;
            let (counter, stride) = self.btf.element(array)?;
            let count = self.btf.field(counter, "count")?;
            Some(RssCounters { first: array.offset + count.offset, stride })
        });
        counters.unwrap_or_else(|| {
            self.missing.push("mm_struct.rss_stat".to_owned());
            RssCounters { first: 0, stride: 0 }
        })
    }
}

struct RssCounters {
    first: u32,
    stride: u32,
}

impl RssCounters {
    const fn at(&self, index: u32) -> u32 {
        self.first + index * self.stride
    }
}

#[cfg(test)]
mod tests;
