//! Loads and attaches the kernel programs. The only file that does.
//!
//! Order: the layout is resolved (everything missing is named), the object is loaded with it, the exit side is attached
//! before the start side, so that no process can be seen starting whose end would be missed. On any failure everything
//! already attached is detached again by dropping it.
//!
//! With a directory for pins ([`super::pins`]) programs of an earlier daemon that are the same are taken over as they are,
//! and those that are attached now stay when this daemon ends. Where that fails it goes on without pins, and a note says
//! why.

use std::path::Path;
use std::thread;
use std::time::Duration;

use aya::maps::{Array, HashMap, MapData, PerCpuArray, RingBuf};
use aya::programs::{BtfTracePoint, Iter, ProgramError, ProgramFd};
use aya::{Ebpf, EbpfError, EbpfLoader};
use caps::{CapSet, Capability};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::chroot;
use probe_common::layout as names;
use probe_common::maps as map_names;

use super::btf::{Btf, BtfError, VMLINUX};
use super::layout::{self, LayoutError};
use super::left_out::LeftOut;
use super::losses::Losses;
use super::object::OBJECT;
use super::pinned;
pub use super::pinned::Origin;
use super::pins::Pins;
use super::records::Records;
use super::sampler::{Iterators, Sampler};
use super::watched::Watched;

/// What the programs are loaded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadSettings {
    /// Size of the ring buffer: a power of two, a multiple of the page size. It is mapped twice and counts as resident
    /// memory of the daemon.
    pub ring_bytes: u32,
    /// Records that nobody waits for wake the daemon at most this often.
    pub wake_gap: Duration,
    /// Bytes of arguments taken along with each exec.
    pub args_max: u32,
    /// Most processes with more than one thread whose threads can be ending at a time. What finds no room is counted,
    /// and the CPU times that may miss it say so.
    pub accounts_max: u32,
}

impl Default for LoadSettings {
    fn default() -> Self {
        Self { ring_bytes: 1 << 20, wake_gap: Duration::from_millis(250), args_max: 1024, accounts_max: 65_536 }
    }
}

/// Program and tracepoint; the end of processes first, see above.
pub const PROGRAMS: [(&str, &str); 7] = [
    ("process_free", "sched_process_free"),
    ("process_exit", "sched_process_exit"),
    ("oom_victim", "mark_victim"),
    ("signal_generate", "signal_generate"),
    ("process_rename", "task_rename"),
    ("process_exec", "sched_process_exec"),
    ("process_fork", "sched_process_fork"),
];

/// The iterator programs.
pub(super) const ITERATORS: [&str; 3] = [SCAN_PROGRAM, SAMPLE_PROGRAM, GLANCE_PROGRAM];
/// See [`ITERATORS`].
pub const SCAN_PROGRAM: &str = "scan";
/// See [`ITERATORS`].
pub const SAMPLE_PROGRAM: &str = "sample";
/// See [`ITERATORS`].
pub const GLANCE_PROGRAM: &str = "glance";

/// The programs could not be loaded or attached; nothing of them is left in the kernel.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No type information.
    #[error(transparent)]
    Btf(#[from] BtfError),
    /// The kernel lacks fields or tracepoints.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// aya could not read the type information.
    #[error("cannot read the kernel's type information: {0}")]
    AyaBtf(#[from] aya::BtfError),
    /// Whoever asks may not.
    #[error("kernel programs cannot be loaded without {missing}; {}", remedy())]
    Rights {
        /// Which capabilities it lacks.
        missing: &'static str,
    },
    /// The object as a whole was refused: maps, mostly.
    #[error("the kernel refuses the maps of the kernel programs: {}; {}", describe(source), remedy())]
    Object {
        /// Why.
        source: EbpfError,
    },
    /// One program was refused.
    #[error("the kernel refuses the program {program}: {}; {}", describe(source), remedy())]
    Program {
        /// Which.
        program: &'static str,
        /// Why, with the verifier's words where there are any.
        source: ProgramError,
    },
    /// The object in this binary does not fit this binary: it was built from other sources.
    #[error("the kernel object in this binary lacks {0}; build both sides together with `cargo xtask build`")]
    Mismatch(&'static str),
    /// The iterators show the processes of one PID namespace, the records those of the whole host.
    #[error(
        "this is not the host's PID namespace: most processes could not be seen; start the container with --pid=host"
    )]
    PidNamespace,
    /// A map could not be opened or mapped.
    #[error("cannot use the map {map}: {}", describe(source.as_ref()))]
    Map {
        /// Which.
        map: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl LoadError {
    /// Whether another kernel or more capabilities would help, rather than another build.
    pub const fn is_about_the_host(&self) -> bool {
        !matches!(self, Self::Mismatch(_))
    }
}

/// Refuses who cannot load anything, before directories are made and sockets opened that the next one would stumble over.
pub fn check_rights() -> Result<(), LoadError> {
    let holds = |capability| caps::has_cap(None, CapSet::Effective, capability).unwrap_or(true);
    // It stands for both.
    if holds(Capability::CAP_SYS_ADMIN) {
        return Ok(());
    }
    let missing = match (holds(Capability::CAP_BPF), holds(Capability::CAP_PERFMON)) {
        (true, true) => return Ok(()),
        (false, true) => "CAP_BPF",
        (true, false) => "CAP_PERFMON",
        (false, false) => "CAP_BPF and CAP_PERFMON",
    };
    Err(LoadError::Rights { missing })
}

fn remedy() -> &'static str {
    "run as root or with CAP_BPF and CAP_PERFMON (CAP_SYS_ADMIN before 5.8); `procprobe doctor` tells more"
}

/// The error with its causes; the verifier's log only by its last lines, it can be thousands.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    let lines: Vec<&str> = text.lines().collect();
    match lines.len() {
        0..=12 => text,
        many => format!("{} … {}", lines[0], lines[many - 10..].join("\n")),
    }
}

/// Up to here `kernel.unprivileged_bpf_disabled` stops whoever has no CAP_BPF at every bpf call, also on maps and
/// programs that are open already; from here on only where something is loaded or made.
const OPEN_MAPS_WANT_NOTHING: (u32, u32) = (5, 19);

/// Whether maps and iterators are only for who keeps CAP_BPF. Distributions set that switch, and it can be set later as
/// well, so the version alone decides. One that is not understood counts as old.
pub fn wants_bpf_for_good(version: Option<(u32, u32)>) -> bool {
    version.is_none_or(|version| version < OPEN_MAPS_WANT_NOTHING)
}

/// The programs at work. Dropping it detaches them all, unless they are pinned.
pub struct Attached {
    /// The ring buffer.
    pub records: Records,
    /// The iterators.
    pub sampler: Sampler,
    /// What the programs watch.
    pub watched: Watched,
    /// What they leave out.
    pub left_out: LeftOut,
    /// What they could not deliver, and what they cost.
    pub losses: Losses,
    /// Whose they are.
    pub origin: Origin,
    /// What works less well than it should.
    pub notes: Vec<String>,
}

/// `PROC_PID_INIT_INO` of include/linux/proc_ns.h: the inode of the first PID namespace, the same on every boot.
const HOST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Loads and attaches everything, or takes over what an earlier daemon left in the directory of pins.
pub fn attach(settings: LoadSettings, pins: Option<&Pins>) -> Result<Attached, LoadError> {
    // Where /proc does not say, the iterators will.
    if std::fs::read_link("/proc/self/ns/pid").is_ok_and(|namespace| namespace.as_os_str() != HOST_PID_NAMESPACE) {
        return Err(LoadError::PidNamespace);
    }
    match pins {
        Some(pins) => pinned::attach(settings, pins),
        None => load(settings)?.into_attached(),
    }
}

/// Programs that are loaded and attached for as long as this lives.
pub(super) struct Loaded {
    pub(super) ebpf: Ebpf,
    /// The kernel has what glances need.
    pub(super) glances: bool,
}

/// Loads and attaches everything anew.
pub(super) fn load(settings: LoadSettings) -> Result<Loaded, LoadError> {
    let (words, glances, outline) = {
        let types = Btf::read(Path::new(VMLINUX))?;
        let layout = layout::resolve(&types)?;
        let glances = layout.task_thread_node != 0 && layout.signal_thread_head != 0;
        let words = layout.words();
        let outline = types.outline(&layout::TRACEPOINTS, &["bpf_iter_task"]);
        (words, glances, outline)
    };
    let btf = aya::Btf::parse(&outline, aya::Endianness::default())?;
    drop(outline);
    let wake_gap_ns = u64::try_from(settings.wake_gap.as_nanos()).unwrap_or(u64::MAX);
    let wake_fill_bytes = u64::from(settings.ring_bytes / 4);
    let batched_fill_bytes = u64::from(settings.ring_bytes - settings.ring_bytes / 8);
    let mut ebpf = empty_loader()
        .btf(Some(&btf))
        .override_global(names::LAYOUT_GLOBAL, &words[..], true)
        .override_global(names::WAKE_GAP_GLOBAL, &wake_gap_ns, true)
        .override_global(names::WAKE_FILL_GLOBAL, &wake_fill_bytes, true)
        .override_global(names::BATCHED_FILL_GLOBAL, &batched_fill_bytes, true)
        .override_global(names::ARGS_MAX_GLOBAL, &settings.args_max, true)
        .map_max_entries(map_names::RECORDS, settings.ring_bytes)
        .map_max_entries(map_names::ACCOUNTS, settings.accounts_max)
        .load(OBJECT)
        .map_err(|source| LoadError::Object { source })?;
    start_kernel_log(&mut ebpf);
    for program in ITERATORS {
        let iterator: &mut Iter = typed(&mut ebpf, program)?;
        iterator.load("task", &btf).map_err(|source| LoadError::Program { program, source })?;
    }
    for (program, tracepoint) in PROGRAMS {
        let loaded: &mut BtfTracePoint = typed(&mut ebpf, program)?;
        loaded.load(tracepoint, &btf).map_err(|source| LoadError::Program { program, source })?;
    }
    Ok(Loaded { ebpf, glances })
}

/// Where nothing can be opened: `/proc` knows no file of the names that aya looks for.
const NOWHERE: &str = "/proc/self/fdinfo";

/// A loader that has read nothing. aya's constructor reads and takes apart the type information of the whole kernel, 30 MiB
/// of memory, before it can be given an outline; where it does not find the file it goes without. So it runs in a thread
/// that has another root directory, of its own and not of the process. Who may not change that (CAP_SYS_CHROOT) starts a
/// little later, with the same programs.
fn empty_loader() -> EbpfLoader<'static> {
    let elsewhere = || {
        if let Err(error) = unshare(CloneFlags::CLONE_FS).and_then(|()| chroot(NOWHERE)) {
            tracing::debug!(%error, "the kernel's types are read twice");
        }
        EbpfLoader::new()
    };
    thread::Builder::new().spawn(elsewhere).ok().and_then(|thread| thread.join().ok()).unwrap_or_default()
}

impl Loaded {
    /// Attaches the programs, to be detached by dropping them.
    fn into_attached(mut self) -> Result<Attached, LoadError> {
        let records = Records::new(take::<RingBuf<MapData>>(&mut self.ebpf, map_names::RECORDS)?, None)
            .map_err(|source| LoadError::Map { map: map_names::RECORDS, source: source.into() })?;
        let watched = Watched::new(take::<HashMap<MapData, u32, u32>>(&mut self.ebpf, map_names::WATCHED)?);
        let left_out = LeftOut::new(take::<Array<MapData, u32>>(&mut self.ebpf, map_names::LEFT_OUT)?);
        let cpu_state = take::<PerCpuArray<MapData, _>>(&mut self.ebpf, map_names::CPU_STATE)?;
        let mut programs = Vec::new();
        for (program, _) in PROGRAMS {
            let loaded: &mut BtfTracePoint = typed(&mut self.ebpf, program)?;
            loaded.attach().map_err(|source| LoadError::Program { program, source })?;
            programs.extend(fd_of(loaded).map(|fd| (program, fd)));
        }
        let losses = Losses::new(cpu_state, programs, [0; super::tail::REASONS]);
        let sampler = Sampler::new(Iterators::Loaded(Box::new(self.ebpf)), self.glances);
        Ok(Attached { records, sampler, watched, left_out, losses, origin: Origin::Fresh, notes: Vec::new() })
    }
}

/// For figures, which do without where it cannot be had.
pub(super) fn fd_of(program: &BtfTracePoint) -> Option<ProgramFd> {
    program.fd().ok()?.try_clone().ok()
}

pub(super) fn take<T: TryFrom<aya::maps::Map, Error = aya::maps::MapError>>(
    ebpf: &mut Ebpf,
    map: &'static str,
) -> Result<T, LoadError> {
    let found = ebpf.take_map(map).ok_or(LoadError::Mismatch(map))?;
    T::try_from(found).map_err(|source| LoadError::Map { map, source: source.into() })
}

pub(super) fn typed<'a, T>(ebpf: &'a mut Ebpf, program: &'static str) -> Result<&'a mut T, LoadError>
where
    &'a mut T: TryFrom<&'a mut aya::programs::Program>,
{
    let found = ebpf.program_mut(program).ok_or(LoadError::Mismatch(program))?;
    <&mut T>::try_from(found).map_err(|_| LoadError::Mismatch(program))
}

#[cfg(not(feature = "kernel-log"))]
fn start_kernel_log(_: &mut Ebpf) {}

/// Shows what the programs log through `tracing`'s `log` bridge. Only in diagnosis builds.
#[cfg(feature = "kernel-log")]
fn start_kernel_log(ebpf: &mut Ebpf) {
    if let Err(error) = super::log::start(ebpf) {
        tracing::warn!(%error, "the kernel programs' own log cannot be read");
    }
}
