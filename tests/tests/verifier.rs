//! What the verifier makes of the kernel programs: how far each is from what the kernel refuses.
//!
//! A test binary of its own, for it takes file descriptors away from its whole process.

use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::path::Path;

use aya::programs::{Program, ProgramError};
use aya::{Btf, EbpfLoader, Endianness, VerifierLogLevel};
use probe_common::layout::LAYOUT_GLOBAL;
use probe_user::kernel::btf::{self, VMLINUX};
use probe_user::kernel::layout::{self, TRACEPOINTS};
use probe_user::kernel::loader::PROGRAMS;
use probe_user::kernel::object::OBJECT;
use procprobe_tests::daemon::require_host;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The kernel's own limit is a million, for the programs of root.
const BOUND: u64 = 200_000;

/// Programs are verified with a log, and loading ends with an error after that, for want of a descriptor: aya hands out the
/// log with an error only. Kernels say the figure otherwise from 5.16 on; this way all of them do.
#[test]
fn each_program_is_far_from_what_the_verifier_can_bear() {
    require_host();
    let types = btf::Btf::read(Path::new(VMLINUX)).unwrap();
    let words = layout::resolve(&types).unwrap().words();
    let types = Btf::parse(&types.outline(&TRACEPOINTS, &["bpf_iter_task"]), Endianness::default()).unwrap();
    // aya would take the types of the whole kernel apart, for nothing. Nobody else in this process wants a file now, so no
    // file can be opened for a moment; the daemon, which is not alone, does it otherwise.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
    let mut loader = EbpfLoader::new();
    setrlimit(Resource::Nofile, limit).unwrap();
    let mut ebpf = loader
        .btf(Some(&types))
        .override_global(LAYOUT_GLOBAL, &words[..], true)
        .verifier_log_level(VerifierLogLevel::STATS)
        .load(OBJECT)
        .unwrap();
    let next = u64::try_from(File::open("/dev/null").unwrap().as_raw_fd()).unwrap();
    setrlimit(Resource::Nofile, Rlimit { current: Some(next), ..limit }).unwrap();
    let mut counts = Vec::new();
    for (name, program) in ebpf.programs_mut() {
        let tried = match program {
            Program::Iter(program) => program.load("task", &types),
            Program::BtfTracePoint(program) => {
                let (_, tracepoint) = PROGRAMS.into_iter().find(|(known, _)| *known == name).unwrap();
                program.load(tracepoint, &types)
            }
            _ => panic!("{name} is of a kind that this test does not know"),
        };
        let Err(ProgramError::LoadError { io_error, verifier_log }) = tried else {
            panic!("{name}: {tried:?}, though there is no descriptor left");
        };
        let log = verifier_log.to_string();
        // The want of a descriptor comes after the verification: any other error is a refusal.
        assert_eq!(io_error.raw_os_error(), Some(rustix::io::Errno::MFILE.raw_os_error()), "{name}: {io_error}: {log}");
        let count = processed(&log).unwrap_or_else(|| panic!("{name}: {io_error}: no figure in {log:?}"));
        counts.push((name.to_owned(), count));
    }
    counts.sort();
    for (name, count) in &counts {
        println!("verifier {name} {count}");
    }
    assert_eq!(counts.len(), 10, "all programs of the object");
    assert!(counts.iter().all(|(_, count)| (1..BOUND).contains(count)), "more than {BOUND}: {counts:?}");
}

/// The figure in `processed 1234 insns (limit 1000000) ...`.
fn processed(log: &str) -> Option<u64> {
    log.split_once("processed ")?.1.split(' ').next()?.parse().ok()
}
