//! `procprobe record`: its own programs in the kernel, and everything they tell into a file.
//!
//! There are no policies: every process is watched for its usage and for who kills it, so that any policy can be held
//! against the file later. What comes in which order is what the daemon keeps (see [`super::core`]): losses before the
//! records of their drain, the ring before a scan, a sample and the use of a second look.
//!
//! Ends when it is told to, when its time is over or when the file is full; whatever ends it, what was drained is in the
//! file. A file that can no longer be written ends it with an error; what is in it until then can be replayed.

mod begin;
mod peers;
mod taps;

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use self::begin::{Scratch, head, whole_host};
use super::alarm::Alarm;
use super::logfiles::LogFiles;
use super::looks::Looks;
use super::start::INPUTS;
use super::stop::{LAST_DRAIN_EVERY, LAST_DRAINS};
use super::{Order, clock, memory, next_tick, privileges};
use crate::cli::Exit;
use crate::engine::Input;
use crate::host::measures::Measures;
use crate::kernel::loader::{self, Attached, LoadError, LoadSettings};
use crate::kernel::sampler::SampleError;
use crate::policy::HostLabels;
use crate::policy::spec::{PolicySet, Users};
use crate::record::{Loss, PeerNews, ProcessKey, UsageRow};
use crate::recording::entry::Entry;
use crate::recording::facts::{Ended, Written};
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
    /// The lines of their logs are recorded as far as they match, and what the daemon knows of other hosts where they have
    /// peers; nothing else of them matters.
    pub policies: PolicySet,
    /// Where that daemon answers.
    pub socket: PathBuf,
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
    let kernel = loader::attach(load, None)?;
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
    let peers = peers::follow(&settings, &feed);
    let mut recorder = Recorder::new(kernel, writer, settings, began);
    recorder.start()?;
    // What recording needs is small and stays the same.
    drop(memory::trim());
    ready();
    let ended = recorder.run(&mut orders, &mut lines, load.wake_gap).await?;
    if let Some(peers) = peers {
        peers.abort();
    }
    logs.stop(&mut lines, |input| recorder.take(input)).await?;
    recorder.close(ended).await
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
                Some(input) = lines.recv() => self.take(input)?,
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

    /// What the thread that follows log files has found, and what the daemon knows of other hosts.
    fn take(&mut self, input: Input) -> Result<(), RecordError> {
        match input {
            Input::Lines(lines) => self.put(&Entry::Lines(lines)),
            Input::Peers(PeerNews::Members(members)) => self.put(&Entry::Peers(members)),
            _ => Ok(()),
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
}
