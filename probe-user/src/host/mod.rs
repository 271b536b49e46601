//! The host that the daemon runs on.

pub mod identity;
