//! The engine and its kernel sources, fed one with the other; what is left over are events.
//!
//! The order in which things are handed to the engine is what keeps the table right:
//! - losses are told before the records of the same drain, so that nothing is judged on a table with a hole in it;
//! - what happened before a scan began is handed in before it, what happened since after it: every end before the scan is
//!   known as what it was, and what started right before it as a start;
//! - before a deadline is acted on the ring is drained, so that what healed in time counts;
//! - after a second look at a process the ring is drained, so that what a reused number says of itself is not taken for
//!   the old process's.

mod succession;

use std::sync::Arc;

use crate::engine::{Effect, Engine, Input, Order};
use crate::event::Event;
use crate::kernel::loader::Attached;
use crate::kernel::reread;
use crate::kernel::sampler::SampleError;
use crate::record::{Body, Loss, Lost, ProcessKey, Record, Scan};
use crate::resume::Keeper;
use crate::time::{ClockReading, KTime};

use super::clock;

/// Records handed to the engine at a time, and then told of: a storm can neither keep the daemon from everything else nor
/// fill its memory with events, and what is made of few records is still in the caches when it is told.
const BATCH: usize = 128;

/// The engine is told of clocks that have moved against each other by so much, in ns; a scheduled time has a second of
/// tolerance.
const CLOCK_STEP_NS: u64 = 100_000_000;

/// What a drain brought.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drained {
    /// How many.
    pub(super) records: usize,
    /// The ring was not empty at the end.
    pub(super) more: bool,
    /// When the last of them happened.
    pub(super) last: Option<KTime>,
}

/// What a batch brought.
#[derive(Clone, Copy, Debug)]
struct Batch {
    taken: usize,
    /// There may be more.
    more: bool,
    /// When the last of its records happened.
    last: Option<KTime>,
}

/// Kernel sources and engine.
pub(super) struct Core {
    kernel: Attached,
    engine: Engine,
    args_max: usize,
    effects: Vec<Effect>,
    records: Vec<(u64, Record)>,
    losses: Vec<Loss>,
    undecodable_told: u64,
    events: Vec<Event>,
    orders: Vec<Order>,
    wake_at: Option<KTime>,
    sampling: bool,
    /// As the engine was told last.
    clock: Option<ClockReading>,
    /// Where programs outlive the daemon.
    keeper: Option<Keeper>,
    scan_wanted: bool,
    looks_wanted: Vec<(ProcessKey, bool)>,
}

impl Core {
    /// Takes the attached programs and an engine that has not been told anything.
    pub(super) const fn new(kernel: Attached, engine: Engine, args_max: usize) -> Self {
        Self {
            kernel,
            engine,
            args_max,
            effects: Vec::new(),
            records: Vec::new(),
            losses: Vec::new(),
            undecodable_told: 0,
            events: Vec::new(),
            orders: Vec::new(),
            wake_at: None,
            sampling: false,
            clock: None,
            keeper: None,
            scan_wanted: false,
            looks_wanted: Vec::new(),
        }
    }

    /// Takes some records out of the ring and hands them to the engine. What that leads to is for [`Core::settle`].
    pub(super) fn drain(&mut self) -> Drained {
        self.look_at_clock();
        let Batch { taken, more, last } = self.take_batch();
        Drained { records: taken, more, last }
    }

    /// The engine has asked for something that only [`Core::settle`] does.
    pub(super) const fn is_unsettled(&self) -> bool {
        self.scan_wanted || !self.looks_wanted.is_empty()
    }

    /// Gives back what a storm made bigger, and what it left between everything else: small texts that are remembered only
    /// to be quick keep a page each from being returned.
    pub(super) fn shrink(&mut self) {
        self.engine.forget();
        self.kernel.records.forget();
        if let Some(keeper) = &mut self.keeper {
            keeper.shrink(&self.engine);
        }
    }

    /// Takes all records that are in the ring by now.
    pub(super) fn drain_all(&mut self) -> Result<(), SampleError> {
        self.look_at_clock();
        self.catch_up();
        self.settle()
    }

    /// Samples usage. The caller has handed in by [`Core::drain`] what happened before.
    pub(super) fn sample(&mut self) -> Result<(), SampleError> {
        let rows = self.kernel.sampler.sample(clock::now())?;
        self.step(Input::Sample(rows));
        self.settle()
    }

    /// Acts on a deadline that has come. The caller has handed in by [`Core::drain`] what happened before.
    pub(super) fn tick(&mut self) -> Result<(), SampleError> {
        self.step(Input::Tick);
        self.settle()
    }

    /// Tells the engine when the wall clock has jumped.
    pub(super) fn check_clock(&mut self) -> Result<(), SampleError> {
        self.look_at_clock();
        self.settle()
    }

    /// Hands the engine something from outside.
    pub(super) fn input(&mut self, input: Input) -> Result<(), SampleError> {
        if let (Input::Policies(..), Some(keeper)) = (&input, &mut self.keeper) {
            keeper.all_changed();
        }
        self.step(input);
        self.settle()
    }

    /// Asks the kernel how many runs of the programs it skipped, and for losses that came without a record: an account that
    /// found no room. Reads some files: for slow ticks.
    pub(super) fn check_misses(&mut self) -> Result<(), SampleError> {
        self.tell_losses();
        if let Some(loss) = self.kernel.losses.new_misses() {
            self.step(Input::Lost(loss));
        }
        self.settle()
    }

    /// Nothing is handed in any more: what the engine would have told later is told.
    pub(super) fn close(&mut self) {
        let mut effects = std::mem::take(&mut self.effects);
        self.engine.close(clock::now(), &mut effects);
        self.carry_out(&mut effects);
        self.effects = effects;
    }

    /// The events since the last call, but for those that an earlier daemon has told.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events);
        if let Some(keeper) = &mut self.keeper {
            events.retain(|event| !keeper.was_told(event));
        }
        events
    }

    /// What is to be done about alarms since the last call.
    pub(super) fn take_orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    /// When [`Core::tick`] is to be called.
    pub(super) const fn wake_at(&self) -> Option<KTime> {
        self.wake_at
    }

    /// Whether usage is to be sampled.
    pub(super) const fn is_sampling(&self) -> bool {
        self.sampling
    }

    /// For status and explanations.
    pub(super) const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// For changes that are no input.
    pub(super) const fn engine_mut(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// Whether arguments of new processes are done without.
    pub(super) fn leave_out_args(&mut self, left_out: bool) {
        self.kernel.left_out.args(left_out);
    }

    /// For waiting and figures.
    pub(super) const fn kernel(&self) -> &Attached {
        &self.kernel
    }

    /// Tells the engine how kernel time and wall time relate, where that has changed. What came before goes by the old
    /// clock.
    fn look_at_clock(&mut self) {
        let clock = clock::read();
        let is_known = |old: ClockReading| old.wall_of(clock.mono).0.abs_diff(clock.wall.0) < CLOCK_STEP_NS;
        if self.clock.is_some_and(is_known) {
            return;
        }
        if self.clock.is_some() {
            self.catch_up();
        }
        self.clock = Some(clock);
        self.step(Input::Clock(clock));
    }

    /// Hands the engine whatever happened before this moment; under load the caller has done most of it by [`Core::drain`],
    /// and told of it. In a storm the ring never gets empty: what comes meanwhile is left for the next drain.
    fn catch_up(&mut self) {
        let began = clock::now();
        loop {
            let batch = self.take_batch();
            if !batch.more || batch.last.is_some_and(|last| last > began) {
                break;
            }
        }
    }

    fn take_batch(&mut self) -> Batch {
        let batch = self.read_batch();
        let mut records = std::mem::take(&mut self.records);
        let now = clock::now();
        for (position, record) in records.drain(..) {
            self.take(now, position, &record);
        }
        self.records = records;
        batch
    }

    /// Hands in what happened before this moment, and gives back what has happened since, as far as it was in the way.
    fn take_before(&mut self, moment: KTime) -> Vec<(u64, Record)> {
        let mut later = Vec::new();
        loop {
            let batch = self.read_batch();
            let mut records = std::mem::take(&mut self.records);
            let now = clock::now();
            for (position, record) in records.drain(..) {
                if record.at < moment {
                    self.take(now, position, &record);
                } else {
                    later.push((position, record));
                }
            }
            self.records = records;
            // With some in hand nothing more is read: it could settle what was not handed in.
            if !batch.more || !later.is_empty() {
                return later;
            }
        }
    }

    /// Takes some records out of the ring, into `records`.
    fn read_batch(&mut self) -> Batch {
        if self.kernel.records.is_full()
            && let (Some(keeper), Some(tail)) = (&mut self.keeper, self.kernel.records.tail_mut())
        {
            keeper.keep_now(clock::now(), &self.engine, tail);
        }
        let taken = self.kernel.records.drain(BATCH, &mut self.records);
        // In a ring that is empty there was room for all: nothing to ask about, most of the time.
        if taken > 0 {
            self.tell_losses();
        }
        let last = self.records.last().map(|(_, record)| record.at);
        Batch { taken, more: taken == BATCH || self.kernel.records.is_full(), last }
    }

    fn take(&mut self, now: KTime, position: u64, record: &Record) {
        if let Some(keeper) = &mut self.keeper {
            keeper.record(position, record);
        }
        let mut effects = std::mem::take(&mut self.effects);
        self.engine.step_record(now, record, Arc::clone, &mut effects);
        self.carry_out(&mut effects);
        self.effects = effects;
        if matches!(record.body, Body::Exit { .. }) {
            self.kernel.watched.exited(record.key.tgid);
        }
    }

    fn tell_losses(&mut self) {
        self.kernel.losses.new_losses(&mut self.losses);
        let undecodable = self.kernel.records.stats().undecodable;
        if undecodable > self.undecodable_told {
            self.losses.push(Loss { reason: Lost::Undecodable, count: undecodable - self.undecodable_told });
            self.undecodable_told = undecodable;
        }
        for loss in std::mem::take(&mut self.losses) {
            self.step(Input::Lost(loss));
        }
    }

    /// Does what the engine asked for and what that leads to, until nothing is left. Each round is caused by a scan or
    /// by a second look, and leads to fewer of them.
    pub(super) fn settle(&mut self) -> Result<(), SampleError> {
        while self.is_unsettled() {
            if self.scan_wanted {
                self.scan_wanted = false;
                self.catch_up();
                self.scan()?;
            }
            let wanted = std::mem::take(&mut self.looks_wanted);
            let found: Vec<_> =
                wanted.into_iter().map(|(key, user)| (key, reread::look(key.tgid, self.args_max, user))).collect();
            if !found.is_empty() {
                self.catch_up();
            }
            for (key, found) in found {
                if let Some(keeper) = &mut self.keeper {
                    keeper.changed(key);
                }
                self.step(Input::Reread { key, found });
            }
        }
        Ok(())
    }

    fn scan(&mut self) -> Result<(), SampleError> {
        let began = clock::now();
        let rows = self.kernel.sampler.scan()?;
        // Nothing is known before the first one.
        let later = if self.engine.table().seeded().is_some() { self.take_before(began) } else { Vec::new() };
        let unknown = |key: &ProcessKey| self.engine.table().get(*key).is_none();
        let args = rows
            .iter()
            .filter(|row| !row.identity.kernel_thread && row.zombie.is_none() && unknown(&row.key))
            .filter_map(|row| Some((row.key, reread::args(row.key.tgid, self.args_max)?)))
            .collect();
        if let Some(keeper) = &mut self.keeper {
            keeper.scanned(began);
        }
        self.step(Input::Scan(Scan { began, rows, args }));
        let now = clock::now();
        for (position, record) in later {
            self.take(now, position, &record);
        }
        Ok(())
    }

    fn step(&mut self, input: Input) {
        let mut effects = std::mem::take(&mut self.effects);
        self.engine.step(clock::now(), input, &mut effects);
        self.carry_out(&mut effects);
        self.effects = effects;
    }

    fn carry_out(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Emit(event) => self.events.push(event),
                Effect::Watch(key, watch) => {
                    self.kernel.watched.set(key, watch);
                    if watch.usage {
                        self.kernel.sampler.watches_another();
                    }
                }
                Effect::WakeAt(at) => self.wake_at = at,
                Effect::Scan => self.scan_wanted = true,
                Effect::Reread { key, user } => self.looks_wanted.push((key, user)),
                Effect::Sampling(on) => self.sampling = on,
                Effect::Act(order) => self.orders.push(order),
            }
        }
    }
}
