//! Gives up what is no longer needed once the programs are attached.
//!
//! Reading maps, the ring and new iterators works without any capability, but for kernels before 5.19, where each of these
//! wants CAP_BPF. With it alone no program can be loaded that sees anything of the kernel; that takes CAP_PERFMON as well.
//!
//! Capabilities belong to a thread: whatever other thread starts before this gives up its own by itself, as the one that
//! reads log files does.

use caps::{CapSet, Capability, CapsHashSet};

use crate::host::identity::{kernel_release, kernel_version};
use crate::kernel::loader::wants_bpf_for_good;

/// The kernel refused to take a capability away.
#[derive(Debug, thiserror::Error)]
#[error("cannot drop the {set:?} capabilities: {source}")]
pub(super) struct DropError {
    set: CapSet,
    source: caps::errors::CapsError,
}

/// Drops every capability of this thread and of all it starts from now on, but for what this kernel wants for good.
pub(super) fn drop_loading() -> Result<(), DropError> {
    if !wants_bpf_for_good(kernel_version(&kernel_release())) {
        return keep(&[]);
    }
    let permitted = caps::read(None, CapSet::Permitted).map_err(failed(CapSet::Permitted))?;
    // Who was given the older, wider capability in its place can only go on with that.
    let sufficient = [Capability::CAP_BPF, Capability::CAP_SYS_ADMIN];
    let kept = sufficient.into_iter().find(|capability| permitted.contains(capability));
    keep(kept.as_slice())
}

/// Drops every capability of this thread but that of reading any file. Where it does not have that, it has none left.
pub(super) fn keep_reading() -> Result<(), DropError> {
    keep(&[Capability::CAP_DAC_READ_SEARCH])
}

fn failed(set: CapSet) -> impl FnOnce(caps::errors::CapsError) -> DropError {
    move |source| DropError { set, source }
}

fn keep(wanted: &[Capability]) -> Result<(), DropError> {
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
