//! Gives up what is no longer needed once the programs are attached.
//!
//! Reading maps, the ring and new iterators works without any capability. Capabilities belong to a thread: this must run
//! before any other thread starts, or those keep theirs.

use caps::{CapSet, CapsHashSet};

/// The kernel refused to take a capability away.
#[derive(Debug, thiserror::Error)]
#[error("cannot drop the {set:?} capabilities: {source}")]
pub(super) struct DropError {
    set: CapSet,
    source: caps::errors::CapsError,
}

/// Drops every capability of this thread and of all it starts from now on.
pub(super) fn drop_all() -> Result<(), DropError> {
    // The inheritable and ambient sets first: what is gone from the permitted set cannot be raised again anyway.
    for set in [CapSet::Ambient, CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &CapsHashSet::new()).map_err(|source| DropError { set, source })?;
    }
    Ok(())
}
