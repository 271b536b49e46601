//! One event as EVENTS.md fixes it, before the pipeline gives it its place in the stream.
//!
//! The engine makes [`Event`]s with kernel times; the pipeline stamps them with `id`, `seq`, wall time and host
//! ([`Stamped`]). Text from outside enters only through [`clean`], so that every string is valid UTF-8, bounded and free
//! of control characters.

use std::fmt::Write as _;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap as _, SerializeStruct as _, Serializer};
use serde_json::Value;

use crate::time::{ClockReading, KTime, Wall};

/// Longest text from outside that an attribute carries, in bytes.
pub const TEXT_MAX: usize = 4096;

/// The fixed names.
pub mod name {
    #![expect(missing_docs, reason = "each constant is its own description; EVENTS.md says when each is raised")]
    pub const PROCESS_FORK: &str = "procprobe.process.fork";
    pub const PROCESS_START: &str = "procprobe.process.start";
    pub const PROCESS_EXIT: &str = "procprobe.process.exit";
    pub const POLICY_FIRING: &str = "procprobe.policy.firing";
    pub const POLICY_RESOLVED: &str = "procprobe.policy.resolved";
    pub const JOB_STARTED: &str = "procprobe.job.started";
    pub const JOB_SUCCEEDED: &str = "procprobe.job.succeeded";
    pub const JOB_FAILED: &str = "procprobe.job.failed";
    pub const JOB_MISSED: &str = "procprobe.job.missed";
    pub const JOB_OVERRAN: &str = "procprobe.job.overran";
    pub const JOB_OVERLAPPED: &str = "procprobe.job.overlapped";
    pub const LOG_MATCHED: &str = "procprobe.log.matched";
    pub const ACTION_RAN: &str = "procprobe.action.ran";
    pub const ACTION_SKIPPED: &str = "procprobe.action.skipped";
    pub const PATH_DOWN: &str = "procprobe.path.down";
    pub const PATH_RESTORED: &str = "procprobe.path.restored";
    pub const PEER_DOWN: &str = "procprobe.peer.down";
    pub const PEER_RECOVERED: &str = "procprobe.peer.recovered";
    pub const PEER_RECLASSIFIED: &str = "procprobe.peer.reclassified";
    pub const PEER_VOUCHED: &str = "procprobe.peer.vouched";
    pub const SPOOL_FAILING: &str = "procprobe.spool.failing";
    pub const SPOOL_RESTORED: &str = "procprobe.spool.restored";
    pub const AGENT_STARTED: &str = "procprobe.agent.started";
    pub const AGENT_STOPPED: &str = "procprobe.agent.stopped";
    pub const AGENT_RELOADED: &str = "procprobe.agent.reloaded";
    pub const AGENT_RELOAD_FAILED: &str = "procprobe.agent.reload_failed";
    pub const AGENT_HEARTBEAT: &str = "procprobe.agent.heartbeat";
    pub const AGENT_SHED: &str = "procprobe.agent.shed";
    pub const AGENT_LOST: &str = "procprobe.agent.lost";
}

/// How bad it is. Process and agent events are `info` unless something was lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth looking at.
    #[default]
    Warning,
    /// Worth waking someone.
    Critical,
}

impl Severity {
    /// The one that is called so.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Info, Self::Warning, Self::Critical].into_iter().find(|severity| severity.as_str() == name)
    }

    /// As in policies and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// What happened, not yet placed in the stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// One of [`name`].
    pub name: &'static str,
    /// How bad.
    pub severity: Severity,
    /// When it happened (not when it was told).
    pub at: KTime,
    /// One sentence for people.
    pub body: String,
    /// Facts for programs, in the order in which they are shown.
    pub attributes: Attributes,
    /// For [`name::POLICY_FIRING`] and [`name::POLICY_RESOLVED`]: which alarm, and who is to hear of it.
    pub alarm: Option<Box<Alarm>>,
}

/// An alarm's identity and where it goes; not part of the event's JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Of the bound: `nginx.count.min`, with a number where several share that.
    pub name: Arc<str>,
    /// What of the bound's set, where it judges several things by themselves: a pid, a mount point, an interface.
    pub instance: Option<Arc<str>>,
    /// What it did.
    pub turn: AlarmTurn,
    /// Names of the destinations, in the order of the policy.
    pub notify: Vec<Arc<str>>,
}

/// What an alarm did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmTurn {
    /// It began.
    Fired,
    /// It goes on, and is told again.
    Repeated,
    /// It ended.
    Resolved,
}

/// Attributes in a stable order, no name twice. A time inside is an [`Attribute::Time`] until the pipeline knows the wall clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attributes(pub Vec<(&'static str, Attribute)>);

/// One attribute's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Anything that JSON can say.
    Json(Value),
    /// A recent kernel time.
    Time(KTime),
    /// A CLOCK_BOOTTIME stamp in ns, such as a process's start.
    BootTime(u64),
    /// A list of attribute sets, such as the evidence of an alarm.
    List(Vec<Attributes>),
}

impl Attributes {
    /// Adds a value that JSON can say.
    pub fn put(&mut self, name: &'static str, value: impl Into<Value>) -> &mut Self {
        self.0.push((name, Attribute::Json(value.into())));
        self
    }

    /// Adds a value if there is one.
    pub fn put_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) -> &mut Self {
        if let Some(value) = value {
            self.put(name, value);
        }
        self
    }

    /// Adds a time or a list.
    pub fn put_attribute(&mut self, name: &'static str, value: Attribute) -> &mut Self {
        self.0.push((name, value));
        self
    }

    /// The value under a name, if it is there and plain JSON.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| *key == name).and_then(|(_, value)| match value {
            Attribute::Json(value) => Some(value),
            _ => None,
        })
    }

    /// As they go out, with wall times.
    pub(crate) const fn told<'a>(&'a self, clock: &'a ClockReading) -> impl Serialize + 'a {
        Told(self, clock)
    }
}

/// Attributes or a part of them as JSON, with times turned into RFC 3339. Written as it is: a tree of JSON in between would
/// cost more than all else that is done for an event.
struct Told<'a, T>(&'a T, &'a ClockReading);

impl Serialize for Told<'_, Attributes> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(Attributes(attributes), clock) = self;
        let again = |index: usize, name| attributes.iter().take(index).any(|(before, _)| *before == name);
        debug_assert!(!attributes.iter().enumerate().any(|(index, (name, _))| again(index, *name)), "{attributes:?}");
        let mut map = serializer.serialize_map(Some(attributes.len()))?;
        for (name, value) in attributes {
            map.serialize_entry(name, &Told(value, clock))?;
        }
        map.end()
    }
}

impl Serialize for Told<'_, Attribute> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(attribute, clock) = self;
        match attribute {
            Attribute::Json(value) => value.serialize(serializer),
            Attribute::Time(time) => clock.wall_of(*time).serialize(serializer),
            Attribute::BootTime(boot_ns) => clock.wall_of_boot(*boot_ns).serialize(serializer),
            Attribute::List(list) => serializer.collect_seq(list.iter().map(|attributes| Told(attributes, clock))),
        }
    }
}

/// Who speaks: the resource part of each event.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Host {
    /// The host's name, or `node.name` of the configuration.
    #[serde(rename = "host.name")]
    pub name: String,
    /// /etc/machine-id, the stable name of this installation.
    #[serde(rename = "host.id")]
    pub id: String,
    /// /proc/sys/kernel/random/boot_id.
    #[serde(rename = "boot.id")]
    pub boot_id: String,
}

/// An event with its place in the stream, as it goes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Stamped {
    /// Host, boot and sequence number: the receiver drops repeats by it.
    pub id: String,
    /// Rises by one for every event of a boot of a host.
    pub seq: u64,
    /// When it happened, RFC 3339 UTC with nanoseconds.
    pub time: String,
    /// One of [`name`].
    pub name: &'static str,
    /// How bad.
    pub severity: Severity,
    /// One sentence for people.
    pub body: String,
    /// Who speaks.
    pub host: Arc<Host>,
    /// Facts for programs.
    pub attributes: Attributes,
    /// What makes wall times of those in them.
    pub clock: ClockReading,
}

impl Serialize for Stamped {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { id, seq, time, name, severity, body, host, attributes, clock } = self;
        let mut event = serializer.serialize_struct("Stamped", 8)?;
        event.serialize_field("id", id)?;
        event.serialize_field("seq", seq)?;
        event.serialize_field("time", time)?;
        event.serialize_field("name", name)?;
        event.serialize_field("severity", severity)?;
        event.serialize_field("body", body)?;
        event.serialize_field("host", host)?;
        event.serialize_field("attributes", &attributes.told(clock))?;
        event.end()
    }
}

impl Wall {
    /// The `time` field of an event.
    pub fn rfc3339(self) -> String {
        self.to_string()
    }
}

/// Text from outside, made fit to print: control characters escaped as `\xNN` or `\u{NNNN}`, cut at [`TEXT_MAX`] bytes.
pub fn clean(text: &str) -> String {
    if text.len() <= TEXT_MAX && text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return text.to_owned();
    }
    let mut cleaned = String::with_capacity(text.len().min(TEXT_MAX));
    for character in text.chars() {
        if cleaned.len() + character.len_utf8() > TEXT_MAX {
            cleaned.push('…');
            break;
        }
        match character {
            '\n' => cleaned.push_str("\\n"),
            '\t' => cleaned.push_str("\\t"),
            '\r' => cleaned.push_str("\\r"),
            c if is_unprintable(c) && u32::from(c) < 0x100 => {
                let _ = write!(cleaned, "\\x{:02x}", u32::from(c));
            }
            c if is_unprintable(c) => {
                let _ = write!(cleaned, "\\u{{{:x}}}", u32::from(c));
            }
            c => cleaned.push(c),
        }
    }
    cleaned
}

/// The same of a text whose end matters most: what does not fit is left out at the beginning.
pub fn clean_end(text: &str) -> String {
    let length = |character: char| clean(character.encode_utf8(&mut [0; 4])).len();
    if text.chars().map(length).sum::<usize>() <= TEXT_MAX {
        return clean(text);
    }
    let mut room = TEXT_MAX - '…'.len_utf8();
    let mut start = text.len();
    for (index, character) in text.char_indices().rev() {
        let Some(left) = room.checked_sub(length(character)) else { break };
        (room, start) = (left, index);
    }
    format!("…{}", clean(text.get(start..).unwrap_or_default()))
}

/// Controls, and the bidirectional overrides that can make a line read as another one.
fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        assert_eq!(clean_end(text), expected);
        assert!(expected.len() <= TEXT_MAX);
    }

    #[test]
    fn attributes_keep_their_order_and_times_become_wall_times() {
        let mut inner = Attributes::default();
        inner.put("x", 1);
        let mut attributes = Attributes::default();
        attributes.put("a", 1).put("b", 2).put_attribute("at", Attribute::Time(KTime::from_secs(3)));
        attributes.put_attribute("list", Attribute::List(vec![inner, Attributes::default()]));
        let clock = ClockReading { mono: KTime::from_secs(1), boot_ns: 0, wall: Wall(0) };
        let told = serde_json::to_string(&attributes.told(&clock)).unwrap();
        let expected = r#"{"a":1,"b":2,"at":"1970-01-01T00:00:02.000000000Z","list":[{"x":1},{}]}"#;
        assert_eq!(told, expected);
    }

    #[test]
    fn of_long_text_the_end_stays() {
        check("a\nb\u{1b}", "a\\nb\\x1b");
        check(&"x".repeat(TEXT_MAX), &"x".repeat(TEXT_MAX));
        check(&format!("{}end", "x".repeat(TEXT_MAX)), &format!("…{}end", "x".repeat(TEXT_MAX - 6)));
        // Each newline takes two characters.
        check(&"\n".repeat(TEXT_MAX), &format!("…{}", "\\n".repeat((TEXT_MAX - 3) / 2)));
    }
}
