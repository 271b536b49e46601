//! What alarms of bounds are called: `SET.MEASURE.SIDE`, such as `nginx.count.min`, with a number from 1 behind it where
//! several bounds of one set share that. Groups, jobs, logs, the host and peers have no other rule; tests of policies and whoever
//! reads an alarm rest on it.

use std::sync::Arc;

use super::spec::Bound;

/// The set of all bounds on the host, whichever blocks they stand in.
pub(crate) const HOST: &str = "host";

/// The names of all bounds of a set, in their order.
pub(crate) fn bound_names<'b>(set: &str, bounds: impl Iterator<Item = &'b Bound>) -> Vec<Arc<str>> {
    let bases: Vec<String> =
        bounds.map(|bound| format!("{set}.{}.{}", bound.measure.as_str(), bound.side.as_str())).collect();
    let name = |(position, base): (usize, &String)| {
        let alike = |among: &[String]| among.iter().filter(|other| *other == base).count();
        if alike(&bases) < 2 {
            Arc::from(base.as_str())
        } else {
            format!("{base}.{}", alike(&bases[..=position])).into()
        }
    };
    bases.iter().enumerate().map(name).collect()
}
