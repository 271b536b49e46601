//! Resident memory: small, and the same after many processes came and went.

use std::thread;
use std::time::Duration;

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::Setup;
use procprobe_tests::mark;

use crate::figure::Figure;
use crate::observe::{actor, memory};
use crate::{Effort, Outcome};

const MIB: f64 = 1_048_576.0;

pub(crate) fn resident(effort: Effort) -> Outcome {
    let (actor, mark, count) = (actor()?, mark(), effort.of(200_000));
    let mut herd = Actor::start(&actor, "herd 1000 sleep 100000000", &mark);
    herd.told();
    let policies = [
        group("herd", "sleep", &mark, "memory: { max: 1000GiB }"),
        group("churn", "exit", &mark, "starts: { max: 100000000, within: 10s }"),
    ];
    let daemon = Setup::new().policy(&policies[0]).policy(&policies[1]).events("none").start();
    thread::sleep(Duration::from_secs(5));
    let before = memory(&daemon, "VmRSS")? as f64 / MIB;
    let mut churn = Actor::start(&actor, &format!("spawn {count} 4 exit 0"), &mark);
    churn.told();
    churn.finish();
    thread::sleep(Duration::from_secs(5));
    let after = memory(&daemon, "VmRSS")? as f64 / MIB;
    let peak = memory(&daemon, "VmHWM")? as f64 / MIB;
    herd.finish();
    Ok(vec![Figure::new(
        format!("resident memory, 1,000 processes, before and after {count} short ones"),
        "under 12 MiB, flat",
        format!("{before:.1} and {after:.1} MiB (peak {peak:.1})"),
        before < 12.0 && after < 12.0 && after < before + 0.5,
    )])
}
