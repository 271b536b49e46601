//! The policy language: from YAML text to checked policies, and the state machine that every bound shares. Pure, but for
//! [`load`] and [`users`], which read files.
//!
//! Reading goes in three steps: each file by itself ([`parse`] into drafts), all files together (unique names,
//! and what is named exists), and then this host's part of it (`hosts`, `only_if`). Whatever is wrong in any step and any
//! file is told at once, and then nothing is loaded: whoever reloads keeps the policies in force.

pub(crate) mod alarms;
pub mod bound;
mod check;
mod file;
pub mod glob;
pub mod keys;
mod likeness;
mod limits;
pub mod lines;
mod load;
mod matching;
mod needs;
mod report;
pub mod schedule;
pub mod select;
pub mod spec;
pub mod users;
pub mod window;

use std::collections::BTreeMap;

pub use likeness::comm_of;
pub use load::{load, load_anywhere};
pub use matching::regex;
pub use needs::Lacks;
pub use report::report;

use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::yaml::schema;
use spec::{PolicySet, Trial};

/// What `hosts` in a policy file is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostLabels {
    /// The host's name, or `node.name` of the configuration.
    pub name: String,
    /// `node.labels` of the configuration; a pattern sees them as `key=value`.
    pub labels: BTreeMap<String, String>,
}

/// Policies that are right, and what a person may want to know about them.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// For this host.
    pub policies: PolicySet,
    /// How many files were read.
    pub files: usize,
    /// Files and groups that were left out here, and why; in the order in which that was found.
    pub notes: Vec<Diagnostic>,
    /// The tests of the files, whatever host they are for.
    pub trials: Vec<Trial>,
}

/// Policies from texts, for a host whose kernel lacks nothing. `exists` answers `only_if`: whether a path exists on the host.
pub fn parse(sources: &[Source], host: &HostLabels, exists: &dyn Fn(&str) -> bool) -> Result<Loaded, Diagnostics> {
    let place = Place { host, exists, lacks: &Lacks::default() };
    parse_into(sources, Some(place), Diagnostics::new(), Vec::new())
}

/// The host that policies are for. Without one they are for any host, on which everything exists.
#[derive(Clone, Copy)]
struct Place<'h> {
    host: &'h HostLabels,
    /// Whether a path exists on it.
    exists: &'h dyn Fn(&str) -> bool,
    /// What its kernel cannot do.
    lacks: &'h Lacks,
}

fn parse_into(
    sources: &[Source],
    place: Option<Place<'_>>,
    mut diagnostics: Diagnostics,
    mut notes: Vec<Diagnostic>,
) -> Result<Loaded, Diagnostics> {
    let mut drafts = file::Drafts::default();
    for source in sources {
        file::read(source, place.map(|place| place.host), &mut drafts, &mut diagnostics, &mut notes);
    }
    check::together(&drafts, &mut diagnostics);
    let trials = check::trials(&mut drafts, &mut diagnostics);
    if !diagnostics.is_empty() {
        return Err(diagnostics);
    }
    let exists = |path: &str| place.is_none_or(|place| (place.exists)(path) && !place.lacks.hides(path));
    let nothing = Lacks::default();
    let lacks = place.map_or(&nothing, |place| place.lacks);
    let policies = check::select(drafts, &exists, lacks, &mut diagnostics, &mut notes);
    diagnostics.or(Loaded { policies, files: sources.len(), notes, trials })
}

/// JSON Schema (2020-12) of a policy file, for editors.
pub fn schema() -> serde_json::Value {
    schema::of_file(&keys::FILE, "procprobe policies")
}

#[cfg(test)]
mod tests;
