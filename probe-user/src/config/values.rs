//! Checks that the file and the flags share.

use std::net::SocketAddr;
use std::path::PathBuf;
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
