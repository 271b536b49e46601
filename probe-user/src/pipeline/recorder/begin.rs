//! What a recording begins with: what it says of the host, what it asks of the host, and a folder for what nobody needs
//! afterwards.

use std::path::PathBuf;
use std::time::Duration;

use super::RecordSettings;
use crate::event::Severity;
use crate::host::facts;
use crate::host::identity::{identify, kernel_release};
use crate::pipeline::clock;
use crate::policy::glob::Glob;
use crate::policy::spec::{Bound, HostBlock, HostBound, Limit, Log, Measure, Per, PolicySet, Response, Side};
use crate::recording::facts::{Facts, RecordedLog};
use crate::time::ClockReading;

pub(super) fn head(settings: &RecordSettings, began: ClockReading) -> Facts {
    let host = identify(Some(&settings.host.name)).host;
    let size = facts::read();
    Facts {
        procprobe: env!("CARGO_PKG_VERSION").to_owned(),
        kernel: kernel_release(),
        host_name: host.name,
        host_id: host.id,
        boot_id: host.boot_id,
        labels: settings.host.labels.clone(),
        cpus: size.cpus,
        memory_bytes: size.memory_bytes,
        page_bytes: rustix::param::page_size() as u64,
        users: settings.users.0.iter().map(|(uid, name)| (*uid, name.to_string())).collect(),
        sample_interval_ms: u64::try_from(settings.sample_interval.as_millis()).unwrap_or(u64::MAX),
        args: settings.args_max > 0,
        began_mono_ns: began.mono.0,
        began_boot_ns: began.boot_ns,
        began_wall_ns: began.wall.0,
        logs: settings.policies.logs.iter().map(recorded).collect(),
        peers: !settings.policies.peers.is_empty(),
    }
}

fn recorded(log: &Log) -> RecordedLog {
    RecordedLog { name: log.name.to_string(), paths: log.paths.iter().map(ToString::to_string).collect() }
}

/// A folder that goes with the recorder. Where it cannot be made the source of lines says so and does without.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("procprobe-record-{}-{}", std::process::id(), clock::now().0));
        let made = std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&path);
        // Somebody else's folder is not used: the name then is of one that is not there.
        Self(if made.is_ok() { path } else { PathBuf::from("/nonexistent") })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // It holds nothing that anybody needs.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Policies that ask for everything that there is of the host.
pub(super) fn whole_host() -> PolicySet {
    let everything = |measure: Measure| HostBound {
        bound: Bound {
            measure,
            side: Side::Max,
            limit: Limit::Absolute(f64::INFINITY),
            clear: None,
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            within: Duration::ZERO,
            per: Per::Group,
            severity: Severity::Info,
            declared: "".into(),
        },
        // A mount that no policy means unless it names it can be named by one.
        targets: Glob::path("**").into_iter().chain(Glob::name("*")).collect(),
    };
    let bounds = Measure::HOST.into_iter().map(everything).collect();
    PolicySet {
        host: vec![HostBlock { declared: "".into(), bounds, response: Response::default() }],
        ..PolicySet::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::measures::Measures;
    use crate::policy::spec::HostFacts;

    /// Whatever a policy may say of the host can be held against a recording.
    #[test]
    fn a_recording_asks_for_every_figure_of_the_host() {
        let mut measures = Measures::new(&whole_host());
        let every = Duration::from_secs(1);
        let sample = measures.sample(clock::now(), every);
        assert!(sample.cpu.is_some() && sample.load.is_some() && sample.memory.is_some(), "{sample:?}");
        let interfaces = sample.interfaces.unwrap();
        assert!(interfaces.iter().any(|interface| &*interface.name == "lo"), "{interfaces:?}");
        // Sizes are asked for by a thread, and the first answer takes a moment.
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        let has_root = |measures: &mut Measures| {
            let disks = measures.sample(clock::now(), every).disks.unwrap_or_default();
            disks.iter().any(|disk| &*disk.path == "/" && disk.size.is_some())
        };
        while !has_root(&mut measures) {
            assert!(std::time::Instant::now() < deadline, "the size of / is not known");
            std::thread::sleep(Duration::from_millis(20));
        }
        let size = HostFacts { cpus: 1, memory_bytes: 1 };
        let asked =
            whole_host().host.iter().flat_map(|block| &block.bounds).map(|of| of.bound.measure).collect::<Vec<_>>();
        assert_eq!(asked, Measure::HOST);
        let fires = |bound: &HostBound| bound.bound.limit.resolve(bound.bound.measure, &size).is_finite();
        assert!(!whole_host().host.iter().flat_map(|block| &block.bounds).any(fires));
    }
}
