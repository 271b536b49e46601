//! Holds policies against a recording: the daemon's own decoder, model and engine, in the time of the recording.
//!
//! One thread reads, unpacks and decodes ([`decode`]), another one runs the engine ([`run`]). Nothing is sent and nothing is done:
//! actions are told as if every policy were `mode: observe`. The same recording and the same policies give the same
//! output.
//!
//! What differs from what a daemon would have told then: a replay knows the usage of a process from the sample after its
//! start, and who killed it, whether or not the policies would have had it watched; so it can say more, never less.

mod decode;
mod durations;
pub mod history;
mod lane;
mod lines;
pub mod run;
pub mod suggest;
pub mod summary;
#[cfg(test)]
mod tests;

pub use run::{Options, Outcome, replay};
