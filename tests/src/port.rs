//! A port for a program that cannot choose one and tell which.
//!
//! The kernel gives numbers of a range of its own (32768 and up, unless told otherwise) to whoever connects or asks for any port:
//! what is free there now is taken a moment later. These lie below it, and tests side by side begin at different ones.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU32, Ordering};

const FIRST: u32 = 12_000;
const COUNT: u32 = 20_000;
/// Ports that one test binary may go through before it meets those of its neighbour.
const APART: u32 = 97;

/// On the loopback, where nobody listens now. Panics if there is none.
pub fn free() -> SocketAddr {
    static ASKED: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(APART);
    let addresses = (0..COUNT).map(|_| {
        let number = begin.wrapping_add(ASKED.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST;
        SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(number).unwrap_or(u16::MAX)))
    });
    let mut free = addresses.filter(|address| TcpListener::bind(address).is_ok());
    free.next().unwrap_or_else(|| panic!("no port below {} is free", FIRST + COUNT))
}
