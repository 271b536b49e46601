//! When the disk takes no events, and when it takes them again. Pure: how the spool stands comes in, events go out.
//!
//! The first telling waits in memory with the others and reaches collectors when the disk is well: with its own time, and
//! before the second, which says for how long and what was lost. A disk that comes and goes is told once in [`TELL_EVERY`].

use crate::event::{Attribute, Attributes, Event, Severity, clean, name};
use crate::outlet::TELL_EVERY;
use crate::time::KTime;

/// What the spool says of its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stand {
    /// Since when it takes nothing, and why.
    pub failing: Option<(KTime, String)>,
    /// Events that are not on disk.
    pub waiting: u64,
    /// Events that found no room in memory, since the start.
    pub lost: u64,
}

/// The disk as it was told last.
#[derive(Debug, Default)]
pub struct Disk {
    outage: Option<Outage>,
    last_told: Option<KTime>,
    next_look: Option<KTime>,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    since: KTime,
    /// Lost before it.
    lost: u64,
}

impl Disk {
    /// Takes in how the spool stands; returns what is to be told.
    pub fn look(&mut self, now: KTime, stand: &Stand) -> Option<Event> {
        self.next_look = None;
        match (self.outage, &stand.failing) {
            (None, Some((since, why))) => {
                let not_before = self.last_told.map_or(now, |told| told.after(TELL_EVERY));
                if not_before > now {
                    self.next_look = Some(not_before);
                    return None;
                }
                self.last_told = Some(now);
                self.outage = Some(Outage { since: *since, lost: stand.lost });
                Some(failing(now, *since, why, stand.waiting))
            }
            (Some(outage), None) => {
                self.outage = None;
                Some(restored(now, outage, stand.lost))
            }
            (Some(_), Some(_)) | (None, None) => None,
        }
    }

    /// When to look again if nothing is heard of the disk before; `None`: never.
    pub const fn next_look(&self) -> Option<KTime> {
        self.next_look
    }
}

fn failing(now: KTime, since: KTime, why: &str, waiting: u64) -> Event {
    let why = clean(why);
    let mut attributes = Attributes::default();
    attributes.put("why", why.as_str()).put_attribute("since", Attribute::Time(since)).put("waiting", waiting);
    let body = format!("events cannot be written to disk and wait in memory: {why}");
    Event { name: name::SPOOL_FAILING, severity: Severity::Warning, at: now, body, attributes, alarm: None }
}

fn restored(now: KTime, outage: Outage, lost: u64) -> Event {
    let (duration, lost) = (now.since(outage.since).as_secs_f64(), lost.saturating_sub(outage.lost));
    let mut attributes = Attributes::default();
    attributes
        .put_attribute("since", Attribute::Time(outage.since))
        .put_attribute("until", Attribute::Time(now))
        .put("duration", duration)
        .put("lost", lost);
    let cost = match lost {
        0 => "none was lost".to_owned(),
        1 => "1 found no room in memory and is lost".to_owned(),
        many => format!("{many} found no room in memory and are lost"),
    };
    let body = format!("events are written to disk again after {duration:.1} s; {cost}");
    let severity = if lost == 0 { Severity::Info } else { Severity::Warning };
    Event { name: name::SPOOL_RESTORED, severity, at: now, body, attributes, alarm: None }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Looks at this second; the event's name and body, and the next look.
    fn check(disk: &mut Disk, at: u64, since: Option<u64>, lost: u64, told: Option<&str>, next: Option<u64>) {
        let failing = since.map(|since| (KTime::from_secs(since), "No space left\non device".to_owned()));
        let event = disk.look(KTime::from_secs(at), &Stand { failing, waiting: 7, lost });
        assert_eq!(event.as_ref().map(|event| event.body.as_str()), told, "at {at}");
        assert_eq!(disk.next_look(), next.map(KTime::from_secs), "at {at}");
        let Some(event) = event else { return };
        let time = |name| event.attributes.0.iter().find(|(key, _)| *key == name).map(|(_, time)| time);
        if let Some(since) = since {
            assert_eq!((event.name, event.severity), ("procprobe.spool.failing", Severity::Warning));
            assert_eq!(event.attributes.get("waiting"), Some(&json!(7)));
            assert_eq!(time("since"), Some(&Attribute::Time(KTime::from_secs(since))));
        } else {
            assert_eq!(event.name, "procprobe.spool.restored");
            assert_eq!(time("until"), Some(&Attribute::Time(KTime::from_secs(at))));
        }
    }

    const FAILING: Option<&str> =
        Some("events cannot be written to disk and wait in memory: No space left\\non device");

    #[test]
    fn an_outage_is_told_at_once_and_so_is_its_end_with_what_it_cost() {
        let mut disk = Disk::default();
        check(&mut disk, 1, None, 3, None, None);
        check(&mut disk, 10, Some(9), 3, FAILING, None);
        check(&mut disk, 20, Some(9), 100, None, None);
        let told = Some("events are written to disk again after 21.0 s; 97 found no room in memory and are lost");
        check(&mut disk, 30, None, 100, told, None);
        check(&mut disk, 31, None, 100, None, None);
        check(&mut disk, 40, Some(40), 100, FAILING, None);
        check(&mut disk, 42, None, 100, Some("events are written to disk again after 2.0 s; none was lost"), None);
    }

    #[test]
    fn one_that_comes_and_goes_is_not_told_too_often() {
        let mut disk = Disk::default();
        check(&mut disk, 10, Some(10), 0, FAILING, None);
        check(&mut disk, 11, None, 0, Some("events are written to disk again after 1.0 s; none was lost"), None);
        check(&mut disk, 12, Some(12), 0, None, Some(20));
        check(&mut disk, 13, None, 0, None, None);
        check(&mut disk, 14, Some(14), 0, None, Some(20));
        check(&mut disk, 20, Some(14), 0, FAILING, None);
    }
}
