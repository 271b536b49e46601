//! When a collector counts as out of reach, and when it is back. Pure: what was seen of it comes in, events go out.
//!
//! A failed request is no outage: the path is down when none of a collector's URLs took anything for [`DOWN_AFTER`], and
//! all that was tried has to be tried again. A rejection is an answer. Both events go out like all others; the collector that is concerned gets them afterwards, and
//! knows then for how long it heard nothing for want of a path, and not because the host was down.

use std::time::Duration;

use crate::event::{Attribute, Attributes, Event, Severity, name};
use crate::time::KTime;

/// So long without a success.
const DOWN_AFTER: Duration = Duration::from_secs(30);

/// What a collector's way says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What people know it by, without secrets.
    pub collector: String,
    /// The first of the requests that failed, since one did not.
    pub unreached: Option<KTime>,
    /// What became of the last one.
    pub why: String,
    /// Events that it has not got.
    pub waiting: u64,
    /// Events that it has got since the start.
    pub sent: u64,
}

/// Each collector's path.
#[derive(Debug, Default)]
pub struct Paths {
    all: Vec<Path>,
}

#[derive(Debug)]
struct Path {
    collector: String,
    outage: Option<Outage>,
}

/// Requests fail.
#[derive(Clone, Copy, Debug)]
struct Outage {
    since: KTime,
    told: bool,
    /// Sent before it.
    sent: u64,
}

impl Paths {
    /// Takes in how all collectors stand; returns what is to be told. One that is not among them any more is forgotten.
    pub fn look(&mut self, now: KTime, seen: &[Seen]) -> Vec<Event> {
        let mut events = Vec::new();
        let mut old = std::mem::take(&mut self.all);
        for seen in seen {
            let known = old.iter().position(|path| path.collector == seen.collector);
            let outage = known.and_then(|place| old.swap_remove(place).outage);
            let outage = match (outage, seen.unreached) {
                (Some(mut outage), Some(_)) => {
                    outage.check(now, seen, &mut events);
                    Some(outage)
                }
                (None, Some(since)) => {
                    let mut outage = Outage { since, told: false, sent: seen.sent };
                    outage.check(now, seen, &mut events);
                    Some(outage)
                }
                (Some(outage), None) => {
                    if outage.told {
                        events.push(outage.over(now, seen));
                    }
                    None
                }
                (None, None) => None,
            };
            self.all.push(Path { collector: seen.collector.clone(), outage });
        }
        events
    }

    /// When to look again if nothing is heard of a collector before; `None`: never.
    pub fn next_look(&self) -> Option<KTime> {
        let untold = self.all.iter().filter_map(|path| path.outage).filter(|outage| !outage.told);
        untold.map(|outage| outage.since.after(DOWN_AFTER)).min()
    }
}

impl Outage {
    fn check(&mut self, now: KTime, seen: &Seen, events: &mut Vec<Event>) {
        if self.told || now.since(self.since) < DOWN_AFTER {
            return;
        }
        self.told = true;
        let mut attributes = Attributes::default();
        attributes
            .put("collector", seen.collector.as_str())
            .put("why", seen.why.as_str())
            .put_attribute("since", Attribute::Time(self.since))
            .put("spooled", seen.waiting);
        let body = format!(
            "{} has taken no events for {} s: {}; they wait for it",
            seen.collector,
            now.since(self.since).as_secs(),
            seen.why
        );
        events.push(event(name::PATH_DOWN, Severity::Warning, now, body, attributes));
    }

    fn over(&self, now: KTime, seen: &Seen) -> Event {
        let duration = now.since(self.since);
        // What was sent since the answer came had waited as well.
        let spooled = seen.waiting.saturating_add(seen.sent.saturating_sub(self.sent));
        let mut attributes = Attributes::default();
        attributes
            .put("collector", seen.collector.as_str())
            .put("duration", duration.as_secs_f64())
            .put("spooled", spooled);
        let body = format!(
            "{} takes events again after {:.1} s, for which {spooled} of them waited",
            seen.collector,
            duration.as_secs_f64()
        );
        event(name::PATH_RESTORED, Severity::Info, now, body, attributes)
    }
}

const fn event(name: &'static str, severity: Severity, at: KTime, body: String, attributes: Attributes) -> Event {
    Event { name, severity, at, body, attributes, alarm: None }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{any, proptest};
    use serde_json::json;

    use super::*;

    fn seen(unreached: Option<u64>, waiting: u64, sent: u64) -> Seen {
        let why = "connection refused".into();
        Seen { collector: "http://c/".into(), unreached: unreached.map(KTime::from_secs), why, waiting, sent }
    }

    /// Looks at one collector at this second; the names told, and the next look.
    fn check(paths: &mut Paths, at: u64, seen: Seen, told: &[&str], next: Option<u64>) -> Vec<Event> {
        let events = paths.look(KTime::from_secs(at), &[seen]);
        assert_eq!(events.iter().map(|event| event.name).collect::<Vec<_>>(), told, "at {at}");
        assert_eq!(paths.next_look(), next.map(KTime::from_secs), "at {at}");
        events
    }

    #[test]
    fn an_outage_is_told_once_and_so_is_its_end() {
        let mut paths = Paths::default();
        check(&mut paths, 5, seen(None, 0, 7), &[], None);
        check(&mut paths, 11, seen(Some(10), 1, 7), &[], Some(40));
        check(&mut paths, 39, seen(Some(10), 2, 7), &[], Some(40));
        let down = check(&mut paths, 40, seen(Some(10), 2, 7), &["procprobe.path.down"], None);
        assert_eq!(down[0].body, "http://c/ has taken no events for 30 s: connection refused; they wait for it");
        assert_eq!(down[0].severity, Severity::Warning);
        assert_eq!(down[0].attributes.get("spooled"), Some(&json!(2)));
        check(&mut paths, 400, seen(Some(10), 20, 7), &[], None);
        // A first batch has gone out already when it is looked at.
        let restored = check(&mut paths, 500, seen(None, 15, 17), &["procprobe.path.restored"], None);
        assert_eq!(restored[0].body, "http://c/ takes events again after 490.0 s, for which 25 of them waited");
        assert_eq!(restored[0].attributes.get("duration"), Some(&json!(490.0)));
        assert_eq!(restored[0].attributes.get("spooled"), Some(&json!(25)));
        check(&mut paths, 501, seen(None, 0, 40), &[], None);
    }

    #[test]
    fn a_short_one_is_not() {
        let mut paths = Paths::default();
        check(&mut paths, 11, seen(Some(10), 1, 0), &[], Some(40));
        check(&mut paths, 39, seen(None, 0, 2), &[], None);
        check(&mut paths, 42, seen(Some(41), 1, 2), &[], Some(71));
        // Nobody looked in between: it is told late rather than not.
        check(&mut paths, 100, seen(Some(41), 1, 2), &["procprobe.path.down"], None);
    }

    #[test]
    fn collectors_are_told_apart_and_forgotten() {
        let mut paths = Paths::default();
        let other = |unreached: Option<u64>| Seen { collector: "http://d/".into(), ..seen(unreached, 0, 0) };
        let told = paths.look(KTime::from_secs(50), &[seen(Some(1), 0, 0), other(None)]);
        assert_eq!(told.len(), 1);
        // The order does not matter, and one that is gone tells nothing.
        let told = paths.look(KTime::from_secs(60), &[other(Some(55)), seen(Some(1), 0, 0)]);
        assert!(told.is_empty());
        let told = paths.look(KTime::from_secs(99), &[other(Some(55))]);
        assert_eq!(told[0].attributes.get("collector"), Some(&json!("http://d/")));
        assert!(paths.look(KTime::from_secs(99), &[other(Some(55)), seen(None, 0, 0)]).is_empty());
    }

    proptest! {
        #[test]
        fn down_and_restored_take_turns(states in vec(any::<bool>(), 1..200)) {
            // One look each 10 s; `since` is the first of the present row of failures.
            let mut paths = Paths::default();
            let (mut since, mut down) = (None, false);
            for (second, fails) in (10..).step_by(10).zip(states) {
                since = if fails { since.or(Some(second)) } else { None };
                let events = paths.look(KTime::from_secs(second), &[seen(since, 0, 0)]);
                let names: Vec<_> = events.iter().map(|event| event.name).collect();
                let expected: &[&str] = match (down, since) {
                    (false, Some(since)) if second - since >= 30 => &["procprobe.path.down"],
                    (true, None) => &["procprobe.path.restored"],
                    _ => &[],
                };
                assert_eq!(names, expected);
                down ^= !expected.is_empty();
            }
        }
    }
}
