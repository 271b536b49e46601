//! Peers: sets of the site's hosts, and how many of each must be there.

use std::sync::Arc;

use super::{Bound, Response};
use crate::policy::glob::Glob;
use crate::record::PeerView;

/// A set of the site's hosts and what must hold of it.
#[derive(Clone, Debug)]
pub struct PeerSet {
    /// Unique over all files, among groups, jobs, logs and peers alike.
    pub name: Arc<str>,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// Who belongs to it.
    pub select: PeerSelector,
    /// In the order of the file; measures of [`Measure::PEERS`](super::Measure::PEERS).
    pub bounds: Vec<Bound>,
    /// What its alarms lead to.
    pub response: Response,
}

/// All given fields must match; within one field any pattern does. Nothing given: every host of the site.
#[derive(Clone, Debug, Default)]
pub struct PeerSelector {
    /// On the name.
    pub names: Vec<Glob>,
    /// On the zone.
    pub zones: Vec<Glob>,
    /// On the value of each of these labels.
    pub labels: Vec<(Arc<str>, Vec<Glob>)>,
}

impl PeerSelector {
    /// Whether a host belongs.
    pub fn matches(&self, peer: &PeerView) -> bool {
        let any = |globs: &[Glob], text: &str| globs.is_empty() || globs.iter().any(|glob| glob.is_match(text));
        any(&self.names, &peer.name)
            && any(&self.zones, &peer.zone)
            && self.labels.iter().all(|(key, globs)| {
                let value = peer.labels.iter().find(|(label, _)| label == key).map(|(_, value)| value);
                value.is_some_and(|value| any(globs, value))
            })
    }

    /// It says the same as another one.
    pub fn says_the_same(&self, other: &Self) -> bool {
        fn words(globs: &[Glob]) -> impl Iterator<Item = &str> {
            globs.iter().map(Glob::as_str)
        }
        words(&self.names).eq(words(&other.names))
            && words(&self.zones).eq(words(&other.zones))
            && self.labels.len() == other.labels.len()
            && self.labels.iter().zip(&other.labels).all(|(one, two)| one.0 == two.0 && words(&one.1).eq(words(&two.1)))
    }
}
