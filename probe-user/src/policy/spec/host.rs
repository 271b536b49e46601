//! The host itself and what must hold of it.

use std::sync::Arc;

use super::{Bound, Response};
use crate::policy::glob::{Glob, is_exact};
use crate::record::MountKind;

/// The interface that policies mean only when they name it.
const LOOPBACK: &str = "lo";

/// One `host` block; several files may have one each.
#[derive(Clone, Debug)]
pub struct HostBlock {
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// In the order of the file.
    pub bounds: Vec<HostBound>,
    /// What its alarms lead to.
    pub response: Response,
}

/// A bound on one measure of the host. With a [`Limit::HostShare`](super::Limit::HostShare) the value judged is a share
/// of the total (of CPU time, memory, swap, the file system); else it is in the measure's own unit. Of the load a
/// share means "for each CPU". CPU and pressure are shares either way.
#[derive(Clone, Debug)]
pub struct HostBound {
    /// The bound; its measure is one of [`Measure::HOST`](super::Measure::HOST).
    pub bound: Bound,
    /// Mount points (`path`) or network interfaces (`interface`) it is about, each judged by itself; empty for
    /// measures that have none, and for "all" (real file systems, all interfaces but the loopback). A pattern without
    /// wildcards names one thing: it means pseudo file systems too, and that there is no such thing is told.
    pub targets: Vec<Glob>,
}

impl HostBound {
    /// Whether it is about this mount.
    pub fn means_mount(&self, path: &str, kind: MountKind) -> bool {
        if self.targets.is_empty() {
            return kind == MountKind::Own;
        }
        let by_name = |glob: &Glob| kind != MountKind::Pseudo || is_exact(glob.as_str());
        self.targets.iter().any(|glob| by_name(glob) && glob.is_match(path))
    }

    /// Whether it is about this interface.
    pub fn means_interface(&self, name: &str) -> bool {
        if self.targets.is_empty() {
            return name != LOOPBACK;
        }
        self.targets.iter().any(|glob| glob.is_match(name))
    }

    /// What it names without wildcards: that it is not there is worth telling.
    pub fn exact_targets(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(Glob::as_str).filter(|pattern| is_exact(pattern))
    }
}
