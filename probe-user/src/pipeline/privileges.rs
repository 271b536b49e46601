//! Gives up what is no longer needed once the programs are attached.
//!
//! Reading maps, the ring and new iterators works without any capability. Capabilities belong to a thread: whatever other
//! thread starts before this gives up its own by itself, as the one that reads log files does.

use caps::{CapSet, Capability, CapsHashSet};

/// The kernel refused to take a capability away.
#[derive(Debug, thiserror::Error)]
#[error("cannot drop the {set:?} capabilities: {source}")]
pub(super) struct DropError {
    set: CapSet,
    source: caps::errors::CapsError,
}

/// Drops every capability of this thread and of all it starts from now on.
pub(super) fn drop_all() -> Result<(), DropError> {
    keep(&[])
}

/// Drops every capability of this thread but that of reading any file. Where it does not have that, it has none left.
pub(super) fn keep_reading() -> Result<(), DropError> {
    keep(&[Capability::CAP_DAC_READ_SEARCH])
}

fn keep(wanted: &[Capability]) -> Result<(), DropError> {
    let failed = |set| move |source| DropError { set, source };
    let permitted = caps::read(None, CapSet::Permitted).map_err(failed(CapSet::Permitted))?;
    let kept: CapsHashSet = wanted.iter().copied().filter(|capability| permitted.contains(capability)).collect();
    // The inheritable and ambient sets first: what is gone from the permitted set cannot be raised again anyway.
    for set in [CapSet::Ambient, CapSet::Inheritable] {
        caps::set(None, set, &CapsHashSet::new()).map_err(failed(set))?;
    }
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(failed(set))?;
    }
    Ok(())
}
