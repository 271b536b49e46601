//! Answers the local API's questions from what the daemon holds at this moment.

use std::sync::Arc;

use serde_json::Value;

use super::{Daemon, clock};
use crate::agent::{self, Cost, KernelCost, ProgramCost};
use crate::engine::explain::{Explanation, Verdict as Reason};
use crate::model::Process;
use crate::outlet::Dropped;
use crate::record::{Identity, ProcessKey, Program};
use crate::serve::{AgentReport, Described, Fields, MatchReport, Query, StatusReport, Subject, Verdict};
use crate::time::KTime;

impl Daemon {
    /// Whoever asked may be gone by now: then the answer is thrown away.
    pub(super) fn answer(&mut self, query: Query) {
        match query {
            Query::Status { reply } => drop(reply.send(self.status())),
            Query::Match { subject, reply } => drop(reply.send(self.matches(&subject))),
        }
    }

    /// What the programs cost.
    pub(super) fn kernel_cost(&self) -> KernelCost {
        let kernel = self.core.kernel();
        let costs = kernel.losses.costs();
        let programs = costs.into_iter().map(|cost| ProgramCost {
            name: cost.program.to_owned(),
            run_count: cost.runs,
            run_time_ns: cost.run_time_ns,
        });
        KernelCost { programs: programs.collect(), records: kernel.records.stats().by_kind() }
    }

    fn status(&self) -> StatusReport {
        let now = clock::now();
        let status = self.core.engine().status(now);
        let lost = status.losses.iter().map(|loss| Dropped {
            place: "kernel".to_owned(),
            reason: loss.reason.clone(),
            count: loss.count,
        });
        StatusReport {
            agent: AgentReport {
                version: agent::VERSION.to_owned(),
                pid: std::process::id(),
                host: self.outlets.host_name().to_owned(),
                uptime: now.since(self.began).as_secs_f64(),
                seq: self.outlets.last_seq(),
                processes: status.processes,
                degraded: self.degraded.clone(),
                // Without /proc there is no figure; the rest of the answer is still worth having.
                cost: agent::own_cost().unwrap_or(Cost::default()),
                kernel: self.kernel_cost(),
            },
            lost: lost.collect(),
            engine: serde_json::to_value(&status).unwrap_or(Value::Null),
            collectors: self.outlets.collectors(),
            dropped: self.outlets.dropped(),
        }
    }

    fn matches(&self, subject: &Subject) -> MatchReport {
        let engine = self.core.engine();
        match subject {
            Subject::Pid(pid) => {
                let Some(process) = engine.table().of_tgid(*pid) else { return MatchReport::default() };
                report(process, engine.explain(process.key))
            }
            Subject::Fields(fields) => {
                let process = might_be(fields, |name| engine.uid_of(name));
                let explanations = engine.explain_process(&process);
                report(&process, explanations)
            }
        }
    }
}

fn report(process: &Process, explanations: Vec<Explanation>) -> MatchReport {
    let described = Described {
        pid: process.key.tgid,
        exe: process.program.exe.to_string(),
        args: process.program.joined_args(),
        comm: process.identity.comm.to_string(),
        uid: process.identity.uid,
        cgroup: process.cgroup.to_string(),
    };
    let groups = explanations.into_iter().map(|explanation| Verdict {
        belongs: explanation.verdict.belongs(),
        why: in_words(explanation.verdict),
        group: explanation.group,
        declared: explanation.declared,
    });
    MatchReport { process: Some(described), groups: groups.collect() }
}

fn in_words(reason: Reason) -> String {
    match reason {
        Reason::Selected => "match selects it".to_owned(),
        Reason::Descends => "it descends from a member".to_owned(),
        Reason::TakenOut => "except takes it out".to_owned(),
        Reason::KeptOut { field } => format!("{field} does not match"),
    }
}

/// A process made of what a person typed.
fn might_be(fields: &Fields, uid_of: impl Fn(&str) -> Option<u32>) -> Process {
    let text = |field: &Option<String>| -> Arc<str> { field.as_deref().unwrap_or_default().into() };
    let exe = text(&fields.exe);
    let name = exe.rsplit('/').next().unwrap_or_default();
    // The kernel's name of a process is the first 15 bytes of its file's name.
    let comm = fields.comm.as_deref().unwrap_or_else(|| name.get(..15).unwrap_or(name)).into();
    let user = fields.user.as_deref();
    let uid = user.and_then(|user| user.parse().ok().or_else(|| uid_of(user))).unwrap_or(u32::MAX);
    let identity =
        Identity { parent: None, start_boot_ns: 0, cgroup_id: 0, uid, gid: uid, comm, kernel_thread: false };
    let program = Program { exe, args: text(&fields.args).as_ref().into(), ..Program::default() };
    let key = ProcessKey { tgid: 0, start: KTime(0) };
    let mut process = Process::new(key, identity, Arc::new(program), KTime(0));
    process.cgroup = text(&fields.cgroup);
    process
}
