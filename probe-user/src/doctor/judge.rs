//! From facts to lines. Pure.

use std::fmt;
use std::path::Path;

use caps::Capability;

use super::facts::Facts;
use crate::host::identity::kernel_version;
use crate::kernel::loader::wants_bpf_for_good;
use crate::kernel::pins::{Found, PinsError, is_readable};

/// The oldest kernel that has everything.
const OLDEST: (u32, u32) = (5, 10);
/// From here on maps are charged to the memory cgroup, no longer to RLIMIT_MEMLOCK.
const NO_MEMLOCK: (u32, u32) = (5, 11);
/// What the maps take at most.
const MEMLOCK_ENOUGH: u64 = 64 << 20;

/// How one thing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Ok,
    /// The daemon runs, with less.
    Warn,
    /// The daemon does not run.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) verdict: Verdict,
    what: &'static str,
    found: String,
    remedy: Option<&'static str>,
}

impl Line {
    pub(super) const fn new(verdict: Verdict, what: &'static str, found: String) -> Self {
        Self { verdict, what, found, remedy: None }
    }

    pub(super) const fn remedy(mut self, remedy: &'static str) -> Self {
        self.remedy = Some(remedy);
        self
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        let found = self.found.replace('\n', "\n                        ");
        writeln!(f, "{verdict:<6}{:<18}{found}", self.what)?;
        match self.remedy {
            Some(remedy) => writeln!(f, "{:24}-> {remedy}", ""),
            None => Ok(()),
        }
    }
}

/// Everything about the kernel and the daemon's rights.
pub(super) fn judge(facts: &Facts) -> Vec<Line> {
    let version = kernel_version(&facts.release);
    let mut lines = vec![kernel(&facts.release, version), btf(&facts.btf)];
    if facts.btf.is_ok() {
        lines.extend(layout(&facts.missing));
    }
    lines.push(capabilities(&facts.capabilities));
    lines.push(kept_capabilities(version));
    if let Ok(held) = &facts.capabilities {
        lines.push(other_processes(held));
    }
    lines.push(memlock(facts.memlock_bytes, version));
    lines.push(lockdown(facts.lockdown.as_deref()));
    lines.push(match (&facts.lacks.cgroups, &facts.unified_cgroup) {
        (Some(why), _) => Line::new(Verdict::Warn, "cgroups", why.clone()).remedy(
            "policies that match by `cgroup`, `unit` or `container` are refused; mount -t cgroup2 none /sys/fs/cgroup",
        ),
        (None, Some(place)) => {
            Line::new(Verdict::Ok, "cgroups", format!("the unified hierarchy is at {}", place.display()))
        }
        (None, None) => {
            Line::new(Verdict::Ok, "cgroups", "the unified hierarchy is in use, and not mounted here".into())
        }
    });
    lines.push(match &facts.bpffs {
        Some(place) => Line::new(Verdict::Ok, "bpf file system", format!("at {}", place.display())),
        None => Line::new(Verdict::Warn, "bpf file system", "not mounted".into())
            .remedy("what happens while no daemon runs is not known; mount -t bpf bpf /sys/fs/bpf"),
    });
    lines.push(if facts.bpf_stats {
        Line::new(Verdict::Ok, "kernel statistics", "the programs' own cost is shown by `procprobe status`".into())
    } else {
        Line::new(Verdict::Ok, "kernel statistics", "off: the programs' own cost is not shown".into())
            .remedy("sysctl kernel.bpf_stats_enabled=1, to see it")
    });
    lines.push(match &facts.lacks.pressure {
        None => Line::new(Verdict::Ok, "pressure", "the kernel tells how long tasks wait (PSI)".into()),
        Some(why) => Line::new(Verdict::Warn, "pressure", why.clone()).remedy(
            "policies with `pressure_cpu`, `pressure_memory` or `pressure_io` are refused; PSI needs CONFIG_PSI, and on some \
             distributions psi=1 on the kernel's command line",
        ),
    });
    lines
}

/// What daemons left in the kernel.
pub(super) fn pins(path: &Path, found: Result<Option<Found>, PinsError>) -> Line {
    let line = |verdict, found: &str| Line::new(verdict, "pins", format!("{}: {found}", path.display()));
    let Found { holder, versions } = match found {
        Ok(Some(found)) => found,
        Ok(None) => return line(Verdict::Ok, "nothing is pinned there yet"),
        Err(error) => {
            let verdict = if matches!(error, PinsError::NoBpffs(_)) { Verdict::Warn } else { Verdict::Fail };
            return Line::new(verdict, "pins", error.to_string())
                .remedy("the daemon pins its programs there; until it may, `procprobe run --no-pin` runs without");
        }
    };
    let names = if versions.is_empty() { "nothing".to_owned() } else { versions.join(", ") };
    match holder {
        Some(0) => line(Verdict::Ok, &format!("{names}, of a daemon in another pid namespace")),
        Some(pid) => line(Verdict::Ok, &format!("{names}, of the daemon with pid {pid}")),
        None if versions.is_empty() => line(Verdict::Ok, "nothing is pinned there"),
        None if versions.iter().any(|version| is_readable(version)) => {
            line(Verdict::Ok, &format!("{names}, and no daemon runs: the next one goes on with it"))
                .remedy("`procprobe unload` removes it")
        }
        None => line(Verdict::Warn, &format!("{names}, of a version that this one cannot read; no daemon runs"))
            .remedy("the next daemon removes it, and what it holds is lost; start the version that left it first"),
    }
}

pub(super) fn collector(url: &str, reached: Result<(), String>) -> Line {
    match reached {
        Ok(()) => Line::new(Verdict::Ok, "collector", format!("{url} accepts connections")),
        Err(why) => Line::new(Verdict::Warn, "collector", format!("{url}: {why}"))
            .remedy("events wait in a bounded queue until it answers; look at its URL, its firewall, its state"),
    }
}

fn kernel(release: &str, version: Option<(u32, u32)>) -> Line {
    let found = format!("Linux {release}");
    match version {
        Some(version) if version >= OLDEST => Line::new(Verdict::Ok, "kernel", found),
        Some(_) => Line::new(Verdict::Fail, "kernel", found).remedy("Linux 5.10 or later is needed"),
        None => {
            Line::new(Verdict::Warn, "kernel", found).remedy("its version is not understood; 5.10 or later is needed")
        }
    }
}

fn btf(read: &Result<(), String>) -> Line {
    match read {
        Ok(()) => Line::new(Verdict::Ok, "type information", "the kernel describes its types (BTF)".into()),
        Err(why) => Line::new(Verdict::Fail, "type information", why.clone())
            .remedy("run a kernel built with CONFIG_DEBUG_INFO_BTF=y, as the distributions' own are"),
    }
}

/// Fields and tracepoints, apart: the first are the kernel's age, the second its configuration.
fn layout(missing: &[String]) -> Vec<Line> {
    let (tracepoints, fields): (Vec<_>, Vec<_>) = missing.iter().partition(|name| name.starts_with("tracepoint "));
    let line = |what, all: &str, names: &[&String], remedy| {
        if names.is_empty() {
            return Line::new(Verdict::Ok, what, format!("all {all} are there"));
        }
        let names: Vec<&str> = names.iter().map(|name| name.trim_start_matches("tracepoint ")).collect();
        Line::new(Verdict::Fail, what, format!("missing: {}", names.join(", "))).remedy(remedy)
    };
    vec![
        line(
            "kernel fields",
            "that the programs read",
            &fields,
            "the kernel is too old, too new, or lacks CONFIG_SCHED_INFO or CONFIG_TASK_IO_ACCOUNTING",
        ),
        line("hooks", "tracepoints", &tracepoints, "the kernel is built without these tracepoints"),
    ]
}

/// What a daemon of these rights goes on with.
fn kept_capabilities(version: Option<(u32, u32)>) -> Line {
    let found = if wants_bpf_for_good(version) {
        "CAP_BPF: before 5.19 the kernel asks for it at every look at a map, not only when programs are loaded"
    } else {
        "none, once the programs are attached"
    };
    Line::new(Verdict::Ok, "kept of them", found.into())
}

fn capabilities(held: &Result<Vec<Capability>, String>) -> Line {
    let what = "capabilities";
    let held = match held {
        Ok(held) => held,
        Err(why) => return Line::new(Verdict::Warn, what, format!("cannot be read: {why}")),
    };
    let missing: Vec<String> = [Capability::CAP_BPF, Capability::CAP_PERFMON]
        .iter()
        .filter(|capability| !held.contains(capability))
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() {
        Line::new(Verdict::Ok, what, "CAP_BPF and CAP_PERFMON".into())
    } else if held.contains(&Capability::CAP_SYS_ADMIN) {
        Line::new(Verdict::Ok, what, "CAP_SYS_ADMIN".into())
    } else {
        Line::new(Verdict::Fail, what, format!("missing: {}", missing.join(", ")))
            .remedy("run as root, or grant both (systemd: AmbientCapabilities=CAP_BPF CAP_PERFMON CAP_SYS_PTRACE)")
    }
}

fn other_processes(held: &[Capability]) -> Line {
    let what = "other processes";
    if held.contains(&Capability::CAP_SYS_PTRACE) {
        Line::new(Verdict::Ok, what, "arguments of processes older than the daemon can be read".into())
    } else {
        Line::new(Verdict::Warn, what, "CAP_SYS_PTRACE is missing".into())
            .remedy("arguments of other users' processes that are older than the daemon stay unknown")
    }
}

fn memlock(limit: Option<u64>, version: Option<(u32, u32)>) -> Line {
    let what = "locked memory";
    match limit {
        _ if version.is_some_and(|version| version >= NO_MEMLOCK) => {
            Line::new(Verdict::Ok, what, "this kernel does not count maps as locked memory".into())
        }
        None => Line::new(Verdict::Ok, what, "no limit".into()),
        Some(bytes) if bytes >= MEMLOCK_ENOUGH => Line::new(Verdict::Ok, what, format!("{} MiB", bytes >> 20)),
        Some(bytes) => {
            Line::new(Verdict::Warn, what, format!("at most {} KiB, which is too little for the maps", bytes >> 10))
                .remedy("ulimit -l unlimited (systemd: LimitMEMLOCK=infinity); the daemon tries to raise it by itself")
        }
    }
}

fn lockdown(mode: Option<&str>) -> Line {
    match mode {
        Some("confidentiality") => Line::new(Verdict::Fail, "lockdown", "confidentiality".into())
            .remedy("this mode keeps programs from reading kernel memory; boot with lockdown=integrity or without"),
        Some(mode) => Line::new(Verdict::Ok, "lockdown", mode.to_owned()),
        None => Line::new(Verdict::Ok, "lockdown", "the kernel has none".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::peers;
    use super::*;
    use crate::policy::Lacks;

    fn well() -> Facts {
        Facts {
            release: "6.12.9-amd64".into(),
            btf: Ok(()),
            missing: Vec::new(),
            capabilities: Ok(super::super::facts::CAPABILITIES.to_vec()),
            memlock_bytes: Some(8 << 20),
            lockdown: None,
            unified_cgroup: Some("/sys/fs/cgroup".into()),
            bpffs: Some("/sys/fs/bpf".into()),
            bpf_stats: true,
            lacks: Lacks::default(),
        }
    }

    const PAGE: &str = include_str!("../../../docs/troubleshooting.md");

    /// The page for people has a section on the line, and it says what the line's remedy says.
    fn is_explained(line: &Line) {
        let in_one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let heading = format!("\n### {}\n", line.what);
        let (_, rest) = PAGE.split_once(&heading).unwrap_or_else(|| panic!("no section on `{}`", line.what));
        let section = in_one_line(rest.split("\n##").next().unwrap());
        let remedy = line.remedy.map(in_one_line).unwrap_or_default();
        assert!(section.contains(&remedy), "`{}` does not say: {remedy}", line.what);
    }

    /// Which lines are not ok.
    fn check(change: impl FnOnce(&mut Facts), expected: &[(&str, Verdict)]) {
        let mut facts = well();
        change(&mut facts);
        let lines = judge(&facts);
        lines.iter().for_each(is_explained);
        let odd: Vec<_> = lines
            .iter()
            .filter(|line| line.verdict != Verdict::Ok)
            .map(|line| {
                assert!(line.remedy.is_some(), "{line} has no remedy");
                (line.what, line.verdict)
            })
            .collect();
        assert_eq!(odd, expected);
    }

    #[test]
    fn each_lack_is_told_with_its_remedy() {
        use Verdict::{Fail, Warn};
        check(|_| (), &[]);
        check(|facts| facts.release = "5.10.0-28-amd64".into(), &[("locked memory", Warn)]);
        check(|facts| facts.release = "5.4.0".into(), &[("kernel", Fail), ("locked memory", Warn)]);
        check(|facts| facts.release = "strange".into(), &[("kernel", Warn), ("locked memory", Warn)]);
        check(|facts| facts.release = "10.0.1".into(), &[]);
        check(|facts| facts.btf = Err("no such file".into()), &[("type information", Fail)]);
        check(|facts| facts.missing = vec!["task_struct.comm".into()], &[("kernel fields", Fail)]);
        check(|facts| facts.missing = vec!["tracepoint mark_victim".into()], &[("hooks", Fail)]);
        let only = |held: &'static [Capability]| move |facts: &mut Facts| facts.capabilities = Ok(held.to_vec());
        check(only(&[Capability::CAP_BPF, Capability::CAP_PERFMON]), &[("other processes", Warn)]);
        check(only(&[Capability::CAP_BPF, Capability::CAP_SYS_PTRACE]), &[("capabilities", Fail)]);
        check(only(&[Capability::CAP_SYS_ADMIN, Capability::CAP_SYS_PTRACE]), &[]);
        check(only(&[]), &[("capabilities", Fail), ("other processes", Warn)]);
        check(|facts| facts.lockdown = Some("confidentiality".into()), &[("lockdown", Fail)]);
        check(|facts| facts.lockdown = Some("integrity".into()), &[]);
        check(|facts| facts.unified_cgroup = None, &[]);
        check(|facts| facts.lacks.cgroups = Some("never mounted".into()), &[("cgroups", Warn)]);
        check(|facts| facts.bpf_stats = false, &[]);
        check(|facts| facts.bpffs = None, &[("bpf file system", Warn)]);
        check(|facts| facts.lacks.pressure = Some("no such file".into()), &[("pressure", Warn)]);
    }

    #[test]
    fn pins_are_told_with_whose_they_are() {
        use Verdict::{Fail, Ok as Well, Warn};
        let own = format!("v{}-0123", probe_common::ABI_VERSION);
        let check = |holder, versions: &[&str], verdict, part: &str| {
            let versions = versions.iter().map(|version| (*version).to_owned()).collect();
            let line = pins(Path::new("/p"), Ok(Some(Found { holder, versions })));
            is_explained(&line);
            assert!(line.verdict == verdict && line.to_string().contains(part), "{line}");
        };
        check(Some(7), &[&own], Well, "of the daemon with pid 7");
        check(Some(0), &[&own], Well, "another pid namespace");
        check(None, &[&own, "v0-1"], Well, "the next one goes on with it");
        check(None, &["v0-1"], Warn, "/p: v0-1, of a version that this one cannot read");
        check(None, &[], Well, "nothing is pinned there");
        assert_eq!(pins(Path::new("/p"), Ok(None)).verdict, Well);
        let refused = PinsError::Refused { path: "/p".into(), why: "it belongs to user 33, not to 0".to_owned() };
        let line = pins(Path::new("/p"), Err(refused));
        is_explained(&line);
        assert!(line.verdict == Fail && line.to_string().contains("user 33"), "{line}");
    }

    #[test]
    fn the_other_lines_are_explained_too() {
        let why = || Err("no answer within 5 s".to_owned());
        is_explained(&collector("https://collector.example/", why()));
        let listen = "0.0.0.0:7946".parse().unwrap();
        let taken = || Err(std::io::ErrorKind::AddrInUse.into());
        is_explained(&peers::shared_keys::<(), _>(&Err("no such file")));
        is_explained(&peers::socket(listen, false, taken()));
        assert_eq!(peers::socket(listen, true, taken()).verdict, Verdict::Ok);
        is_explained(&super::super::configuration(&why()));
        is_explained(&super::super::programs(why()));
        is_explained(&super::super::facts::state_dir(Path::new("/dev/null/state")));
    }

    #[test]
    fn what_the_daemon_keeps_depends_on_the_kernel() {
        let kept = |release: &str| kept_capabilities(kernel_version(release)).found;
        for (release, keeps) in [
            ("5.10.0-46-cloud-amd64", true),
            ("5.18.19", true),
            ("5.19.0", false),
            ("6.1.0-50-amd64", false),
            ("10.0.1", false),
            ("strange", true),
        ] {
            assert_eq!(kept(release).starts_with("CAP_BPF"), keeps, "{release}");
        }
    }

    #[test]
    fn a_line_shows_verdict_thing_and_remedy() {
        let line = Line::new(Verdict::Fail, "kernel", "Linux 4\nvery old".into()).remedy("a newer one");
        let expected = "FAIL  kernel            Linux 4\n                        very old\n                        -> a newer one\n";
        assert_eq!(line.to_string(), expected);
    }
}
