//! Runs and scheduled times held against what is demanded.

use super::alarm::Kind;
use super::run::Outcome;
use super::slots::{Passed, Slot, Slots};
use super::{Ended, JobState, Moment, Run};
use crate::engine::held::Change;
use crate::engine::judge::next_fall;
use crate::engine::raise::Told;
use crate::policy::bound::Phase;
use crate::policy::spec::Side;
use crate::record::ProcessKey;
use crate::time::{ClockReading, KTime, Wall};

impl JobState {
    /// Tells and judges what has happened: starts, ends, and how many run.
    pub(super) fn judge(&mut self, moment: Moment, clock: Option<&ClockReading>, out: &mut Vec<Told>) {
        if let (Some(schedule), Some(clock), None) = (&self.spec.schedule, clock, &self.slots) {
            self.slots = Some(Slots::new(schedule, self.spec.start_within, clock.wall_of(moment.at)));
        }
        let mut fresh: Vec<(KTime, ProcessKey)> =
            self.runs.values().filter(|run| run.fresh).map(|run| (run.start, run.root)).collect();
        fresh.sort_unstable();
        for (_, root) in fresh {
            self.count_run(root, moment, clock, out);
        }
        self.end_long_runs(moment, out);
        self.observe_running(moment, out);
        let mut complete: Vec<(KTime, ProcessKey)> =
            self.runs.values().filter(|run| run.is_complete()).map(|run| (run.start, run.root)).collect();
        complete.sort_unstable();
        for (_, root) in complete {
            if let Some(run) = self.runs.remove(&root) {
                self.end_run(&run, moment, out);
            }
        }
    }

    /// What time alone does at `moment.at`.
    pub(super) fn advance(&mut self, moment: Moment, clock: Option<&ClockReading>, out: &mut Vec<Told>) {
        if let Some(clock) = clock {
            let now = clock.wall_of(moment.at);
            while let Some(passed) = self.slots.as_mut().and_then(|slots| slots.advance(now)) {
                match passed {
                    Passed::Due(slot) => self.judge_in_time(&slot, moment, clock, out),
                    Passed::Began => self.observe_all(Kind::PerTime, Some(0.0), moment, out),
                }
            }
        }
        for index in 0..self.alarms.len() {
            let Some(alarm) = self.alarms.get_mut(index) else { continue };
            match alarm.kind() {
                Kind::Within => {
                    if let Some(window) = alarm.window.as_mut() {
                        window.expire(moment.at);
                    }
                    self.observe_window(index, moment, out);
                }
                Kind::Longest => self.observe_long_runs(index, moment, out),
                _ => {}
            }
            self.observe(index, None, None, moment, out);
        }
    }

    /// When time alone changes something.
    pub(super) fn next(&self, moment: Moment, clock: Option<&ClockReading>) -> Option<KTime> {
        let gate = moment.gate;
        let slots = self.slots.as_ref().zip(clock).and_then(|(slots, clock)| Some(kernel_time(clock, slots.moment()?)));
        let alarms = self.alarms.iter().filter_map(|alarm| {
            let whole = alarm.held.next(gate);
            let each = alarm.each.values().filter_map(|held| held.next(gate)).min();
            let moment = match (alarm.kind(), &alarm.window) {
                (Kind::Within, Some(window)) => {
                    let falls = next_fall(window, alarm.held.phase(), alarm.held.rule(), moment.at);
                    let proof = Some(window.complete_at()).filter(|at| alarm.held.is_standing() && *at > moment.at);
                    falls.into_iter().chain(proof).min()
                }
                (Kind::Longest, _) => {
                    let judged =
                        |root: &ProcessKey| alarm.each.get(root).is_some_and(|held| held.phase() != Phase::Healthy);
                    let runs = self.runs.values().filter(|run| run.end.is_none() && !judged(&run.root));
                    runs.map(|run| alarm.too_long_at(run.start)).min()
                }
                _ => None,
            };
            [whole, each, moment].into_iter().flatten().min()
        });
        slots.into_iter().chain(alarms).min()
    }

    /// A run that was not counted yet.
    fn count_run(&mut self, root: ProcessKey, moment: Moment, clock: Option<&ClockReading>, out: &mut Vec<Told>) {
        let Some(run) = self.runs.get_mut(&root) else { return };
        run.fresh = false;
        let (start, seen) = (run.start, run.seen);
        let counted = clock.and_then(|clock| self.slots.as_mut()?.started(clock.wall_of(start)));
        run.scheduled = counted.and_then(|counted| counted.scheduled);
        if seen {
            let event = self.started(root);
            out.extend(event.map(Told::Event));
            if self.running().len() > 1 && self.forbids_overlap() {
                out.extend(self.overlapped(root).map(Told::Event));
            }
        }
        // A started run is told at its own time, but judged now: the deadlines up to now have passed.
        if let Some(counted) = counted {
            let slot = counted.slot;
            if !slot.stretched {
                self.observe_all(Kind::PerTime, Some(slot.runs as f64), moment, out);
            }
            // Too few may still become enough; only the end of the time tells. Enough is enough, even if late.
            for index in self.indices(Kind::InTime) {
                let enough = self.alarms.get(index).is_some_and(|alarm| !alarm.held.rule().breached(slot.runs as f64));
                if enough {
                    self.observe(index, None, Some(slot.runs as f64), moment, out);
                }
            }
        }
        if start >= self.began {
            for index in self.indices(Kind::Within) {
                if let Some(window) = self.alarms.get_mut(index).and_then(|alarm| alarm.window.as_mut()) {
                    window.add(start);
                    window.expire(moment.at);
                }
            }
        }
        for index in self.indices(Kind::Within) {
            self.observe_window(index, moment, out);
        }
    }

    /// Nothing more can start in time.
    fn judge_in_time(&mut self, slot: &Slot, moment: Moment, clock: &ClockReading, out: &mut Vec<Told>) {
        if kernel_time(clock, slot.begin()) < self.began.max(moment.gate) {
            return;
        }
        self.judged = Some(*slot);
        let value = slot.in_time as f64;
        let indices = self.indices(Kind::InTime);
        let missed = |index: &usize| self.alarms.get(*index).is_some_and(|alarm| alarm.held.rule().breached(value));
        if indices.iter().any(missed) {
            self.missed += 1;
            out.push(Told::Event(self.missed_event(slot, moment)));
        }
        for index in indices {
            self.observe(index, None, Some(value), moment, out);
        }
    }

    /// Runs that have become too long at this moment.
    fn observe_long_runs(&mut self, index: usize, moment: Moment, out: &mut Vec<Told>) {
        let Some(alarm) = self.alarms.get(index) else { return };
        let running = self.runs.values().filter(|run| run.end.is_none());
        let due: Vec<(ProcessKey, KTime)> = running
            .filter(|run| alarm.each.contains_key(&run.root) || alarm.too_long_at(run.start) <= moment.at)
            .map(|run| (run.root, run.start))
            .collect();
        for (root, start) in due {
            let value = moment.at.since(start).as_secs_f64();
            let healthy = self.alarms.get_mut(index).is_some_and(|alarm| alarm.of_run(root).phase() == Phase::Healthy);
            if healthy && !self.indices(Kind::Longest).iter().any(|other| *other != index && self.is_long(*other, root))
            {
                out.extend(self.overran(root, index, moment.at).map(Told::Event));
            }
            self.observe(index, Some(root), healthy.then_some(value), moment, out);
        }
    }

    fn is_long(&self, index: usize, root: ProcessKey) -> bool {
        let held = self.alarms.get(index).and_then(|alarm| alarm.each.get(&root));
        held.is_some_and(|held| held.phase() != Phase::Healthy)
    }

    /// A run that has ended is no longer too long.
    fn end_long_runs(&mut self, moment: Moment, out: &mut Vec<Told>) {
        for index in self.indices(Kind::Longest) {
            let ended = |root: &ProcessKey| self.runs.get(root).is_none_or(|run| run.end.is_some());
            let Some(alarm) = self.alarms.get(index) else { continue };
            let over: Vec<ProcessKey> = alarm.each.keys().copied().filter(ended).collect();
            for root in over {
                self.drop_alarm(index, Some(root), moment, "the run has ended", out);
            }
        }
    }

    /// How many run at once.
    fn observe_running(&mut self, moment: Moment, out: &mut Vec<Told>) {
        let running = self.running().len();
        self.observe_all(Kind::Alone, Some(running as f64), moment, out);
    }

    /// A run whose end and figures are known.
    fn end_run(&mut self, run: &Run, moment: Moment, out: &mut Vec<Told>) {
        let Some(exit) = run.end.clone() else { return };
        let outcome = Outcome::of(&exit, &self.spec.success);
        let ended = Ended {
            root: run.root,
            brief: super::tell::brief_of(run),
            who: run.who.clone(),
            scheduled: run.scheduled,
            duration: exit.at.since(run.start),
            outcome,
            used: run.used,
            left: run.living.len(),
            exit,
        };
        let at = Moment { at: ended.exit.at, ..moment };
        let value = ended.duration.as_secs_f64();
        out.extend(self.ended(run, &ended).map(Told::Event));
        self.last = Some(ended);
        match outcome {
            // Whether it was good, and whether it was long enough, nobody knows.
            Outcome::Unknown => return,
            Outcome::Succeeded => self.failed_in_row = 0,
            Outcome::Failed => self.failed_in_row += 1,
        }
        self.observe_all(Kind::Success, Some(self.failed_in_row as f64), at, out);
        self.observe_all(Kind::Shortest, Some(value), at, out);
        for index in self.indices(Kind::Longest) {
            if let Some(alarm) = self.alarms.get_mut(index) {
                alarm.held.came_to(at.at, value);
            }
        }
    }

    fn observe_window(&mut self, index: usize, moment: Moment, out: &mut Vec<Told>) {
        let Some(alarm) = self.alarms.get(index) else { return };
        let Some(window) = &alarm.window else { return };
        let rule = alarm.held.rule();
        let value = window.count(moment.at) as f64;
        let is_min = rule.side == Side::Min;
        // Too little within a time that was not watched as a whole proves nothing.
        let lacks = is_min && rule.breached(value);
        let proves_nothing = (lacks || alarm.held.needs_whole_window(value)) && moment.at < window.complete_at();
        let gate = if is_min { moment.gate.max(window.complete_at()) } else { moment.gate };
        self.observe(index, None, (!proves_nothing).then_some(value), Moment { gate, ..moment }, out);
    }

    fn observe_all(&mut self, kind: Kind, value: Option<f64>, moment: Moment, out: &mut Vec<Told>) {
        for index in self.indices(kind) {
            self.observe(index, None, value, moment, out);
        }
    }

    /// Gives a machine its value, or only lets time pass, and tells what it did.
    fn observe(
        &mut self,
        index: usize,
        run: Option<ProcessKey>,
        value: Option<f64>,
        moment: Moment,
        out: &mut Vec<Told>,
    ) {
        let Some(alarm) = self.alarms.get_mut(index) else { return };
        let held = match run {
            Some(root) => alarm.of_run(root),
            None => &mut alarm.held,
        };
        let changes = match value {
            Some(value) => held.observe(moment.at, value, moment.gate),
            None => held.advance(moment.at, moment.gate),
        };
        for change in changes {
            out.extend(self.raised(index, run, change, None, moment).map(Told::Alarm));
        }
    }

    /// Ends a machine; `reason` is told where it was firing.
    fn drop_alarm(
        &mut self,
        index: usize,
        run: Option<ProcessKey>,
        moment: Moment,
        reason: &'static str,
        out: &mut Vec<Told>,
    ) {
        let Some(alarm) = self.alarms.get(index) else { return };
        let held = run.map_or(Some(&alarm.held), |root| alarm.each.get(&root));
        let at = run.and_then(|root| self.runs.get(&root)?.end.as_ref()).map_or(moment.at, |exit| exit.at);
        if let Some((since, value)) = held.and_then(|held| Some((held.firing_since()?, held.value()))) {
            let change = Change::Resolved { at, duration: at.since(since), value: value.unwrap_or_default() };
            out.extend(self.raised(index, run, change, Some(reason), moment).map(Told::Alarm));
        }
        let Some(alarm) = self.alarms.get_mut(index) else { return };
        match run {
            Some(root) => drop(alarm.each.remove(&root)),
            None => alarm.held = alarm.held.anew(),
        }
    }

    /// Ends every alarm: the job is gone.
    pub(super) fn drop_alarms(&mut self, moment: Moment, reason: &'static str, out: &mut Vec<Told>) {
        for index in 0..self.alarms.len() {
            let Some(alarm) = self.alarms.get(index) else { continue };
            let runs: Vec<Option<ProcessKey>> = alarm.each.keys().copied().map(Some).chain([None]).collect();
            for run in runs {
                self.drop_alarm(index, run, moment, reason, out);
            }
        }
    }

    fn forbids_overlap(&self) -> bool {
        !self.indices(Kind::Alone).is_empty()
    }

    fn indices(&self, kind: Kind) -> Vec<usize> {
        let of_kind = self.alarms.iter().enumerate().filter(|(_, alarm)| alarm.kind() == kind);
        of_kind.map(|(index, _)| index).collect()
    }
}

/// The kernel time of a wall time, as the clock stands now.
fn kernel_time(clock: &ClockReading, wall: Wall) -> KTime {
    let delta = i128::from(wall.0) - i128::from(clock.wall.0);
    KTime(u64::try_from((i128::from(clock.mono.0) + delta).max(0)).unwrap_or(u64::MAX))
}
