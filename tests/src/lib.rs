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
pub mod cgroup;
pub mod collector;
pub mod container;
pub mod cputime;
pub mod daemon;
pub mod event;
pub mod home;
pub mod hook;
pub mod otel;
pub mod pins;
pub mod prometheus;
pub mod random;
pub mod readme;
pub mod sandbox;
pub mod stream;
pub mod web;

use std::sync::atomic::{AtomicU32, Ordering};

/// A word that no other process on this host has among its arguments.
pub fn mark() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("mark-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
