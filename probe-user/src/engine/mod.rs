//! The core: one function from inputs to effects. No clock, no I/O, no spawned task.
//!
//! [`Engine::step`] takes the moment and one [`Input`], and pushes what is to be done into a list of [`Effect`]s. The
//! same inputs give the same effects, whether they come from the kernel, from a recording or from a test.
//!
//! Which moment counts:
//! - a record is judged at its own time. Deadlines up to that time are acted on first, later ones wait, even if the
//!   record is handed in late: the next record may still heal what they would fire for;
//! - [`Input::Tick`] acts on every deadline up to `now`; the ring must have been drained before;
//! - samples are judged at `now`, and touch nothing but the bounds on sampled measures.
//!
//! Times that run backwards (records of two CPUs) are held still. No input is refused: what names an unknown process
//! or comes without having been asked for changes nothing.

mod act;
mod evidence;
pub mod explain;
mod group;
mod held;
mod hosts;
mod index;
mod jobs;
mod judge;
mod logs;
mod loss;
mod measures;
mod membership;
mod needle;
mod raise;
mod reload;
mod reread;
mod restore;
pub mod seen;
pub mod status;
mod tell;
pub(crate) mod text;
mod timers;
mod track;
mod verdicts;

use std::sync::Arc;
use std::time::Duration;

use regex::Regex;

pub use self::explain::{Explanation, Verdict};
pub use self::hosts::{HostBoundStatus, HostInstanceStatus};
pub(crate) use self::reread::{Hope, next_look};
pub(crate) use self::restore::KEPT;
pub use self::restore::{KnownTable, Restored, Standing};
pub use self::status::{
    ActionStatus, BoundStatus, Each, GroupStatus, GroupUsage, LogStatus, LossStatus, State, Status,
};

use self::act::Acts;
use self::group::GroupState;
use self::hosts::Hosts;
use self::index::Index;
use self::jobs::Jobs;
use self::logs::Logs;
use self::loss::Losses;
use self::reread::Rereads;
use self::seen::Seen;
use self::timers::Timers;
use self::track::{Source, Track};
use self::verdicts::Verdicts;
use crate::event::Event;
use crate::model::hash::Map;
use crate::model::{Change, Process, Table};
use crate::policy::spec::{Action, HostFacts, PolicySet, Users};
use crate::record::{Acted, HostSample, LogLines, Loss, ProcessKey, Record, Reread, Scan, UsageRow};
use crate::time::{ClockReading, KTime};

/// Room for so many changes is kept from step to step. Nearly all steps make one or two; a burst gives its memory back.
const CHANGES_KEPT: usize = 256;

/// What the engine is told once, at its start (and, but for `host`, again at a reload).
#[derive(Clone, Debug)]
pub struct Settings {
    /// For shares of the host.
    pub host: HostFacts,
    /// Nothing fires before so long after the first scan.
    pub start_grace: Duration,
    /// For which processes start and exit are told.
    pub processes: Processes,
    /// Forks that have not executed anything are told too.
    pub forks: bool,
    /// Arguments are told; policies see them in any case.
    pub args: bool,
    /// What matches in an argument is replaced by `[redacted]` before it is told.
    pub redact: Vec<Regex>,
}

/// `events.processes`: policies see all processes in any case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Processes {
    /// Those that belong to a group.
    #[default]
    Matched,
    /// Every one.
    All,
    /// None.
    None,
}

/// Everything that the engine can be told.
#[derive(Clone, Debug)]
pub enum Input {
    /// A record of the ring buffer.
    Record(Record),
    /// What an earlier daemon knew: before anything else.
    Restored(Box<Restored>),
    /// Everything that lives: at the start, and after each loss when the engine asked for it.
    Scan(Scan),
    /// Usage of the processes that the engine asked to be sampled ([`Watch::usage`]). Of one that had a row before and
    /// has none here, nothing has changed.
    Sample(Vec<UsageRow>),
    /// What a process says of itself now, read because the engine asked ([`Effect::Reread`]).
    Reread {
        /// Which.
        key: ProcessKey,
        /// `None` when it was gone.
        found: Option<Reread>,
    },
    /// Lines that matched a log.
    Lines(LogLines),
    /// Figures of the host ([`PolicySet::host`] says which are wanted).
    Host(Box<HostSample>),
    /// What became of an [`Effect::Act`].
    Acted(Acted),
    /// How kernel time and wall time relate: before anything else, and whenever that has changed by more than noise.
    Clock(ClockReading),
    /// Records were lost. Until the next [`Input::Scan`] nothing new fires.
    Lost(Loss),
    /// Other policies from now on; what was firing under the same name and bound keeps firing.
    Policies(Arc<PolicySet>, Arc<Users>),
    /// The moment of the last [`Effect::WakeAt`] has come.
    Tick,
}

/// Everything that the engine can want done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the world.
    Emit(Event),
    /// Set what the kernel side watches of a process; [`Watch::NONE`] takes it out.
    Watch(ProcessKey, Watch),
    /// Call [`Engine::step`] with [`Input::Tick`] at this moment, if nothing earlier was asked for; one outstanding
    /// moment is enough, a new one replaces it. `None`: nothing is waited for.
    WakeAt(Option<KTime>),
    /// Run the scan iterator and hand in [`Input::Scan`] before any further record.
    Scan,
    /// Look again at what a process can change without telling anyone, and hand in [`Input::Reread`].
    Reread {
        /// Which.
        key: ProcessKey,
        /// Its user matters to some policy: that is a larger file to read.
        user: bool,
    },
    /// Sample usage at the configured interval, or stop doing so.
    Sampling(bool),
    /// Do something about an alarm, and hand in [`Input::Acted`] when that has ended.
    Act(Order),
}

/// Something to be done about an alarm.
#[derive(Clone, Debug, PartialEq)]
pub struct Order {
    /// Its number, rising.
    pub number: u64,
    /// What.
    pub action: Arc<Action>,
    /// The processes to signal; none for an action that runs a program.
    pub targets: Vec<Target>,
    /// The alarm's facts, for the program's environment: name without prefix, value.
    pub facts: Vec<(&'static str, String)>,
}

/// A process to signal, as it can be told apart from a later one of the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Which.
    pub key: ProcessKey,
    /// CLOCK_BOOTTIME ns at which it started.
    pub start_boot_ns: u64,
}

/// What the kernel side is to watch of one process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// Its exit wakes the daemon at once, and signals that may end it are recorded.
    pub exit: bool,
    /// The sample iterator reports it.
    pub usage: bool,
}

impl Watch {
    /// Nothing.
    pub const NONE: Self = Self { exit: false, usage: false };
}

/// The process table held against the policies.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    users: Arc<Users>,
    table: Table,
    groups: Vec<GroupState>,
    index: Index,
    /// What `groups` made of programs lately.
    verdicts: Verdicts,
    /// What the engine knows of each process of the table.
    tracks: Map<ProcessKey, Track>,
    timers: Timers,
    rereads: Rereads,
    losses: Losses,
    jobs: Jobs,
    logs: Logs,
    hosts: Hosts,
    acts: Acts,
    /// How far records and ticks have come.
    clock: KTime,
    /// When the first scan came: nothing is judged before.
    started: Option<KTime>,
    /// Nothing fires before.
    gate: KTime,
    /// The scan after a loss is being judged: what fires now says so.
    reconciling: bool,
    /// Alarms of an earlier daemon, until the first scan.
    standing: Vec<Standing>,
    /// Since when the present interval of sampling runs; `None` while there is no sampling.
    interval: Option<KTime>,
    /// The moment of the last sample.
    sampled_at: KTime,
    /// The moment of the last [`Effect::WakeAt`].
    wake: Option<KTime>,
    /// A process that was closed in the step of its exit: no longer in the table, and still to be told about.
    gone: Option<Box<Process>>,
    /// Groups of which something counted has changed in this step.
    dirty: Vec<usize>,
    /// A group with sampled bounds has gained its first or lost its last member.
    sampling_may_change: bool,
    /// What the values of the bounds came to, where somebody wants to know.
    seen: Option<Seen>,
    /// Room for what the table says has changed, and for the groups that a process is held against; empty between
    /// steps.
    changes: Vec<Change>,
    asked: Vec<usize>,
}

impl Engine {
    /// An engine that has seen nothing yet; the first [`Input::Scan`] starts it.
    pub fn new(settings: Settings, policies: &Arc<PolicySet>, users: Arc<Users>) -> Self {
        let groups = jobs::groups_of(policies, &settings.host, KTime::default());
        let index = Index::new(&groups);
        let logs = Logs::new(policies, &settings.host, KTime::default());
        let host = settings.host;
        Self {
            settings,
            users,
            table: Table::new(),
            groups,
            index,
            verdicts: Verdicts::default(),
            tracks: Map::default(),
            timers: Timers::default(),
            rereads: Rereads::default(),
            losses: Losses::default(),
            jobs: Jobs::new(policies, KTime::default()),
            logs,
            hosts: Hosts::new(policies, &host),
            acts: Acts::new(&policies.actions),
            clock: KTime::default(),
            started: None,
            gate: KTime::default(),
            reconciling: false,
            standing: Vec::new(),
            interval: None,
            sampled_at: KTime::default(),
            wake: None,
            gone: None,
            dirty: Vec::new(),
            sampling_may_change: false,
            seen: None,
            changes: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Takes one input and says what is to be done about it, in order.
    pub fn step(&mut self, now: KTime, input: Input, effects: &mut Vec<Effect>) {
        let mut changes = std::mem::take(&mut self.changes);
        match input {
            Input::Record(record) => {
                let at = record.at.max(self.clock);
                self.clock = at;
                self.act_on_deadlines(at, effects);
                self.table.record(&record, &mut changes);
                self.apply(&mut changes, &Source::of(&record), at, effects);
                self.judge_dirty(at, effects);
            }
            Input::Tick => {
                let now = now.max(self.clock);
                self.clock = now;
                self.act_on_deadlines(now, effects);
                if self.table.next_expiry().is_some_and(|expiry| expiry <= now) {
                    self.table.expire(now, &mut changes);
                    self.apply(&mut changes, &Source::Other, now, effects);
                    self.judge_dirty(now, effects);
                }
                self.reread_due(now, effects);
            }
            Input::Restored(restored) => self.restore(now.max(self.clock), *restored, effects),
            Input::Scan(scan) => self.take_scan(now.max(self.clock), &scan, effects),
            Input::Sample(rows) => {
                self.sampled_at = now;
                for rows in rows.chunks(CHANGES_KEPT) {
                    self.table.sample(now, rows, &mut changes);
                    self.apply(&mut changes, &Source::Other, now, effects);
                }
                self.judge_sample(now, effects);
                self.judge_dirty(now.max(self.clock), effects);
            }
            Input::Reread { key, found } => {
                if let Some(found) = found {
                    let now = now.max(self.clock);
                    self.table.reread(key, &found, &mut changes);
                    self.apply(&mut changes, &Source::Other, now, effects);
                    self.judge_dirty(now, effects);
                }
            }
            Input::Lines(lines) => {
                let mut told = Vec::new();
                self.logs.lines(now.max(self.clock), self.gate, &lines, &self.settings.redact, &mut told);
                self.tell(told, effects);
            }
            Input::Host(sample) => {
                let mut told = Vec::new();
                self.take_host_sample(&sample, &mut told);
                self.tell(told, effects);
            }
            Input::Acted(acted) => self.acted(now.max(self.clock), &acted, effects),
            Input::Clock(clock) => {
                let now = now.max(self.clock);
                self.advance_jobs(now, effects);
                self.jobs.set_clock(clock);
                self.judge_jobs(now, effects);
            }
            Input::Lost(loss) => self.lose(now.max(self.clock), loss, effects),
            Input::Policies(policies, users) => self.reload(now.max(self.clock), &policies, users, effects),
        }
        if changes.capacity() > CHANGES_KEPT {
            changes.shrink_to(CHANGES_KEPT);
        }
        self.changes = changes;
        self.decide_sampling(now.max(self.clock), effects);
        self.decide_wake(effects);
    }

    /// Other settings from now on. The start grace is over or running already and stays as it was.
    pub fn settings_changed(&mut self, settings: Settings) {
        self.settings = settings;
        for group in &mut self.groups {
            group.resolve_limits(&self.settings.host);
        }
        self.hosts.resolve_limits(&self.settings.host);
    }

    /// The process of this pid, the daemon's own or its helper's, is never signalled.
    pub fn spare(&mut self, pid: u32) {
        self.acts.spare(pid);
    }

    /// Nothing comes any more: tells what would have been told later.
    pub fn close(&mut self, now: KTime, effects: &mut Vec<Effect>) {
        let mut told = Vec::new();
        self.logs.close(now.max(self.clock), &mut told);
        self.tell(told, effects);
    }

    /// Whether the kernel side is to sample this process.
    pub fn wants_usage_of(&self, key: ProcessKey) -> bool {
        self.tracks.get(&key).is_some_and(|track| track.watch.usage)
    }

    /// Whether the kernel side watches anything of the process that has this tgid.
    pub fn watches(&self, tgid: u32) -> bool {
        let track = self.table.of_tgid(tgid).and_then(|process| self.tracks.get(&process.key));
        track.is_some_and(|track| track.watch != Watch::NONE)
    }

    /// The process table, to look at.
    pub fn table(&self) -> &Table {
        &self.table
    }

    /// The first scan starts the judging, later ones end the doubt after a loss.
    fn take_scan(&mut self, now: KTime, scan: &Scan, effects: &mut Vec<Effect>) {
        let mut changes = Vec::new();
        self.table.scan(scan, &mut changes);
        // A process is held against its parent's groups, so parents first; they are older than their children.
        let (mut appeared, mut others): (Vec<_>, Vec<_>) =
            changes.into_iter().partition(|change| matches!(change, Change::Appeared { .. }));
        appeared.sort_by_key(|change| match change {
            Change::Appeared { key, .. } => Some((key.start, key.tgid)),
            _ => None,
        });
        self.apply(&mut appeared, &Source::Scan, now, effects);
        self.apply(&mut others, &Source::Scan, now, effects);
        if self.started.is_none() {
            self.started = Some(now);
            self.gate = now.after(self.settings.start_grace);
            for group in &mut self.groups {
                group.begin(now);
            }
            self.logs.begin(now);
            self.jobs.begin(now);
            self.stand(now, effects);
            self.end_doubt(now, effects);
            self.judge_all(now, effects);
        } else if self.end_doubt(now, effects) {
            self.gate = self.gate.max(now);
            self.reconciling = true;
            self.judge_all(now, effects);
            self.reconciling = false;
        } else {
            self.judge_dirty(now, effects);
        }
    }

    /// Whether bounds are held against the table: it has been seeded and nothing is in doubt.
    fn is_judging(&self) -> bool {
        self.started.is_some() && !self.losses.in_doubt()
    }

    fn decide_wake(&mut self, effects: &mut Vec<Effect>) {
        let earlier = |a: Option<KTime>, b: Option<KTime>| match (a, b) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        let deadline = earlier(self.timers.next(), self.jobs.next()).filter(|_| self.is_judging());
        let edges = earlier(self.logs.next(self.gate), self.hosts.next(self.gate));
        let next = earlier(earlier(deadline, edges), earlier(self.rereads.next(), self.table.next_expiry()));
        if next != self.wake {
            self.wake = next;
            effects.push(Effect::WakeAt(next));
        }
    }
}

#[cfg(test)]
mod tests;
