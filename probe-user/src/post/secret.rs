//! Secrets from files: tokens and keys, never from the command line or a policy.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use reqwest::header::HeaderValue;

/// A secret is one line; more is a wrong file.
const LONGEST: u64 = 16 << 10;

/// The file's one line. A file that others can read is no secret: it is refused. The error says nothing of the content.
pub(crate) fn read(path: &Path) -> Result<String, String> {
    // Without waiting: the path may name a pipe.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|error| error.to_string())?;
    let metadata = file.metadata().map_err(|error| error.to_string())?;
    if !metadata.is_file() {
        return Err("not a regular file".into());
    }
    let mode = metadata.permissions().mode();
    if mode & 0o007 != 0 {
        return Err(format!("mode {:04o}: everybody can reach it; chmod o-rwx", mode & 0o7777));
    }
    if metadata.len() > LONGEST {
        return Err(format!("it has {} bytes; no secret is longer than {LONGEST}", metadata.len()));
    }
    let mut text = String::new();
    file.take(LONGEST).read_to_string(&mut text).map_err(|error| error.to_string())?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err("it is empty".into());
    }
    Ok(secret.to_owned())
}

/// An `Authorization` value that no log shows.
pub(crate) fn bearer(path: &Path) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", read(path)?))
        .map_err(|_| "a token is one line of printable ASCII".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}
