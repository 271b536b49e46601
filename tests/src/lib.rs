//! The harness of the end-to-end tests: the real daemon in the running kernel, watching real processes.
//!
//! Constraints that every test keeps:
//! - several run at a time, on a host that does other things as well: a test looks only at processes that carry its own
//!   [`mark`], and waits for what must come instead of sleeping;
//! - nothing is skipped: [`daemon::Daemon::start`] fails where kernel programs cannot be loaded, saying what is missing;
//! - what a test started ends with it, and nothing else does.
//!
//! Failures are panics that show the daemon's events and its log.
#![expect(clippy::missing_panics_doc, reason = "a harness fails by panicking; each says what it panics on")]

pub mod account;
pub mod actor;
pub mod alertmanager;
pub mod browser;
pub mod cgroup;
pub mod collector;
pub mod container;
pub mod cputime;
pub mod daemon;
pub mod event;
pub mod home;
pub mod hook;
pub mod image;
pub mod otel;
pub mod packages;
pub mod page;
pub mod pins;
pub mod pod;
pub mod port;
pub mod prometheus;
pub mod random;
pub mod sandbox;
pub mod section;
pub mod site;
pub mod spare;
pub mod stream;
pub mod tmux;
pub mod web;

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Tests of what would harm a host run in a virtual machine of `cargo xtask vm`, whose first process is ours, and fail
/// anywhere else.
pub fn require_own_machine() {
    let first = std::fs::read_link("/proc/1/exe").unwrap_or_default();
    assert!(
        first == Path::new("/init") && Path::new("/plan.json").exists(),
        "this test takes a whole machine, and this is not one of `cargo xtask vm`"
    );
}

/// A word that no other process on this host has among its arguments.
pub fn mark() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("mark-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
