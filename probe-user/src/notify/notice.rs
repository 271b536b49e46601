//! One alarm's event on its way to destinations, and how it is written in the journal.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::event::{Alarm, AlarmTurn};

/// An event that some destinations are to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Notice {
    pub(super) facts: Facts,
    /// Its JSON, as EVENTS.md has it, without a newline.
    pub(super) event: Bytes,
}

/// What the event's JSON does not say, or not readily.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Facts {
    /// The event's.
    pub(super) id: String,
    pub(super) key: Key,
    /// The alarm is on after it.
    pub(super) firing: bool,
    /// It was on before.
    pub(super) repeated: bool,
    /// Destinations, in the order of the policy.
    pub(super) to: Vec<Arc<str>>,
}

/// An alarm, whatever it does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) alarm: Arc<str>,
    pub(super) instance: Option<Arc<str>>,
}

impl Notice {
    /// `line` is the event as it goes to every way out, with or without its newline.
    pub(super) fn new(alarm: &Alarm, id: &str, line: &Bytes) -> Self {
        let length = line.len() - usize::from(line.ends_with(b"\n"));
        let facts = Facts {
            id: id.to_owned(),
            key: Key { alarm: Arc::clone(&alarm.name), instance: alarm.instance.clone() },
            firing: alarm.turn != AlarmTurn::Resolved,
            repeated: alarm.turn == AlarmTurn::Repeated,
            to: alarm.notify.clone(),
        };
        Self { facts, event: line.slice(..length) }
    }

    /// What it takes in memory, about.
    pub(super) fn cost(&self) -> usize {
        self.event.len() + self.facts.id.len() + 256
    }
}

/// A line of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A notice is to be delivered to these; the alarm is (or is not) on from here on.
    Notice { notice: Arc<Notice>, left: Vec<Arc<str>>, active: bool },
    /// A destination has a notice, or will never have it.
    Done { to: Arc<str>, id: String },
}

/// The first part of a notice's line; the event itself follows behind a tab, which JSON never holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    facts: Facts,
    left: Vec<Arc<str>>,
    active: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Done {
    done: String,
    to: Arc<str>,
}

impl Line {
    /// As text with its newline.
    pub(super) fn write(&self, text: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Notice { notice, left, active } => {
                let head = Head { facts: notice.facts.clone(), left: left.clone(), active: *active };
                serde_json::to_writer(&mut *text, &head)?;
                text.push(b'\t');
                text.extend_from_slice(&notice.event);
            }
            Self::Done { to, id } => {
                serde_json::to_writer(&mut *text, &Done { done: id.clone(), to: Arc::clone(to) })?;
            }
        }
        text.push(b'\n');
        Ok(())
    }

    /// From text without its newline.
    pub(super) fn read(text: &[u8]) -> Option<Self> {
        let Some(tab) = text.iter().position(|byte| *byte == b'\t') else {
            let Done { done, to } = serde_json::from_slice(text).ok()?;
            return Some(Self::Done { to, id: done });
        };
        let (head, event) = (text.get(..tab)?, text.get(tab + 1..)?);
        let Head { facts, left, active } = serde_json::from_slice(head).ok()?;
        serde_json::from_slice::<serde::de::IgnoredAny>(event).ok()?;
        let event = Bytes::copy_from_slice(event);
        Some(Self::Notice { notice: Arc::new(Notice { facts, event }), left, active })
    }
}
