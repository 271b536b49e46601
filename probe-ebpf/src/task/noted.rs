//! Kernel structs at addresses that were noted earlier: the verifier knows nothing of them, and what is there may have
//! been freed since. Each read goes through the helper, which survives that; who reads must prove from what was read
//! that it is still what it was.

use super::{positive, read};
use crate::globals::layout;

/// A `struct task_struct *` by its address.
#[derive(Clone, Copy)]
pub(crate) struct NotedTask(pub(crate) u64);

impl NotedTask {
    /// The task with this entry in its group's list of threads.
    #[inline(always)]
    pub(crate) fn of_thread_node(node: u64) -> Self {
        Self(node.wrapping_sub(layout!(task_thread_node) as u64))
    }

    #[inline(always)]
    fn field<T: Copy>(self, offset: usize) -> T {
        read(self.0 as *const u8, offset)
    }

    #[inline(always)]
    pub(crate) fn tgid(self) -> u32 {
        self.field(layout!(task_tgid))
    }

    #[inline(always)]
    pub(crate) fn start_time(self) -> u64 {
        self.field(layout!(task_start_time))
    }

    #[inline(always)]
    pub(crate) fn group_leader(self) -> Self {
        Self(self.field(layout!(task_group_leader)))
    }

    #[inline(always)]
    pub(crate) fn cpu_ns(self) -> u64 {
        self.field(layout!(task_sum_exec_runtime))
    }

    #[inline(always)]
    pub(crate) fn wait_ns(self) -> u64 {
        self.field(layout!(task_run_delay))
    }

    #[inline(always)]
    pub(crate) fn read_bytes(self) -> u64 {
        self.field(layout!(task_read_bytes))
    }

    #[inline(always)]
    pub(crate) fn write_bytes(self) -> u64 {
        self.field(layout!(task_write_bytes))
    }

    /// Address of its `signal_struct`.
    #[inline(always)]
    pub(crate) fn signal(self) -> u64 {
        self.field(layout!(task_signal))
    }

    #[inline(always)]
    pub(crate) fn mm(self) -> u64 {
        self.field(layout!(task_mm))
    }
}

/// A `struct signal_struct *` by its address.
#[derive(Clone, Copy)]
pub(crate) struct NotedSignal(pub(crate) u64);

impl NotedSignal {
    /// The head of its list of threads.
    #[inline(always)]
    pub(crate) fn thread_head(self) -> u64 {
        self.0.wrapping_add(layout!(signal_thread_head) as u64)
    }

    #[inline(always)]
    pub(crate) fn threads(self) -> u32 {
        read(self.0 as *const u8, layout!(signal_nr_threads))
    }
}

/// What comes after an entry or a head of a list: `list_head.next` is its first field.
#[inline(always)]
pub(crate) fn next_in_list(entry: u64) -> u64 {
    read(entry as *const u8, 0)
}

/// What comes before it: `list_head.prev` is its second field. An entry that was taken out has a number there that is no
/// address (`LIST_POISON2`), so that nothing follows on it.
#[inline(always)]
pub(crate) fn previous_in_list(entry: u64) -> u64 {
    read(entry as *const u8, size_of::<u64>())
}

/// Resident pages, as [`super::Mm::rss_pages`]; 0 for none.
#[inline(always)]
pub(crate) fn rss_pages(mm: u64) -> u64 {
    if mm == 0 {
        return 0;
    }
    let mm = mm as *const u8;
    let file: i64 = read(mm, layout!(mm_rss_file));
    let anon: i64 = read(mm, layout!(mm_rss_anon));
    let shmem: i64 = read(mm, layout!(mm_rss_shmem));
    positive(file) + positive(anon) + positive(shmem)
}
