//! procprobe's daemon: sources, process model, policies, engine, and the edges around them.
//!
//! Layers point one way: `probe-common` <- sources ([`kernel`], [`record`]) <- [`model`] <- [`policy`] <- [`engine`].
//! Everything below the engine is pure: no clock, no I/O, no spawned task. The edges ([`forward`], [`serve`], [`cli`])
//! and the [`pipeline`] that wires them stand outside. ARCHITECTURE.md has the map.
#![deny(unsafe_code)]

pub mod act;
pub mod agent;
pub mod cli;
pub mod config;
pub mod diagnostic;
pub mod doctor;
pub mod engine;
pub mod event;
pub mod forward;
pub mod host;
pub mod kernel;
pub mod logs;
pub mod metrics;
pub mod model;
pub mod notify;
pub mod outlet;
pub mod output;
pub mod peers;
pub mod pipeline;
pub mod policy;
pub(crate) mod post;
pub mod readable;
pub mod record;
pub mod recording;
pub mod replay;
pub mod resume;
pub mod series;
pub mod serve;
pub mod signal;
pub mod spool;
pub mod stamp;
pub mod supervisor;
pub mod telemetry;
pub mod time;
pub mod trial;
pub mod yaml;
