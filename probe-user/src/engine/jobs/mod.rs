//! Jobs: runs, scheduled times, and what must hold of them.
//!
//! Which process belongs to which run is decided where groups are: each job is a group of its own there (`follow.rs`),
//! with all descendants in it. Here runs are counted and judged:
//! - `run.rs` one run and what its tree used; `slots.rs` scheduled times; `alarm.rs` what is demanded; `judge.rs` holds
//!   the former against the latter; `tell.rs` the events.
//!
//! What happens is only noted as it comes in; it is told and judged at the end of the step, or, while records are in
//! doubt, when the scan has put the table right. A scheduled time is judged when all of it lies after the first scan,
//! the start grace, the last doubt and the job's own declaration: whoever was not watching has not seen a run fail to
//! start.

mod alarm;
mod follow;
mod judge;
mod run;
mod slots;
pub(super) mod status;
mod tell;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::alarm::Alarm;
pub(super) use self::follow::groups_of;
use self::run::{Outcome, Run, Used};
use self::slots::{Slot, Slots};
use super::raise::Told;
use super::restore::Standing;
use super::seen::SeenBound;
use crate::event::Attributes;
use crate::model::Exit;
use crate::policy::spec::{Job, PolicySet, Response};
use crate::record::{Account, ProcessKey};
use crate::time::{ClockReading, KTime, Wall};

/// All jobs.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    all: Vec<JobState>,
    clock: Option<ClockReading>,
    /// Something has happened that was not judged yet.
    dirty: bool,
    /// When time alone changes something.
    next: Option<KTime>,
}

/// One job.
#[derive(Debug)]
struct JobState {
    spec: Arc<Job>,
    response: Arc<Response>,
    /// In force since.
    began: KTime,
    runs: BTreeMap<ProcessKey, Run>,
    /// Once the wall clock is known, of a job with a schedule.
    slots: Option<Slots>,
    alarms: Vec<Alarm>,
    /// The last end that was told.
    last: Option<Ended>,
    /// The scheduled time that was judged last.
    judged: Option<Slot>,
    /// Bad ends since the last good one.
    failed_in_row: u64,
    /// Scheduled times missed since the daemon started.
    missed: u64,
}

/// How a run ended and what it used.
#[derive(Clone, Debug)]
struct Ended {
    root: ProcessKey,
    /// The least that tells which process it was.
    brief: Attributes,
    who: String,
    scheduled: Option<Wall>,
    exit: Exit,
    outcome: Outcome,
    duration: std::time::Duration,
    used: Used,
    /// Processes of the tree that lived on.
    left: usize,
}

/// What judging rests on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) at: KTime,
    /// Nothing fires before.
    pub(super) gate: KTime,
    /// Records were lost not long ago.
    pub(super) degraded: bool,
}

impl Jobs {
    pub(super) fn new(policies: &PolicySet, began: KTime) -> Self {
        let all = policies.jobs.iter().map(|job| JobState::new(job, began)).collect();
        Self { all, ..Self::default() }
    }

    /// Watching begins here.
    pub(super) fn begin(&mut self, at: KTime) {
        for job in &mut self.all {
            job.began = at;
            job.windows().for_each(|window| window.begin(at));
        }
        self.dirty = true;
    }

    /// An alarm of another daemon's is on again. False: there is no such demand, or its run is over.
    pub(super) fn stand(&mut self, standing: &Standing, now: KTime) -> bool {
        self.dirty = true;
        self.all.iter_mut().any(|job| job.stand(standing, now))
    }

    /// Runs may have been missed up to `at`.
    pub(super) fn missed(&mut self, at: KTime) {
        for job in &mut self.all {
            job.windows().for_each(|window| window.missed(at));
        }
        self.dirty = true;
    }

    /// The wall clock was set, or is told for the first time. What was due by the old one must have been acted on.
    pub(super) fn set_clock(&mut self, clock: ClockReading) {
        if let Some(old) = self.clock.replace(clock) {
            let from = old.wall_of(clock.mono);
            for slots in self.all.iter_mut().filter_map(|job| job.slots.as_mut()) {
                slots.jumped(from, clock.wall);
            }
        }
        self.dirty = true;
    }

    /// What was seen of each bound on runs and durations.
    pub(super) fn seen(&self) -> impl Iterator<Item = SeenBound> {
        self.all.iter().flat_map(|job| job.alarms.iter().filter_map(Alarm::seen))
    }

    /// Something has happened that was not judged yet.
    pub(super) const fn has_news(&self) -> bool {
        self.dirty
    }

    /// When time alone changes something.
    pub(super) const fn next(&self) -> Option<KTime> {
        self.next
    }

    /// Acts on everything due up to `moment.at`, each thing at its own time.
    pub(super) fn advance(&mut self, moment: Moment, out: &mut Vec<Told>) {
        while let Some(next) = self.next.filter(|next| *next <= moment.at) {
            for job in &mut self.all {
                job.advance(Moment { at: next, ..moment }, self.clock.as_ref(), out);
            }
            self.plan(Moment { at: next, ..moment });
            // Each moment acted on is over; should one stay, it waits for the next thing that happens.
            if self.next.is_some_and(|again| again <= next) {
                self.next = None;
            }
        }
    }

    /// Tells and judges what has happened.
    pub(super) fn judge(&mut self, moment: Moment, out: &mut Vec<Told>) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        // Nothing is left after an undisturbed step; after a doubt, runs must find the scheduled time that is now.
        self.advance(moment, out);
        for job in &mut self.all {
            job.judge(moment, self.clock.as_ref(), out);
        }
        self.plan(moment);
    }

    /// Other policies: jobs of the same name keep what still applies. `selects_the_same` says of which jobs the runs do.
    pub(super) fn reload(
        &mut self,
        policies: &PolicySet,
        selects_the_same: &dyn Fn(&str) -> bool,
        moment: Moment,
        out: &mut Vec<Told>,
    ) {
        let mut olds = std::mem::take(&mut self.all);
        for spec in &policies.jobs {
            let mut job = JobState::new(spec, moment.at);
            if let Some(old) = olds.iter_mut().find(|old| old.spec.name == spec.name) {
                job.inherit(old, selects_the_same(&spec.name));
            }
            self.all.push(job);
        }
        for old in &mut olds {
            old.drop_alarms(moment, "policy removed", out);
        }
        self.dirty = true;
    }

    fn run(&mut self, job: usize, root: ProcessKey) -> Option<&mut Run> {
        self.all.get_mut(job)?.runs.get_mut(&root)
    }

    fn plan(&mut self, moment: Moment) {
        let clock = self.clock.as_ref();
        self.next = self.all.iter().filter_map(|job| job.next(moment, clock)).min();
    }

    /// A process of a run has ended.
    fn exited(&mut self, job: usize, root: ProcessKey, key: ProcessKey, exit: &Exit) {
        if let Some(run) = self.run(job, root) {
            run.exited(key, exit);
            self.dirty |= key == root;
        }
    }

    /// The account of a process of a run is closed.
    fn closed(&mut self, job: usize, root: ProcessKey, key: ProcessKey, account: Account) {
        if let Some(run) = self.run(job, root) {
            run.closed(key, account);
            self.dirty |= run.is_complete();
        }
    }
}

impl JobState {
    fn new(spec: &Job, began: KTime) -> Self {
        Self {
            alarms: Alarm::all_of(spec, began),
            response: Arc::new(spec.response.clone()),
            spec: Arc::new(spec.clone()),
            began,
            runs: BTreeMap::new(),
            slots: None,
            last: None,
            judged: None,
            failed_in_row: 0,
            missed: 0,
        }
    }

    fn stand(&mut self, standing: &Standing, now: KTime) -> bool {
        let Some(alarm) = self.alarms.iter_mut().find(|alarm| alarm.name == standing.name) else { return false };
        let Some(pid) = &standing.instance else {
            alarm.held.stand(standing, now);
            return true;
        };
        let mut running = self.runs.values().filter(|run| run.end.is_none());
        let Some(run) = running.find(|run| run.root.tgid.to_string() == **pid && run.start.0 <= standing.since) else {
            return false;
        };
        alarm.of_run(run.root).stand(standing, now);
        true
    }

    fn windows(&mut self) -> impl Iterator<Item = &mut crate::policy::window::Window> {
        self.alarms.iter_mut().filter_map(|alarm| alarm.window.as_mut())
    }

    /// Runs that go on, the oldest first.
    fn running(&self) -> Vec<&Run> {
        let mut running: Vec<&Run> = self.runs.values().filter(|run| run.end.is_none()).collect();
        running.sort_by_key(|run| (run.start, run.root));
        running
    }

    /// Takes over what an older job of the same name knows and what still applies.
    fn inherit(&mut self, old: &mut Self, selects_the_same: bool) {
        if selects_the_same {
            self.runs = std::mem::take(&mut old.runs);
        }
        if self.spec.schedule == old.spec.schedule && self.spec.start_within == old.spec.start_within {
            self.slots = old.slots.take();
            self.began = old.began;
        }
        self.last = old.last.take();
        self.judged = old.judged;
        self.failed_in_row = old.failed_in_row;
        self.missed = old.missed;
        for alarm in &mut self.alarms {
            let heir = |old: &Alarm| alarm.demand.says_the_same(&old.demand) && alarm.kind() == old.kind();
            let Some(position) = old.alarms.iter().position(heir) else { continue };
            let mut taken = old.alarms.remove(position);
            alarm.inherit(&mut taken);
            // Alarms about runs that are given up end with them.
            taken.each = std::mem::take(&mut alarm.each);
            let runs = &self.runs;
            let (kept, gone) = taken.each.into_iter().partition(|(root, _)| runs.contains_key(root));
            (alarm.each, taken.each) = (kept, gone);
            taken.held = taken.held.anew();
            old.alarms.push(taken);
        }
    }
}
