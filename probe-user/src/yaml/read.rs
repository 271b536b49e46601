//! Opens a policy or configuration file with care: it may be huge, a pipe, no text, or somebody else's.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use super::SIZE_MAX;
use crate::diagnostic::{Diagnostic, Source, Span};

/// Whether a file that others can write is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// It is: `check` looks at any file.
    Anyone,
    /// It is not: only its owner may steer a privileged daemon. Who that owner is, is left to whoever starts the daemon:
    /// root may well run it on the files of a working copy.
    #[default]
    OwnerOnly,
}

/// The text of a file. Errors say what is wrong with the file; nothing is read of a file that is not trusted.
pub fn file(path: &Path, trust: Trust) -> Result<Source, Diagnostic> {
    let name = path.display().to_string();
    let wrong = |message: String| Diagnostic::of_file(&name, message);
    let (file, metadata) = open(path).map_err(|error| wrong(format!("cannot be opened: {}", plain(&error))))?;
    if !metadata.is_file() {
        return Err(wrong("is not a regular file".to_owned()));
    }
    trusted(&metadata, trust).map_err(|(what, help)| wrong(what).help(help))?;
    let mut bytes = Vec::new();
    let limit = u64::try_from(SIZE_MAX).unwrap_or(u64::MAX).saturating_add(1);
    file.take(limit).read_to_end(&mut bytes).map_err(|error| wrong(format!("cannot be read: {}", plain(&error))))?;
    if bytes.len() > SIZE_MAX {
        return Err(wrong(format!("has more than the {SIZE_MAX} bytes that are read")).help("split the file"));
    }
    String::from_utf8(bytes).map(|text| Source::new(&name, text)).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let source = Source::new(&name, String::from_utf8_lossy(error.as_bytes()));
        let before = String::from_utf8_lossy(&error.as_bytes()[..valid]);
        let bounded = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let line = bounded(before.matches('\n').count()).saturating_add(1);
        let column = bounded(before.rsplit('\n').next().map_or(0, |last| last.chars().count())).saturating_add(1);
        Diagnostic::at(&source, Span { line, column, width: 1 }, "this byte is not UTF-8")
            .help("save the file as UTF-8")
    })
}

/// A folder is trusted like a file: who can write it can put files into it.
pub fn folder(path: &Path, trust: Trust) -> Result<(), Diagnostic> {
    let name = path.display().to_string();
    let metadata = std::fs::metadata(path)
        .map_err(|error| Diagnostic::of_file(&name, format!("cannot be opened: {}", plain(&error))))?;
    trusted(&metadata, trust).map_err(|(what, help)| Diagnostic::of_file(&name, what).help(help))
}

fn open(path: &Path) -> io::Result<(File, Metadata)> {
    // A pipe would block the open until somebody writes to it.
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    // Asked of the open file, so that nobody can change it between the look and the reading.
    let metadata = file.metadata()?;
    Ok((file, metadata))
}

fn trusted(metadata: &Metadata, trust: Trust) -> Result<(), (String, String)> {
    if trust == Trust::Anyone {
        return Ok(());
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o022 != 0 {
        let who = match (mode & 0o020 != 0, mode & 0o002 != 0) {
            (true, true) => "its group and everybody",
            (true, false) => "its group",
            _ => "everybody",
        };
        return Err((format!("can be written by {who} (mode {mode:04o})"), "chmod go-w".to_owned()));
    }
    Ok(())
}

/// `No such file or directory` without the number of the error.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

#[cfg(test)]
mod tests;
