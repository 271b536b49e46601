//! Lines about the site: the keys that its hosts share, and whether others can reach this one. Pure.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::judge::{Line, Verdict};

/// Whether the keys that a site shares can be used.
pub(super) fn shared_keys<K, E: fmt::Display>(read: &Result<Vec<K>, E>) -> Line {
    match read {
        Ok(keys) if keys.len() == 1 => {
            Line::new(Verdict::Ok, "peers' key", "it can be read, by its owner alone".into())
        }
        Ok(_) => Line::new(Verdict::Ok, "peers' key", "both can be read, by their owner alone: the first seals".into()),
        Err(why) => Line::new(Verdict::Fail, "peers' key", why.to_string())
            .remedy("`procprobe peers key FILE` makes one; every host of the site needs the same, mode 0600"),
    }
}

/// Whether other hosts can reach this one, as far as this host can tell.
pub(super) fn socket(listen: SocketAddr, running: bool, bound: io::Result<()>) -> Line {
    match bound {
        Ok(()) => Line::new(Verdict::Ok, "peers", format!("{listen} can be listened on, over UDP and TCP")),
        Err(error) if running && error.kind() == io::ErrorKind::AddrInUse => {
            Line::new(Verdict::Ok, "peers", format!("{listen} is in use, as it should be while the daemon runs"))
        }
        Err(error) => Line::new(Verdict::Warn, "peers", format!("{listen}: {error}"))
            .remedy("this host is no member of its site; free the port, or set another `peers.listen`"),
    }
}
