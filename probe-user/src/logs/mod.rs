//! Source: lines of log files, followed as they grow.
//!
//! One thread reads them all, woken by the kernel (inotify) and by nothing else but a look round every 30 s. It holds
//! what it reads against the policies' words at once and hands on only what matched: one message for each file and round
//! ([`crate::record::LogLines`]), so that a flood of lines is a trickle of messages. When the engine does not take them
//! the thread waits, and the files with it.
//!
//! Places outlive the daemon ([`places`]): after a clean end no line is missed or taken twice. They are on disk some
//! seconds after they moved, and never before what was found up to there was handed over: after a crash the lines of
//! these seconds are taken again, none is missed.
//!
//! Text is hostile: it is bounded, and nothing but regular files is ever opened. What cannot be read is told once and
//! tried again.

mod files;
mod follow;
mod look;
mod notice;
mod pattern;
mod places;
#[cfg(test)]
mod tests;
mod wanted;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc as orders;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

pub use wanted::LogFiles;

use crate::engine::Input;
use crate::pipeline::clock;
use crate::policy::spec::Log;
use crate::time::KTime;
use files::Files;
use places::Places;

/// Rounds are so far apart at least: what is written in between is one message.
const PACE: Duration = Duration::from_millis(50);
/// Places are tried to be saved again after so long while what they stand for has not been taken.
const SAVE_AGAIN: Duration = Duration::from_millis(100);
/// Most failures that a report names.
const FAILURES_MAX: usize = 16;
/// Descriptors that following many files takes; the usual soft limit is 1024.
const DESCRIPTORS: u64 = 1 << 15;

/// How the source stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsReport {
    /// Each log, in the order of the policies.
    pub logs: Vec<LogFiles>,
    /// What cannot be read or watched, and why; the first of them.
    pub failures: Vec<String>,
}

/// The thread that follows the files.
#[derive(Debug)]
pub struct Source {
    orders: orders::Sender<Order>,
    wake: Arc<OwnedFd>,
    report: Arc<Mutex<LogsReport>>,
    ended: oneshot::Receiver<()>,
}

enum Order {
    /// From now on; the second says, by being dropped, that their files are open.
    Watch(Vec<Log>, oneshot::Sender<()>),
    Stop,
}

/// What the thread owns.
struct Follow {
    files: Files,
    orders: orders::Receiver<Order>,
    wake: Arc<OwnedFd>,
    feed: mpsc::Sender<Input>,
    report: Arc<Mutex<LogsReport>>,
    state_dir: PathBuf,
    cannot_save: bool,
}

impl Source {
    /// Starts the thread, which waits for the first [`Source::watch`]. `prepare` is what it does first: giving up
    /// privileges that it does not need. The notes say what is degraded.
    pub fn spawn(
        state_dir: &Path,
        feed: mpsc::Sender<Input>,
        prepare: impl FnOnce() + Send + 'static,
    ) -> io::Result<(Self, Vec<String>)> {
        raise_descriptors();
        let (places, note) = Places::read(state_dir);
        let wake = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let report = Arc::new(Mutex::new(LogsReport::default()));
        let (send, receive) = orders::channel();
        let (end, ended) = oneshot::channel();
        let mut follow = Follow {
            files: Files::new(places)?,
            orders: receive,
            wake: Arc::clone(&wake),
            feed,
            report: Arc::clone(&report),
            state_dir: state_dir.to_owned(),
            cannot_save: false,
        };
        std::thread::Builder::new().name("logs".to_owned()).spawn(move || {
            prepare();
            if let Err(error) = follow.run() {
                tracing::error!("log files are not followed any more: {error}");
            }
            drop(end);
        })?;
        Ok((Self { orders: send, wake, report, ended }, note.into_iter().collect()))
    }

    /// These logs from now on. What comes back ends once their files are open and watched, or when the thread has ended:
    /// a line written after that is seen.
    pub fn watch(&self, logs: &[Log]) -> oneshot::Receiver<()> {
        let (open, opened) = oneshot::channel();
        self.order(Order::Watch(logs.to_vec(), open));
        opened
    }

    /// How it stands.
    pub fn report(&self) -> LogsReport {
        self.report.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks it to write down its places and to end. It may still hand over what it has read; the answer comes when it is
    /// through.
    pub fn stop(self) -> oneshot::Receiver<()> {
        self.order(Order::Stop);
        self.ended
    }

    /// A thread that has ended takes no orders: nothing is left to be done then.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }
}

impl Follow {
    fn run(&mut self) -> io::Result<()> {
        // Without having been told what to watch it would forget the places of the last run.
        match self.orders.recv() {
            Ok(Order::Watch(logs, open)) => self.want(&logs, open),
            Ok(Order::Stop) | Err(_) => return Ok(()),
        }
        loop {
            let began = clock::now();
            if !self.round(began)? {
                return Ok(());
            }
            let mut next = self.files.next(began);
            if let Some(at) = self.files.save_at() {
                let now = clock::now();
                let taken = self.feed.capacity() == self.feed.max_capacity();
                if at <= now && taken {
                    self.save();
                } else {
                    next = next.min(at.max(now.after(SAVE_AGAIN)));
                }
            }
            self.publish();
            if next > began {
                self.wait(next, true)?;
                self.wait(began.after(PACE).min(next), false)?;
            }
            loop {
                match self.orders.try_recv() {
                    Ok(Order::Watch(logs, open)) => self.want(&logs, open),
                    Ok(Order::Stop) | Err(orders::TryRecvError::Disconnected) => {
                        // What was written until now is told by this run.
                        self.round(clock::now())?;
                        self.save();
                        return Ok(());
                    }
                    Err(orders::TryRecvError::Empty) => break,
                }
            }
        }
    }

    /// Opens what these logs name before anything is read: reading may have to wait for who takes the lines.
    fn want(&mut self, logs: &[Log], open: oneshot::Sender<()>) {
        self.files.want(logs);
        self.files.look_if_due(clock::now());
        self.publish();
        drop(open);
    }

    /// Looks at what is new. False when nobody wants to hear of it any more.
    fn round(&mut self, now: KTime) -> io::Result<bool> {
        self.files.listen()?;
        let (feed, mut heard) = (&self.feed, true);
        self.files.round(now, &mut |lines| heard &= feed.blocking_send(Input::Lines(lines)).is_ok());
        Ok(heard)
    }

    /// Waits for an order and, where `notices` is set, for the kernel to tell something.
    fn wait(&self, until: KTime, notices: bool) -> io::Result<()> {
        let left = until.since(clock::now());
        if left.is_zero() && !notices {
            return Ok(());
        }
        let timeout = Timespec::try_from(left).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut ready = [
            PollFd::new(&self.wake, PollFlags::IN),
            PollFd::from_borrowed_fd(self.files.notices.as_fd(), PollFlags::IN),
        ];
        let watched = if notices { ready.as_mut_slice() } else { ready.split_at_mut(1).0 };
        match poll(watched, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if notices {
            return Ok(());
        }
        match rustix::io::read(&self.wake, &mut [0; 8]) {
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn save(&mut self) {
        let saved = self.files.places().write(&self.state_dir);
        if let Err(error) = &saved
            && !self.cannot_save
        {
            let directory = self.state_dir.display();
            tracing::warn!(
                "{directory}: places in log files are not kept: {error}; a restart reads them from their end"
            );
        }
        self.cannot_save = saved.is_err();
    }

    fn publish(&self) {
        let logs = self.files.report();
        let refused = self.files.refused.iter().map(|(path, refused)| (path, &refused.why));
        let failures = refused.chain(&self.files.unwatched).take(FAILURES_MAX);
        let failures = failures.map(|(path, why)| format!("{}: {why}", path.display())).collect();
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = LogsReport { logs, failures };
    }
}

/// Each followed file is an open one. Where the limit cannot be raised, those beyond it are told as refused.
fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.map_or(DESCRIPTORS, |maximum| maximum.min(DESCRIPTORS));
    if current.is_some_and(|current| current < wanted) {
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum });
    }
}
