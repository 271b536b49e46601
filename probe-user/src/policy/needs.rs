//! What policies need of the kernel and not every kernel has.
//!
//! A policy that asks for what the kernel lacks could never fire, or would fire for ever: it is refused at its place, and
//! `only_if` keeps it out of hosts that it is not meant for. Pure: whoever loads policies says what the kernel lacks.

use crate::diagnostic::Span;

/// Below it the kernel shows how long tasks wait.
const PRESSURE: &str = "/proc/pressure";

/// Something that not every kernel from 5.10 on has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Pressure stall information.
    Pressure,
    /// A unified cgroup hierarchy with the host's processes in it.
    Cgroups,
}

/// What is asked for, the key that asks, and where it stands.
pub(super) type Needed = (Need, &'static str, Span);

/// Why this kernel cannot do what policies may ask for; `None`: it can.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lacks {
    /// Why /proc/pressure cannot be read.
    pub pressure: Option<String>,
    /// Why no process has a cgroup that could be matched.
    pub cgroups: Option<String>,
}

impl Lacks {
    /// What is wrong with asking for it here, and what to do.
    pub(super) fn refusal(&self, need: Need, key: &str) -> Option<(String, String)> {
        let told = |why: &Option<String>, cannot: &str, help: &str| {
            let why = why.as_ref()?;
            Some((format!("`{key}` {cannot} on this kernel: {why}"), help.to_owned()))
        };
        match need {
            Need::Pressure => told(
                &self.pressure,
                "cannot be judged",
                "it needs CONFIG_PSI, and on some distributions psi=1 on the kernel's command line; a block with \
                 only_if: { path: /proc/pressure/memory } is loaded only where that is",
            ),
            Need::Cgroups => told(
                &self.cgroups,
                "matches nothing",
                "mount -t cgroup2 none /sys/fs/cgroup, or boot with systemd.unified_cgroup_hierarchy=1; a group with \
                 only_if: { path: /sys/fs/cgroup/cgroup.procs } is loaded only where that is",
            ),
        }
    }

    /// A file that the kernel shows and refuses to read is none: with PSI switched off some kernels have the files.
    pub(super) fn hides(&self, path: &str) -> bool {
        self.pressure.is_some() && std::path::Path::new(path).starts_with(PRESSURE)
    }
}
