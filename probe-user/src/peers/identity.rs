//! Who this daemon is among its peers: a signing key of its own, made at the first start and kept in the state directory,
//! for its owner alone. The shared key says that somebody belongs to the site; this one says who.

use std::fs::OpenOptions;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

/// The file's name in the state directory.
const FILE: &str = "peers.identity";
/// A key in PKCS#8 is shorter.
const LONGEST: u64 = 1 << 10;

/// A signing key.
pub(super) struct Identity {
    pair: Ed25519KeyPair,
    public: [u8; 32],
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("public", &super::keys::hex(&self.public)).finish_non_exhaustive()
    }
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be used.
    #[error("{}: {why}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl Identity {
    /// That of the state directory; made where there is none. Where it cannot be kept the note says so: other hosts then
    /// take this one for a new one after each start.
    pub(super) fn open(state_dir: &Path) -> Result<(Self, Option<String>), IdentityError> {
        let path = state_dir.join(FILE);
        let wrong = |why: String| IdentityError::File { path: path.clone(), why };
        match OpenOptions::new().read(true).open(&path) {
            Ok(file) => {
                let metadata = file.metadata().map_err(|error| wrong(error.to_string()))?;
                if metadata.mode() & 0o077 != 0 {
                    let mode = metadata.mode() & 0o7777;
                    return Err(wrong(format!("mode {mode:04o}: others than its owner can reach it; chmod 0600")));
                }
                let mut bytes = Vec::new();
                file.take(LONGEST).read_to_end(&mut bytes).map_err(|error| wrong(error.to_string()))?;
                let found = Self::of(&bytes);
                let found = found.ok_or_else(|| {
                    wrong("is damaged; remove it to be a new member of the site, under another name".into())
                })?;
                Ok((found, None))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new());
                let made = made.map_err(|_| wrong("the system gives no random bytes".into()))?;
                let note = keep(&path, made.as_ref()).err();
                let note = note.map(|error| {
                    format!(
                        "{} cannot be kept ({error}): the site will not know this host after a restart",
                        path.display()
                    )
                });
                let found = Self::of(made.as_ref()).ok_or_else(|| wrong("a new key is not usable".into()))?;
                Ok((found, note))
            }
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    fn of(pkcs8: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { pair, public })
    }

    /// What others know it by.
    pub(super) const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// A signature.
    pub(super) fn sign(&self, bytes: &[u8]) -> [u8; 64] {
        let mut signature = [0; 64];
        signature.iter_mut().zip(self.pair.sign(bytes).as_ref()).for_each(|(to, from)| *to = *from);
        signature
    }
}

/// Whether that key signed these bytes.
pub(super) fn verify(key: &[u8; 32], bytes: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(bytes, signature).is_ok()
}

/// Written aside and renamed: a crash leaves no half of a key.
fn keep(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let aside = path.with_extension("new");
    // A leftover of an earlier try.
    let _ = std::fs::remove_file(&aside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&aside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn it_stays_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let (one, note) = Identity::open(dir.path()).unwrap();
        assert_eq!(note, None);
        let (two, _) = Identity::open(dir.path()).unwrap();
        assert_eq!(one.public(), two.public());
        let signature = one.sign(b"words");
        assert!(verify(&two.public(), b"words", &signature));
        assert!(!verify(&two.public(), b"other", &signature));
        assert!(!verify(&[0; 32], b"words", &signature));
        assert!(!verify(&two.public(), b"words", &[0; 64]));
    }

    #[test]
    fn what_cannot_be_used_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        Identity::open(dir.path()).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Identity::open(dir.path()).unwrap_err().to_string().contains("chmod 0600"));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&path, "garbage").unwrap();
        assert!(Identity::open(dir.path()).unwrap_err().to_string().contains("is damaged"));
        let (_, note) = Identity::open(Path::new("/nonexistent/state")).unwrap();
        assert!(note.unwrap().contains("cannot be kept"));
    }
}
