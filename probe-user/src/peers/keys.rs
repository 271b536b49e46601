//! The keys that the hosts of a site share: files of one line, 64 hexadecimal digits, for their owner alone.
//!
//! Of two keys the first seals and both open. So a site changes its key without a gap: every host gets the new one as its
//! second, then every host as its first, then the old one goes.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};

/// Bytes of a key.
pub const KEY_BYTES: usize = 32;
/// Bytes by which a packet says which key sealed it.
pub(super) const ID_BYTES: usize = 4;
/// What is read of a file: a line, and room for a line break.
const LONGEST: u64 = 256;

/// A shared key. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub(super) bytes: [u8; KEY_BYTES],
    pub(super) id: [u8; ID_BYTES],
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("id", &hex(&self.id)).finish_non_exhaustive()
    }
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The system has no randomness, or the file cannot be made.
    #[error("{}: cannot be made: {why}", path.display())]
    Make {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

impl Key {
    /// A key of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(b"procprobe peers key id");
        context.update(&bytes);
        let digest = context.finish();
        let mut id = [0; ID_BYTES];
        id.iter_mut().zip(digest.as_ref()).for_each(|(to, from)| *to = *from);
        Self { bytes, id }
    }

    /// The key in a file. A file that others than its owner can read is no secret, and one that belongs to somebody else
    /// could be another one tomorrow: both are refused. Nothing of the content is told.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let wrong = |why: String| KeyError::File { path: path.to_owned(), why };
        // Without waiting: the path may name a pipe.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new().read(true).custom_flags(flags).open(path);
        let file = opened.map_err(|error| wrong(error.to_string()))?;
        let metadata = file.metadata().map_err(|error| wrong(error.to_string()))?;
        if !metadata.is_file() {
            return Err(wrong("not a regular file".into()));
        }
        let mode = metadata.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(wrong(format!("mode {mode:04o}: others than its owner can reach it; chmod 0600")));
        }
        let own = rustix::process::geteuid().as_raw();
        if metadata.uid() != own && metadata.uid() != 0 {
            return Err(wrong(format!("it belongs to user {}, not to {own} or root; chown it", metadata.uid())));
        }
        let mut text = String::new();
        let read = file.take(LONGEST).read_to_string(&mut text);
        read.map_err(|_| wrong("it is no text".into()))?;
        let bytes = unhex(text.trim());
        bytes.map(Self::new).ok_or_else(|| {
            wrong("a key is one line of 64 hexadecimal digits; `procprobe peers key FILE` makes one".into())
        })
    }

    /// Makes a key in a new file, for its owner alone.
    pub fn make(path: &Path) -> Result<(), KeyError> {
        let wrong = |why: String| KeyError::Make { path: path.to_owned(), why };
        let text = random_text().ok_or_else(|| wrong("the system gives no random bytes".into()))?;
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut file = opened.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                wrong("it is there already, and no key is overwritten: use it, or name another".into())
            }
            _ => wrong(error.to_string()),
        })?;
        let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
        written.map_err(|error| wrong(error.to_string()))
    }
}

/// A new key as its file has it; `None` when the system has no randomness.
pub fn random_text() -> Option<String> {
    let mut bytes = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(format!("{}\n", hex(&bytes)))
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Exactly so many bytes from hexadecimal digits.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != N * 2 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[track_caller]
    fn check(content: &str, mode: u32, expected: Result<(), &str>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        match (Key::read(&path), expected) {
            (Ok(_), Ok(())) => {}
            (Err(error), Err(part)) => {
                let told = error.to_string();
                assert!(told.contains(part) && (content.len() < 9 || !told.contains(content.trim())), "{told}");
            }
            (found, _) => panic!("{content:?} {mode:o}: {found:?}"),
        }
    }

    #[test]
    fn only_a_secret_key_is_a_key() {
        let key = "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef\n";
        check(key, 0o600, Ok(()));
        check(key, 0o400, Ok(()));
        check(key, 0o640, Err("mode 0640"));
        check(key, 0o604, Err("chmod 0600"));
        check("", 0o600, Err("64 hexadecimal digits"));
        check(&key[1..], 0o600, Err("64 hexadecimal digits"));
        check(&key.replace('0', "+"), 0o600, Err("64 hexadecimal digits"));
        check(&key.repeat(9), 0o600, Err("64 hexadecimal digits"));
    }

    #[test]
    fn a_made_key_is_read_and_no_file_is_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        Key::make(&path).unwrap();
        let key = Key::read(&path).unwrap();
        assert!(Key::make(&path).is_err());
        assert_eq!(Key::read(&path).unwrap(), key);
        assert!(!format!("{key:?}").contains(&hex(&key.bytes)));
        assert!(matches!(Key::read(dir.path()), Err(KeyError::File { .. })));
    }
}
