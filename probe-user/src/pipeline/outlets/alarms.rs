//! The alarms that are on, each as it was told last: with its sentence and its evidence, for whoever looks at them.
//!
//! Bounded in number and in bytes; what does not fit is counted while it is on. Alarms that an earlier daemon told are not
//! here until they are told again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::event::{Alarm, AlarmTurn};
use crate::serve::{AlarmsOn, ToldAlarm};

/// Most alarms that are kept.
const ALARMS_MAX: usize = 256;
/// Most bytes of their events.
const BYTES_MAX: usize = 1 << 20;
/// Most of those that do not fit whose names are known, so that each is counted once.
const LEFT_OUT_MAX: usize = 4096;

type Which = (Arc<str>, Option<Arc<str>>);

#[derive(Debug, Default)]
pub(super) struct Alarms {
    on: BTreeMap<Which, Bytes>,
    bytes: usize,
    left_out: BTreeSet<Which>,
}

impl Alarms {
    /// An alarm did something, and this is its event.
    pub(super) fn turn(&mut self, alarm: &Alarm, line: &Bytes) {
        let which = (Arc::clone(&alarm.name), alarm.instance.clone());
        if let Some(before) = self.on.remove(&which) {
            self.bytes -= before.len();
        }
        self.left_out.remove(&which);
        if alarm.turn == AlarmTurn::Resolved {
            return;
        }
        if self.on.len() < ALARMS_MAX && self.bytes + line.len() <= BYTES_MAX {
            self.bytes += line.len();
            self.on.insert(which, line.clone());
        } else if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.insert(which);
        }
    }

    /// All that are kept, by name, and how many are not.
    pub(super) fn report(&self) -> AlarmsOn {
        let told = |((name, instance), line): (&Which, &Bytes)| ToldAlarm {
            name: name.to_string(),
            instance: instance.as_deref().map(str::to_owned),
            event: line.clone(),
        };
        AlarmsOn { alarms: self.on.iter().map(told).collect(), left_out: self.left_out.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alarm(name: &str, instance: Option<&str>, turn: AlarmTurn) -> Alarm {
        Alarm { name: name.into(), instance: instance.map(Into::into), turn, notify: Vec::new() }
    }

    fn names(alarms: &Alarms) -> Vec<String> {
        let report = alarms.report();
        let shown = |told: &ToldAlarm| format!("{} {:?} {}", told.name, told.instance, told.event.len());
        report.alarms.iter().map(shown).chain((report.left_out > 0).then(|| format!("+{}", report.left_out))).collect()
    }

    #[test]
    fn each_alarm_is_there_once_while_it_is_on() {
        let mut alarms = Alarms::default();
        let line = |length: usize| Bytes::from(vec![b'x'; length]);
        alarms.turn(&alarm("b", None, AlarmTurn::Fired), &line(3));
        alarms.turn(&alarm("a", Some("7"), AlarmTurn::Fired), &line(1));
        alarms.turn(&alarm("a", Some("8"), AlarmTurn::Fired), &line(1));
        alarms.turn(&alarm("b", None, AlarmTurn::Repeated), &line(5));
        assert_eq!(names(&alarms), ["a Some(\"7\") 1", "a Some(\"8\") 1", "b None 5"]);
        alarms.turn(&alarm("a", Some("7"), AlarmTurn::Resolved), &line(1));
        alarms.turn(&alarm("never", None, AlarmTurn::Resolved), &line(1));
        assert_eq!(names(&alarms), ["a Some(\"8\") 1", "b None 5"]);
        assert_eq!(alarms.bytes, 6);
    }

    #[test]
    fn what_does_not_fit_is_counted_until_it_is_over() {
        let mut alarms = Alarms::default();
        let large = Bytes::from(vec![b'x'; BYTES_MAX]);
        alarms.turn(&alarm("a", None, AlarmTurn::Fired), &large);
        alarms.turn(&alarm("b", None, AlarmTurn::Fired), &Bytes::from_static(b"x"));
        alarms.turn(&alarm("b", None, AlarmTurn::Repeated), &Bytes::from_static(b"x"));
        assert_eq!(names(&alarms), [format!("a None {BYTES_MAX}"), "+1".into()]);
        alarms.turn(&alarm("a", None, AlarmTurn::Resolved), &large);
        alarms.turn(&alarm("b", None, AlarmTurn::Repeated), &Bytes::from_static(b"x"));
        assert_eq!(names(&alarms), ["b None 1"]);
        for number in 0..ALARMS_MAX {
            alarms.turn(&alarm(&format!("n{number}"), None, AlarmTurn::Fired), &Bytes::from_static(b"x"));
        }
        assert_eq!((alarms.on.len(), alarms.report().left_out), (ALARMS_MAX, 1));
    }
}
