//! Finds policy files, reads them with care, and hands the texts to [`super::parse`].

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{HostLabels, Lacks, Loaded, Place, parse_into};
use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::yaml::read::{self, Trust};

/// Most policy files at once.
const FILES_MAX: usize = 1000;

/// Reads policy files, and folders of them (`*.yaml`, sorted by name, not the folders inside). All or nothing: every
/// error of every file is told at once, and then nothing is loaded.
///
/// A path that does not exist is an error; a folder without policy files is a note, for a host may have none yet. `lacks` is
/// what the kernel that they are for cannot do.
pub fn load(paths: &[PathBuf], host: &HostLabels, lacks: &Lacks, trust: Trust) -> Result<Loaded, Diagnostics> {
    read_all(paths, Some(Place { host, exists: &|path| Path::new(path).exists(), lacks }), trust)
}

/// The same as for a host that every file and group is for: `hosts` and `only_if` keep nothing out.
pub fn load_anywhere(paths: &[PathBuf], trust: Trust) -> Result<Loaded, Diagnostics> {
    read_all(paths, None, trust)
}

fn read_all(paths: &[PathBuf], place: Option<Place<'_>>, trust: Trust) -> Result<Loaded, Diagnostics> {
    let mut diagnostics = Diagnostics::new();
    let mut notes = Vec::new();
    let mut files = Vec::new();
    for path in paths {
        if let Err(diagnostic) = find(path, trust, &mut files, &mut notes) {
            diagnostics.push(diagnostic);
        }
    }
    let mut seen = BTreeSet::new();
    // The same file by two paths would be told as a group that is declared twice.
    files.retain(|file| seen.insert(fs::canonicalize(file).unwrap_or_else(|_| file.clone())));
    if files.len() > FILES_MAX {
        let message = format!("{} policy files are more than the {FILES_MAX} that are read", files.len());
        diagnostics.push(Diagnostic::of_file("policies", message));
        return Err(diagnostics);
    }
    let mut sources: Vec<Source> = Vec::with_capacity(files.len());
    for file in &files {
        match read::file(file, trust) {
            Ok(source) => sources.push(source),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
    }
    parse_into(&sources, place, diagnostics, notes)
}

/// The policy files that a path stands for.
fn find(path: &Path, trust: Trust, files: &mut Vec<PathBuf>, notes: &mut Vec<Diagnostic>) -> Result<(), Diagnostic> {
    let name = path.display().to_string();
    let wrong =
        |error: &std::io::Error| Diagnostic::of_file(&name, format!("cannot be opened: {}", read::plain(error)));
    let metadata = fs::metadata(path).map_err(|error| wrong(&error))?;
    if !metadata.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    read::folder(path, trust)?;
    let before = files.len();
    for entry in fs::read_dir(path).map_err(|error| wrong(&error))? {
        let entry = entry.map_err(|error| wrong(&error))?.path();
        let hidden = entry.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        match entry.extension().and_then(|extension| extension.to_str()) {
            _ if hidden || entry.is_dir() => {}
            Some("yaml") => files.push(entry),
            Some("yml") => {
                let note =
                    Diagnostic::of_file(&entry.display().to_string(), "is not read: a policy file ends in .yaml");
                notes.push(note);
            }
            _ => {}
        }
    }
    files[before..].sort();
    if files.len() == before {
        notes.push(Diagnostic::of_file(&name, "has no policy files (*.yaml)"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
