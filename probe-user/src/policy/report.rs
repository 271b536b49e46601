//! What `check` says about policies, in words.

use std::fmt::Write as _;

use super::Loaded;
use super::spec::PolicySet;
use crate::diagnostic::Diagnostics;

/// The text for a person, without a closing newline: every error, or what was loaded and what was left out.
pub fn report(result: &Result<Loaded, Diagnostics>) -> String {
    match result {
        Ok(loaded) => {
            let mut text = String::new();
            for note in &loaded.notes {
                let _ = writeln!(text, "{note}\n");
            }
            let _ = write!(text, "{}, {}: no errors", counted(loaded.files, "file"), contents(&loaded.policies));
            text
        }
        Err(diagnostics) => {
            format!("{diagnostics}\n\n{}: nothing is loaded", counted(diagnostics.len(), "error"))
        }
    }
}

/// How many of what: groups always, the rest where there is any.
fn contents(set: &PolicySet) -> String {
    let bounds = set.groups.iter().map(|group| group.bounds.len()).sum::<usize>()
        + set.jobs.iter().map(|job| job.bounds.len()).sum::<usize>()
        + set.logs.iter().map(|log| log.bounds.len()).sum::<usize>()
        + set.host.iter().map(|block| block.bounds.len()).sum::<usize>()
        + set.peers.iter().map(|peers| peers.bounds.len()).sum::<usize>();
    let mut parts = vec![counted(set.groups.len(), "group")];
    for (number, what) in [
        (set.jobs.len(), "job"),
        (set.logs.len(), "log"),
        (set.host.len(), "host block"),
        (set.peers.len(), "peer set"),
        (set.destinations.len(), "destination"),
        (set.actions.len(), "action"),
    ] {
        parts.extend((number > 0).then(|| counted(number, what)));
    }
    parts.push(counted(bounds, "bound"));
    parts.join(", ")
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
