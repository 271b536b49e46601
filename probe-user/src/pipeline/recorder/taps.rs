//! Takes what comes out of the kernel and writes it down, in the order that a replay rests on.

use probe_common::decode::{Raw, decode};

use super::{BATCH, BATCHES, CLOCK_MOVED_NS, RecordError, Recorder};
use crate::kernel::reread;
use crate::kernel::sampler::{SampleError, task_rows};
use crate::pipeline::clock;
use crate::record::{Loss, Lost, ProcessKey, Reread};
use crate::recording::entry::Entry;
use crate::time::KTime;

impl Recorder {
    pub(super) fn put(&mut self, entry: &Entry<'_>) -> Result<(), RecordError> {
        let written = self.writer.put(clock::now(), entry);
        written.map_err(|source| RecordError::Write { path: self.settings.path.clone(), source })
    }

    /// Everything in the ring; after a loss a scan, and what came meanwhile.
    pub(super) fn drain(&mut self) -> Result<usize, RecordError> {
        let (mut total, mut harmed) = (0, false);
        for _ in 0..BATCHES {
            let (taken, lost) = self.drain_batch()?;
            total += taken;
            harmed |= lost;
            if taken < BATCH {
                break;
            }
        }
        if harmed {
            self.scan()?;
        }
        Ok(total)
    }

    fn drain_batch(&mut self) -> Result<(usize, bool), RecordError> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.clear();
        let mut undecodable = 0;
        let looks = &mut self.looks;
        let taken = self.kernel.records.drain_raw(BATCH, |record| match decode(record) {
            Ok(Raw::Task { .. } | Raw::Usage(_) | Raw::GlanceEnd(_)) | Err(_) => undecodable += 1,
            Ok(raw) => {
                looks.record(&raw);
                batch.extend_from_slice(record);
            }
        });
        self.kernel.losses.new_losses(&mut self.losses);
        if undecodable > 0 {
            self.losses.push(Loss { reason: Lost::Undecodable, count: undecodable });
        }
        let mut harmed = false;
        for loss in std::mem::take(&mut self.losses) {
            harmed |= loss.reason.harms_table();
            self.put(&Entry::Lost(loss))?;
        }
        if !batch.is_empty() {
            self.put(&Entry::Records(&batch))?;
            self.writer.count_records(taken as u64 - undecodable);
        }
        self.batch = batch;
        for tgid in self.looks.take_ended() {
            self.kernel.watched.exited(tgid);
        }
        let started = self.looks.take_started();
        if !started.is_empty() {
            self.kernel.sampler.watches_another();
        }
        for tgid in started {
            self.kernel.watched.record(tgid);
        }
        Ok((taken, harmed))
    }

    /// Who is there, with the arguments of those that were not known.
    pub(super) fn scan(&mut self) -> Result<(), RecordError> {
        let began = clock::now();
        let bytes = self.kernel.sampler.scan_raw()?;
        let rows = task_rows(&bytes).map_err(SampleError::from)?;
        let mut args: Vec<(ProcessKey, Box<str>)> = Vec::new();
        for row in rows.iter().filter(|row| row.zombie.is_none()) {
            self.kernel.watched.record(row.key.tgid);
            if row.identity.kernel_thread || self.looks.knows(row.key) {
                continue;
            }
            let read = self.args(row.key.tgid);
            self.looks.found(row.key, row.identity.uid, read.as_deref(), began);
            args.extend(read.map(|read| (row.key, read)));
        }
        self.kernel.sampler.watches_another();
        self.looks.keep(&rows);
        self.put(&Entry::Scan { began, rows: &bytes, args })
    }

    fn args(&self, tgid: u32) -> Option<Box<str>> {
        let most = usize::try_from(self.settings.args_max).unwrap_or(usize::MAX);
        (most > 0).then(|| reread::args(tgid, most)).flatten()
    }

    pub(super) fn sample(&mut self) -> Result<(), RecordError> {
        self.drain()?;
        let now = clock::now();
        let mut rows = self.kernel.sampler.sample(now)?;
        // What is not in a sample is as it was: for the replay as for the daemon.
        rows.retain(|row| self.usage.insert(row.key, *row) != Some(*row));
        self.put(&Entry::Sample(rows))?;
        let every = self.settings.sample_interval;
        let host = self.host.sample(now, every);
        self.put(&Entry::Host(host))
    }

    /// Second looks at young processes; only what is news is written.
    pub(super) fn look(&mut self, now: KTime) -> Result<(), RecordError> {
        let most = usize::try_from(self.settings.args_max).unwrap_or(usize::MAX);
        let looks = self.looks.due(now).into_iter();
        let found: Vec<(ProcessKey, Reread)> =
            looks.filter_map(|key| Some((key, reread::look(key.tgid, most, true)?))).collect();
        if found.is_empty() {
            return Ok(());
        }
        // A number may have gone to another process: the end of the first one is in the ring by now.
        self.drain()?;
        for (key, found) in found {
            if self.looks.is_news(key, &found) {
                self.put(&Entry::Reread { key, found })?;
            }
        }
        Ok(())
    }

    /// Skipped runs, a clock that was set, and the buffer to the file.
    pub(super) fn beat(&mut self) -> Result<(), RecordError> {
        if let Some(loss) = self.kernel.losses.new_misses() {
            self.put(&Entry::Lost(loss))?;
            self.drain()?;
            self.scan()?;
        }
        self.usage.retain(|key, _| self.looks.knows(*key));
        let fresh = clock::read();
        let expected = self.clock.wall_of(fresh.mono);
        let expected_boot = self.clock.boot_ns.saturating_add(fresh.mono.0.saturating_sub(self.clock.mono.0));
        let moved = expected.0.abs_diff(fresh.wall.0).max(expected_boot.abs_diff(fresh.boot_ns));
        if moved > CLOCK_MOVED_NS {
            self.clock = fresh;
            self.put(&Entry::Clock(fresh))?;
        }
        self.writer.flush().map_err(|source| RecordError::Write { path: self.settings.path.clone(), source })
    }
}
