//! Runs the task iterators: who is there, and what the watched ones use.
//!
//! They run in the daemon's own context for as long as it reads; nothing of them costs anything in between.
//!
//! Usage is read in two ways. The sample walks over all tasks of the host and tells of every watched thread. The glance
//! goes straight to the processes that the last sample met and tells of those that used anything since: a tenth of the
//! cost where most of them sleep. A sample is taken instead when a process is watched that the last one did not meet, when
//! the glance says that it cannot tell of all, and when the last sample is [`SAMPLE_EVERY`] ago: memory can be taken from
//! a process that sleeps.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::time::Duration;

use aya::Ebpf;
use aya::programs::links::LinkError;
use aya::programs::{Iter, ProgramError};
use probe_common::decode::{DecodeError, Raw, decode_next};
use probe_common::record::{Flags, Usage};

use super::convert::{key, task_row};
use super::loader::{GLANCE_PROGRAM, SAMPLE_PROGRAM, SCAN_PROGRAM};
use crate::record::{TaskRow, UsageRow};
use crate::time::KTime;

/// What the kernel hands out at most with one read of an iterator: eight pages (`bpf_iter.c`, since 5.8).
const READ_BYTES: usize = 32 << 10;
/// Glances are enough for so long.
const SAMPLE_EVERY: Duration = Duration::from_mins(1);

/// The programs and their iterators.
pub struct Sampler {
    iterators: Iterators,
    page_bytes: u64,
    /// The kernel has what glances need.
    glances: bool,
    /// When the last sample was taken; `None` when the next look must be one.
    sampled: Option<KTime>,
    /// The iterator that glances come from, one after the other until it is through with all tasks: opening it is dearer
    /// than half of a glance.
    glancing: Option<File>,
    buffer: Vec<u8>,
    /// Where the row of a process with several threads is.
    rows_of: HashMap<u32, usize>,
}

/// The iterator programs.
pub(super) enum Iterators {
    /// Among all programs, which are attached for as long as this lives.
    Loaded(Box<Ebpf>),
    /// Opened from their pins.
    Pinned(Vec<(&'static str, Iter)>),
}

/// An iterator could not be run or read.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The program is not in the object.
    #[error("the kernel object lacks the iterator {0}")]
    Missing(&'static str),
    /// The kernel refused it.
    #[error("cannot start the task iterator: {0}")]
    Attach(#[from] ProgramError),
    /// The kernel refused it.
    #[error("cannot open the task iterator: {0}")]
    Open(#[from] LinkError),
    /// Reading failed.
    #[error("cannot read the task iterator: {0}")]
    Read(#[from] io::Error),
    /// What was read is no record.
    #[error("the task iterator gives unreadable rows: {0}")]
    Decode(#[from] DecodeError),
}

impl Sampler {
    pub(super) fn new(iterators: Iterators, glances: bool) -> Self {
        let page_bytes = rustix::param::page_size() as u64;
        Self {
            iterators,
            page_bytes,
            glances,
            sampled: None,
            glancing: None,
            buffer: Vec::new(),
            rows_of: HashMap::new(),
        }
    }

    /// The usage of another process is watched: a glance would not find it.
    pub const fn watches_another(&mut self) {
        self.sampled = None;
    }

    /// Every thread group there is.
    pub fn scan(&mut self) -> Result<Vec<TaskRow>, SampleError> {
        Ok(task_rows(&self.scan_raw()?)?)
    }

    /// The same as the iterator wrote it: for a recording.
    pub fn scan_raw(&mut self) -> Result<Vec<u8>, SampleError> {
        self.read(SCAN_PROGRAM)?;
        // A host's worth of rows is read once; the buffer need not keep its size.
        Ok(std::mem::take(&mut self.buffer))
    }

    /// What the processes watched for their usage use, their threads summed. At `now` on a monotonic clock. Of a process
    /// that had a row before and has none here, nothing has changed.
    pub fn sample(&mut self, now: KTime) -> Result<Vec<UsageRow>, SampleError> {
        // A look that fails is followed by a sample: it begins everything anew.
        let last = self.sampled.take();
        if self.glances
            && last.is_some_and(|last| now.since(last) < SAMPLE_EVERY)
            && let Some(rows) = self.glance()?
        {
            self.sampled = last;
            return Ok(rows);
        }
        let rows = self.sample_all()?;
        self.sampled = Some(now);
        Ok(rows)
    }

    fn sample_all(&mut self) -> Result<Vec<UsageRow>, SampleError> {
        self.read(SAMPLE_PROGRAM)?;
        let mut rows: Vec<UsageRow> = Vec::with_capacity(self.buffer.len() / size_of::<Usage>());
        self.rows_of.clear();
        let mut rest = &self.buffer[..];
        while !rest.is_empty() {
            let (raw, next) = decode_next(rest)?;
            rest = next;
            let Raw::Usage(usage) = raw else { continue };
            let thread = self.usage_row(&usage);
            // Most processes have one thread: no looking up for them.
            let at = if usage.threads == 1 && usage.tid == usage.header.tgid {
                rows.len()
            } else {
                *self.rows_of.entry(usage.header.tgid).or_insert(rows.len())
            };
            match rows.get_mut(at) {
                Some(row) => add(row, &thread),
                None => rows.push(thread),
            }
        }
        Ok(rows)
    }

    /// `None` when it cannot tell of all processes.
    fn glance(&mut self) -> Result<Option<Vec<UsageRow>>, SampleError> {
        self.buffer.resize(READ_BYTES, 0);
        let mut rows = Vec::new();
        if let Some(mut begun) = self.glancing.take()
            && let Some(is_whole) = self.glance_from(&mut begun, &mut rows)?
        {
            self.glancing = Some(begun);
            return Ok(is_whole.then_some(rows));
        }
        // It goes on where the other iterator was through with its tasks.
        let mut fresh = self.iterators.open(GLANCE_PROGRAM)?;
        let is_whole = self.glance_from(&mut fresh, &mut rows)?;
        self.glancing = is_whole.is_some().then_some(fresh);
        Ok((is_whole == Some(true)).then_some(rows))
    }

    /// Whether the glance told of all processes; `None` when the iterator ended before it.
    fn glance_from(&mut self, iterator: &mut File, rows: &mut Vec<UsageRow>) -> Result<Option<bool>, SampleError> {
        loop {
            // A read of one byte ends with the first call of the program that writes anything; the rest of what that
            // call wrote comes with the next read, without another call.
            if iterator.read(&mut self.buffer[..1])? == 0 {
                return Ok(None);
            }
            let filled = 1 + iterator.read(&mut self.buffer[1..])?;
            let mut rest = &self.buffer[..filled];
            while !rest.is_empty() {
                let (raw, next) = decode_next(rest)?;
                rest = next;
                match raw {
                    Raw::Usage(usage) => rows.push(self.usage_row(&usage)),
                    Raw::GlanceEnd(end) => return Ok(Some(end.header.flags & Flags::STALE == 0)),
                    _ => {}
                }
            }
        }
    }

    /// Runs one iterator to its end; its rows are in the buffer then.
    fn read(&mut self, name: &'static str) -> Result<(), SampleError> {
        let mut iterator = self.iterators.open(name)?;
        self.buffer.clear();
        loop {
            let filled = self.buffer.len();
            self.buffer.resize(filled + READ_BYTES, 0);
            let read = iterator.read(&mut self.buffer[filled..])?;
            self.buffer.truncate(filled + read);
            if read == 0 {
                return Ok(());
            }
        }
    }

    fn usage_row(&self, usage: &Usage) -> UsageRow {
        UsageRow {
            key: key(&usage.header),
            threads: usage.threads,
            cpu_ns: usage.cpu_ns + usage.gone_cpu_ns,
            wait_ns: usage.wait_ns + usage.gone_wait_ns,
            read_bytes: usage.read_bytes + usage.gone_read_bytes,
            write_bytes: usage.write_bytes + usage.gone_write_bytes,
            rss_bytes: usage.rss_pages.saturating_mul(self.page_bytes),
        }
    }
}

/// The rows of a scan, from what the iterator wrote.
pub fn task_rows(mut bytes: &[u8]) -> Result<Vec<TaskRow>, DecodeError> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let (raw, next) = decode_next(bytes)?;
        if let Raw::Task { task, exe, cgroup } = raw {
            rows.push(task_row(&task, exe, cgroup));
        }
        bytes = next;
    }
    Ok(rows)
}

impl Iterators {
    fn open(&mut self, name: &'static str) -> Result<File, SampleError> {
        let iterator: &mut Iter = match self {
            Self::Loaded(ebpf) => ebpf.program_mut(name).ok_or(SampleError::Missing(name))?.try_into()?,
            Self::Pinned(iterators) => {
                let found = iterators.iter_mut().find(|(iterator, _)| *iterator == name);
                found.map(|(_, iterator)| iterator).ok_or(SampleError::Missing(name))?
            }
        };
        let link = iterator.attach()?;
        Ok(iterator.take_link(link)?.into_file()?)
    }
}

/// Adds a thread to its process. Memory is shared by the threads; one that has already let go of it shows none.
fn add(row: &mut UsageRow, thread: &UsageRow) {
    row.cpu_ns += thread.cpu_ns;
    row.wait_ns += thread.wait_ns;
    row.read_bytes += thread.read_bytes;
    row.write_bytes += thread.write_bytes;
    row.rss_bytes = row.rss_bytes.max(thread.rss_bytes);
}
