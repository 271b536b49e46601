//! The members of one group or job, for whoever looks at it: who they are, whose children, and what each uses now.
//!
//! Bounded: of a group with more than [`SHOWN_MAX`] members those that use most are told. Names and arguments come from
//! processes: they are cleaned, cut and redacted as in events.

use serde::{Deserialize, Serialize};

use super::Engine;
use crate::event::clean;
use crate::policy::spec::Measure;
use crate::record::ProcessKey;
use crate::time::KTime;

/// Most members that are told at a time.
pub const SHOWN_MAX: usize = 1000;

/// The members of a group at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Roster {
    /// The policy's name.
    pub name: String,
    /// It is a job: its members are those of its runs.
    pub job: bool,
    /// Members alive, of which [`SHOWN_MAX`] are told at most.
    pub members: usize,
    /// Some bound has usage sampled; else what each uses is not known.
    pub sampled: bool,
    /// By pid.
    pub processes: Vec<Member>,
}

/// One member.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its pid.
    pub pid: u32,
    /// Its parent's pid, whether that is a member or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Its user's number.
    pub uid: u32,
    /// Its user's name, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The kernel's name of it.
    pub comm: String,
    /// Path of its executable.
    pub exe: String,
    /// Its command line as far as it may be told, else the executable.
    pub command: String,
    /// Since its start.
    pub age_seconds: f64,
    /// When it started, CLOCK_BOOTTIME: with the pid it tells one process from all others.
    pub start_boot_ns: u64,
    /// Threads alive, as far as known.
    pub threads: u32,
    /// CPU that it uses, in cores; absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Resident memory; absent while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

impl Engine {
    /// The members of the group or job of this name; `None` where there is none.
    pub fn roster(&self, name: &str, now: KTime) -> Option<Roster> {
        let group = self.groups.iter().find(|group| &*group.spec.name == name)?;
        let mut keys: Vec<ProcessKey> = group.members.in_order();
        if keys.len() > SHOWN_MAX {
            keys = self.largest_members(keys);
        }
        Some(Roster {
            name: group.spec.name.to_string(),
            job: group.job.is_some(),
            members: group.members.len(),
            sampled: group.is_sampled(),
            processes: keys.into_iter().filter_map(|key| self.member(key, now)).collect(),
        })
    }

    /// Those that use most CPU, then most memory, by pid; where nothing is known those that are there longest.
    fn largest_members(&self, keys: Vec<ProcessKey>) -> Vec<ProcessKey> {
        let used = |key: ProcessKey, measure| self.watched_value(key, measure).unwrap_or_default();
        let figures = keys.into_iter().map(|key| (used(key, Measure::Cpu), used(key, Measure::Memory), key));
        let mut figures: Vec<(f64, f64, ProcessKey)> = figures.collect();
        figures.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.total_cmp(&a.1)).then(a.2.start.cmp(&b.2.start)));
        figures.truncate(SHOWN_MAX);
        let mut keys: Vec<ProcessKey> = figures.into_iter().map(|(_, _, key)| key).collect();
        keys.sort_unstable();
        keys
    }

    /// What was sampled of a process that is sampled still, for whatever group.
    fn watched_value(&self, key: ProcessKey, measure: Measure) -> Option<f64> {
        let is_watched = self.table.beside(key).is_some_and(|track| track.watch.usage);
        is_watched.then(|| self.member_value(key, measure)).flatten()
    }

    fn member(&self, key: ProcessKey, now: KTime) -> Option<Member> {
        let (process, track) = self.table.both(key)?;
        let (identity, program) = (&process.identity, &process.program);
        Some(Member {
            pid: key.tgid,
            parent: identity.parent.map(|parent| parent.tgid),
            uid: identity.uid,
            user: self.users.0.get(&identity.uid).map(|name| clean(name)),
            comm: clean(&identity.comm),
            exe: clean(&program.exe),
            command: self.command(program),
            age_seconds: now.since(key.start).as_secs_f64(),
            start_boot_ns: identity.start_boot_ns,
            threads: process.threads,
            cpu: self.watched_value(key, Measure::Cpu),
            memory_bytes: process.usage.at.filter(|_| track.watch.usage).map(|_| process.usage.rss_bytes),
        })
    }
}
