//! Whole sites of procprobe's peers in virtual time.
#![forbid(unsafe_code)]

#[path = "../../../probe-user/src/peers/core/mod.rs"]
pub mod core;
#[path = "../../../probe-user/src/time.rs"]
pub mod time;
