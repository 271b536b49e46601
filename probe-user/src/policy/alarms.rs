//! What alarms are called: `nginx.count.min`, with a number from 1 where several bounds share that.

use super::spec::{Bound, Measure, Side};

/// The name of one bound among those of its set. `alike` has the bounds of the set in order, `position` is that of the
/// bound among them.
pub(super) fn bound_name<'b>(set: &str, alike: impl Iterator<Item = &'b Bound> + Clone, position: usize) -> Option<String> {
    let key = |bound: &Bound| -> (Measure, Side) { (bound.measure, bound.side) };
    let wanted = key(alike.clone().nth(position)?);
    let base = format!("{set}.{}.{}", wanted.0.as_str(), wanted.1.as_str());
    let same = |bound: &&Bound| key(bound) == wanted;
    if alike.clone().filter(same).count() < 2 {
        return Some(base);
    }
    Some(format!("{base}.{}", alike.take(position + 1).filter(same).count()))
}

/// The names of all bounds of a set.
pub(super) fn bound_names<'b>(set: &str, bounds: impl Iterator<Item = &'b Bound> + Clone) -> Vec<String> {
    let count = bounds.clone().count();
    (0..count).filter_map(|position| bound_name(set, bounds.clone(), position)).collect()
}
