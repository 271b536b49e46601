//! The API's socket in the file system.
//!
//! It is made under another name, given its permissions, and renamed into place: nobody can connect before they are
//! right. What is in its place already: a socket that somebody answers is another daemon's and is left alone; one that
//! nobody answers is a dead daemon's and is replaced; anything else is not ours to remove.

use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::config::{Api, DEFAULT_GROUP};

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another daemon answers there.
    #[error("another procprobe already listens on {}; stop it, or give this one its own --socket", .0.display())]
    Live(PathBuf),
    /// Something that is no socket is there.
    #[error("{} is in the way of the API's socket and is no socket: move it, or choose another --socket", .0.display())]
    Occupied(PathBuf),
    /// The configured group does not exist.
    #[error("api.group: this host has no group `{0}`")]
    NoGroup(String),
    /// The system refused.
    #[error("the API's socket {}: cannot {doing}: {error}", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        error: io::Error,
    },
}

/// A socket that this daemon made.
#[derive(Debug)]
pub(super) struct Bound {
    path: PathBuf,
    /// Device and inode: what is there later may be somebody else's.
    identity: Option<(u64, u64)>,
}

impl Bound {
    /// Takes the socket away, if it is still the one that was made.
    pub(super) fn remove(&self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            // Best effort: a socket that stays is found dead by the next daemon.
            let _ = fs::remove_file(&self.path);
        }
    }
}

pub(super) fn bind(api: &Api) -> Result<(UnixListener, Bound), BindError> {
    let path = api.socket.as_path();
    let failed = |doing| move |error| BindError::Io { path: path.to_owned(), doing, error };
    let gid = group(api.group.as_deref())?;
    make_way(path)?;
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed("make its directory"))?;
    }
    let beside = beside(path);
    // Left over by a crash between the two steps below.
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside).map_err(failed("listen"))?;
    let placed = (|| {
        fs::set_permissions(&beside, Permissions::from_mode(api.mode)).map_err(failed("set its mode"))?;
        if gid.is_some() {
            chown(&beside, None, gid).map_err(failed("set its group"))?;
        }
        fs::rename(&beside, path).map_err(failed("put it in place"))
    })();
    if let Err(error) = placed {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    Ok((listener, Bound { path: path.to_owned(), identity: identity(path) }))
}

/// Refuses what must not be replaced.
fn make_way(path: &Path) -> Result<(), BindError> {
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(BindError::Io { path: path.to_owned(), doing: "look at it", error }),
    };
    if !metadata.file_type().is_socket() {
        return Err(BindError::Occupied(path.to_owned()));
    }
    match UnixStream::connect(path) {
        Err(error) if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound) => Ok(()),
        // Whoever accepts, or is too busy or too private to, is alive.
        Ok(_) | Err(_) => Err(BindError::Live(path.to_owned())),
    }
}

/// A name in the same directory that no other daemon uses, and not longer than the socket's own by much.
fn beside(path: &Path) -> PathBuf {
    path.with_file_name(format!(".{}", std::process::id()))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::symlink_metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

/// The number of the group that gets the socket; `None` leaves it to the daemon's own.
fn group(configured: Option<&str>) -> Result<Option<u32>, BindError> {
    let file = fs::read_to_string("/etc/group").unwrap_or_default();
    match configured {
        None => Ok(group_id(&file, DEFAULT_GROUP)),
        Some(name) => match name.parse::<u32>().ok().or_else(|| group_id(&file, name)) {
            Some(gid) => Ok(Some(gid)),
            None => Err(BindError::NoGroup(name.to_owned())),
        },
    }
}

/// The id of a name in the text of /etc/group.
fn group_id(file: &str, name: &str) -> Option<u32> {
    file.lines().find_map(|line| {
        let mut parts = line.split(':');
        (parts.next()? == name).then(|| parts.nth(1)?.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(path: &Path) -> Api {
        Api { socket: path.to_owned(), mode: 0o600, group: None }
    }

    fn check_refused(path: &Path, expected: &str) {
        let before = identity(path);
        let error = bind(&api(path)).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(identity(path), before, "what was there stays");
    }

    #[tokio::test]
    async fn it_has_its_permissions_from_the_first_moment_and_goes_away() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/api.sock");
        let (_listener, bound) = bind(&api(&path)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        bound.remove();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn a_dead_daemons_socket_is_replaced_and_a_live_ones_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("api.sock");
        let (listener, old) = bind(&api(&path)).unwrap();
        check_refused(&path, "another procprobe already listens");
        drop(listener);
        let (_listener, new) = bind(&api(&path)).unwrap();
        old.remove();
        assert!(path.exists(), "the old one must not take the new one's away");
        new.remove();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_no_socket_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "precious").unwrap();
        check_refused(&path, "is no socket");
        check_refused(&path.join("api.sock"), "cannot look at it");
    }

    #[test]
    fn groups_are_found_by_name_and_number() {
        let file = "root:x:0:\nbad\nprocprobe:x:123:ann,bob\nodd:x:\n";
        assert_eq!(group_id(file, "procprobe"), Some(123));
        assert_eq!(group_id(file, "odd"), None);
        assert_eq!(group_id(file, "missing"), None);
        assert_eq!(group(Some("77")).unwrap(), Some(77));
        assert!(group(Some("no-such-group-here")).unwrap_err().to_string().contains("no-such-group-here"));
    }
}
