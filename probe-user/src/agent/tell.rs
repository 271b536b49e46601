//! The daemon's events about itself, as EVENTS.md names them. Pure: what they say comes in as arguments.

use std::fmt::Display;
use std::time::Duration;

use serde_json::{Value, json};

use super::VERSION;
use super::cost::{Cost, KernelCost};
use super::guard::{Limits, Shed};
use crate::event::{Attributes, Event, Severity, clean, name};
use crate::outlet::Dropped;
use crate::policy::spec::PolicySet;
use crate::stamp::Gap;
use crate::time::KTime;

/// How many policies of each kind are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Groups.
    pub groups: usize,
    /// Jobs.
    pub jobs: usize,
    /// Logs.
    pub logs: usize,
    /// Bounds on the host.
    pub host: usize,
    /// Sets of peers.
    pub peers: usize,
}

impl Held {
    /// Of these.
    pub fn of(policies: &PolicySet) -> Self {
        Self {
            groups: policies.groups.len(),
            jobs: policies.jobs.len(),
            logs: policies.logs.len(),
            host: policies.host.iter().map(|block| block.bounds.len()).sum(),
            peers: policies.peers.len(),
        }
    }

    fn put(self, attributes: &mut Attributes) {
        attributes.put("groups", self.groups).put("jobs", self.jobs).put("logs", self.logs).put("host", self.host);
        attributes.put("peers", self.peers);
    }

    /// `2 groups, 1 job`.
    pub(crate) fn words(self) -> String {
        let kinds = [
            (self.groups, "group"),
            (self.jobs, "job"),
            (self.logs, "log"),
            (self.host, "bound"),
            (self.peers, "peer set"),
        ];
        let parts = kinds.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| match what {
            "bound" => format!("{} on the host", count(number, what)),
            _ => count(number, what),
        });
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() { "no policies".to_owned() } else { parts.join(", ") }
    }
}

/// What `procprobe.agent.started` says.
#[derive(Clone, Debug, Default)]
pub struct Started<'a> {
    /// The kernel's release.
    pub kernel: &'a str,
    /// What works less well than it should, one sentence each.
    pub degraded: &'a [String],
    /// In force.
    pub held: Held,
    /// From the process's start to its programs being attached.
    pub attached_after: Option<Duration>,
    /// [`crate::stamp::Resumed::as_str`].
    pub sequence: &'a str,
}

/// What `procprobe.agent.heartbeat` says.
#[derive(Clone, Debug)]
pub struct Heartbeat<'a> {
    /// Of the daemon.
    pub uptime: Duration,
    /// Of the host, suspended time included.
    pub host_uptime: Duration,
    /// The daemon's own cost.
    pub cost: Cost,
    /// Its programs' cost.
    pub kernel: &'a KernelCost,
    /// Processes in the table.
    pub processes: usize,
    /// Events that wait for the collector.
    pub queued_events: u64,
    /// Seconds since the oldest of them happened.
    pub queued_age: Option<f64>,
    /// Size of the files that events lie in.
    pub spool_bytes: u64,
}

/// The daemon watches from here on.
pub fn started(at: KTime, facts: &Started<'_>) -> Event {
    let mut attributes = Attributes::default();
    attributes.put("version", VERSION).put("kernel", facts.kernel).put("process.pid", std::process::id());
    facts.held.put(&mut attributes);
    attributes
        .put("degraded", Value::from(facts.degraded.to_vec()))
        .put("sequence", facts.sequence)
        .put_some("attached_after", facts.attached_after.map(|after| after.as_secs_f64()));
    let mut body = format!("procprobe {VERSION} started on Linux {}, {}", facts.kernel, facts.held.words());
    if !facts.degraded.is_empty() {
        body.push_str("; degraded: ");
        body.push_str(&facts.degraded.join("; "));
    }
    let severity = if facts.degraded.is_empty() { Severity::Info } else { Severity::Warning };
    event(name::AGENT_STARTED, severity, at, body, attributes)
}

/// The daemon ends; `reason` is a signal's name or an error.
pub fn stopped(at: KTime, reason: &str, uptime: Duration) -> Event {
    let mut attributes = Attributes::default();
    attributes.put("version", VERSION).put("reason", clean(reason)).put("uptime", uptime.as_secs_f64());
    event(name::AGENT_STOPPED, Severity::Info, at, format!("procprobe stops: {}", clean(reason)), attributes)
}

/// Other policies and settings are in force.
pub fn reloaded(at: KTime, held: Held, notes: &[String]) -> Event {
    let mut attributes = Attributes::default();
    held.put(&mut attributes);
    attributes.put("degraded", Value::from(notes.to_vec()));
    let body = format!("reloaded: {} in force", held.words());
    event(name::AGENT_RELOADED, Severity::Info, at, body, attributes)
}

/// A reload was refused; what was in force stays so. `errors` is the whole report of `how_many`.
pub fn reload_failed(at: KTime, errors: &str, how_many: usize) -> Event {
    let mut attributes = Attributes::default();
    attributes.put("errors", how_many).put("report", clean(errors));
    let first = clean(errors.lines().next().unwrap_or_default());
    let body = format!("reload failed with {}, the policies in force stay: {first}", count(how_many, "error"));
    event(name::AGENT_RELOAD_FAILED, Severity::Warning, at, body, attributes)
}

/// The daemon lives.
pub fn heartbeat(at: KTime, facts: &Heartbeat<'_>) -> Event {
    let kernel_seconds = Duration::from_nanos(facts.kernel.run_time_ns()).as_secs_f64();
    let mut attributes = Attributes::default();
    attributes
        .put("uptime", facts.uptime.as_secs_f64())
        .put("host.uptime", facts.host_uptime.as_secs_f64())
        .put("cpu.time", facts.cost.cpu_seconds)
        .put("memory.usage", facts.cost.rss_bytes)
        .put("memory.peak", facts.cost.peak_rss_bytes)
        .put("wakeups", facts.cost.wakeups)
        .put("kernel.time", kernel_seconds)
        .put("kernel.programs", kernel_programs(facts.kernel))
        .put("processes", facts.processes)
        .put("queue.events", facts.queued_events)
        .put_some("queue.age", facts.queued_age)
        .put("spool.bytes", facts.spool_bytes);
    let body = format!(
        "alive for {} s: {:.2} s of CPU, {:.1} MiB, {} processes known",
        facts.uptime.as_secs(),
        facts.cost.cpu_seconds,
        facts.cost.rss_bytes as f64 / f64::from(1 << 20),
        facts.processes,
    );
    event(name::AGENT_HEARTBEAT, Severity::Info, at, body, attributes)
}

/// A way out dropped events. The process table has not suffered: `reconciled` is true.
pub fn lost(at: KTime, dropped: &Dropped) -> Event {
    let mut attributes = Attributes::default();
    attributes
        .put("where", dropped.place.as_str())
        .put("reason", dropped.reason.as_str())
        .put("count", dropped.count)
        .put("reconciled", true);
    let Dropped { place, reason, count: lost } = dropped;
    let body = if place == "measures" {
        format!("{} of the history of measures did not get to disk, or cannot be read: {reason}", count(*lost, "block"))
    } else {
        format!("{} did not go out by {place}: {reason}", count(*lost, "event"))
    };
    event(name::AGENT_LOST, Severity::Warning, at, body, attributes)
}

/// Numbers that no event will be seen with: the last run ended without a word, or could not write its events.
/// `again`: what they were for comes again, by the records that led to it.
pub fn lost_numbers(at: KTime, gap: &Gap, again: bool) -> Event {
    let Gap { reason, first, last } = *gap;
    let numbers = last.saturating_sub(first).saturating_add(1);
    let mut attributes = Attributes::default();
    attributes
        .put("where", "stamp")
        .put("reason", reason)
        .put("count", numbers)
        .put("seq.first", first)
        .put("seq.last", last)
        .put("reconciled", true);
    let rest = if again { "told again under other numbers" } else { "lost" };
    let body =
        format!("no event has the numbers {first} to {last}: {reason}; what the last run had not written is {rest}");
    event(name::AGENT_LOST, Severity::Warning, at, body, attributes)
}

/// Something more or less is left out, so that the daemon stays within its limits.
pub fn shed(at: KTime, shed: &Shed, limits: Limits) -> Event {
    let left_out: Vec<String> = shed.left_out.iter().map(|step| step.words()).collect();
    let over_memory = shed.memory > limits.memory;
    let mut attributes = Attributes::default();
    attributes
        .put("left_out", Value::from(left_out.clone()))
        .put("cpu.ratio", shed.cpu)
        .put("cpu.limit", limits.cpu)
        .put("memory.usage", shed.memory)
        .put("memory.limit", limits.memory);
    let used = if over_memory {
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        format!("{:.1} MiB of {:.1} MiB", mib(shed.memory), mib(limits.memory))
    } else {
        format!("{:.2} % of a core, limit {:.2} %", shed.cpu * 100.0, limits.cpu * 100.0)
    };
    let now = match (left_out.as_slice(), shed.more) {
        ([], _) => "nothing is left out any more".to_owned(),
        (left_out, _) => format!("left out are {}", left_out.join(", ")),
    };
    let state = if shed.more { "over its own limits" } else { "within its own limits again" };
    let severity = if shed.more { Severity::Warning } else { Severity::Info };
    event(name::AGENT_SHED, severity, at, format!("procprobe is {state} ({used}): {now}"), attributes)
}

fn kernel_programs(kernel: &KernelCost) -> Value {
    kernel
        .programs
        .iter()
        .map(
            |program| json!({"name": program.name, "run_count": program.run_count, "run_time_ns": program.run_time_ns}),
        )
        .collect()
}

fn count<N: Copy + Display + PartialEq + From<u8>>(count: N, noun: &str) -> String {
    let plural = if count == N::from(1) { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

const fn event(name: &'static str, severity: Severity, at: KTime, body: String, attributes: Attributes) -> Event {
    Event { name, severity, at, body, attributes, alarm: None }
}

#[cfg(test)]
mod tests {
    use super::super::cost::ProgramCost;
    use super::super::guard::Step;
    use super::*;

    const NOW: KTime = KTime::from_secs(5);

    fn check(event: &Event, name: &str, severity: Severity, body: &str, attributes: &[(&str, Value)]) {
        assert_eq!((event.name, event.severity, event.body.as_str()), (name, severity, body));
        assert_eq!(event.at, NOW);
        for (key, value) in attributes {
            assert_eq!(event.attributes.get(key), Some(value), "{key}");
        }
    }

    #[test]
    fn the_daemons_life_in_sentences() {
        let notes = ["no state".to_owned()];
        let held = Held { groups: 1, logs: 2, ..Held::default() };
        check(
            &started(NOW, &Started { kernel: "6.12.9", held, sequence: "clean", ..Started::default() }),
            "procprobe.agent.started",
            Severity::Info,
            &format!("procprobe {VERSION} started on Linux 6.12.9, 1 group, 2 logs"),
            &[("degraded", json!([])), ("sequence", json!("clean")), ("version", json!(VERSION))],
        );
        check(
            &started(NOW, &Started { kernel: "6.12.9", degraded: &notes, ..Started::default() }),
            "procprobe.agent.started",
            Severity::Warning,
            &format!("procprobe {VERSION} started on Linux 6.12.9, no policies; degraded: no state"),
            &[("degraded", json!(["no state"]))],
        );
        check(
            &stopped(NOW, "SIGTERM", Duration::from_millis(1500)),
            "procprobe.agent.stopped",
            Severity::Info,
            "procprobe stops: SIGTERM",
            &[("uptime", json!(1.5))],
        );
        check(
            &reloaded(NOW, Held { groups: 2, host: 1, ..Held::default() }, &[]),
            "procprobe.agent.reloaded",
            Severity::Info,
            "reloaded: 2 groups, 1 bound on the host in force",
            &[("groups", json!(2))],
        );
        check(
            &reload_failed(NOW, "a.yaml:1:1: unknown key\n  |\n", 3),
            "procprobe.agent.reload_failed",
            Severity::Warning,
            "reload failed with 3 errors, the policies in force stay: a.yaml:1:1: unknown key",
            &[("errors", json!(3)), ("report", json!("a.yaml:1:1: unknown key\\n  |\\n"))],
        );
        check(
            &lost(NOW, &Dropped { place: "forward".into(), reason: "queue_full".into(), count: 1 }),
            "procprobe.agent.lost",
            Severity::Warning,
            "1 event did not go out by forward: queue_full",
            &[("where", json!("forward")), ("count", json!(1)), ("reconciled", json!(true))],
        );
        check(
            &lost_numbers(NOW, &Gap { reason: "crash", first: 8, last: 4096 }, false),
            "procprobe.agent.lost",
            Severity::Warning,
            "no event has the numbers 8 to 4096: crash; what the last run had not written is lost",
            &[("where", json!("stamp")), ("count", json!(4089)), ("seq.first", json!(8)), ("seq.last", json!(4096))],
        );
    }

    #[test]
    fn what_is_left_out_is_told_with_the_reason() {
        let limits = Limits::default();
        let told = |left_out: &[Step], cpu, memory, more| {
            shed(NOW, &Shed { left_out: left_out.to_vec(), cpu, memory, more }, limits)
        };
        check(
            &told(&[Step::Args, Step::Processes, Step::Sampling(2)], 0.0175, 1 << 20, true),
            "procprobe.agent.shed",
            Severity::Warning,
            "procprobe is over its own limits (1.75 % of a core, limit 1.00 %): left out are arguments of new processes, \
             events about processes, 1 of 2 samples",
            &[("cpu.limit", json!(0.01)), ("memory.usage", json!(1 << 20))],
        );
        check(
            &told(&[Step::Args], 0.0, 80 << 20, true),
            "procprobe.agent.shed",
            Severity::Warning,
            "procprobe is over its own limits (80.0 MiB of 64.0 MiB): left out are arguments of new processes",
            &[("left_out", json!(["arguments of new processes"]))],
        );
        check(
            &told(&[], 0.001, 1 << 20, false),
            "procprobe.agent.shed",
            Severity::Info,
            "procprobe is within its own limits again (0.10 % of a core, limit 1.00 %): nothing is left out any more",
            &[("left_out", json!([]))],
        );
    }

    #[test]
    fn a_heartbeat_carries_what_the_probe_costs() {
        let program = |name: &str, run_time_ns| ProgramCost { name: name.into(), run_count: 2, run_time_ns };
        let kernel = KernelCost {
            programs: vec![program("exec", 1_000_000), program("exit", 500_000)],
            records: Vec::new(),
            missing: 0,
        };
        let cost = Cost { cpu_seconds: 0.25, rss_bytes: 3 << 20, peak_rss_bytes: 4 << 20, wakeups: 12 };
        let facts = Heartbeat {
            uptime: Duration::from_mins(1),
            host_uptime: Duration::from_hours(1),
            cost,
            kernel: &kernel,
            processes: 7,
            queued_events: 1,
            queued_age: Some(1.5),
            spool_bytes: 2,
        };
        check(
            &heartbeat(NOW, &facts),
            "procprobe.agent.heartbeat",
            Severity::Info,
            "alive for 60 s: 0.25 s of CPU, 3.0 MiB, 7 processes known",
            &[
                ("kernel.time", json!(0.0015)),
                ("memory.usage", json!(3 << 20)),
                ("queue.events", json!(1)),
                ("queue.age", json!(1.5)),
            ],
        );
    }
}
