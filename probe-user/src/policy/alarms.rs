//! What alarms are called: `nginx.count.min`, with a number from 1 where several bounds share that.

use super::spec::Bound;

/// The names of all bounds of a set, in their order.
pub(crate) fn bound_names<'b>(set: &str, bounds: impl Iterator<Item = &'b Bound>) -> Vec<String> {
    let bases: Vec<String> =
        bounds.map(|bound| format!("{set}.{}.{}", bound.measure.as_str(), bound.side.as_str())).collect();
    let name = |(position, base): (usize, &String)| {
        let count = |among: &[String]| among.iter().filter(|other| *other == base).count();
        if count(&bases) < 2 { base.clone() } else { format!("{base}.{}", count(&bases[..=position])) }
    };
    bases.iter().enumerate().map(name).collect()
}
