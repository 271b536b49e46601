//! The words of a bound, taken as they stand: no state is carried on but whether the alarm is on, everything else is
//! worked out from all values seen, again at each moment.

use super::Nanos;

/// A value, and when it was seen. What is seen at one moment is in order.
pub(super) type Seen = (Nanos, i64);

/// What a bound says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words {
    pub(super) is_min: bool,
    pub(super) limit: i64,
    pub(super) clear: i64,
    pub(super) hold: Nanos,
    pub(super) keep: Nanos,
    /// Nothing fires before.
    pub(super) gate: Nanos,
}

impl Words {
    fn breached(&self, value: i64) -> bool {
        if self.is_min { value < self.limit } else { value > self.limit }
    }

    fn is_clear(&self, value: i64) -> bool {
        if self.is_min { value >= self.limit.max(self.clear) } else { value <= self.limit.min(self.clear) }
    }

    /// When the alarm goes on and off. `gone`: when the thing is no more that the bound is about.
    pub(super) fn turns(&self, seen: &[Seen], gone: Option<Nanos>, end: Nanos) -> Vec<(Nanos, bool)> {
        let end = gone.map_or(end, |gone| gone.min(end));
        let mut moments: Vec<Nanos> =
            seen.iter().flat_map(|(at, _)| [*at, at + self.hold, at + self.keep]).chain([self.gate]).collect();
        moments.extend(gone);
        moments.retain(|at| *at <= end);
        moments.sort_unstable();
        moments.dedup();
        let mut turns = Vec::new();
        let mut on = false;
        for now in moments {
            let mut turn = |on: &mut bool, to: bool| {
                if *on != to {
                    *on = to;
                    turns.push((now, to));
                }
            };
            // What lasts up to this moment comes before what is new at it.
            let before: Vec<Seen> = seen.iter().copied().filter(|(at, _)| *at < now).collect();
            if on {
                let clear = lasts_since(&before, |value| self.is_clear(value));
                turn(&mut on, clear.is_none_or(|since| since + self.keep > now));
            } else {
                let breach = lasts_since(&before, |value| self.breached(value));
                turn(&mut on, breach.is_some_and(|since| since + self.hold <= now && now >= self.gate));
            }
            if gone == Some(now) {
                turn(&mut on, false);
                break;
            }
            for (_, value) in seen.iter().filter(|(at, _)| *at == now) {
                if self.breached(*value) && self.hold == 0 && now >= self.gate {
                    turn(&mut on, true);
                }
                if self.is_clear(*value) && self.keep == 0 {
                    turn(&mut on, false);
                }
            }
        }
        turns
    }
}

/// Since when all values have been so, up to the last one.
fn lasts_since(seen: &[Seen], is_so: impl Fn(i64) -> bool) -> Option<Nanos> {
    seen.iter().rev().take_while(|(_, value)| is_so(*value)).last().map(|(at, _)| *at)
}
