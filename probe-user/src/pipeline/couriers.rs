//! The thread on which everything lives that sends to collectors.
//!
//! Turning a batch into OTLP, compressing and encrypting it takes milliseconds, many times a second under load; the
//! daemon's own task must not stand behind that, nor it behind a storm of records. The thread has a runtime of its own, is
//! started with the first collector, and sleeps while there is nothing to send. A thread that cannot be started leaves
//! everything on the daemon's own runtime: slower, and whole.

use std::io;
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, EnterGuard, Handle};
use tokio::sync::oneshot;

/// The thread, once there is a need for it.
#[derive(Debug, Default)]
pub(super) struct Couriers(Option<Running>);

#[derive(Debug)]
struct Running {
    handle: Handle,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Couriers {
    /// What is spawned while the guard lives is spawned there.
    pub(super) fn enter(&mut self) -> Option<EnterGuard<'_>> {
        if self.0.is_none() {
            match Running::start() {
                Ok(running) => self.0 = Some(running),
                Err(error) => tracing::warn!(%error, "collectors have no thread of their own"),
            }
        }
        self.0.as_ref().map(|running| running.handle.enter())
    }
}

impl Running {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new().name("couriers".into()).spawn(move || {
            // The sender's end is an end, too.
            let _ = runtime.block_on(stopped);
            // A read of the spool may be under way on a disk that stands still: nobody waits for it any more.
            runtime.shutdown_background();
        })?;
        Ok(Self { handle, stop, thread })
    }
}

impl Drop for Couriers {
    fn drop(&mut self) {
        if let Some(Running { stop, thread, .. }) = self.0.take() {
            let _ = stop.send(());
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spawned_inside_runs_there_until_the_end() {
        let mut couriers = Couriers::default();
        let (name, named) = std::sync::mpsc::channel();
        let guard = couriers.enter();
        let task = tokio::spawn(async move {
            let _ = name.send(thread::current().name().map(str::to_owned));
            std::future::pending::<()>().await;
        });
        drop(guard);
        assert_eq!(named.recv().unwrap().as_deref(), Some("couriers"));
        assert!(!task.is_finished());
        drop(couriers);
        assert!(task.is_finished());
    }
}
