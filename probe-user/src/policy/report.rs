//! What `check` says about policies, in words.

use std::fmt::Write as _;

use super::Loaded;
use crate::diagnostic::Diagnostics;

/// The text for a person, without a closing newline: every error, or what was loaded and what was left out.
pub fn report(result: &Result<Loaded, Diagnostics>) -> String {
    match result {
        Ok(loaded) => {
            let mut text = String::new();
            for note in &loaded.notes {
                let _ = writeln!(text, "{note}\n");
            }
            let bounds: usize = loaded.policies.groups.iter().map(|group| group.bounds.len()).sum();
            let _ = write!(
                text,
                "{}, {}, {}: no errors",
                counted(loaded.files, "file"),
                counted(loaded.policies.groups.len(), "group"),
                counted(bounds, "bound")
            );
            text
        }
        Err(diagnostics) => {
            format!("{diagnostics}\n\n{}: nothing is loaded", counted(diagnostics.len(), "error"))
        }
    }
}

fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
