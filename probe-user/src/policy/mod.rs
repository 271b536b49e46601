//! The policy language: from YAML text to checked policies, and the state machine that every bound shares. Pure.

pub mod bound;
pub mod glob;
pub mod select;
pub mod spec;
pub mod window;
