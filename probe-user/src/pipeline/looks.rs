//! What the recorder remembers of each process: enough to know when a second look at it brings news, and whom to watch.
//!
//! A process can change its arguments (setproctitle) and its user (setuid) without telling anyone. Which of them a policy
//! will wait for is not known yet, so all young ones are looked at, at the moments at which the engine would.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{Hash as _, Hasher as _};

use probe_common::decode::Raw;
use probe_common::record::Header;

use crate::engine::{Hope, next_look};
use crate::kernel::convert::arguments;
use crate::record::{ProcessKey, Reread, TaskRow};
use crate::time::KTime;

/// Most processes looked at in one turn; the others come in the next.
const AT_ONCE: usize = 256;

/// All processes that live, as far as the recorder knows.
#[derive(Debug, Default)]
pub(super) struct Looks {
    known: HashMap<ProcessKey, Known>,
    due: BTreeMap<KTime, Vec<ProcessKey>>,
    started: HashSet<u32>,
    ended: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Known {
    /// Of the arguments; `None` when they were never read.
    args: Option<u64>,
    uid: u32,
    /// Since when the program runs.
    since: KTime,
    /// When it is looked at next; an entry of `due` at another moment is out of date.
    look_at: Option<KTime>,
}

impl Looks {
    /// Takes in a record of the ring.
    pub(super) fn record(&mut self, raw: &Raw<'_>) {
        let header = raw.header();
        let (key, at) = (key(header), KTime(header.time));
        match raw {
            Raw::Fork(fork) => {
                let forker = ProcessKey { tgid: fork.forker_tgid, start: KTime(fork.forker_start_time) };
                let args = self.known.get(&forker).and_then(|forker| forker.args);
                self.started.insert(key.tgid);
                self.learn(key, args, fork.identity.uid, at);
            }
            Raw::Exec { exec, args, .. } => {
                self.started.insert(key.tgid);
                self.learn(key, Some(digest(&arguments(args))), exec.identity.uid, at);
            }
            Raw::Exit(_) => {
                self.known.remove(&key);
                if !self.started.remove(&key.tgid) {
                    self.ended.push(key.tgid);
                }
            }
            _ => {}
        }
    }

    pub(super) fn knows(&self, key: ProcessKey) -> bool {
        self.known.contains_key(&key)
    }

    /// A process that only a scan told of.
    pub(super) fn found(&mut self, key: ProcessKey, uid: u32, args: Option<&str>, now: KTime) {
        // Its program may be younger than it: looked at as if it were as young as the scan.
        self.learn(key, args.map(digest), uid, now);
    }

    /// Forgets what is not among the rows of a scan.
    pub(super) fn keep(&mut self, rows: &[TaskRow]) {
        let alive: HashSet<ProcessKey> = rows.iter().map(|row| row.key).collect();
        self.known.retain(|key, _| alive.contains(key));
    }

    /// The tgids of processes that started and have not ended, since the last call.
    pub(super) fn take_started(&mut self) -> Vec<u32> {
        self.started.drain().collect()
    }

    /// The tgids of processes that were there before the last call and have ended.
    pub(super) fn take_ended(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.ended)
    }

    /// When somebody is to be looked at.
    pub(super) fn next(&self) -> Option<KTime> {
        self.due.first_key_value().map(|(at, _)| *at)
    }

    /// Who is to be looked at now.
    pub(super) fn due(&mut self, now: KTime) -> Vec<ProcessKey> {
        let mut due = Vec::new();
        while let Some(entry) = self.due.first_entry().filter(|entry| *entry.key() <= now) {
            let at = *entry.key();
            for key in entry.remove() {
                let Some(known) = self.known.get_mut(&key).filter(|known| known.look_at == Some(at)) else { continue };
                known.look_at = next_look(known.since, now, Hope::Enters);
                if let Some(next) = known.look_at {
                    self.due.entry(next).or_default().push(key);
                }
                due.push(key);
            }
            if due.len() >= AT_ONCE {
                break;
            }
        }
        due
    }

    /// Whether a look told something new of a process that still lives; it is known from then on.
    pub(super) fn is_news(&mut self, key: ProcessKey, found: &Reread) -> bool {
        let Some(known) = self.known.get_mut(&key) else { return false };
        let args = Some(digest(&found.args));
        let news = known.args != args || found.uid.is_some_and(|uid| uid != known.uid);
        known.args = args;
        known.uid = found.uid.unwrap_or(known.uid);
        news
    }

    fn learn(&mut self, key: ProcessKey, args: Option<u64>, uid: u32, since: KTime) {
        let look_at = next_look(since, since, Hope::Enters);
        if let Some(at) = look_at {
            self.due.entry(at).or_default().push(key);
        }
        self.known.insert(key, Known { args, uid, since, look_at });
    }
}

fn key(header: &Header) -> ProcessKey {
    ProcessKey { tgid: header.tgid, start: KTime(header.start_time) }
}

fn digest(args: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    args.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use probe_common::record::{Exit, Fork, Identity};

    const CHILD: ProcessKey = ProcessKey { tgid: 7, start: KTime::from_secs(10) };

    fn header(time: KTime) -> Header {
        Header { tgid: CHILD.tgid, start_time: CHILD.start.0, time: time.0, ..Header::default() }
    }

    fn forked() -> Looks {
        let mut looks = Looks::default();
        let parent = ProcessKey { tgid: 1, start: KTime(5) };
        looks.found(parent, 0, Some("nginx: master"), KTime(6));
        let fork = Fork {
            header: header(CHILD.start),
            identity: Identity { uid: 33, ..Identity::default() },
            forker_tgid: 1,
            reserved: 0,
            forker_start_time: 5,
        };
        looks.record(&Raw::Fork(fork));
        looks
    }

    #[test]
    fn a_child_has_the_arguments_of_its_forker_until_it_says_otherwise() {
        let mut looks = forked();
        let says = |args: &str, uid: u32| Reread { args: args.into(), uid: Some(uid) };
        assert!(!looks.is_news(CHILD, &says("nginx: master", 33)));
        assert!(looks.is_news(CHILD, &says("nginx: worker", 33)));
        assert!(!looks.is_news(CHILD, &says("nginx: worker", 33)));
        assert!(looks.is_news(CHILD, &says("nginx: worker", 34)));
    }

    #[test]
    fn the_young_are_looked_at_and_the_dead_are_not() {
        let mut looks = forked();
        let soon = KTime(CHILD.start.0 + 400_000_000);
        assert!(looks.next().is_some_and(|at| at <= soon));
        assert!(looks.due(soon).contains(&CHILD));
        assert_eq!(looks.take_started(), [CHILD.tgid]);
        looks.record(&Raw::Exit(Exit { header: header(soon), ..Exit::default() }));
        assert_eq!(looks.take_ended(), [CHILD.tgid]);
        assert!(!looks.due(KTime::from_secs(400)).contains(&CHILD));
        assert!(!looks.is_news(CHILD, &Reread { args: "x".into(), uid: None }));
    }

    #[test]
    fn who_came_and_went_in_one_drain_is_never_watched() {
        let mut looks = forked();
        looks.record(&Raw::Exit(Exit { header: header(CHILD.start), ..Exit::default() }));
        assert!(looks.take_started().is_empty() && looks.take_ended().is_empty());
    }
}
