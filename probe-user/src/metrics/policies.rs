//! What policies look at: groups, bounds, jobs, logs, and the host's measures that a bound is about.

use super::{Family, Gathered, flag, point, timestamp};
use crate::engine::{self, GroupStatus, GroupUsage, HostBoundStatus, HostInstanceStatus, State};
use crate::event::Severity;
use crate::serve::StatusReport;
use crate::time::Wall;

pub(super) fn put(report: &StatusReport, out: &mut Gathered) {
    let engine = &report.engine;
    groups(&engine.groups, out);
    bounds(engine, out);
    jobs(engine, report.time, out);
    logs(engine, out);
    host(&engine.host, out);
}

fn groups(groups: &[GroupStatus], out: &mut Gathered) {
    out.put(
        Family::gauge("procprobe_group_processes", "{process}", "Processes of the group that live."),
        groups.iter().map(|group| point(&[("group", &group.name)], group.members as f64)),
    );
    let mut put = |family: Family, value: fn(&GroupUsage) -> Option<f64>| {
        let known = groups.iter().filter_map(|group| Some((group, group.usage.as_ref().and_then(value)?)));
        out.put(family, known.map(|(group, value)| point(&[("group", &group.name)], value)));
    };
    put(
        Family::gauge("procprobe_group_threads", "{thread}", "Their threads; there only while the group is sampled."),
        |usage| usage.threads.map(|threads| threads as f64),
    );
    put(Family::gauge("procprobe_group_cpu_cores", "{cpu}", "CPU that they use, in cores; likewise."), |usage| {
        usage.cpu
    });
    put(
        Family::gauge("procprobe_group_cpu_wait_cores", "{cpu}", "Time that they wait for a CPU, in cores; likewise."),
        |usage| usage.cpu_wait,
    );
    put(Family::gauge("procprobe_group_resident_memory_bytes", "By", "Their resident memory; likewise."), |usage| {
        usage.memory_bytes.map(|bytes| bytes as f64)
    });
    put(
        Family::gauge("procprobe_group_read_bytes_per_second", "By/s", "What they read from storage; likewise."),
        |usage| usage.read,
    );
    put(
        Family::gauge("procprobe_group_written_bytes_per_second", "By/s", "What they write to storage; likewise."),
        |usage| usage.write,
    );
}

/// A bound of anything, or a demand on a job.
struct Held<'a> {
    kind: &'static str,
    policy: &'a str,
    name: &'a str,
    measure: &'static str,
    side: &'static str,
    /// A mount point or an interface.
    target: &'a str,
    severity: Severity,
    limit: Option<f64>,
    value: Option<f64>,
    nearness: Option<f64>,
    state: State,
}

impl Held<'_> {
    fn point(&self, value: f64) -> super::Point {
        point(
            &[
                ("kind", self.kind),
                ("policy", self.policy),
                ("alarm", self.name),
                ("measure", self.measure),
                ("bound", self.side),
                ("target", self.target),
                ("severity", self.severity.as_str()),
            ],
            value,
        )
    }
}

fn bounds(engine: &engine::Status, out: &mut Gathered) {
    let all = || of_sets(engine).chain(of_jobs(engine)).chain(of_host(engine));
    let judged = all().filter(|held| held.state != State::Unknown);
    out.put(
        Family::gauge("procprobe_alarm_firing", "1", "1 while the bound's alarm is firing; absent while unknown."),
        judged.map(|held| held.point(flag(held.state == State::Firing))),
    );
    out.put(
        Family::gauge("procprobe_bound_unknown", "1", "1 where the bound cannot be judged now, else absent."),
        all().filter(|held| held.state == State::Unknown).map(|held| held.point(1.0)),
    );
    let mut put = |family: Family, value: fn(&Held<'_>) -> Option<f64>| {
        out.put(family, all().filter_map(|held| Some(held.point(value(&held)?))));
    };
    put(Family::gauge("procprobe_bound_limit", "1", "The bound, in the measure's own unit."), |held| held.limit);
    put(
        Family::gauge("procprobe_bound_value", "1", "What is held against it; of a bound per process the worst."),
        |held| held.value,
    );
    put(
        Family::gauge("procprobe_bound_nearness_ratio", "1", "How near that is to the limit: 1 is the limit."),
        |held| held.nearness,
    );
}

/// Of groups, logs and sets of peers.
fn of_sets(engine: &engine::Status) -> impl Iterator<Item = Held<'_>> {
    let groups = engine.groups.iter().map(|group| ("group", &group.name, &group.bounds));
    let logs = engine.logs.iter().map(|log| ("log", &log.name, &log.bounds));
    let peers = engine.peers.iter().map(|set| ("peers", &set.name, &set.bounds));
    groups.chain(logs).chain(peers).flat_map(|(kind, policy, bounds)| {
        bounds.iter().map(move |bound| Held {
            kind,
            policy,
            name: &bound.name,
            measure: bound.measure,
            side: bound.bound,
            target: "",
            severity: bound.severity,
            limit: Some(bound.limit),
            value: bound.value,
            nearness: bound.nearness,
            state: bound.state,
        })
    })
}

fn of_jobs(engine: &engine::Status) -> impl Iterator<Item = Held<'_>> {
    engine.jobs.iter().flat_map(|job| {
        job.alarms.iter().map(|alarm| Held {
            kind: "job",
            policy: &job.name,
            name: &alarm.name,
            measure: alarm.measure,
            side: alarm.bound.unwrap_or_default(),
            target: "",
            severity: alarm.severity,
            limit: None,
            value: None,
            nearness: None,
            state: alarm.state,
        })
    })
}

fn of_host(engine: &engine::Status) -> impl Iterator<Item = Held<'_>> {
    engine.host.iter().flat_map(|bound| {
        bound.instances.iter().map(|instance| Held {
            kind: "host",
            policy: "host",
            name: &bound.name,
            measure: bound.measure,
            side: bound.bound,
            target: instance.instance.as_deref().unwrap_or_default(),
            severity: bound.severity,
            limit: Some(bound.limit),
            value: instance.value,
            nearness: instance.nearness,
            state: instance.state,
        })
    })
}

fn jobs(engine: &engine::Status, now: Wall, out: &mut Gathered) {
    let jobs = &engine.jobs;
    out.put(
        Family::gauge("procprobe_job_runs_in_progress", "{run}", "Runs of the job that go on."),
        jobs.iter().map(|job| point(&[("job", &job.name)], job.running.len() as f64)),
    );
    out.put(
        Family::counter("procprobe_job_missed_total", "{run}", "Scheduled times at which the job did not run."),
        jobs.iter().filter(|job| job.schedule.is_some()).map(|job| point(&[("job", &job.name)], job.missed as f64)),
    );
    out.put(
        Family::gauge("procprobe_job_next_timestamp_seconds", "s", "Its next scheduled time, seconds since 1970."),
        jobs.iter().filter_map(|job| Some(point(&[("job", &job.name)], timestamp(job.next?.0)))),
    );
    let last = || jobs.iter().filter_map(|job| Some((&job.name, job.last.as_ref()?)));
    out.put(
        Family::gauge("procprobe_job_last_end_timestamp_seconds", "s", "When its last run ended, seconds since 1970."),
        last().map(|(name, run)| {
            let ended = (now.0 as f64 / 1e9 - run.ended_seconds) * 1e3;
            point(&[("job", name)], ended.round() / 1e3)
        }),
    );
    out.put(
        Family::gauge("procprobe_job_last_duration_seconds", "s", "How long that run took."),
        last().map(|(name, run)| point(&[("job", name)], run.duration_seconds)),
    );
    out.put(
        Family::gauge("procprobe_job_last_cpu_seconds", "s", "CPU time of that run's processes."),
        last().map(|(name, run)| point(&[("job", name)], run.cpu_seconds)),
    );
    let known = last().filter(|(_, run)| run.outcome != "unknown");
    out.put(
        Family::gauge("procprobe_job_last_success", "1", "1 when it succeeded, 0 when it failed; absent when unknown."),
        known.map(|(name, run)| point(&[("job", name)], flag(run.outcome == "succeeded"))),
    );
}

fn logs(engine: &engine::Status, out: &mut Gathered) {
    out.put(
        Family::counter("procprobe_log_matched_lines_total", "{line}", "Lines that matched."),
        engine.logs.iter().map(|log| point(&[("log", &log.name)], log.matched as f64)),
    );
}

/// A measure of the host: what a bound that is a share of the total says has a name of its own.
struct HostMeasure {
    measure: &'static str,
    /// Of mount points or interfaces.
    label: &'static str,
    plain: Family,
    share: Option<Family>,
}

const HOST: [HostMeasure; 12] = [
    HostMeasure::one("cpu", Family::gauge("procprobe_host_cpu_ratio", "1", "Share of all CPUs' time that was used.")),
    HostMeasure::one("load", Family::gauge("procprobe_host_load1", "1", "Load average of one minute.")),
    HostMeasure::two(
        "memory_available",
        "",
        Family::gauge("procprobe_host_memory_available_bytes", "By", "Memory that can be had without swapping."),
        Family::gauge("procprobe_host_memory_available_ratio", "1", "The same as a share of all memory."),
    ),
    HostMeasure::two(
        "swap_used",
        "",
        Family::gauge("procprobe_host_swap_used_bytes", "By", "Swap in use."),
        Family::gauge("procprobe_host_swap_used_ratio", "1", "The same as a share of all swap."),
    ),
    HostMeasure::two(
        "disk_free",
        "mountpoint",
        Family::gauge("procprobe_host_disk_free_bytes", "By", "Space left for users of a file system."),
        Family::gauge("procprobe_host_disk_free_ratio", "1", "The same as a share of what users can have."),
    ),
    HostMeasure::two(
        "inodes_free",
        "mountpoint",
        Family::gauge("procprobe_host_inodes_free", "{inode}", "Inodes left of a file system."),
        Family::gauge("procprobe_host_inodes_free_ratio", "1", "The same as a share of all inodes."),
    ),
    HostMeasure::one("processes", Family::gauge("procprobe_host_processes", "{process}", "Processes alive.")),
    HostMeasure::one(
        "pressure_cpu",
        Family::gauge("procprobe_host_pressure_cpu_ratio", "1", "Share of time in which some task waited for a CPU."),
    ),
    HostMeasure::one(
        "pressure_memory",
        Family::gauge(
            "procprobe_host_pressure_memory_ratio",
            "1",
            "Share of time in which some task waited for memory.",
        ),
    ),
    HostMeasure::one(
        "pressure_io",
        Family::gauge("procprobe_host_pressure_io_ratio", "1", "Share of time in which some task waited for storage."),
    ),
    HostMeasure::of_interfaces(
        "network_receive",
        Family::gauge("procprobe_host_network_receive_bytes_per_second", "By/s", "What an interface receives."),
    ),
    HostMeasure::of_interfaces(
        "network_transmit",
        Family::gauge("procprobe_host_network_transmit_bytes_per_second", "By/s", "What an interface sends."),
    ),
];

impl HostMeasure {
    const fn one(measure: &'static str, plain: Family) -> Self {
        Self { measure, label: "", plain, share: None }
    }

    const fn two(measure: &'static str, label: &'static str, plain: Family, share: Family) -> Self {
        Self { measure, label, plain, share: Some(share) }
    }

    const fn of_interfaces(measure: &'static str, plain: Family) -> Self {
        Self { measure, label: "interface", plain, share: None }
    }
}

/// The host's own figures, as far as a bound has them measured. Two bounds on the same are one point.
fn host(bounds: &[HostBoundStatus], out: &mut Gathered) {
    for HostMeasure { measure, label, plain, share } in HOST {
        let is_split = share.is_some();
        let of = |as_share: bool| {
            let bounds =
                bounds.iter().filter(move |bound| bound.measure == measure && (bound.share == as_share || !is_split));
            bounds.flat_map(|bound| &bound.instances).filter_map(move |instance: &HostInstanceStatus| {
                Some(point(&[(label, instance.instance.as_deref().unwrap_or_default())], instance.value?))
            })
        };
        out.put(plain, of(false));
        if let Some(share) = share {
            out.put(share, of(true));
        }
    }
}
