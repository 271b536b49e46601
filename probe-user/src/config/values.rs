//! Checks that the file and the flags share.

use std::net::SocketAddr;
use std::path::{Component, PathBuf};
use std::time::Duration;

use crate::yaml::units;

/// `sun_path`, without its closing NUL.
const SOCKET_PATH_MAX: usize = 107;
const SHORTEST_INTERVAL: Duration = Duration::from_millis(100);
const SHORTEST_METRICS: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_hours(1);

/// A sample interval that is neither a load of its own nor blind.
pub fn sample_interval(interval: Duration) -> Result<Duration, String> {
    if (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval) {
        Ok(interval)
    } else {
        Err(format!("a sample interval is from 100ms to 1h, not {interval:?}"))
    }
}

/// Where to listen; nowhere when it is off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen(pub Option<SocketAddr>);

/// An address, or `off`.
pub fn listen(text: &str) -> Result<Listen, String> {
    match text {
        "off" => Ok(Listen(None)),
        _ => text
            .parse()
            .map(|address| Listen(Some(address)))
            .map_err(|_| "expected an IP address and a port such as 127.0.0.1:9464 or [::1]:9464, or off".into()),
    }
}

/// A directory of pins, or `off`.
pub fn pins(text: &str) -> Result<Option<PathBuf>, String> {
    if text == "off" {
        return Ok(None);
    }
    let path = PathBuf::from(text);
    let is_plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && path.file_name().is_some() && is_plain {
        Ok(Some(path))
    } else {
        Err("expected an absolute path without `..`, or off".into())
    }
}

/// Whether only this host can reach it.
pub fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// How often metrics are sent; `None`: never.
pub fn metrics_interval(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    let interval = units::duration(text)?;
    if (SHORTEST_METRICS..=LONGEST_INTERVAL).contains(&interval) {
        Ok(Some(interval))
    } else {
        Err("from 1s to 1h".into())
    }
}

/// A share of one core that a daemon can do with, and that means something.
pub fn cpu_limit(share: f64) -> Result<f64, String> {
    if (0.0001..=1.0).contains(&share) {
        Ok(share)
    } else {
        Err("the daemon's share of one core is from 0.01% to 100%".into())
    }
}

/// Bytes of memory, likewise.
pub fn memory_limit(bytes: u64) -> Result<u64, String> {
    if (1 << 20..=16 << 30).contains(&bytes) {
        Ok(bytes)
    } else {
        Err("the daemon's memory is from 1MiB to 16GiB".into())
    }
}

/// Room for some thousand events at least, and for no more than a disk has.
pub fn spool_max(bytes: u64) -> Result<u64, String> {
    const SMALLEST: u64 = 1 << 20;
    const LARGEST: u64 = 1 << 40;
    if (SMALLEST..=LARGEST).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("events take from 1MiB to 1TiB on disk, not {bytes} bytes"))
    }
}

/// Room for some blocks at least, and for no more than a disk has.
pub fn measures_max(bytes: u64) -> Result<u64, String> {
    const SMALLEST: u64 = 4 << 20;
    const LARGEST: u64 = 1 << 40;
    if (SMALLEST..=LARGEST).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("the history of measures takes from 4MiB to 1TiB on disk, not {bytes} bytes"))
    }
}

/// Bytes a second with which a backlog gets smaller at all.
pub fn catch_up(rate: u64) -> Result<u64, String> {
    const SLOWEST: u64 = 10 << 10;
    if rate >= SLOWEST { Ok(rate) } else { Err("less than 10KiB/s never catches up".into()) }
}

/// A path that fits into a socket's address.
pub fn socket(path: PathBuf) -> Result<PathBuf, String> {
    match path.as_os_str().len() {
        0 => Err("the socket's path is empty".into()),
        length if length > SOCKET_PATH_MAX => {
            Err(format!("a socket's path has at most {SOCKET_PATH_MAX} bytes, this one has {length}"))
        }
        _ => Ok(path),
    }
}
