//! Waiting for a descriptor to become readable, without a thread and without a poll.

use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};

use aya::maps::{MapData, RingBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What owns its descriptor: it is open, and the same one, for as long as the value lives. Only types for which that is
/// known are listed here; nothing outside this file can add one by accident.
pub trait Owning: AsRawFd + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for std::os::fd::OwnedFd {}
    impl Sealed for aya::maps::RingBuf<aya::maps::MapData> {}
    impl Sealed for std::net::UdpSocket {}
}

impl Owning for OwnedFd {}
impl Owning for RingBuf<MapData> {}
impl Owning for UdpSocket {}

/// A descriptor under the runtime's watch.
#[derive(Debug)]
pub struct Readable<T: AsRawFd>(AsyncFd<T>);

impl<T: Owning> Readable<T> {
    /// Must be called inside a tokio runtime.
    pub fn new(inner: T) -> io::Result<Self> {
        // SAFETY: T is `Owning`, and it is not taken out of the AsyncFd again.
        #[expect(unsafe_code, reason = "tokio asks to vouch for the descriptor, and has no safe way for foreign types")]
        let watched = unsafe { AsyncFd::register_with_interest(inner, Interest::READABLE)? };
        Ok(Self(watched))
    }

    /// Waits for the next time it becomes readable. Who is told takes out all there is: nothing is told twice.
    pub async fn ready(&self) -> io::Result<()> {
        self.0.readable().await?.clear_ready();
        Ok(())
    }

    /// What is watched.
    pub fn get_ref(&self) -> &T {
        self.0.get_ref()
    }

    /// What is watched.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}
