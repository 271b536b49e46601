//! Why an alarm fires: the last starts and exits with their cause, the processes that use most, the youngest of too many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::group::{BoundState, GroupState};
use super::text;
use super::{Engine, tell};
use crate::event::{Attribute, Attributes, clean};
use crate::model::{Exit, Killer, Process};
use crate::policy::spec::{Measure, Side};
use crate::record::{Comm, ExitStatus, ProcessKey, Program};
use crate::signal;
use crate::time::KTime;

/// Most processes in an alarm's evidence, and most notes of each kind kept for it.
pub(super) const NOTES_MAX: usize = 5;

/// Most of them that the sentence names.
const NAMED_MAX: usize = 2;

/// Departures so long before a breach have nothing to do with it.
const BEFORE_BREACH: Duration = Duration::from_secs(10);

/// A member that came, is gone, or about to be.
#[derive(Clone, Debug)]
pub(super) struct Note {
    key: ProcessKey,
    program: Arc<Program>,
    comm: Comm,
    pub(super) at: KTime,
    happened: Happened,
}

#[derive(Clone, Debug)]
enum Happened {
    Started,
    Exited(Exit),
    /// The OOM killer chose it.
    Oom,
    /// It lives on outside the group.
    Left,
}

/// Keeps a note, and no more of them than are told.
pub(super) fn remember(notes: &mut VecDeque<Note>, note: Note) {
    if notes.len() >= NOTES_MAX {
        notes.pop_front();
    }
    notes.push_back(note);
}

impl Note {
    fn new(process: &Process, at: KTime, happened: Happened) -> Self {
        Self {
            key: process.key,
            program: Arc::clone(&process.program),
            comm: process.identity.comm.clone(),
            at,
            happened,
        }
    }

    /// Of a member that has just come.
    pub(super) fn started(process: &Process, at: KTime) -> Self {
        Self::new(process, at, Happened::Started)
    }

    /// Of a member that has ended.
    pub(super) fn exited(process: &Process, at: KTime) -> Self {
        let exit =
            process.exit.clone().unwrap_or(Exit { at, status: None, killer: None, oom: false, peak_rss_bytes: 0 });
        Self::new(process, exit.at, Happened::Exited(exit))
    }

    /// Of a member that the OOM killer chose.
    pub(super) fn chosen_by_oom(process: &Process, at: KTime) -> Self {
        Self::new(process, at, Happened::Oom)
    }

    /// Of a process that is no member any more.
    pub(super) fn left(process: &Process, at: KTime) -> Self {
        Self::new(process, at, Happened::Left)
    }

    fn name(&self) -> String {
        program(&self.program.exe, &self.comm)
    }

    fn says(&self, engine: &Engine) -> String {
        let tgid = self.key.tgid;
        match &self.happened {
            Happened::Started => format!("{tgid} started: {}", engine.command(&self.program)),
            Happened::Exited(exit) => format!("{tgid} {}", end_of(exit)),
            Happened::Oom => format!("{tgid} ({}) chosen by the OOM killer", clean(&self.comm)),
            Happened::Left => format!("{tgid} left the group and runs {}", self.name()),
        }
    }

    fn attributes(&self, engine: &Engine) -> Attributes {
        let mut attributes = Attributes::default();
        attributes.put("process.pid", self.key.tgid);
        attributes.put("process.executable.path", clean(&self.program.exe));
        attributes.put("process.executable.name", self.name());
        match &self.happened {
            Happened::Started => engine.put_args(&mut attributes, &self.program),
            Happened::Exited(exit) => put_exit(&mut attributes, exit),
            Happened::Oom => {
                attributes.put("oom", true);
            }
            Happened::Left => {
                attributes.put("left", true);
            }
        }
        attributes.put_attribute("time", Attribute::Time(self.at));
        attributes
    }
}

/// The file's name, or the comm of what has none.
pub(super) fn program(exe: &str, comm: &str) -> String {
    let name = exe.rsplit('/').next().unwrap_or_default();
    clean(if name.is_empty() { comm } else { name })
}

/// `exited with code 1`, `killed by SIGKILL from 99 (bash)`.
pub(super) fn end_of(exit: &Exit) -> String {
    let cause = match exit.status {
        None => "ended unseen".to_owned(),
        Some(ExitStatus::Code(code)) => format!("exited with code {code}"),
        Some(ExitStatus::Signal { number, core_dumped }) => {
            let core = if core_dumped { " (core dumped)" } else { "" };
            format!("killed by {}{core}", signal::name(number))
        }
    };
    match &exit.killer {
        _ if exit.oom => "killed by the OOM killer".to_owned(),
        Some(Killer { pid, comm, .. }) => format!("{cause} from {pid} ({})", clean(comm)),
        None => cause,
    }
}

/// Code or signal, who sent it, and whether the OOM killer did.
pub(super) fn put_exit(attributes: &mut Attributes, exit: &Exit) {
    match exit.status {
        Some(ExitStatus::Code(code)) => {
            attributes.put("process.exit.code", code);
        }
        Some(ExitStatus::Signal { number, core_dumped }) => {
            attributes.put("process.exit.signal", signal::name(number));
            attributes.put("process.exit.core_dumped", core_dumped);
        }
        None => {}
    }
    if let Some(killer) = &exit.killer {
        attributes.put("killer.pid", killer.pid);
        attributes.put("killer.user.id", killer.uid);
        attributes.put("killer.command", clean(&killer.comm));
    }
    attributes.put("oom", exit.oom);
}

/// What speaks for an alarm: a clause for its sentence, and the processes.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    pub(super) clause: Option<String>,
    pub(super) list: Vec<Attributes>,
}

impl Engine {
    /// The evidence of a group's bound whose breach began at `since`, gathered at `at`.
    pub(super) fn evidence(&self, group: &GroupState, bound: &BoundState, since: KTime, at: KTime) -> Evidence {
        let measure = bound.spec.measure;
        let within = at.before(bound.spec.within);
        match measure {
            Measure::OomKills => self.of_notes(group.victims.iter(), within),
            // What started, and how what started before ended.
            Measure::Starts => {
                let ended = |note: &&Note| group.departed.iter().any(|gone| gone.key == note.key);
                let living = group.arrived.iter().filter(|note| !ended(note));
                let mut notes: Vec<&Note> = living.chain(group.departed.iter()).collect();
                notes.sort_by_key(|note| note.at);
                self.of_notes(notes.into_iter(), within)
            }
            Measure::Exits => self.of_notes(group.departed.iter(), within),
            Measure::Failures => {
                let failed = |note: &&Note| match &note.happened {
                    Happened::Exited(exit) => exit.status.is_some_and(ExitStatus::is_failure),
                    Happened::Started | Happened::Oom | Happened::Left => false,
                };
                self.of_notes(group.departed.iter().filter(failed), within)
            }
            Measure::Count if bound.spec.side == Side::Min => {
                self.of_notes(group.departed.iter(), since.before(BEFORE_BREACH))
            }
            Measure::Count => self.youngest(group),
            Measure::Threads
            | Measure::Cpu
            | Measure::CpuWait
            | Measure::Memory
            | Measure::Read
            | Measure::Write
            | Measure::Age => self.largest(group, measure),
            // Not of a group.
            _ => Evidence::default(),
        }
    }

    /// Of too many processes, those that came last.
    fn youngest(&self, group: &GroupState) -> Evidence {
        let mut keys: Vec<ProcessKey> = group.members.iter().collect();
        keys.sort_unstable_by_key(|key| std::cmp::Reverse((key.start, key.tgid)));
        let processes = keys.iter().take(NOTES_MAX).filter_map(|key| self.table.get(*key));
        let list: Vec<Attributes> = processes
            .map(|process| {
                let mut attributes = tell::brief(process);
                attributes.put_attribute("process.creation.time", Attribute::BootTime(process.identity.start_boot_ns));
                attributes
            })
            .collect();
        Evidence { clause: None, list }
    }

    /// The members that use most.
    fn largest(&self, group: &GroupState, measure: Measure) -> Evidence {
        let values = group.members.iter().filter_map(|key| Some((self.member_value(key, measure)?, key)));
        let mut users: Vec<(f64, ProcessKey)> = values.filter(|(value, _)| *value > 0.0).collect();
        users.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        users.truncate(NOTES_MAX);
        let first = users.first().and_then(|(value, key)| Some((*value, self.table.get(*key)?)));
        let clause = first.map(|(value, process)| {
            let name = program(&process.program.exe, &process.identity.comm);
            let unit = if measure == Measure::Threads { " threads" } else { "" };
            format!("most by {} ({name}): {}{unit}", process.key.tgid, text::amount(measure, value, 2))
        });
        let list = users
            .iter()
            .filter_map(|(value, key)| {
                let mut attributes = tell::brief(self.table.get(*key)?);
                attributes.put("value", tell::number(*value));
                Some(attributes)
            })
            .collect();
        Evidence { clause, list }
    }
    /// The newest notes since `from`; the sentence names the last few, newest first.
    fn of_notes<'a>(&self, notes: impl DoubleEndedIterator<Item = &'a Note>, from: KTime) -> Evidence {
        let recent: Vec<&Note> = notes.rev().filter(|note| note.at >= from).take(NOTES_MAX).collect();
        let mut named: Vec<String> = recent.iter().take(NAMED_MAX).map(|note| note.says(self)).collect();
        if recent.len() > NAMED_MAX {
            named.push(format!("{} more", recent.len() - NAMED_MAX));
        }
        let clause = (!named.is_empty()).then(|| named.join(", "));
        Evidence { clause, list: recent.iter().map(|note| note.attributes(self)).collect() }
    }
}
