//! Logs: lines that must not appear, or must.

use std::sync::Arc;
use std::time::Duration;

use super::{Bound, Response};

/// Lines of some files and what must hold of them. A line matches when a keyword or an expression is found in it and
/// nothing of `ignore` is.
#[derive(Clone, Debug)]
pub struct Log {
    /// Unique over all files, among groups, jobs and logs alike.
    pub name: Arc<str>,
    /// Where it was declared, `file:line`.
    pub declared: Arc<str>,
    /// Globs on absolute paths.
    pub paths: Vec<Arc<str>>,
    /// Literal keywords.
    pub any: Vec<Arc<str>>,
    /// Regular expressions (checked).
    pub regex: Vec<Arc<str>>,
    /// Literal words that take a line out again.
    pub ignore: Vec<Arc<str>>,
    /// Bounds on `lines`.
    pub bounds: Vec<Bound>,
    /// After an alarm silent for so long, then one summary.
    pub quiet: Option<Duration>,
    /// What its alarms lead to.
    pub response: Response,
}
