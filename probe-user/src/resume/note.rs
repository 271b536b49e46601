//! What the daemon notes in the tail beside the records: which events it has given a number, and what they said that the
//! next daemon must know. A note counts when its event was accepted; until then the event may still be lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Map;

use crate::engine::{KEPT, Standing};
use crate::event::{AlarmTurn, Attribute, Event, name};

/// One note.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Note {
    /// A run began: what an earlier one had numbered beyond `accepted` was never accepted, and numbers go on at `first`.
    Run { accepted: u64, first: u64 },
    /// An event that a record leads to got this number.
    Told { seq: u64, mark: u64 },
    /// An event with more to it.
    Said { seq: u64, what: Said },
}

/// What an event said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// An alarm is on.
    On(Standing),
    /// It is over.
    Off(AlarmKey),
    /// The kernel side lost so many records for this reason.
    Lost(String, u64),
}

/// What an alarm is known by: the name of its bound and what of the bound's set.
pub(super) type AlarmKey = (Arc<str>, Option<Arc<str>>);

/// What is on.
pub(super) type Alarms = BTreeMap<AlarmKey, Standing>;

const RUN: u8 = 1;
const TOLD: u8 = 2;
const SAID: u8 = 3;

impl Note {
    /// Of an event that gets this number; `None`: nobody needs to know of it.
    pub(super) fn of(seq: u64, event: &Event) -> Option<Self> {
        if let Some(what) = Said::of(event) {
            return Some(Self::Said { seq, what });
        }
        mark(event).map(|mark| Self::Told { seq, mark })
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let numbers = |tag: u8, a: u64, b: u64| [&[tag][..], &a.to_le_bytes(), &b.to_le_bytes()].concat();
        match self {
            Self::Run { accepted, first } => numbers(RUN, *accepted, *first),
            Self::Told { seq, mark } => numbers(TOLD, *seq, *mark),
            Self::Said { seq, what } => {
                let json = serde_json::to_vec(what).unwrap_or_default();
                [&[SAID][..], &seq.to_le_bytes(), &json].concat()
            }
        }
    }

    /// `None`: no note of this program.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        let (a, rest) = rest.split_first_chunk::<8>()?;
        let a = u64::from_le_bytes(*a);
        let b = || rest.first_chunk::<8>().map(|b| u64::from_le_bytes(*b));
        Some(match *tag {
            RUN => Self::Run { accepted: a, first: b()? },
            TOLD => Self::Told { seq: a, mark: b()? },
            SAID => Self::Said { seq: a, what: serde_json::from_slice(rest).ok()? },
            _ => return None,
        })
    }
}

impl Said {
    pub(super) fn of(event: &Event) -> Option<Self> {
        if let Some(alarm) = &event.alarm {
            if alarm.turn == AlarmTurn::Resolved {
                return Some(Self::Off((Arc::clone(&alarm.name), alarm.instance.clone())));
            }
            let since = event.attributes.0.iter().find_map(|(name, value)| match value {
                Attribute::Time(at) if *name == "since" => Some(at.0),
                _ => None,
            });
            let kept = KEPT.into_iter().filter_map(|name| Some((name.to_owned(), event.attributes.get(name)?.clone())));
            return Some(Self::On(Standing {
                name: Arc::clone(&alarm.name),
                instance: alarm.instance.clone(),
                since: since.unwrap_or(event.at.0),
                value: event.attributes.get("value").and_then(serde_json::Value::as_f64),
                notified: !alarm.notify.is_empty(),
                severity: event.severity.as_str().to_owned(),
                facts: kept.collect::<Map<_, _>>(),
            }));
        }
        let of_kernel = || event.attributes.get("where").is_some_and(|place| place == "kernel");
        if event.name != name::AGENT_LOST || !of_kernel() {
            return None;
        }
        let reason = event.attributes.get("reason")?.as_str()?.to_owned();
        Some(Self::Lost(reason, event.attributes.get("count")?.as_u64()?))
    }

    /// What is on, and what was told lost, after it.
    pub(super) fn apply(self, alarms: &mut Alarms, lost: &mut BTreeMap<String, u64>) {
        match self {
            Self::On(alarm) => drop(alarms.insert((Arc::clone(&alarm.name), alarm.instance.clone()), alarm)),
            Self::Off(key) => drop(alarms.remove(&key)),
            Self::Lost(reason, count) => {
                let total = lost.entry(reason).or_default();
                *total = total.saturating_add(count);
            }
        }
    }
}

/// What an event of a process is known by, whoever tells it: the same records lead to the same mark. `None` for events that
/// records alone do not lead to.
pub(super) fn mark(event: &Event) -> Option<u64> {
    let of_record = event.name.starts_with("procprobe.process.")
        || matches!(event.name, name::JOB_STARTED | name::JOB_SUCCEEDED | name::JOB_FAILED | name::JOB_OVERLAPPED);
    if !of_record {
        return None;
    }
    let pid = event.attributes.get("process.pid")?.as_u64()?;
    let start = event.attributes.0.iter().find_map(|(_, value)| match value {
        Attribute::BootTime(start) => Some(*start),
        _ => None,
    });
    let job = event.attributes.get("job.name").and_then(serde_json::Value::as_str).unwrap_or_default();
    // A process ends once, whenever that was noticed.
    let at = if event.name == name::PROCESS_EXIT { 0 } else { event.at.0 };
    let numbers = [pid, start.unwrap_or_default(), at].map(u64::to_le_bytes).concat();
    Some(fnv(&[event.name.as_bytes(), b"\0", job.as_bytes(), b"\0", &numbers]))
}

/// FNV-1a: nobody can make use of two processes with one mark, and it is the same in every build.
fn fnv(parts: &[&[u8]]) -> u64 {
    let bytes = parts.iter().flat_map(|part| part.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Alarm, Attributes, Severity};
    use crate::time::KTime;

    fn event(name: &'static str, at: u64, pid: u32, start: u64) -> Event {
        let mut attributes = Attributes::default();
        attributes.put("process.pid", pid).put_attribute("process.creation.time", Attribute::BootTime(start));
        Event { name, severity: Severity::Info, at: KTime(at), body: String::new(), attributes, alarm: None }
    }

    fn alarm(turn: AlarmTurn) -> Event {
        let mut event = event(name::POLICY_FIRING, 90, 7, 5);
        event.severity = Severity::Critical;
        event.attributes.put("policy.name", "web").put("value", 3).put_attribute("since", Attribute::Time(KTime(80)));
        let (name, instance) = ("web.count.max".into(), Some("7".into()));
        event.alarm = Some(Box::new(Alarm { name, instance, turn, notify: Vec::new() }));
        event
    }

    #[test]
    fn every_note_is_read_as_it_was_written() {
        let mut lost = event(name::AGENT_LOST, 1, 0, 0);
        lost.attributes.put("where", "kernel").put("reason", "ring_full").put("count", 9);
        let events = [event(name::PROCESS_EXIT, 1, 7, 5), alarm(AlarmTurn::Fired), alarm(AlarmTurn::Resolved), lost];
        let notes = events.iter().map(|event| Note::of(12, event).unwrap());
        for note in notes.chain([Note::Run { accepted: 4, first: 4097 }]) {
            assert_eq!(Note::read(&note.write()), Some(note));
        }
        for hostile in [&[][..], &[TOLD], &[9; 17], &[SAID, 0, 0, 0, 0, 0, 0, 0, 0, b'{']] {
            assert_eq!(Note::read(hostile), None);
        }
    }

    proptest::proptest! {
        /// Whatever lies there is a note or none; what is one is written as it was read.
        #[test]
        fn hostile_bytes_are_a_note_or_none(tag in 0..5_u8, rest in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40)) {
            let bytes = [&[tag][..], &rest].concat();
            if let Some(note) = Note::read(&bytes) {
                proptest::prop_assert_eq!(Note::read(&note.write()), Some(note));
            }
            for cut in 0..bytes.len() {
                Note::read(&bytes[..cut]);
            }
        }
    }

    #[test]
    fn alarms_are_what_was_said_last_of_each() {
        let (mut alarms, mut lost) = (Alarms::new(), BTreeMap::new());
        let mut say = |event: &Event| Said::of(event).unwrap().apply(&mut alarms, &mut lost);
        say(&alarm(AlarmTurn::Fired));
        say(&alarm(AlarmTurn::Repeated));
        let on = alarms.values().next().unwrap();
        assert_eq!((alarms.len(), on.since, on.value, &*on.severity), (1, 80, Some(3.0), "critical"));
        assert_eq!(on.facts["policy.name"], "web");
        Said::of(&alarm(AlarmTurn::Resolved)).unwrap().apply(&mut alarms, &mut lost);
        assert!(alarms.is_empty());
    }

    #[test]
    fn a_mark_tells_processes_and_execs_apart_and_knows_an_exit_again() {
        let start = |at| mark(&event(name::PROCESS_START, at, 7, 5));
        let exit = |at, pid, boot| mark(&event(name::PROCESS_EXIT, at, pid, boot));
        assert_ne!(start(1), start(2));
        assert_eq!(exit(1, 7, 5), exit(2, 7, 5));
        assert_ne!(exit(1, 7, 5), exit(1, 8, 5));
        assert_ne!(exit(1, 7, 5), exit(1, 7, 6));
        assert_ne!(exit(0, 7, 5), mark(&event(name::PROCESS_FORK, 0, 7, 5)));
        assert_eq!(mark(&event(name::AGENT_HEARTBEAT, 0, 7, 5)), None);
    }
}
