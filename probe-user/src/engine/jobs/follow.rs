//! Which process belongs to which run, as the groups of the engine tell it.
//!
//! Each job is a group that includes children, behind the declared ones. Who enters it by itself starts a run; who
//! enters it by descent belongs to the run of its parent. The root of a run counts as its own descendant, so that it
//! stays in whatever it executes next. When a process starts a run whose children had started one before (its exec was
//! late, or it took another name), theirs are a part of it.

use super::Jobs;
use super::run::{Run, Used};
use crate::engine::evidence::program;
use crate::engine::group::GroupState;
use crate::engine::raise::Told;
use crate::engine::track::{Cause, Track};
use crate::engine::{Effect, Engine};
use crate::event::clean;
use crate::model::{Process, Table};
use crate::policy::spec::{Group, HostFacts, Job, PolicySet, Response};
use crate::record::{Account, ProcessKey};
use crate::time::KTime;

use super::Moment;

/// Ancestors looked at; deeper trees do not come from a job.
const DEPTH_MAX: usize = 64;

/// The groups of all policies, those of jobs last.
pub(in crate::engine) fn groups_of(policies: &PolicySet, host: &HostFacts, began: KTime) -> Vec<GroupState> {
    let declared = policies.groups.iter().map(|group| GroupState::new(group, host, began));
    let jobs = policies
        .jobs
        .iter()
        .enumerate()
        .map(|(index, job)| GroupState { job: Some(index), ..GroupState::new(&group_of(job), host, began) });
    declared.chain(jobs).collect()
}

fn group_of(job: &Job) -> Group {
    Group {
        name: job.name.clone(),
        declared: job.declared.clone(),
        select: job.select.clone(),
        except: job.except.clone(),
        include_children: true,
        bounds: Vec::new(),
        response: Response::default(),
        events: false,
    }
}

impl Engine {
    /// A process has entered the group of a job.
    pub(in crate::engine) fn enter_job(&mut self, group: usize, key: ProcessKey, cause: Cause) {
        let Some(job) = self.groups.get(group).and_then(|group| group.job) else { return };
        // Taken out meanwhile; its place stays.
        let Some(mut track) = self.table.beside_mut(key).map(std::mem::take) else { return };
        self.put_in_run(job, group, key, &mut track, cause);
        if let Some(place) = self.table.beside_mut(key) {
            *place = track;
        }
    }

    fn put_in_run(&mut self, job: usize, group: usize, key: ProcessKey, track: &mut Track, cause: Cause) {
        let known = track.runs.iter().find(|(of, _)| *of == group).map(|(_, root)| *root);
        let inherited = || {
            let parent = self.table.get(key)?.identity.parent?;
            self.table.beside(parent)?.runs.iter().find(|(of, _)| *of == group).map(|(_, root)| *root)
        };
        if track.descends.contains(&group) {
            // Without a run it descends from one that was over before.
            let Some(root) = known.or_else(inherited) else { return };
            if known.is_none() {
                track.runs.push((group, root));
            }
            let process = self.table.get(key);
            let ended = process.and_then(|process| process.exit.as_ref()).filter(|_| track.ended);
            if let Some(run) = self.jobs.run(job, root) {
                run.entered(key);
                if let Some(exit) = ended {
                    run.exited(key, exit);
                }
            }
            return;
        }
        let Some(process) = self.table.get(key) else { return };
        let lately = self.started.is_some_and(|started| process.program_since >= started);
        let seen = match cause {
            Cause::Forked | Cause::Executed => true,
            Cause::Redefined => track.start_seen || lately,
            Cause::Found => lately,
            Cause::Reload => false,
        };
        let mut run = self.run_of(process, track, seen);
        run.entered(key);
        let ended = process.exit.clone().filter(|_| track.ended);
        for other in self.jobs.roots(job) {
            if descends_from(&self.table, other, key) {
                self.table.each_beside().flat_map(|(_, track)| &mut track.runs).for_each(|(of, root)| {
                    if (*of, *root) == (group, other) {
                        *root = key;
                    }
                });
                if let Some(part) = self.jobs.remove(job, other) {
                    run.take_in(part);
                }
            }
        }
        if let Some(exit) = &ended {
            run.exited(key, exit);
        }
        track.runs.retain(|(of, _)| *of != group);
        track.runs.push((group, key));
        track.descends.push(group);
        self.jobs.add(job, run);
    }

    fn run_of(&self, process: &Process, track: &Track, seen: bool) -> Run {
        let name = program(&process.program.exe, &process.identity.comm);
        Run {
            root: process.key,
            start: process.program_since,
            seen,
            fresh: true,
            scheduled: None,
            root_facts: self.describe(process, track),
            who: format!("{name} ({})", process.key.tgid),
            command: match self.command(&process.program) {
                command if command.is_empty() => clean(&name),
                command => command,
            },
            living: std::collections::BTreeSet::new(),
            open: std::collections::BTreeSet::new(),
            used: Used { incomplete: !seen, ..Used::default() },
            end: None,
        }
    }

    /// A process of some runs has ended.
    pub(in crate::engine) fn exit_jobs(&mut self, key: ProcessKey) {
        if self.jobs.all.is_empty() {
            return;
        }
        let Some((process, track)) = self.here_or_gone(key).filter(|(_, track)| !track.runs.is_empty()) else { return };
        let Some(exit) = process.exit.clone() else { return };
        let runs = track.runs.clone();
        for (group, root) in runs {
            if let Some(job) = self.groups.get(group).and_then(|group| group.job) {
                self.jobs.exited(job, root, key, &exit);
            }
        }
    }

    /// The account of a process of some runs is closed.
    pub(in crate::engine) fn close_jobs(&mut self, key: ProcessKey, track: &Track, account: Account) {
        for (group, root) in &track.runs {
            if let Some(job) = self.groups.get(*group).and_then(|group| group.job) {
                self.jobs.closed(job, *root, key, account);
            }
        }
    }

    /// Other policies are about to be in force: what still applies of each job stays.
    pub(in crate::engine) fn reload_jobs(
        &mut self,
        policies: &PolicySet,
        groups: &[GroupState],
        kept: &[Option<(usize, bool)>],
        now: KTime,
        effects: &mut Vec<Effect>,
    ) {
        let same: Vec<&str> =
            kept.iter().flatten().filter_map(|(new, _)| Some(&*groups.get(*new)?.spec.name)).collect();
        let mut told: Vec<Told> = Vec::new();
        self.jobs.reload(policies, &|name| same.contains(&name), self.job_moment(now), &mut told);
        self.tell(told, effects);
    }

    /// Other policies are in force: runs belong to the groups by their new numbers, and roots stay in what they started.
    pub(in crate::engine) fn root_jobs(&mut self) {
        for (key, track) in self.table.each_beside() {
            for (group, root) in &track.runs {
                if *root == key && track.belongs.contains(group) && !track.descends.contains(group) {
                    track.descends.push(*group);
                }
            }
        }
    }

    /// Tells and judges what has happened to jobs.
    pub(in crate::engine) fn judge_jobs(&mut self, at: KTime, effects: &mut Vec<Effect>) {
        if self.jobs.has_news() && self.is_judging() {
            let moment = self.job_moment(at);
            let mut told: Vec<Told> = Vec::new();
            self.jobs.judge(moment, &mut told);
            self.tell(told, effects);
        }
    }

    /// Acts on what is due of jobs.
    pub(in crate::engine) fn advance_jobs(&mut self, until: KTime, effects: &mut Vec<Effect>) {
        if self.jobs.next.is_some_and(|next| next <= until) && self.is_judging() {
            let moment = self.job_moment(until);
            let mut told: Vec<Told> = Vec::new();
            self.jobs.advance(moment, &mut told);
            self.tell(told, effects);
        }
    }

    pub(in crate::engine) fn job_moment(&self, at: KTime) -> Moment {
        Moment { at, gate: self.gate, degraded: self.reconciling || self.losses.in_doubt() }
    }
}

impl Jobs {
    fn roots(&self, job: usize) -> Vec<ProcessKey> {
        self.all.get(job).into_iter().flat_map(|job| job.runs.keys().copied()).collect()
    }

    fn remove(&mut self, job: usize, root: ProcessKey) -> Option<Run> {
        self.all.get_mut(job)?.runs.remove(&root)
    }

    fn add(&mut self, job: usize, run: Run) {
        if let Some(job) = self.all.get_mut(job) {
            job.runs.insert(run.root, run);
            self.dirty = true;
        }
    }
}

fn descends_from<T: Default>(table: &Table<T>, key: ProcessKey, ancestor: ProcessKey) -> bool {
    let parent = |key: &ProcessKey| table.get(*key)?.identity.parent;
    std::iter::successors(parent(&key), parent).take(DEPTH_MAX).any(|above| above == ancestor)
}
