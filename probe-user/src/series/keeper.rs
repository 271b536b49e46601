//! The thread that has the files: it writes blocks, thins, and answers. Nobody waits for it: what it cannot take is dropped and
//! counted, and a disk that stands still costs the history and nothing else.

use std::io;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::fold::{Canvas, Totals};
use super::play::{Interval, Player, Sink};
use super::recorder::{Block, Tail};
use super::report::{BoundReport, HistoryReport, MeasuresReport, Status};
use super::shelf::{MINUTES_KEPT, SECONDS_KEPT, Shelf};
use crate::outlet::lock;
use crate::spool::disk::{Directory, Disk};
use crate::spool::ram::Ram;
use crate::time::Wall;

/// Blocks and questions that may wait for the thread.
const ERRANDS: usize = 16;
/// Without a directory so much is kept in memory.
const RAM_BYTES: u64 = 1 << 20;
const NS: i64 = 1_000_000_000;

/// What the thread is to do.
enum Errand {
    Put(Block),
    Ask(Question),
    Sum(SumQuestion),
}

/// One group over a span of time.
#[derive(Debug)]
pub struct Question {
    /// Which.
    pub name: String,
    /// Seconds since 1970.
    pub now: i64,
    /// So many seconds back.
    pub since: Duration,
    /// Points at least so far apart.
    pub step: Option<Duration>,
    /// What no block has yet.
    pub tail: Tail,
    /// Its bounds, to be told with it.
    pub bounds: Vec<BoundReport>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Option<HistoryReport>>,
}

/// All groups over a span of time.
#[derive(Debug)]
pub struct SumQuestion {
    /// Seconds since 1970.
    pub now: i64,
    /// So many seconds back.
    pub since: Duration,
    /// What no block has yet.
    pub tail: Tail,
    /// Where the answer goes.
    pub reply: oneshot::Sender<MeasuresReport>,
}

/// What the thread says of itself.
#[derive(Debug, Default)]
struct Stand {
    bytes: u64,
    reach: [Option<i64>; 2],
    short: bool,
    full: bool,
    failing: Option<String>,
    damaged: u64,
    unwritten: u64,
}

/// The history of measures of a daemon.
#[derive(Debug)]
pub struct Archive {
    errands: Option<SyncSender<Errand>>,
    stand: Arc<Mutex<Stand>>,
    thread: Option<JoinHandle<()>>,
    max_bytes: u64,
    /// Blocks that the thread did not take.
    dropped: u64,
}

impl Archive {
    /// Takes up the files of this directory, on a thread. A directory that cannot be used leaves the history in memory; the
    /// note says so.
    pub fn open(directory: &Path, max_bytes: u64) -> io::Result<(Self, Option<String>)> {
        let (disk, max_bytes, note) = match Directory::open(directory) {
            Ok(disk) => (Box::new(disk) as Box<dyn Disk + Send>, max_bytes, None),
            Err(error) => {
                let why = format!("{}: {error}; measures are kept in memory alone", directory.display());
                (Box::new(Ram::default()) as Box<dyn Disk + Send>, RAM_BYTES.min(max_bytes), Some(why))
            }
        };
        let (errands, inbox) = sync_channel(ERRANDS);
        // The first block begins a file anyway.
        let stand = Arc::new(Mutex::new(Stand::default()));
        let keeper = Keeper { stand: Arc::clone(&stand), failing: false };
        let thread =
            std::thread::Builder::new().name("series".into()).spawn(move || keeper.run(disk, max_bytes, &inbox))?;
        Ok((Self { errands: Some(errands), stand, thread: Some(thread), max_bytes, dropped: 0 }, note))
    }

    /// Hands a block over. False: there was no room for it, and the next one is to begin a file.
    pub fn put(&mut self, block: Block) -> bool {
        let sent = self.errands.as_ref().is_some_and(|errands| errands.try_send(Errand::Put(block)).is_ok());
        self.dropped += u64::from(!sent);
        sent
    }

    /// The block after the next one should begin a file.
    pub fn is_full(&self) -> bool {
        lock(&self.stand).full
    }

    /// Has a question answered; what is not is told by its reply being gone.
    pub fn ask(&self, question: Question) {
        self.send(Errand::Ask(question));
    }

    /// The same of all groups.
    pub fn sum(&self, question: SumQuestion) {
        self.send(Errand::Sum(question));
    }

    fn send(&self, errand: Errand) {
        let Some(errands) = &self.errands else { return };
        if let Err(TrySendError::Full(_)) = errands.try_send(errand) {
            tracing::debug!("a question about measures found no room");
        }
    }

    /// How it stands. `groups`: those kept, and those that found no room.
    pub fn status(&self, now: i64, (groups, groups_left_out): (usize, usize)) -> Status {
        let stand = lock(&self.stand);
        let [seconds_reach, minutes_reach] = stand.reach.map(|since| since.map(|since| (now - since).max(0) as f64));
        Status {
            bytes: stand.bytes,
            max_bytes: self.max_bytes,
            groups,
            groups_left_out,
            seconds_reach,
            minutes_reach,
            short: stand.short,
            failing: stand.failing.clone(),
            lost_blocks: self.dropped + stand.unwritten + stand.damaged,
        }
    }

    /// Blocks lost since the start, by reason.
    pub fn lost(&self) -> [(&'static str, u64); 3] {
        let stand = lock(&self.stand);
        [("queue_full", self.dropped), ("write_failed", stand.unwritten), ("damaged", stand.damaged)]
    }

    /// Lets the thread finish, for at most `within`.
    pub fn close(mut self, within: Duration) {
        self.errands = None;
        let deadline = Instant::now() + within;
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

/// The thread.
struct Keeper {
    stand: Arc<Mutex<Stand>>,
    /// The last block was not written.
    failing: bool,
}

type Files = Shelf<Box<dyn Disk + Send>>;

impl Keeper {
    fn run(mut self, disk: Box<dyn Disk + Send>, max_bytes: u64, inbox: &Receiver<Errand>) {
        let mut notes = Vec::new();
        let opened = Shelf::open(disk, max_bytes, &mut notes);
        for note in notes {
            tracing::warn!("{note}");
        }
        let mut files = match opened {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(%error, "the history of measures cannot be read; it is kept in memory alone");
                lock(&self.stand).failing = Some(error.to_string());
                // Nothing fails in memory.
                let ram = Box::new(Ram::default()) as Box<dyn Disk + Send>;
                match Shelf::open(ram, RAM_BYTES.min(max_bytes), &mut Vec::new()) {
                    Ok(files) => files,
                    Err(_) => return,
                }
            }
        };
        files.thin_all();
        self.tell(&files, i64::MAX);
        while let Ok(errand) = inbox.recv() {
            match errand {
                Errand::Put(block) => self.put(&mut files, &block),
                Errand::Ask(question) => self.answer(&mut files, question),
                Errand::Sum(question) => self.sum(&mut files, question),
            }
        }
    }

    fn put(&mut self, files: &mut Files, block: &Block) {
        match files.put(block) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the history of measures is written again");
                }
                lock(&self.stand).failing.clone_from(&files.unthinned);
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the history of measures cannot be written");
                }
                let mut stand = lock(&self.stand);
                stand.unwritten += 1;
                // That a block rests on one that is missing says nothing of the reason.
                stand.failing.get_or_insert_with(|| error.to_string());
            }
        }
        self.tell(files, block.to);
    }

    fn tell(&self, files: &Files, now: i64) {
        let mut stand = lock(&self.stand);
        (stand.bytes, stand.reach) = (files.bytes(), files.reach(now));
        (stand.short, stand.full, stand.damaged) = (files.short, files.is_full(), files.damaged);
    }

    fn answer(&self, files: &mut Files, question: Question) {
        let Question { name, now, since, step, tail, bounds, reply } = question;
        if reply.is_closed() {
            return;
        }
        let seconds = |time: Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
        let since = seconds(since).min(SECONDS_KEPT + MINUTES_KEPT);
        let mut canvas = Canvas::new(&name, now, since, step.map(seconds));
        let span = canvas.span;
        play(files, span, &tail, &mut canvas);
        self.tell(files, now);
        let report = HistoryReport {
            from: time(span.from),
            to: time(span.to),
            step_seconds: canvas.step as f64,
            series: canvas.series(),
            bounds,
            name,
        };
        let _ = reply.send(Some(report));
    }

    fn sum(&self, files: &mut Files, question: SumQuestion) {
        let SumQuestion { now, since, tail, reply } = question;
        if reply.is_closed() {
            return;
        }
        let since = i64::try_from(since.as_secs()).unwrap_or(i64::MAX).min(SECONDS_KEPT + MINUTES_KEPT);
        let span = Interval { from: now - since, to: now + 1 };
        let mut totals = Totals::new(span);
        play(files, span, &tail, &mut totals);
        self.tell(files, now);
        let _ = reply.send(MeasuresReport { from: time(span.from), to: time(span.to), groups: totals.groups() });
    }
}

/// Plays the files, then what they do not have yet.
fn play(files: &mut Files, span: Interval, tail: &Tail, sink: &mut impl Sink) {
    let told = files.play(span, sink).unwrap_or_else(|error| {
        tracing::warn!(%error, "a part of the history of measures cannot be read");
        None
    });
    if tail.from >= tail.to {
        return;
    }
    let mut player = Player::of_seconds(sink, told);
    player.renumbered();
    player.interval(Interval { from: tail.from, to: tail.to });
    for (group, (name, runs)) in (0..).zip(&tail.groups) {
        player.named(group, name);
        for (figure, run) in runs {
            player.run(figure.series(group), run);
        }
    }
    player.end();
}

/// RFC 3339.
fn time(seconds: i64) -> String {
    Wall(seconds.saturating_mul(NS)).to_string()
}
