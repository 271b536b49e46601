//! procprobe's daemon: sources, process model, policies, engine, and the edges around them.
//!
//! Layers point one way: `probe-common` <- sources ([`kernel`], [`record`]) <- [`model`] <- [`policy`] <- [`engine`].
//! Everything below the engine is pure: no clock, no I/O, no spawned task. The edges ([`forward`], [`serve`], [`cli`])
//! and the [`pipeline`] that wires them stand outside. ARCHITECTURE.md has the map.
#![deny(unsafe_code)]

pub mod diagnostic;
pub mod engine;
pub mod event;
pub mod kernel;
pub mod model;
pub mod policy;
pub mod record;
pub mod signal;
pub mod time;
pub mod yaml;
