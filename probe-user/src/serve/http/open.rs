//! What is shown where no token is asked for.
//!
//! Everybody with an account on the host can connect to its loopback. What policies are called and how they stand is for
//! all of them, as in the metrics; so is which program ended and who killed it. Arguments of processes, lines of logs and what
//! actions printed are not: a log is often its group's to read, and /proc can be closed. Who has the token is shown all.
//!
//! An attribute of an event is shown only if it is in the list of those that are for all: a new one is hidden until somebody
//! has thought about it.

use serde_json::{Map, Value};

use crate::engine::Roster;

/// Attributes that are for everybody.
const FOR_ALL: &[&str] = &[
    "action",
    "alarm",
    "bound",
    "clear",
    "collector",
    "container.id",
    "count",
    "declared",
    "degraded",
    "duration",
    "evidence",
    "groups",
    "host.uptime",
    "incident",
    "instance",
    "job.name",
    "job.processes",
    "job.processes_left",
    "job.running",
    "job.scheduled_time",
    "job.timezone",
    "killed",
    "killer.command",
    "killer.pid",
    "killer.user.id",
    "left",
    "limit",
    "lost",
    "measure",
    "memory.limit",
    "memory.peak",
    "memory.usage",
    "network.interface.name",
    "oom",
    "peer",
    "peer.uptime",
    "peer.verdict",
    "peer.zone",
    "pids",
    "policy.kind",
    "policy.name",
    "process.args_count",
    "process.cpu.exact",
    "process.cpu.time",
    "process.cpu.usage",
    "process.creation.time",
    "process.executable.name",
    "process.executable.path",
    "process.exit.code",
    "process.exit.core_dumped",
    "process.exit.signal",
    "process.linux.cgroup",
    "process.memory.peak",
    "process.memory.usage",
    "process.owner",
    "process.parent_pid",
    "process.pid",
    "process.uptime",
    "process.user.id",
    "processes",
    "quiet",
    "reason",
    "reconciled",
    "repeated",
    "runs",
    "share",
    "signal",
    "since",
    "spooled",
    "system.filesystem.mountpoint",
    "time",
    "timed_out",
    "until",
    "uptime",
    "value",
    "verdict",
    "was",
    "where",
    "within",
    "witnesses",
    "would",
];
/// Whose sentences are of nothing but what is for everybody.
const PLAIN: [&str; 2] = ["procprobe.path.", "procprobe.peer."];

/// An event as everybody may see it; `None` for what is no event.
pub(super) fn event(line: &[u8]) -> Option<Vec<u8>> {
    let mut event: Map<String, Value> = serde_json::from_slice(line).ok()?;
    let is_plain =
        event.get("name").and_then(Value::as_str).is_some_and(|name| PLAIN.iter().any(|begin| name.starts_with(begin)));
    let mut hidden = false;
    if let Some(Value::Object(attributes)) = event.get_mut("attributes") {
        hidden = strip(attributes);
    }
    if hidden && !is_plain {
        if let Some(Value::String(body)) = event.get_mut("body") {
            // What a bound says of itself comes first, then what speaks for it; other sentences begin with their name.
            let own = body.split_once("; ").map(|(own, _)| own.to_owned());
            let is_of_a_bound = matches!(
                event.get("name").and_then(Value::as_str),
                Some("procprobe.policy.firing" | "procprobe.policy.resolved")
            );
            let shown = own.filter(|_| is_of_a_bound);
            event.insert("body".to_owned(), shown.map_or(Value::Null, Value::String));
        }
        event.insert("hidden".to_owned(), Value::Bool(true));
    }
    serde_json::to_vec(&event).ok()
}

/// Whether anything had to go.
fn strip(attributes: &mut Map<String, Value>) -> bool {
    let before = attributes.len();
    attributes.retain(|name, _| FOR_ALL.contains(&name.as_str()));
    let mut hidden = attributes.len() < before;
    if let Some(Value::Array(evidence)) = attributes.get_mut("evidence") {
        for facts in evidence {
            match facts {
                Value::Object(facts) => hidden |= strip(facts),
                other => *other = Value::Null,
            }
        }
    }
    hidden
}

/// Members without their arguments.
pub(super) fn roster(roster: &mut Roster) {
    for member in &mut roster.processes {
        member.command.clone_from(&member.exe);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::Member;

    fn check(told: &Value, expected: &Value) {
        let shown = event(told.to_string().as_bytes()).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&shown).unwrap(), *expected);
    }

    #[test]
    fn who_killed_what_is_for_everybody() {
        let told = json!({"name": "procprobe.policy.firing", "body": "web: 1 process, minimum 2; 7 killed by SIGKILL from 9 (sh)",
            "attributes": {"policy.name": "web", "value": 1, "evidence": [
                {"process.pid": 7, "process.exit.signal": "SIGKILL", "killer.command": "sh", "time": "t"}]}});
        check(&told, &told);
    }

    #[test]
    fn arguments_and_lines_are_not() {
        check(
            &json!({"name": "procprobe.policy.firing", "body": "web: 6 starts, maximum 5; 7 started: web --key hunter2",
                "attributes": {"policy.name": "web", "evidence": [
                    {"process.pid": 7, "process.command_args": ["web", "--key", "hunter2"]}, "hunter2"]}}),
            &json!({"name": "procprobe.policy.firing", "body": "web: 6 starts, maximum 5",
                "attributes": {"policy.name": "web", "evidence": [{"process.pid": 7}, null]}, "hidden": true}),
        );
        check(
            &json!({"name": "procprobe.log.matched", "body": "app: /var/log/app: hunter2; hunter2",
                "attributes": {"policy.name": "app", "line": "hunter2", "keyword": "h", "log.file.path": "/x"}}),
            &json!({"name": "procprobe.log.matched", "body": null, "attributes": {"policy.name": "app"}, "hidden": true}),
        );
        check(
            &json!({"name": "procprobe.job.started", "body": "backup started: backup.sh hunter2 (7)",
                "attributes": {"job.name": "backup", "process.pid": 7, "process.command_args": ["backup.sh", "hunter2"]}}),
            &json!({"name": "procprobe.job.started", "body": null,
                "attributes": {"job.name": "backup", "process.pid": 7}, "hidden": true}),
        );
        check(
            &json!({"name": "procprobe.something.new", "body": "hunter2", "attributes": {"secret": "hunter2"}}),
            &json!({"name": "procprobe.something.new", "body": null, "attributes": {}, "hidden": true}),
        );
        assert_eq!(event(b"no json"), None);
    }

    #[test]
    fn members_keep_their_executable() {
        let member = Member { exe: "/bin/a".into(), command: "a --key hunter2".into(), ..Member::default() };
        let mut shown = Roster { processes: vec![member], ..Roster::default() };
        roster(&mut shown);
        assert_eq!(shown.processes[0].command, "/bin/a");
    }
}
