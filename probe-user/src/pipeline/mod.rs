//! Wires kernel, engine and edges together, and owns the daemon's life.
//!
//! One task does it all, in turns: drain the ring, sample, act on deadlines, answer queries, obey orders. Nothing in it
//! waits for the outside: events go into the bounded queues of the [`outlets`]. When a kernel source fails for good the
//! daemon ends with an error, for it would otherwise report a quiet host.
//!
//! It is woken by the ring, by a deadline of the engine, by the sample interval while something is sampled, by its
//! heartbeat, by a query or by a signal; an idle host with policies that need no sampling wakes it for the heartbeat
//! alone.

pub(crate) mod alarm;
mod answer;
pub mod clock;
mod clock_set;
mod core;
mod couriers;
mod greeting;
mod logfiles;
mod looks;
mod memory;
mod noting;
mod outlets;
mod privileges;
pub mod recorder;
mod reload;
mod shedding;
mod site;
mod snapshots;
mod start;
mod stop;
mod times;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::act::Acting;
use crate::agent::{self, Guard, HEARTBEAT_EVERY};
use crate::cli::Exit;
use crate::config::load::Prepared;
use crate::engine::Input;
use crate::forward::StartError;
use crate::host::measures::Measures;
use crate::kernel::loader::LoadError;
use crate::kernel::pins::{Pins, PinsError};
use crate::kernel::sampler::SampleError;
use crate::output::Format;
use crate::peers;
use crate::serve::http::Http;
use crate::serve::{BindError, Query};
use crate::stamp::OpenError;
use crate::supervisor::Supervisor;
use crate::time::KTime;

pub use self::memory::arrange;
pub use self::start::run;

use self::alarm::Alarm;
use self::clock_set::ClockSet;
use self::core::{Core, Drained};
use self::logfiles::LogFiles;
use self::memory::Storm;
use self::noting::Noting;
use self::site::Site;
use self::times::{Times, next_tick};
use outlets::Outlets;

/// So long after the wake gap the daemon looks for records that woke nobody. While records keep coming the first one after
/// the gap wakes it before that, and looking at the gap's very end would wake it a second time for the same records.
const LOOK_AFTER_GAP: Duration = Duration::from_millis(10);

/// Batches that are taken in one turn: all that come within a gap, but for a storm.
const BATCHES: usize = 8;

/// What the daemon is started with.
#[derive(Debug)]
pub struct Start {
    /// Configuration and policies.
    pub prepared: Prepared,
    /// How events look on stdout.
    pub format: Format,
    /// Size of the kernel's ring buffer, where the command line names one.
    pub ring_bytes: Option<u32>,
    /// Where programs and maps outlive the daemon; `None`: nowhere.
    pub pins: Option<PathBuf>,
}

/// What the outside wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Load policies and configuration again.
    Reload,
    /// Drain and end; the signal's name is told.
    Stop(&'static str),
}

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The state directory is another daemon's.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The directory of pins cannot be used.
    #[error(transparent)]
    Pins(#[from] PinsError),
    /// The local API cannot listen.
    #[error(transparent)]
    Api(#[from] BindError),
    /// A collector cannot be fed.
    #[error(transparent)]
    Collector(#[from] StartError),
    /// The kernel programs cannot be loaded.
    #[error(transparent)]
    Kernel(#[from] LoadError),
    /// The iterators stopped working.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// This host cannot be a member of its site.
    #[error(transparent)]
    Peers(#[from] peers::OpenError),
    /// The system refused something basic.
    #[error("the system refused: {0}")]
    Io(#[from] io::Error),
}

impl PipelineError {
    /// The exit code that tells it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::State(_) | Self::Pins(_) | Self::Api(_) | Self::Collector(_) | Self::Peers(_) => Exit::Config,
            Self::Kernel(error) if error.is_about_the_host() => Exit::Kernel,
            Self::Kernel(_) | Self::Sample(_) | Self::Io(_) => Exit::NotWell,
        }
    }
}

/// Everything that lives as long as the daemon.
struct Daemon {
    /// Locked for as long as the daemon lives.
    pins: Option<Pins>,
    /// For sources with a task of their own.
    feed: mpsc::Sender<Input>,
    logs: LogFiles,
    core: Core,
    acting: Acting,
    measures: Measures,
    outlets: Outlets,
    noting: Noting,
    site: Site,
    http: Http,
    /// For those of our own who ask.
    queries: mpsc::Sender<Query>,
    prepared: Prepared,
    degraded: Vec<String>,
    began: KTime,
    wake_gap: Duration,
    times: Times,
    storm: Storm,
    guard: Guard,
    supervisor: Supervisor,
}

impl Daemon {
    async fn run(
        mut self,
        mut orders: mpsc::Receiver<Order>,
        mut queries: mpsc::Receiver<Query>,
        mut inputs: mpsc::Receiver<Input>,
    ) -> Result<(), PipelineError> {
        let mut alarm = Alarm::new()?;
        let clock_set = ClockSet::new()?;
        let reason = loop {
            self.carry_out()?;
            self.tell_events();
            alarm.set(self.next_moment())?;
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Reload) => {
                        self.supervisor.reloading();
                        self.reload()?;
                        self.tell_ready();
                    }
                    Some(Order::Stop(signal)) => break signal,
                    None => break "nobody gives orders any more",
                },
                ready = self.core.kernel().records.ready() => {
                    ready?;
                    let drained = self.drain()?;
                    self.storm.woken(clock::now(), drained.records, || self.core.shrink());
                    self.times.drain = Some(self.look_after(drained));
                    others().await;
                }
                rings = alarm.rings() => {
                    rings?;
                    alarm.rang();
                    self.on_time()?;
                    others().await;
                }
                jumps = clock_set.jumps() => {
                    jumps?;
                    clock_set.again()?;
                    self.core.check_clock()?;
                }
                Some(input) = inputs.recv() => self.core.input(input)?,
                () = self.outlets.turns() => self.tell_turns(),
                Some(query) = queries.recv() => self.answer(query),
            }
            self.look_at_itself(clock::now());
            self.note_measures();
        };
        Box::pin(self.stop(reason, inputs)).await
    }

    /// When the ring is looked at if nothing wakes the daemon before.
    fn look_after(&self, drained: Drained) -> KTime {
        let now = clock::now();
        if drained.more { now } else { now.after(self.wake_gap).after(LOOK_AFTER_GAP) }
    }

    fn next_moment(&mut self) -> Option<KTime> {
        self.times.sample = self.sample_every().map(|every| {
            // What was to come after a longer interval comes earlier when the interval has become shorter.
            self.times.sample.map_or_else(clock::now, |at| at.min(clock::now().after(every)))
        });
        let turns = [self.outlets.next_turn(), self.site.next_look()].into_iter().flatten().min();
        let own = [self.guard.next_look(), self.storm.next_look()].into_iter().flatten().min();
        let others = [self.times.alive, self.outlets.next_orphan(), turns, own];
        let times = [self.times.drain, self.times.sample, self.core.wake_at(), Some(self.times.heartbeat)];
        times.into_iter().chain(others).flatten().min()
    }

    /// Does whatever is due.
    fn on_time(&mut self) -> Result<(), PipelineError> {
        let now = clock::now();
        let is_due = |at: Option<KTime>| at.is_some_and(|at| at <= now);
        if is_due(self.times.drain) {
            let drained = self.drain()?;
            self.storm.drained(now, drained.records, || self.core.shrink());
            self.times.drain = (drained.records > 0).then(|| self.look_after(drained));
        }
        self.storm.settled(now, || self.core.shrink());
        if is_due(self.core.wake_at()) {
            self.catch_up();
            self.core.tick()?;
        }
        if let Some(at) = self.times.sample.filter(|at| *at <= now) {
            self.sample()?;
            self.times.sample = self.sample_every().map(|every| next_tick(at, every, clock::now()));
        }
        if is_due(self.outlets.next_orphan()) {
            self.outlets.tell_orphans();
        }
        if is_due(self.outlets.next_turn()) || is_due(self.site.next_look()) {
            self.tell_turns();
        }
        if self.times.heartbeat <= now {
            self.beat()?;
            self.times.heartbeat = next_tick(self.times.heartbeat, HEARTBEAT_EVERY, clock::now());
        }
        if let Some(at) = self.times.alive.filter(|at| *at <= now) {
            self.supervisor.alive();
            let every = self.supervisor.alive_every(HEARTBEAT_EVERY);
            self.times.alive = every.map(|every| next_tick(at, every, clock::now()));
        }
        Ok(())
    }

    /// The service manager hears that the host is held against these policies.
    fn tell_ready(&self) {
        self.supervisor.ready(&agent::Held::of(&self.prepared.policies).words());
    }

    /// Hands in some batches of records, and does what they lead to. A storm is left for other turns of the loop, so that
    /// whoever gives an order or asks something is heard meanwhile.
    fn drain(&mut self) -> Result<Drained, PipelineError> {
        let mut drained = self.core.drain();
        for _ in 1..BATCHES {
            if !drained.more || self.core.is_unsettled() {
                break;
            }
            self.carry_out()?;
            self.tell_events();
            let next = self.core.drain();
            drained = Drained { records: drained.records + next.records, ..next };
        }
        if self.core.is_unsettled() {
            self.catch_up();
            self.core.settle()?;
        }
        Ok(drained)
    }

    /// Hands in and tells whatever happened before this moment, few records at a time.
    fn catch_up(&mut self) {
        let began = clock::now();
        loop {
            self.tell_events();
            let drained = self.core.drain();
            self.storm.woken(clock::now(), drained.records, || self.core.shrink());
            if !drained.more || drained.last.is_some_and(|last| last > began) {
                return;
            }
        }
    }

    /// How far apart samples are now. One beat serves usage and the host: each further one would be a wake-up more.
    fn sample_every(&self) -> Option<Duration> {
        let interval = self.prepared.config.sample_interval * self.sample_one_of();
        if self.core.is_sampling() { Some(interval) } else { self.measures.every(interval) }
    }

    fn sample(&mut self) -> Result<(), PipelineError> {
        if self.core.is_sampling() {
            self.catch_up();
            self.core.sample()?;
        }
        if self.measures.every(Duration::ZERO).is_some() {
            let every = self.sample_every().unwrap_or_default();
            let sample = self.measures.sample(clock::now(), every);
            self.core.input(Input::Host(Box::new(sample)))?;
        }
        Ok(())
    }

    /// What turned for the worse or for the better by itself; the peers hear of the ways to the collectors.
    fn tell_turns(&mut self) {
        self.outlets.tell_turns();
        self.site.look(clock::now(), &self.outlets.ways());
    }

    fn tell_events(&mut self) {
        let events = self.core.take_events();
        self.core.note(self.outlets.next_seq(), &events);
        self.outlets.tell_all(events);
        self.outlets.tell_drops();
        self.core.keep(self.outlets.settled(), self.outlets.next_seq());
    }

    /// Hands on what is to be done about alarms; what cannot be done is told by the engine as well.
    fn carry_out(&mut self) -> Result<(), PipelineError> {
        for order in self.core.take_orders() {
            if let Some(acted) = self.acting.order(&order) {
                self.core.input(Input::Acted(acted))?;
            }
        }
        Ok(())
    }

    fn beat(&mut self) -> Result<(), PipelineError> {
        self.core.check_misses()?;
        self.catch_up();
        // A disk that stands still rings no bell.
        self.tell_turns();
        self.tell_lost_measures();
        let clock = clock::read();
        let heartbeat = agent::heartbeat(
            clock.mono,
            &agent::Heartbeat {
                uptime: clock.mono.since(self.began),
                host_uptime: Duration::from_nanos(clock.boot_ns),
                cost: agent::own_cost()?,
                kernel: &self.kernel_cost(),
                processes: self.core.engine().table().len(),
                queued_events: self.outlets.queued(),
                queued_age: self.outlets.queued_age(),
                spool_bytes: self.outlets.spool().bytes,
            },
        );
        self.outlets.tell(heartbeat);
        Ok(())
    }
}

/// Lets the other tasks of the runtime have a turn: in a storm there is always something to do for this one, and whoever
/// asks for the status would wait for its end.
async fn others() {
    tokio::task::yield_now().await;
}
