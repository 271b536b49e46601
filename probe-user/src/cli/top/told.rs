//! Events as they come, of which the last few are kept.

use std::collections::{HashSet, VecDeque};

use serde::Deserialize;

/// Most events that are kept.
pub(super) const KEPT_MAX: usize = 2000;

/// One event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) id: String,
    /// RFC 3339.
    pub(super) time: String,
    pub(super) severity: String,
    pub(super) name: String,
    pub(super) body: String,
    pub(super) attributes: Facts,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Facts {
    #[serde(rename = "process.uptime")]
    pub(super) lived_seconds: Option<f64>,
    #[serde(rename = "process.cpu.time")]
    pub(super) cpu_seconds: Option<f64>,
}

impl Told {
    /// A line of the stream; `None` for what is not worth a line on a screen, or cannot be understood.
    pub(super) fn of(line: &[u8]) -> Option<Self> {
        let told: Self = serde_json::from_slice(line).ok()?;
        (told.name != crate::event::name::AGENT_HEARTBEAT).then_some(told)
    }

    /// `process.exit`, without what all names begin with.
    pub(super) fn kind(&self) -> &str {
        self.name.strip_prefix("procprobe.").unwrap_or(&self.name)
    }
}

/// The last events, the newest first. One that comes again (after a connection was lost) is kept once.
#[derive(Debug, Default)]
pub(super) struct Recent {
    events: VecDeque<Told>,
    ids: HashSet<String>,
    /// Those that came faster than they could be shown.
    pub(super) missed: u64,
}

impl Recent {
    pub(super) fn add(&mut self, told: Told) {
        if !self.ids.insert(told.id.clone()) {
            return;
        }
        self.events.push_front(told);
        if self.events.len() > KEPT_MAX
            && let Some(oldest) = self.events.pop_back()
        {
            self.ids.remove(&oldest.id);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Told> {
        self.events.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_event_or_a_heartbeat_is_left_out() {
        assert!(Told::of(b"nonsense").is_none());
        assert!(Told::of(br#"{"name":"procprobe.agent.heartbeat"}"#).is_none());
        let told =
            Told::of(br#"{"name":"procprobe.process.exit","attributes":{"process.uptime":0.5,"x":[1]}}"#).unwrap();
        assert_eq!((told.kind(), told.attributes.lived_seconds), ("process.exit", Some(0.5)));
    }

    #[test]
    fn each_is_kept_once_and_the_oldest_go() {
        let mut recent = Recent::default();
        for number in (0..KEPT_MAX + 10).chain(KEPT_MAX..KEPT_MAX + 10) {
            recent.add(Told { id: number.to_string(), ..Told::default() });
        }
        assert_eq!((recent.events.len(), recent.ids.len()), (KEPT_MAX, KEPT_MAX));
        assert_eq!(recent.iter().next().unwrap().id, (KEPT_MAX + 9).to_string());
        assert_eq!(recent.iter().last().unwrap().id, "10");
    }
}
