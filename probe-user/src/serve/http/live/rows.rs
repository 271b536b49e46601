//! How everything stands, cut into rows that change by themselves.
//!
//! What grows with every second (ages, how long something is on) is told as the moment when it began, and figures are
//! rounded to what a person can read: so a row of what stands still stays the same, and is sent once.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use serde::Serialize;
use serde_json::{Value, json};

use crate::engine::status::JobStatus;
use crate::engine::{
    BoundStatus, GroupStatus, GroupUsage, HostBoundStatus, LogStatus, Member, PeerSetStatus, Roster, State, Status,
};
use crate::event::Severity;
use crate::peers::{PeerReport, PeersReport};
use crate::serve::StatusReport;
use crate::time::Wall;

/// A bound, in few words.
#[derive(Serialize)]
struct Judged<'a> {
    name: &'a str,
    measure: &'a str,
    bound: &'a str,
    severity: Severity,
    limit: f64,
    value: Option<f64>,
    state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    near: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    within: Option<f64>,
    #[serde(skip_serializing_if = "is_false")]
    lower_limit: bool,
    #[serde(skip_serializing_if = "is_zero")]
    dips: u64,
}

#[derive(Serialize)]
struct Group<'a> {
    members: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<GroupUsage>,
    bounds: Vec<Judged<'a>>,
    declared: &'a str,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
const fn is_false(is: &bool) -> bool {
    !*is
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Three decimals.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// When it began that is so old now, in seconds since 1970.
fn began(now: Wall, seconds: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "seconds since 1970 fit; what does not is cut off")]
    let began = (now.0 as f64 / 1e9 - seconds).round() as i64;
    began
}

fn bound(now: Wall, bound: &BoundStatus) -> Judged<'_> {
    Judged {
        name: &bound.name,
        measure: bound.measure,
        bound: bound.bound,
        severity: bound.severity,
        limit: bound.limit,
        value: bound.value.map(rounded),
        state: bound.state,
        since: bound.since_seconds.map(|seconds| began(now, seconds)),
        near: bound.nearness.map(rounded),
        within: bound.within_seconds,
        lower_limit: bound.lower_limit,
        dips: bound.dips_healed,
    }
}

fn bounds(now: Wall, all: &[BoundStatus]) -> Vec<Judged<'_>> {
    all.iter().map(|each| bound(now, each)).collect()
}

fn group(now: Wall, group: &GroupStatus) -> Group<'_> {
    let usage = group.usage.map(|usage| GroupUsage {
        cpu: usage.cpu.map(rounded),
        cpu_wait: usage.cpu_wait.map(rounded),
        read: usage.read.map(f64::round),
        write: usage.write.map(f64::round),
        ..usage
    });
    Group { members: group.members, usage, bounds: bounds(now, &group.bounds), declared: &group.declared }
}

fn log(now: Wall, log: &LogStatus) -> Value {
    json!({ "declared": log.declared, "matched": log.matched, "bounds": bounds(now, &log.bounds) })
}

fn peer_set(now: Wall, set: &PeerSetStatus) -> Value {
    json!({
        "declared": set.declared, "members": set.members, "hosts_down": set.hosts_down, "agents_down": set.agents_down,
        "left": set.left, "shares": set.shares, "bounds": bounds(now, &set.bounds),
    })
}

fn host(now: Wall, bound: &HostBoundStatus) -> Value {
    let instances = bound.instances.iter().map(|each| {
        json!({
            "instance": each.instance, "value": each.value.map(rounded), "state": each.state,
            "since": each.since_seconds.map(|seconds| began(now, seconds)),
            "near": each.nearness.map(rounded), "unknown": each.unknown, "dips": each.dips_healed,
        })
    });
    json!({
        "declared": bound.declared, "measure": bound.measure, "bound": bound.bound, "severity": bound.severity,
        "limit": bound.limit, "share": bound.share, "instances": instances.collect::<Vec<_>>(),
    })
}

fn job(now: Wall, job: &JobStatus) -> Value {
    let running = job
        .running
        .iter()
        .map(|run| json!({ "pid": run.pid, "started": began(now, run.seconds), "processes": run.processes }));
    let last = job.last.as_ref().map(|last| {
        json!({
            "pid": last.pid, "outcome": last.outcome, "ended": began(now, last.ended_seconds),
            "duration": rounded(last.duration_seconds), "cpu": rounded(last.cpu_seconds),
        })
    });
    let alarms = job.alarms.iter().map(|alarm| {
        json!({
            "name": alarm.name, "measure": alarm.measure, "bound": alarm.bound, "severity": alarm.severity,
            "state": alarm.state, "since": alarm.since_seconds.map(|seconds| began(now, seconds)),
        })
    });
    json!({
        "declared": job.declared, "schedule": job.schedule, "timezone": job.timezone,
        "next": job.next.map(|next| next.0 / 1_000_000_000), "missed": job.missed, "last": last,
        "running": running.collect::<Vec<_>>(), "alarms": alarms.collect::<Vec<_>>(),
    })
}

fn peer(now: Wall, peer: &PeerReport) -> Value {
    json!({
        "zone": peer.zone, "labels": peer.labels, "address": peer.address, "state": peer.state, "verdict": peer.verdict,
        "incident": peer.incident, "since": began(now, peer.since_seconds), "round_trip": peer.round_trip_seconds,
        "collector": peer.collector, "myself": peer.myself,
    })
}

/// The daemon and its host in one row, its ways out in another.
fn agent(report: &StatusReport, all: bool) -> [(String, Value); 2] {
    let (agent, engine) = (&report.agent, &report.engine);
    let own = json!({
        "version": agent.version, "host": agent.host, "pid": agent.pid, "started": began(report.time, agent.uptime),
        "seq": agent.seq, "processes": agent.processes, "told": agent.told,
        "cost": agent.cost, "kernel_ns": agent.kernel.run_time_ns(), "records": agent.kernel.records,
        "missing": agent.kernel.missing, "judging": engine.started, "grace": engine.grace_seconds.map(f64::round),
        "in_doubt": engine.degraded, "dips": engine.dips_healed,
    });
    // What others answered is not for everybody.
    let said = |error: &Option<String>| error.clone().filter(|_| all);
    let ways = json!({
        "collectors": report.collectors.iter().map(|way| json!({
            "name": way.name, "healthy": way.healthy, "last_error": said(&way.last_error), "queued": way.queued_events,
            "sent": way.sent_events,
        })).collect::<Vec<_>>(),
        "notify": report.notify.iter().map(|way| json!({
            "name": way.name, "kind": way.kind, "healthy": way.healthy, "pending": way.pending, "sent": way.sent,
            "failed": way.failed, "last_error": said(&way.last_error),
        })).collect::<Vec<_>>(),
        "spool": { "bytes": report.spool.bytes, "max": report.spool.max_bytes, "failing": report.spool.failing },
        "dropped": report.dropped, "lost": report.lost, "degraded": agent.degraded, "unhealthy": report.unhealthy,
    });
    [("agent".to_owned(), own), ("ways".to_owned(), ways)]
}

/// Rows by their keys.
#[derive(Debug, Default)]
pub(super) struct Rows(pub(super) Vec<Row>);

/// One of them.
#[derive(Debug)]
pub(super) struct Row {
    /// `group/web`
    pub(super) key: String,
    /// JSON.
    pub(super) text: String,
    /// Another one is another row.
    pub(super) mark: u64,
}

impl Rows {
    fn put(&mut self, key: String, row: &impl Serialize) {
        self.put_growing(key, row, "");
    }

    /// `grows` is written before the end of the row and makes it no other one.
    fn put_growing(&mut self, key: String, row: &impl Serialize, grows: &str) {
        // No row has what JSON does not.
        let Ok(mut text) = serde_json::to_string(row) else { return };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        text.insert_str(text.len().saturating_sub(1), grows);
        self.0.push(Row { key, text, mark: hasher.finish() });
    }

    /// Everything that a status has; `all`: also what is not for everybody.
    pub(super) fn put_status(&mut self, report: &StatusReport, all: bool) {
        let now = report.time;
        for (key, row) in agent(report, all) {
            self.put(key, &row);
        }
        let Status { groups, logs, host: of_host, peers, jobs, .. } = &report.engine;
        for each in groups {
            self.put(format!("group/{}", each.name), &group(now, each));
        }
        for each in jobs {
            self.put(format!("job/{}", each.name), &job(now, each));
        }
        for each in logs {
            self.put(format!("log/{}", each.name), &log(now, each));
        }
        for each in of_host {
            self.put(format!("host/{}", each.name), &host(now, each));
        }
        for each in peers {
            self.put(format!("peers/{}", each.name), &peer_set(now, each));
        }
    }

    /// Everybody of the site, and how this host stands among them.
    pub(super) fn put_peers(&mut self, now: Wall, report: &PeersReport) {
        let summary = &report.me.summary;
        let site = json!({
            "score": summary.score, "reached": summary.reached, "asked": summary.asked, "isolated": summary.isolated,
            "notes": summary.notes,
        });
        self.put("site".to_owned(), &site);
        for member in &report.members {
            self.put(format!("peer/{}", member.name), &peer(now, member));
        }
    }

    /// The alarms that are on, each with the event that told it last.
    pub(super) fn put_alarms(&mut self, left_out: usize, alarms: impl Iterator<Item = (String, Value)>) {
        let alarms: Vec<Value> = alarms.map(|(name, event)| json!({ "name": name, "event": event })).collect();
        self.put("alarms".to_owned(), &json!({ "left_out": left_out, "alarms": alarms }));
    }

    /// A group's members, a row each.
    pub(super) fn put_roster(&mut self, roster: Option<&Roster>) {
        let Some(roster) = roster else { return self.put("roster".to_owned(), &Value::Null) };
        let head = json!({
            "name": roster.name, "job": roster.job, "members": roster.members, "sampled": roster.sampled,
        });
        self.put("roster".to_owned(), &head);
        for member in &roster.processes {
            let Member {
                pid,
                parent,
                uid,
                user,
                comm,
                exe,
                command,
                age_seconds,
                start_boot_ns,
                threads,
                cpu,
                memory_bytes,
            } = member;
            let row = json!({
                "pid": pid, "parent": parent, "uid": uid, "user": user, "comm": comm, "exe": exe, "command": command,
                "threads": threads, "cpu": cpu.map(rounded), "memory": memory_bytes,
            });
            self.put_growing(format!("process/{pid}/{start_boot_ns}"), &row, &format!(",\"age\":{age_seconds:.1}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::AgentReport;

    fn rows(report: &StatusReport) -> Rows {
        let mut rows = Rows::default();
        rows.put_status(report, true);
        rows
    }

    fn report(second: i64) -> StatusReport {
        let bound = |value, since: Option<f64>| BoundStatus {
            name: "web.cpu.max".into(),
            measure: "cpu",
            bound: "max",
            severity: Severity::Warning,
            limit: 1.5,
            value: Some(value),
            state: if since.is_some() { State::Firing } else { State::Healthy },
            since_seconds: since,
            nearness: Some(value / 1.5),
            within_seconds: None,
            lower_limit: false,
            dips_healed: 0,
            processes: None,
        };
        let group = |name: &str, value, since| GroupStatus {
            name: name.into(),
            declared: "a.yaml:1".into(),
            members: 2,
            usage: None,
            bounds: vec![bound(value, since)],
        };
        // A breach that began in second 10, and a group whose value trembles where nobody can see it.
        let groups = vec![
            group("web", 2.0, Some(second as f64 - 10.0)),
            group("still", 0.5 + second as f64 / 1e9, None),
            group("busy", 0.1 * second as f64, None),
        ];
        StatusReport {
            time: Wall(second * 1_000_000_000),
            agent: AgentReport { uptime: second as f64, ..AgentReport::default() },
            engine: Status { groups, ..Status::default() },
            ..StatusReport::default()
        }
    }

    #[test]
    fn what_stands_still_is_the_same_row() {
        let (before, after) = (rows(&report(20)), rows(&report(21)));
        let changed: Vec<&str> = (before.0.iter().zip(&after.0))
            .filter(|(before, after)| before.mark != after.mark)
            .map(|(_, after)| after.key.as_str())
            .collect();
        assert_eq!(changed, ["group/busy"]);
        let web: Value = serde_json::from_str(&after.0[2].text).unwrap();
        assert_eq!(after.0[2].key, "group/web");
        assert_eq!((&web["members"], &web["bounds"][0]["since"]), (&json!(2), &json!(10)));
        assert_eq!((&web["bounds"][0]["state"], &web["bounds"][0]["near"]), (&json!("firing"), &json!(1.333)));
    }

    #[test]
    fn a_process_that_only_grows_older_is_the_same_row() {
        let mark = |age_seconds, threads| {
            let member = Member { pid: 7, start_boot_ns: 5, age_seconds, threads, ..Member::default() };
            let mut rows = Rows::default();
            rows.put_roster(Some(&Roster { processes: vec![member], ..Roster::default() }));
            let row = &rows.0[1];
            assert_eq!(row.key, "process/7/5");
            let told: Value = serde_json::from_str(&row.text).unwrap();
            assert_eq!(told["age"], json!(age_seconds));
            row.mark
        };
        assert_eq!(mark(1.5, 1), mark(2.5, 1));
        assert_ne!(mark(1.5, 1), mark(2.5, 2));
    }
}
