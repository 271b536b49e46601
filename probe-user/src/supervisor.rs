//! The service manager that started the daemon: it is told when the daemon holds the host against its policies, reads them
//! anew, ends, and where it keeps a watchdog, that the daemon is alive.
//!
//! As systemd defines it (sd_notify(3)): datagrams to the socket that `NOTIFY_SOCKET` names. Where there is none, nobody is
//! told. What cannot be told ends nothing: a manager that misses it too long restarts the daemon, which is what it is for.

use std::time::Duration;

use sd_notify::NotifyState;

/// Whoever watches over the daemon.
#[derive(Debug)]
pub struct Supervisor {
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As the environment says.
    pub fn from_environment() -> Self {
        Self { watchdog: sd_notify::watchdog_enabled().filter(|watchdog| !watchdog.is_zero()) }
    }

    /// How often it must hear that the daemon is alive: in half of its watchdog's time (sd_watchdog_enabled(3)), at most
    /// `at_most` apart. None without a watchdog.
    pub fn alive_every(&self, at_most: Duration) -> Option<Duration> {
        self.watchdog.map(|watchdog| (watchdog / 2).min(at_most))
    }

    /// Everything is attached and loaded; `status` is one line for people.
    pub fn ready(&self, status: &str) {
        tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Policies are read anew, until [`Self::ready`].
    pub fn reloading(&self) {
        // The time lets a manager tell the reload it asked for from an earlier one.
        let time = NotifyState::monotonic_usec_now().ok();
        let states: Vec<NotifyState<'_>> = [Some(NotifyState::Reloading), time].into_iter().flatten().collect();
        tell(&states);
    }

    /// The daemon tells what it knows, and ends.
    pub fn stopping(&self) {
        tell(&[NotifyState::Stopping]);
    }

    /// The pipeline goes round.
    pub fn alive(&self) {
        if self.watchdog.is_some() {
            tell(&[NotifyState::Watchdog]);
        }
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!("the service manager is not told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watchdog_hears_twice_in_its_time() {
        let check = |watchdog: Option<u64>, expected: Option<u64>| {
            let supervisor = Supervisor { watchdog: watchdog.map(Duration::from_secs) };
            assert_eq!(supervisor.alive_every(Duration::from_secs(30)), expected.map(Duration::from_secs));
        };
        check(None, None);
        check(Some(10), Some(5));
        check(Some(60), Some(30));
        check(Some(600), Some(30));
    }
}
