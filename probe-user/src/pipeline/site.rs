//! This host among its peers: their thread from the daemon's side, and what it is told of the way to the collectors.
//!
//! Sockets and the raw socket of echoes are opened before capabilities are dropped. A key that cannot be used is a wrong
//! configuration and ends the start; a port that is taken is told as degraded, for processes are watched all the same.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::PipelineError;
use crate::config::{Config, load::Prepared};
use crate::engine::Input;
use crate::event::Host;
use crate::peers::{Begin, OpenError, Opened, Peers, PeersReport, Reach, Reload, Summary, Why, own_words, shared_keys};
use crate::time::KTime;

/// A collector that has taken nothing for so long counts as lost: the others may speak for this host then.
const LOST_AFTER: Duration = Duration::from_secs(10);

/// The peers' thread, if there is one.
#[derive(Debug, Default)]
pub(super) struct Site {
    peers: Option<Peers>,
    reaching: Reaching,
}

/// What is opened and not begun.
#[derive(Debug, Default)]
pub(super) struct Prospect(Option<Opened>);

impl Prospect {
    /// Gets what takes privileges, where peers are configured. What is degraded goes to `notes`.
    pub(super) fn open(config: &Config, notes: &mut Vec<String>) -> Result<Self, PipelineError> {
        let Some(peers) = &config.peers else { return Ok(Self(None)) };
        match Opened::open(peers, &config.state_dir) {
            Ok((opened, told)) => {
                notes.extend(told);
                Ok(Self(Some(opened)))
            }
            Err(error) if error.is_about_the_configuration() => Err(error.into()),
            Err(error) => {
                notes.push(format!("{error}: this host is no member of its site"));
                Ok(Self(None))
            }
        }
    }

    /// Starts the thread.
    pub(super) fn begin(self, host: Host, config: &Config, feed: mpsc::Sender<Input>, notes: &mut Vec<String>) -> Site {
        let Self(Some(opened)) = self else { return Site::default() };
        match opened.begin(Begin::new(host, &config.node, feed)) {
            Ok((peers, told)) => {
                notes.extend(told);
                Site { peers: Some(peers), reaching: Reaching::default() }
            }
            Err(error) => {
                notes.push(format!("the peers have no thread ({error}): this host is no member of its site"));
                Site::default()
            }
        }
    }
}

impl Site {
    /// What policies want and the configuration does not have.
    pub(super) fn lacks(prepared: &Prepared) -> Option<String> {
        let wanted = !prepared.policies.peers.is_empty() && prepared.config.peers.is_none();
        wanted.then(|| "policies are about peers, and `peers` is not configured: nothing is said of them".to_owned())
    }

    /// How the ways to the collectors stand: for how long each has taken nothing, if it does not, and whether it has ever
    /// taken anything.
    pub(super) fn look(&mut self, now: KTime, ways: &[(Option<Duration>, bool)]) {
        if let (Some(peers), Some(reach)) = (&self.peers, self.reaching.look(now, ways)) {
            peers.reach(reach);
        }
    }

    /// When to look again, unless a way turns before.
    pub(super) fn next_look(&self) -> Option<KTime> {
        self.peers.as_ref().and(self.reaching.next)
    }

    /// The settings that a reload brings, with keys that can be used; `Err` keeps what is in force.
    pub(super) fn want(&self, config: &Config) -> Result<Option<Reload>, OpenError> {
        let (Some(_), Some(peers)) = (&self.peers, &config.peers) else { return Ok(None) };
        let keys = shared_keys(&peers.key_files)?;
        let (zone, labels) = own_words(&config.node);
        Ok(Some(Reload { join: peers.join.clone(), keys, zone, labels }))
    }

    /// These from now on.
    pub(super) fn reload(&self, reload: Option<Reload>) {
        if let (Some(peers), Some(reload)) = (&self.peers, reload) {
            peers.reload(reload);
        }
    }

    /// In a few numbers; `None` where there are no peers.
    pub(super) fn summary(&self) -> Option<Summary> {
        self.peers.as_ref().map(Peers::summary)
    }

    /// Has everything sent there.
    pub(super) fn report(&self, reply: oneshot::Sender<Option<PeersReport>>) {
        match &self.peers {
            Some(peers) => peers.report(reply),
            None => drop(reply.send(None)),
        }
    }

    /// The last words.
    pub(super) async fn leave(&mut self) {
        if let Some(peers) = self.peers.take() {
            peers.leave(why(Path::new("/run")).await).await;
        }
    }
}

/// How long the manager may take to say what it is about.
const SAID_WITHIN: Duration = Duration::from_secs(1);

/// Why the daemon ends: the whole host goes down to come back, as far as the manager says so.
async fn why(run: &Path) -> Why {
    if is_scheduled(run) {
        return Why::Reboot;
    }
    if !run.join("systemd/system").is_dir() {
        return Why::Stop;
    }
    let asked = tokio::task::spawn_blocking(|| {
        Command::new("systemctl").args(["list-jobs", "--no-legend", "--plain"]).stdin(Stdio::null()).output()
    });
    match tokio::time::timeout(SAID_WITHIN, asked).await {
        Ok(Ok(Ok(output))) if is_rebooting(&String::from_utf8_lossy(&output.stdout)) => Why::Reboot,
        _ => Why::Stop,
    }
}

/// `shutdown -r` with a time leaves word of it.
fn is_scheduled(run: &Path) -> bool {
    let scheduled = std::fs::read_to_string(run.join("systemd/shutdown/scheduled")).unwrap_or_default();
    let mode = scheduled.lines().find_map(|line| line.strip_prefix("MODE="));
    mode.is_some_and(|mode| matches!(mode, "reboot" | "kexec" | "soft-reboot"))
}

/// Whether a job of the manager's is the start of a reboot.
fn is_rebooting(jobs: &str) -> bool {
    let units = jobs.lines().flat_map(str::split_whitespace);
    units.into_iter().any(|word| matches!(word, "reboot.target" | "kexec.target" | "soft-reboot.target"))
}

/// Whether the collectors are within reach, from how each way stands. Pure.
#[derive(Debug, Default)]
struct Reaching {
    told: Reach,
    next: Option<KTime>,
}

impl Reaching {
    /// What is news.
    fn look(&mut self, now: KTime, ways: &[(Option<Duration>, bool)]) -> Option<Reach> {
        let longest = ways.iter().filter_map(|(unreached, _)| *unreached).max();
        let reach = match longest {
            Some(longest) if longest >= LOST_AFTER => Reach::Lost,
            // Too early to tell: what was told holds.
            Some(_) => self.told,
            None if ways.iter().any(|(_, taken)| *taken) => Reach::Reached,
            None => Reach::Unknown,
        };
        self.next = longest
            .and_then(|longest| LOST_AFTER.checked_sub(longest))
            .filter(|left| !left.is_zero())
            .map(|left| now.after(left));
        (std::mem::replace(&mut self.told, reach) != reach).then_some(reach)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_is_lost_after_some_time_and_back_at_once() {
        let mut reaching = Reaching::default();
        let mut look = |at: u64, ways: &[(Option<u64>, bool)]| {
            let ways: Vec<_> = ways.iter().map(|(secs, taken)| (secs.map(Duration::from_secs), *taken)).collect();
            (reaching.look(KTime::from_secs(at), &ways), reaching.next.map(|next| next.0 / 1_000_000_000))
        };
        assert_eq!(look(1, &[]), (None, None));
        assert_eq!(look(1, &[(None, false)]), (None, None));
        assert_eq!(look(2, &[(None, true)]), (Some(Reach::Reached), None));
        assert_eq!(look(5, &[(Some(1), true)]), (None, Some(14)));
        assert_eq!(look(14, &[(Some(10), true)]), (Some(Reach::Lost), None));
        assert_eq!(look(20, &[(Some(16), true), (None, true)]), (None, None));
        assert_eq!(look(30, &[(None, true), (Some(1), true)]), (None, Some(39)));
        assert_eq!(look(31, &[(None, true), (None, true)]), (Some(Reach::Reached), None));
        // All collectors are gone from the configuration.
        assert_eq!(look(32, &[]), (Some(Reach::Unknown), None));
    }

    #[tokio::test]
    async fn a_reboot_is_told_from_a_stop() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(why(run.path()).await, Why::Stop);
        std::fs::create_dir_all(run.path().join("systemd/shutdown")).unwrap();
        let scheduled = run.path().join("systemd/shutdown/scheduled");
        for (text, expected) in
            [("USEC=1\nMODE=reboot\n", Why::Reboot), ("MODE=poweroff\n", Why::Stop), ("", Why::Stop)]
        {
            std::fs::write(&scheduled, text).unwrap();
            assert_eq!(why(run.path()).await, expected, "{text}");
        }
        assert!(is_rebooting("12 reboot.target start waiting\n13 procprobe.service stop running\n"));
        assert!(!is_rebooting("12 poweroff.target start waiting\n") && !is_rebooting(""));
    }
}
