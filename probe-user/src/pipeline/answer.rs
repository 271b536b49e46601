//! Answers the local API's questions from what the daemon holds at this moment.

use super::{Daemon, clock};
use crate::agent::{self, KernelCost, ProgramCost};
use crate::outlet::Dropped;
use crate::serve::{self, AgentReport, MatchReport, Query, StatusReport, Subject, explain};

impl Daemon {
    /// Whoever asked may be gone by now: then the answer is thrown away.
    pub(super) fn answer(&mut self, query: Query) {
        match query {
            Query::Status { reply } => drop(reply.send(self.status())),
            Query::Events { since, follow, reply } => drop(reply.send(self.outlets.history(since, follow))),
            Query::Peers { reply } => self.site.report(reply),
            Query::Match { subject, reply } => drop(reply.send(self.matches(&subject))),
            Query::Group { name, reply } => drop(reply.send(self.core.engine().roster(&name, clock::now()))),
            Query::History { name, since, step, reply } => self.answer_history(name, since, step, reply),
            Query::Measures { since, reply } => self.answer_measures(since, reply),
            Query::Alarms { reply } => drop(reply.send(self.outlets.alarms())),
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
        let received = kernel.records.stats();
        KernelCost { programs: programs.collect(), records: received.by_kind(), missing: received.gaps }
    }

    fn status(&self) -> StatusReport {
        let clock = clock::read();
        let now = clock.mono;
        let status = self.core.engine().status(now);
        let lost = status.losses.iter().map(|loss| Dropped {
            place: "kernel".to_owned(),
            reason: loss.reason.clone(),
            count: loss.count,
        });
        let mut report = StatusReport {
            unhealthy: Vec::new(),
            time: clock.wall,
            agent: AgentReport {
                version: agent::VERSION.to_owned(),
                pid: std::process::id(),
                host: self.outlets.host_name().to_owned(),
                uptime: now.since(self.began).as_secs_f64(),
                seq: self.outlets.last_seq(),
                processes: status.processes,
                told: self.prepared.config.events.processes.as_str().to_owned(),
                degraded: self.degraded.iter().cloned().chain(self.http.note()).chain(self.left_out_note()).collect(),
                pins: self.core.kernel().records.tail().and(self.pins.as_ref()).map(|pins| pins.path().to_owned()),
                http: self.http.address(),
                // Without /proc there is no figure; the rest of the answer is still worth having.
                cost: agent::own_cost().unwrap_or_default(),
                kernel: self.kernel_cost(),
            },
            lost: lost.collect(),
            log_files: self.logs.report(),
            engine: status,
            collectors: self.outlets.collectors(),
            spool: self.outlets.spool(),
            measures: self.noting.status(),
            peers: self.site.summary(),
            notify: self.outlets.destinations(),
            dropped: self.outlets.dropped(),
        };
        report.unhealthy = serve::reasons(&report);
        report
    }

    fn matches(&self, subject: &Subject) -> Result<MatchReport, String> {
        match subject {
            Subject::Pid(pid) => Ok(explain::of_living(self.core.engine(), *pid)),
            Subject::Fields(fields) => explain::of_fields(&self.prepared.policies, &self.prepared.users, fields),
        }
    }
}
