//! The other hosts of a virtual site: what steps say of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::policy::spec::PeerStep;
use crate::record::{PeerNews, PeerStanding, PeerView};
use crate::time::KTime;

/// Everybody by name.
#[derive(Debug, Default)]
pub(super) struct Site(BTreeMap<Arc<str>, PeerView>);

impl Site {
    /// Takes in a step; what the engine is told then is everybody.
    pub(super) fn set(&mut self, now: KTime, step: &PeerStep) -> PeerNews {
        for name in &step.names {
            let peer = self.0.entry(Arc::clone(name)).or_insert_with(|| PeerView {
                name: Arc::clone(name),
                zone: "".into(),
                labels: Vec::new(),
                standing: PeerStanding::Alive,
                since: None,
            });
            if let Some(zone) = &step.zone {
                peer.zone = Arc::clone(zone);
            }
            if let Some(labels) = &step.labels {
                peer.labels.clone_from(labels);
            }
            peer.since = (step.standing != PeerStanding::Alive).then(|| peer.since.unwrap_or(now));
            peer.standing = step.standing;
        }
        PeerNews::Members(self.0.values().cloned().collect())
    }
}
