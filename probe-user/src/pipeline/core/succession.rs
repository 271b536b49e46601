//! From one daemon to the next: what is taken up at the start, and what is kept for whoever comes after this one.
//!
//! Nothing here stops the daemon: of what cannot be taken up or kept a note says so, and it goes on without.

use std::path::Path;

use crate::engine::{Input, Standing};
use crate::event::Event;
use crate::kernel::loader::Origin;
use crate::kernel::sampler::SampleError;
use crate::kernel::tail::Kind;
use crate::resume::{Keeper, Numbers};

use super::super::clock;
use super::Core;

/// What an earlier daemon left.
#[derive(Debug, Default)]
pub(in crate::pipeline) struct Begun {
    /// What works less well than it should.
    pub(in crate::pipeline) notes: Vec<String>,
    /// Alarms that were on.
    pub(in crate::pipeline) alarms: Vec<Standing>,
    /// What was told and not accepted is told again.
    pub(in crate::pipeline) resumed: bool,
}

impl Core {
    /// Takes up what an earlier daemon left, where there is something, and looks round once. The notes say what is degraded.
    /// Of an alarm about which somebody is to be told and was not (`pages` is false) nothing is known: it fires anew.
    pub(in crate::pipeline) fn begin(
        &mut self,
        state_dir: &Path,
        numbers: Numbers,
        pages: impl Fn(&Standing) -> bool,
    ) -> Result<Begun, SampleError> {
        let mut begun = Begun::default();
        self.look_at_clock();
        if let Some(tail) = self.kernel.records.tail_mut() {
            let (keeper, mut resumed) = Keeper::open(state_dir, tail, numbers, clock::now());
            resumed.restored.alarms.retain(|alarm| !alarm.notified || pages(alarm));
            begun.resumed = self.kernel.origin == Origin::Resumed && resumed.restored.table.is_some();
            self.keeper = Some(keeper);
            begun.notes = resumed.notes;
            begun.alarms.clone_from(&resumed.restored.alarms);
            self.kernel.losses.go_on(|reason| resumed.lost.get(reason.as_str()).copied().unwrap_or_default());
            self.step(Input::Restored(Box::new(resumed.restored)));
            self.take_tail(resumed.records);
            if self.kernel.origin == Origin::Resumed {
                self.catch_up();
            }
        }
        self.scan()?;
        self.settle()?;
        if let Some(keeper) = self.keeper.as_mut().filter(|_| self.kernel.origin == Origin::Fresh)
            && let Some(tail) = self.kernel.records.tail_mut()
        {
            // What came before the first look belongs to nobody's account: the next daemon begins here.
            keeper.keep_now(clock::now(), &self.engine, tail);
        }
        if self.kernel.origin == Origin::Resumed {
            // Whatever the last daemon left out, this one begins with everything.
            self.kernel.left_out.args(false);
            self.kernel.watched.forget_others(|tgid| self.engine.watches(tgid));
        }
        Ok(begun)
    }

    /// Takes in what an earlier daemon had read, in the order in which it read it.
    fn take_tail(&mut self, (mut at, end): (u64, u64)) {
        let now = clock::now();
        while at < end
            && let Some(Ok(Some((frame, next)))) = self.kernel.records.tail().map(|tail| tail.read(at))
        {
            at = next;
            if frame.kind == Kind::Record
                && let Some(record) = self.kernel.records.decode(&frame.bytes)
            {
                self.take(now, frame.position, &record);
            }
        }
    }

    /// Lets go of what is settled: everything below the number `accepted` is accepted, `next` is the next event's.
    pub(in crate::pipeline) fn keep(&mut self, accepted: u64, next: u64) {
        if let (Some(keeper), Some(tail)) = (&mut self.keeper, self.kernel.records.tail_mut()) {
            keeper.keep(clock::now(), &self.engine, tail, accepted, next);
        }
    }

    /// Notes that these events get numbers from `first` on, before they are handed on.
    pub(in crate::pipeline) fn note(&mut self, first: u64, events: &[Event]) {
        if let (Some(keeper), Some(tail)) = (&mut self.keeper, self.kernel.records.tail_mut()) {
            for (seq, event) in (first..).zip(events) {
                keeper.note(seq, event, tail);
            }
        }
    }
}
