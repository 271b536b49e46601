//! The tarball: the same tree under one folder, to be unpacked anywhere, or over `/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::{Release, architecture};
use crate::step::run;

/// Makes the archive; returns its path. The same tree makes the same bytes.
pub(super) fn make(root: &Path, folder: &Path, release: &Release) -> Result<PathBuf> {
    let name = format!("procprobe-{}-linux-{}", release.version, architecture(false)?);
    let made = folder.join(format!("{name}.tar.gz"));
    run(Command::new("tar")
        .args(["--create", "--auto-compress", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"])
        .arg(format!("--transform=s,^\\.,{name},"))
        .arg("--file")
        .arg(&made)
        .arg("--directory")
        .arg(root)
        .arg("."))?;
    Ok(made)
}
