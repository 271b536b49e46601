//! Whole sites of procprobe's peers in virtual time: hosts, the network between them, and everything that goes wrong.
//!
//! One seed is one run, the same to the last packet. The core of `peers` is compiled in as it is; what is simulated is
//! its surroundings: links that lose, delay, repeat and reorder, cuts of every kind, hosts that die, reboot or stand still,
//! clocks that run differently, collectors out of reach, a member that lies and one that floods.
#![forbid(unsafe_code)]

pub mod chance;
#[path = "../../../probe-user/src/peers/core/mod.rs"]
pub mod core;
pub mod hostile;
pub mod network;
pub mod outcome;
pub mod script;
#[path = "../../../probe-user/src/time.rs"]
pub mod time;
pub mod world;
