//! The one state machine that every bound shares. Pure: time only comes in as an argument.
//!
//! ```text
//! Healthy --breach--> Pending --held for `hold`--> Firing --clear--> Cooling --`keep_firing` over--> Healthy
//!    ^                   |                            ^                  |
//!    +------healed-------+                            +--not clear again-+
//! ```
//!
//! A value holds from the moment it was observed until the next one. A breach that has lasted for exactly `hold` fires:
//! at a moment that is both a deadline and a new value, the deadline comes first. So the moments at which a machine
//! turns depend on the values alone, never on how late somebody looked. Time that runs backwards is held still.

use std::time::Duration;

use super::spec::{Bound, HostFacts, Limit, Side};
use crate::time::KTime;

/// What one bound demands, with its limits in the measure's own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Which end.
    pub side: Side,
    /// Inclusive: the limit itself is healthy.
    pub limit: f64,
    /// Where a firing bound is healthy again, inclusive; the limit itself without hysteresis.
    pub clear: f64,
    /// A breach fires once it has lasted so long.
    pub hold: Duration,
    /// A firing bound goes on firing so long after it became clear.
    pub keep_firing: Duration,
}

impl Rule {
    /// The rule of a bound on this host.
    pub fn of(bound: &Bound, host: &HostFacts) -> Self {
        let resolve = |limit: Limit| limit.resolve(bound.measure, host);
        let limit = resolve(bound.limit);
        Self {
            side: bound.side,
            limit,
            clear: bound.clear.map_or(limit, resolve),
            hold: bound.hold,
            keep_firing: bound.keep_firing,
        }
    }

    /// Beyond the limit.
    pub fn breached(&self, value: f64) -> bool {
        match self.side {
            Side::Min => value < self.limit,
            Side::Max => value > self.limit,
        }
    }

    /// Far enough inside the limit to end an alarm. A `clear` on the wrong side of the limit does not count.
    fn cleared(&self, value: f64) -> bool {
        !self.breached(value)
            && match self.side {
                Side::Min => value >= self.clear,
                Side::Max => value <= self.clear,
            }
    }
}

/// Where a machine stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// Within the limit, or nothing observed yet.
    #[default]
    Healthy,
    /// Beyond the limit, not for long enough yet.
    Pending {
        /// When the breach began.
        since: KTime,
        /// It was healthy before: if this heals, it was a dip.
        dip: bool,
    },
    /// An alarm.
    Firing {
        /// When the breach began.
        since: KTime,
    },
    /// Still an alarm, but clear.
    Cooling {
        /// When the breach began.
        since: KTime,
        /// When it became clear.
        clear: KTime,
    },
}

/// What a machine did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Turn {
    /// The alarm begins.
    Fired {
        /// When.
        at: KTime,
        /// When the breach began.
        since: KTime,
        /// The value that is in breach.
        value: f64,
    },
    /// The alarm ends.
    Resolved {
        /// When.
        at: KTime,
        /// From the beginning of the breach until now.
        duration: Duration,
    },
    /// A breach healed before it fired.
    DipHealed {
        /// When.
        at: KTime,
        /// How long the breach lasted.
        lasted: Duration,
    },
}

/// The turns of one step, in order: at most one by a deadline that has passed and one by the new value.
pub type Turns = [Option<Turn>; 2];

/// One bound's state, for a group or for one of its processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    phase: Phase,
    value: Option<f64>,
    last: KTime,
    /// An alarm of before, since when no value was observed.
    standing: bool,
}

impl Machine {
    /// A new value, observed at `at`; deadlines up to `at` come first. `gate`: nothing fires before that moment (the
    /// start grace), a breach then fires at the gate at the earliest.
    pub fn step(&mut self, at: KTime, value: f64, rule: &Rule, gate: KTime) -> Turns {
        let passed = self.advance(at, rule, gate);
        [passed, self.observe(at, value, rule, gate)]
    }

    /// The value is what it was, and healthy: true, and nothing else has to be done. The same as a [`Self::step`] that
    /// turns nothing.
    pub fn stays(&mut self, at: KTime, value: f64, rule: &Rule) -> bool {
        let stays = self.phase == Phase::Healthy && self.value == Some(value) && !rule.breached(value);
        if stays {
            self.last = self.last.max(at);
        }
        stays
    }

    /// The first value after a time in which values may have been missed: it is taken first, and only then the
    /// deadlines, so that what healed unseen does not fire.
    pub fn reconcile(&mut self, at: KTime, value: f64, rule: &Rule, gate: KTime) -> Turns {
        let observed = self.observe(at, value, rule, gate);
        [observed, self.advance(at, rule, gate)]
    }

    /// Time alone has passed, until `at`.
    pub fn advance(&mut self, at: KTime, rule: &Rule, gate: KTime) -> Option<Turn> {
        let deadline = self.deadline(rule, gate).filter(|deadline| *deadline <= at)?;
        self.last = self.last.max(deadline);
        match self.phase {
            Phase::Pending { since, .. } => {
                self.phase = Phase::Firing { since };
                Some(Turn::Fired { at: deadline, since, value: self.value.unwrap_or_default() })
            }
            Phase::Cooling { since, .. } => {
                self.phase = Phase::Healthy;
                Some(Turn::Resolved { at: deadline, duration: deadline.since(since) })
            }
            Phase::Healthy | Phase::Firing { .. } => None,
        }
    }

    /// A newer value for the text of the alarm that is due: only where it is still a breach, so that a deadline that
    /// comes at the same moment as the value keeps coming first.
    pub fn refresh(&mut self, value: f64, rule: &Rule) {
        if matches!(self.phase, Phase::Pending { .. }) && rule.breached(value) {
            self.value = Some(value);
        }
    }

    /// It was an alarm before this machine was, with this value when it was told.
    pub fn stand(&mut self, since: KTime, value: Option<f64>) {
        *self = Self { phase: Phase::Firing { since }, value, last: since, standing: true };
    }

    /// An alarm of before, since when no value was observed.
    pub fn is_standing(&self) -> bool {
        self.standing
    }

    /// The next moment at which the machine turns without a new value.
    pub fn deadline(&self, rule: &Rule, gate: KTime) -> Option<KTime> {
        match self.phase {
            Phase::Pending { since, .. } => Some(since.after(rule.hold).max(gate)),
            Phase::Cooling { clear, .. } => Some(clear.after(rule.keep_firing)),
            Phase::Healthy | Phase::Firing { .. } => None,
        }
    }

    /// Where it stands.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The last value observed.
    pub fn value(&self) -> Option<f64> {
        self.value
    }

    /// The beginning of the breach that is firing.
    pub fn firing_since(&self) -> Option<KTime> {
        match self.phase {
            Phase::Firing { since } | Phase::Cooling { since, .. } => Some(since),
            Phase::Healthy | Phase::Pending { .. } => None,
        }
    }

    fn observe(&mut self, at: KTime, value: f64, rule: &Rule, gate: KTime) -> Option<Turn> {
        let at = at.max(self.last);
        let first = self.value.is_none();
        self.last = at;
        self.value = Some(value);
        self.standing = false;
        let breached = rule.breached(value);
        match self.phase {
            Phase::Healthy if breached && rule.hold.is_zero() && at >= gate => {
                self.phase = Phase::Firing { since: at };
                Some(Turn::Fired { at, since: at, value })
            }
            Phase::Healthy if breached => {
                self.phase = Phase::Pending { since: at, dip: !first };
                None
            }
            Phase::Pending { since, dip } if !breached => {
                self.phase = Phase::Healthy;
                dip.then(|| Turn::DipHealed { at, lasted: at.since(since) })
            }
            Phase::Firing { since } if rule.cleared(value) => {
                if rule.keep_firing.is_zero() {
                    self.phase = Phase::Healthy;
                    Some(Turn::Resolved { at, duration: at.since(since) })
                } else {
                    self.phase = Phase::Cooling { since, clear: at };
                    None
                }
            }
            Phase::Cooling { since, .. } if !rule.cleared(value) => {
                self.phase = Phase::Firing { since };
                None
            }
            Phase::Healthy | Phase::Pending { .. } | Phase::Firing { .. } | Phase::Cooling { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
