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
mod changes;
mod departed;
mod effect;
mod evidence;
pub mod explain;
mod figures;
mod group;
mod held;
mod hosts;
mod index;
mod input;
mod jobs;
mod judge;
mod logs;
mod loss;
mod measures;
mod members;
mod membership;
mod needle;
mod peers;
mod raise;
mod reload;
mod reread;
mod restore;
pub mod roster;
pub mod seen;
pub mod status;
mod tell;
pub(crate) mod text;
mod timers;
mod track;
mod verdicts;

use std::sync::Arc;

pub use self::effect::{Effect, Order, Target, Watch};
pub use self::explain::{Explanation, Verdict};
pub use self::figures::{Line, Measured};
pub use self::hosts::{HostBoundStatus, HostInstanceStatus};
pub use self::input::{Input, Processes, Settings};
pub(crate) use self::reread::{Hope, next_look};
pub(crate) use self::restore::KEPT;
pub use self::restore::{KnownTable, Restored, Standing};
pub use self::roster::{Member, Roster};
pub use self::status::{
    ActionStatus, BoundStatus, Each, GroupStatus, GroupUsage, LogStatus, LossStatus, PeerSetStatus, State, Status,
};

use self::act::Acts;
use self::changes::{Changed, Stirred};
use self::group::GroupState;
use self::hosts::Hosts;
use self::index::Index;
use self::jobs::Jobs;
use self::logs::Logs;
use self::loss::Losses;
use self::peers::Peers;
use self::reread::Rereads;
use self::seen::Seen;
use self::timers::Timers;
use self::track::{Source, Track};
use self::verdicts::Verdicts;
use crate::model::{Change, Closed, Table};
use crate::policy::spec::{PolicySet, Users};
use crate::record::{ProcessKey, Program, Record, Scan};
use crate::time::KTime;

/// Room for so many changes is kept from step to step. Nearly all steps make one or two; a burst gives its memory back.
const CHANGES_KEPT: usize = 256;

/// The process table held against the policies.
#[derive(Debug)]
pub struct Engine {
    settings: Settings,
    users: Arc<Users>,
    /// Every process, and what the engine knows of it.
    table: Table<Track>,
    groups: Vec<GroupState>,
    index: Index,
    /// What `groups` made of programs lately.
    verdicts: Verdicts,
    timers: Timers,
    rereads: Rereads,
    losses: Losses,
    jobs: Jobs,
    logs: Logs,
    hosts: Hosts,
    peers: Peers,
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
    /// When time alone changes something of logs, the host or peers, as it was asked for last. Asking all of them is dear, and
    /// records change nothing of that.
    edges: Option<KTime>,
    /// It has to be asked for again.
    edges_stirred: bool,
    /// A process that was closed in the step of its exit: no longer in the table, and still to be told about.
    gone: Option<Closed<Track>>,
    /// What this step has stirred up.
    stirred: Stirred,
    /// What the values of the bounds came to, where somebody wants to know.
    seen: Option<Seen>,
    /// Room for what the table says has changed, and for the groups that a process is held against; empty between
    /// steps.
    changes: Vec<Changed>,
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
            timers: Timers::default(),
            rereads: Rereads::default(),
            losses: Losses::default(),
            jobs: Jobs::new(policies, KTime::default()),
            logs,
            hosts: Hosts::new(policies, &host),
            peers: Peers::new(policies, &host),
            acts: Acts::new(&policies.actions),
            clock: KTime::default(),
            started: None,
            gate: KTime::default(),
            reconciling: false,
            standing: Vec::new(),
            interval: None,
            sampled_at: KTime::default(),
            wake: None,
            edges: None,
            edges_stirred: true,
            gone: None,
            stirred: Stirred::default(),
            seen: None,
            changes: Vec::new(),
            asked: Vec::new(),
        }
    }

    /// Takes one input and says what is to be done about it, in order.
    pub fn step(&mut self, now: KTime, input: Input, effects: &mut Vec<Effect>) {
        let mut changes = std::mem::take(&mut self.changes);
        self.edges_stirred = true;
        match input {
            Input::Record(ref record) => self.take_record(record, Arc::clone, &mut changes, effects),
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
            Input::Peers(news) => {
                let mut told = Vec::new();
                self.peers.take(now.max(self.clock), self.gate, news, &mut told);
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
        self.end_step(now, changes, effects);
    }

    /// The same for a record that the caller keeps, however it names its program; `program` knows which is meant. Of many
    /// records, none is worth being moved.
    pub fn step_record<P>(
        &mut self,
        now: KTime,
        record: &Record<P>,
        program: impl FnOnce(&P) -> Arc<Program>,
        effects: &mut Vec<Effect>,
    ) {
        let mut changes = std::mem::take(&mut self.changes);
        self.take_record(record, program, &mut changes, effects);
        self.end_step(now, changes, effects);
    }

    fn take_record<P>(
        &mut self,
        record: &Record<P>,
        program: impl FnOnce(&P) -> Arc<Program>,
        changes: &mut Vec<Changed>,
        effects: &mut Vec<Effect>,
    ) {
        let at = record.at.max(self.clock);
        self.clock = at;
        if self.wake.is_some_and(|wake| wake <= at) {
            self.edges_stirred = true;
            self.act_on_deadlines(at, effects);
        }
        self.table.record_naming(record, program, changes);
        self.apply(changes, &Source::of(record), at, effects);
        self.judge_dirty(at, effects);
    }

    fn end_step(&mut self, now: KTime, mut changes: Vec<Changed>, effects: &mut Vec<Effect>) {
        if changes.capacity() > CHANGES_KEPT {
            changes.shrink_to(CHANGES_KEPT);
        }
        self.changes = changes;
        if self.stirred.sampling {
            self.decide_sampling(now.max(self.clock), effects);
        }
        self.decide_wake(effects);
    }

    /// Forgets what is remembered only to be quick.
    pub fn forget(&mut self) {
        self.verdicts = Verdicts::default();
    }

    /// Other settings from now on. The start grace is over or running already and stays as it was.
    pub fn settings_changed(&mut self, settings: Settings) {
        self.settings = settings;
        for group in &mut self.groups {
            group.resolve_limits(&self.settings.host);
        }
        self.hosts.resolve_limits(&self.settings.host);
        self.edges_stirred = true;
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
        self.table.beside(key).is_some_and(|track| track.watch.usage)
    }

    /// Whether the kernel side watches anything of the process that has this tgid.
    pub fn watches(&self, tgid: u32) -> bool {
        let track = self.table.of_tgid(tgid).and_then(|process| self.table.beside(process.key));
        track.is_some_and(|track| track.watch != Watch::NONE)
    }

    /// The process table, to look at.
    pub fn table(&self) -> &Table<Track> {
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
        /// A moment at the end of time never comes.
        const NEVER: KTime = KTime(u64::MAX);
        let or_never = |moment: Option<KTime>| moment.unwrap_or(NEVER);
        if std::mem::take(&mut self.edges_stirred) {
            let edges = [self.logs.next(self.gate), self.hosts.next(self.gate), self.peers.next(self.gate)];
            self.edges = edges.into_iter().flatten().min();
        }
        let mut next = or_never(self.edges).min(or_never(self.table.next_expiry())).min(or_never(self.rereads.next()));
        if self.is_judging() {
            next = next.min(or_never(self.timers.next())).min(or_never(self.jobs.next()));
        }
        let next = (next != NEVER).then_some(next);
        if next != self.wake {
            self.wake = next;
            effects.push(Effect::WakeAt(next));
        }
    }
}

#[cfg(test)]
mod tests;
