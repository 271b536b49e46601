//! The host itself and what must hold of it.

use std::sync::Arc;

use super::{Bound, Response};
use crate::policy::glob::Glob;

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
/// of the total (of CPU time, memory, swap, the file system); else it is in the measure's own unit.
#[derive(Clone, Debug)]
pub struct HostBound {
    /// The bound; its measure is one of [`Measure::HOST`](super::Measure::HOST).
    pub bound: Bound,
    /// Mount points (`path`) or network interfaces (`interface`) it is about, each judged by itself; empty for
    /// measures that have none, and for "all" (real file systems, all interfaces but the loopback).
    pub targets: Vec<Glob>,
}
