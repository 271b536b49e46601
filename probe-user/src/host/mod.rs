//! The host that the daemon runs on.

pub mod facts;
pub mod identity;
pub mod lacks;
pub mod measures;
pub mod processes;
