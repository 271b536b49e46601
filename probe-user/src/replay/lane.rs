//! One engine fed from a recording, and what the pipeline would have done for it.
//!
//! - A deadline is acted on when everything up to it is known: records act on what came before them, and after each entry
//!   of the recording the clock is told.
//! - A sample holds what the engine asked to be sampled, as the kernel would have shown it: every such process, those
//!   that did not run since the last sample too.
//! - Scans and second looks come when they were recorded, not when the engine asks.

use std::sync::Arc;

use super::decode::Listed;
use crate::engine::{Effect, Engine, Input, Settings};
use crate::event::Event;
use crate::model::hash::Map;
use crate::policy::spec::{PolicySet, Users};
use crate::record::{ProcessKey, UsageRow};
use crate::time::KTime;

/// Ticks at one moment; one is enough unless the engine asks for a moment that has passed.
const TICKS: usize = 4;

/// The last usage row of each process.
pub(super) type Usage = Map<ProcessKey, UsageRow>;

/// An engine and what it asked for.
pub(super) struct Lane {
    engine: Engine,
    effects: Vec<Effect>,
    wake_at: Option<KTime>,
    sampling: bool,
}

impl Lane {
    pub(super) fn new(settings: Settings, policies: &Arc<PolicySet>, users: &Arc<Users>) -> Self {
        let mut engine = Engine::new(settings, policies, Arc::clone(users));
        engine.keep_seen();
        Self { engine, effects: Vec::new(), wake_at: None, sampling: false }
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Hands an input in; what the engine tells goes to `tell`.
    pub(super) fn feed(&mut self, now: KTime, input: Input, tell: &mut impl FnMut(Event)) {
        self.engine.step(now, input, &mut self.effects);
        self.carry_out(tell);
    }

    /// The same for a record.
    pub(super) fn feed_record(&mut self, now: KTime, listed: Listed<'_>, tell: &mut impl FnMut(Event)) {
        self.engine.step_record(now, listed.record, |place| listed.program(*place), &mut self.effects);
        self.carry_out(tell);
    }

    fn carry_out(&mut self, tell: &mut impl FnMut(Event)) {
        if self.effects.is_empty() {
            return;
        }
        for effect in self.effects.drain(..) {
            match effect {
                Effect::Emit(event) => tell(event),
                Effect::WakeAt(at) => self.wake_at = at,
                Effect::Sampling(on) => self.sampling = on,
                // What was watched, scanned and looked at was decided when it was recorded; nothing is acted on.
                Effect::Watch(..) | Effect::Scan | Effect::Reread { .. } | Effect::Act(_) => {}
            }
        }
    }

    /// A sample was taken; `usage` is what it comes to.
    pub(super) fn sample(&mut self, now: KTime, usage: &Usage, tell: &mut impl FnMut(Event)) {
        if self.sampling {
            let wanted = usage.values().filter(|row| self.engine.wants_usage_of(row.key)).copied();
            let mut wanted: Vec<UsageRow> = wanted.collect();
            wanted.sort_unstable_by_key(|row| row.key);
            self.feed(now, Input::Sample(wanted), tell);
        }
    }

    /// Everything up to `now` is known.
    pub(super) fn settle(&mut self, now: KTime, tell: &mut impl FnMut(Event)) {
        for _ in 0..TICKS {
            if self.wake_at.is_none_or(|at| at > now) {
                return;
            }
            self.feed(now, Input::Tick, tell);
        }
    }
}
