//! `procprobe record`: its own programs in the kernel, and everything they tell into a file.
//!
//! There are no policies: every process is watched for its usage and for who kills it, so that any policy can be held
//! against the file later. What comes in which order is what the daemon keeps (see [`super::core`]): losses before the
//! records of their drain, the ring before a scan, a sample and the use of a second look.
//!
//! Ends when it is told to, when its time is over or when the file is full; whatever ends it, what was drained is in the
//! file. A file that can no longer be written ends it with an error; what is in it until then can be replayed.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use probe_common::decode::{Raw, decode};
use tokio::sync::mpsc;

use super::alarm::Alarm;
use super::logfiles::LogFiles;
use super::looks::Looks;
use super::start::INPUTS;
use super::stop::{LAST_DRAIN_EVERY, LAST_DRAINS};
use super::{Order, clock, memory, next_tick, privileges};
use crate::cli::Exit;
use crate::engine::Input;
use crate::event::Severity;
use crate::host::facts;
use crate::host::identity::{identify, kernel_release};
use crate::host::measures::Measures;
use crate::kernel::loader::{self, Attached, LoadError, LoadSettings};
use crate::kernel::reread;
use crate::kernel::sampler::{SampleError, task_rows};
use crate::policy::HostLabels;
use crate::policy::glob::Glob;
use crate::policy::spec::{Bound, HostBlock, HostBound, Limit, Log, Measure, Per, PolicySet, Response, Side, Users};
use crate::record::{Loss, Lost, ProcessKey, Reread, UsageRow};
use crate::recording::entry::Entry;
use crate::recording::facts::{Ended, Facts, RecordedLog, Written};
use crate::recording::writer::Writer;
use crate::time::{ClockReading, KTime};

/// Records in one entry.
const BATCH: usize = 4096;
/// Batches in one drain.
const BATCHES: usize = 64;
/// A crash loses at most so much.
const FLUSH_EVERY: Duration = Duration::from_secs(10);
/// The wall clock is written down when it is further than this from where it was expected.
const CLOCK_MOVED_NS: u64 = 1_000_000;

/// How to record.
#[derive(Clone, Debug)]
pub struct RecordSettings {
    /// The file to make.
    pub path: PathBuf,
    /// The most that it may hold.
    pub max_bytes: u64,
    /// How long.
    pub duration: Option<Duration>,
    /// How often usage is sampled.
    pub sample_interval: Duration,
    /// Bytes of arguments kept of each process; 0 leaves them out.
    pub args_max: u32,
    /// This host among others.
    pub host: HostLabels,
    /// The host's user names.
    pub users: Users,
    /// The lines of their logs are recorded as far as they match; nothing else of them matters.
    pub policies: PolicySet,
}

/// What a recording came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Why it ended.
    pub ended: Ended,
    /// How long it took.
    pub lasted: Duration,
    /// Bytes of the file.
    pub bytes: u64,
    /// What is in it.
    pub written: Written,
}

/// Why a recording did not begin, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be made.
    #[error("{} cannot be made: {source}", path.display())]
    Create {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written any more.
    #[error("{} cannot be written: {source}; what is in it until now can be replayed", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The kernel programs cannot be loaded.
    #[error(transparent)]
    Kernel(#[from] LoadError),
    /// The iterators stopped working.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// The system refused something basic.
    #[error("the system refused: {0}")]
    Io(#[from] io::Error),
}

impl RecordError {
    /// The exit code that tells it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Kernel(error) if error.is_about_the_host() => Exit::Kernel,
            _ => Exit::NotWell,
        }
    }
}

/// Records until it is told to stop. `ready` is called once everything is being recorded.
pub async fn record(
    settings: RecordSettings,
    mut orders: mpsc::Receiver<Order>,
    ready: impl FnOnce(),
) -> Result<Recorded, RecordError> {
    let load = LoadSettings { args_max: settings.args_max, ring_bytes: 4 << 20, ..LoadSettings::default() };
    let kernel = loader::attach(load)?;
    let began = clock::read();
    let create = |source| RecordError::Create { path: settings.path.clone(), source };
    let writer = Writer::create(&settings.path, &head(&settings, began), settings.max_bytes).map_err(create)?;
    let mut notes = Vec::new();
    let (feed, mut lines) = mpsc::channel(INPUTS);
    // Where log files were read up to is of no use to a later recording.
    let places = Scratch::new();
    let mut logs = LogFiles::prepare(&settings.policies, &places.0, &feed, &mut notes);
    if let Err(error) = privileges::drop_loading() {
        notes.push(format!("privileges are kept: {error}"));
    }
    notes.extend(logs.watch(&settings.policies, &places.0, &feed));
    for note in notes {
        tracing::warn!("{note}");
    }
    let mut recorder = Recorder::new(kernel, writer, settings, began);
    recorder.start()?;
    memory::trim();
    ready();
    let ended = recorder.run(&mut orders, &mut lines, load.wake_gap).await?;
    recorder.close(ended).await
}

fn head(settings: &RecordSettings, began: ClockReading) -> Facts {
    let host = identify(Some(&settings.host.name)).host;
    let size = facts::read();
    Facts {
        procprobe: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: kernel_release(),
        host_name: host.name,
        host_id: host.id,
        boot_id: host.boot_id,
        labels: settings.host.labels.clone(),
        cpus: size.cpus,
        memory_bytes: size.memory_bytes,
        page_bytes: rustix::param::page_size() as u64,
        users: settings.users.0.iter().map(|(uid, name)| (*uid, name.to_string())).collect(),
        sample_interval_ms: u64::try_from(settings.sample_interval.as_millis()).unwrap_or(u64::MAX),
        args: settings.args_max > 0,
        began_mono_ns: began.mono.0,
        began_boot_ns: began.boot_ns,
        began_wall_ns: began.wall.0,
        logs: settings.policies.logs.iter().map(recorded).collect(),
    }
}

fn recorded(log: &Log) -> RecordedLog {
    RecordedLog { name: log.name.to_string(), paths: log.paths.iter().map(ToString::to_string).collect() }
}

/// A folder that goes with the recorder. Where it cannot be made the source of lines says so and does without.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("procprobe-record-{}-{}", std::process::id(), clock::now().0));
        let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path);
        // Somebody else's folder is not used: the name then is of one that is not there.
        Self(if made.is_ok() { path } else { PathBuf::from("/nonexistent") })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It holds nothing that anybody needs.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Policies that ask for everything that there is of the host.
fn whole_host() -> PolicySet {
    let everything = |measure: Measure| HostBound {
        bound: Bound {
            measure,
            side: Side::Max,
            limit: Limit::Absolute(f64::INFINITY),
            clear: None,
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            within: Duration::ZERO,
            per: Per::Group,
            severity: Severity::Info,
            declared: "".into(),
        },
        // A mount that no policy means unless it names it can be named by one.
        targets: Glob::path("**").into_iter().chain(Glob::name("*")).collect(),
    };
    let bounds = Measure::HOST.into_iter().map(everything).collect();
    PolicySet {
        host: vec![HostBlock { declared: "".into(), bounds, response: Response::default() }],
        ..PolicySet::default()
    }
}

struct Recorder {
    kernel: Attached,
    writer: Writer<File>,
    settings: RecordSettings,
    looks: Looks,
    /// The last row of each process.
    usage: HashMap<ProcessKey, UsageRow>,
    host: Measures,
    clock: ClockReading,
    began: KTime,
    batch: Vec<u8>,
    losses: Vec<Loss>,
}

impl Recorder {
    fn new(kernel: Attached, writer: Writer<File>, settings: RecordSettings, began: ClockReading) -> Self {
        Self {
            kernel,
            writer,
            settings,
            looks: Looks::default(),
            usage: HashMap::new(),
            host: Measures::new(&whole_host()),
            clock: began,
            began: began.mono,
            batch: Vec::new(),
            losses: Vec::new(),
        }
    }

    /// The clocks and a first look round.
    fn start(&mut self) -> Result<(), RecordError> {
        self.put(&Entry::Clock(self.clock))?;
        self.scan()
    }

    async fn run(
        &mut self,
        orders: &mut mpsc::Receiver<Order>,
        lines: &mut mpsc::Receiver<Input>,
        wake_gap: Duration,
    ) -> Result<Ended, RecordError> {
        let mut alarm = Alarm::new()?;
        let over = self.settings.duration.map(|duration| self.began.after(duration));
        let mut drain = Some(clock::now());
        let mut sample = clock::now();
        let mut flush = sample.after(FLUSH_EVERY);
        loop {
            if self.writer.is_full() {
                return Ok(Ended::Full);
            }
            let next = [drain, Some(sample), Some(flush), over, self.looks.next()].into_iter().flatten().min();
            alarm.set(next)?;
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Reload) => {}
                    Some(Order::Stop(_)) | None => return Ok(Ended::Stopped),
                },
                Some(input) = lines.recv() => {
                    if let Input::Lines(lines) = input {
                        self.put(&Entry::Lines(lines))?;
                    }
                }
                ready = self.kernel.records.ready() => {
                    ready?;
                    self.drain()?;
                    drain = Some(clock::now().after(wake_gap));
                }
                rings = alarm.rings() => {
                    rings?;
                    alarm.rang();
                    let now = clock::now();
                    if over.is_some_and(|over| over <= now) {
                        return Ok(Ended::Duration);
                    }
                    if drain.is_some_and(|drain| drain <= now) {
                        let some = self.drain()? > 0;
                        drain = some.then(|| clock::now().after(wake_gap));
                    }
                    if self.looks.next().is_some_and(|at| at <= now) {
                        self.look(now)?;
                    }
                    if sample <= now {
                        self.sample()?;
                        sample = next_tick(sample, self.settings.sample_interval, clock::now());
                    }
                    if flush <= now {
                        self.beat()?;
                        flush = next_tick(flush, FLUSH_EVERY, clock::now());
                    }
                }
            }
        }
    }

    /// The accounts under way, the rest of the buffer, and the tail.
    async fn close(mut self, ended: Ended) -> Result<Recorded, RecordError> {
        for _ in 0..LAST_DRAINS {
            self.drain()?;
            tokio::time::sleep(LAST_DRAIN_EVERY).await;
        }
        self.sample()?;
        let now = clock::now();
        let path = self.settings.path;
        let finished = self.writer.finish(now, ended).and_then(|()| self.writer.sync());
        finished.map_err(|source| RecordError::Write { path, source })?;
        let ended = if self.writer.is_full() { Ended::Full } else { ended };
        Ok(Recorded {
            ended,
            lasted: now.since(self.began),
            bytes: self.writer.bytes(),
            written: self.writer.written(),
        })
    }

    fn put(&mut self, entry: &Entry<'_>) -> Result<(), RecordError> {
        let written = self.writer.put(clock::now(), entry);
        written.map_err(|source| RecordError::Write { path: self.settings.path.clone(), source })
    }

    /// Everything in the ring; after a loss a scan, and what came meanwhile.
    fn drain(&mut self) -> Result<usize, RecordError> {
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
    fn scan(&mut self) -> Result<(), RecordError> {
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

    fn sample(&mut self) -> Result<(), RecordError> {
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
    fn look(&mut self, now: KTime) -> Result<(), RecordError> {
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
    fn beat(&mut self) -> Result<(), RecordError> {
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
