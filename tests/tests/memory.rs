//! Memory after very many processes: what it was after the first few thousand.
//!
//! With the policies that ship, pins, a spool and events of each short life, as a host has them. What the daemon
//! allocated is what is held against the bound: pages of code come with their first use and go when a storm is over,
//! whatever the number of processes, and there are never more of them than the program has.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt;
use std::path::Path;
use std::time::Duration;

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Daemon, Setup, at_most};
use procprobe_tests::home::wait_until;
use procprobe_tests::mark;
use procprobe_tests::pins::PinDir;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// Processes that come and go before anything is compared.
const WARM: usize = 6_000;
/// What more than that may cost.
const MOST_KIB: u64 = 1 << 10;

/// Of /proc/PID/status, KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Resident {
    allocated: u64,
    files: u64,
    shared: u64,
}

impl Resident {
    fn of(daemon: &Daemon) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
        let kib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim_start_matches(':').trim().trim_end_matches(" kB").parse().unwrap()
        };
        Self { allocated: kib("RssAnon"), files: kib("RssFile"), shared: kib("RssShmem") }
    }

    fn sum(self) -> u64 {
        self.allocated + self.files + self.shared
    }
}

impl fmt::Display for Resident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allocated, files, shared } = self;
        write!(f, "{} KiB ({allocated} allocated, {files} of files, {shared} shared)", self.sum())
    }
}

/// What it is when the daemon has taken in what was, has given back what that took, and does nothing any more.
fn at_rest(daemon: &Daemon) -> Resident {
    let mut last = Resident::of(daemon);
    let mut same = 0;
    wait_until("memory at rest", Duration::from_mins(1), || {
        // Longer than a sample is apart from the next, and a look at the ring from the next.
        std::thread::sleep(Duration::from_secs(1));
        let now = Resident::of(daemon);
        same = if now.allocated == last.allocated { same + 1 } else { 0 };
        last = now;
        same == 3
    });
    last
}

fn churn(rounds: usize, processes: usize) {
    let (mark, pins, state) = (mark(), PinDir::new(), tempfile::tempdir().unwrap());
    let mut setup = Setup::new().pins(pins.path()).state(state.path());
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    for entry in std::fs::read_dir(shipped).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            setup = setup.file(&name, &std::fs::read_to_string(path).unwrap());
        }
    }
    let bounds = "starts: { max: 100000000, within: 10s }\nfailures: { max: 100000000, within: 1m }\n\
                  memory: { max: 1000GiB }\nage: { max: 1h }";
    let mut daemon = setup.policy(&group("churn", "exit", &mark, bounds)).start();
    let come_and_go = |count: usize| {
        let mut parent = Actor::start(ACTOR, &format!("spawn {count} 4 exit {{byte}} {{}}"), &mark);
        parent.told();
        parent.finish();
    };
    come_and_go(WARM);
    let before = at_rest(&daemon);
    println!("after {WARM}: {before}");
    for round in 1..=rounds {
        come_and_go(at_most(processes / rounds));
        let now = at_rest(&daemon);
        println!("after {} more: {now}", at_most(processes / rounds) * round);
        assert!(now.allocated < before.allocated + MOST_KIB, "after {round} of {rounds} rounds {now}, before {before}");
    }
    let engine = &daemon.status()["engine"];
    println!("{engine}");
    assert_eq!(daemon.stop(), Some(0));
}

#[test]
fn twenty_thousand_processes_leave_nothing_behind() {
    churn(2, 20_000);
}

#[test]
#[ignore = "takes a quarter of an hour: `cargo test -p procprobe-tests --test memory -- --ignored --nocapture`"]
fn a_million_processes_leave_nothing_behind() {
    churn(10, 1_000_000);
}
