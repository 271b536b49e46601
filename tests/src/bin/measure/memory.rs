//! Resident memory: small, and the same after many processes came and went.

use std::error::Error;
use std::thread;
use std::time::Duration;

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::Setup;
use procprobe_tests::mark;

use crate::figure::Figure;
use crate::observe::{actor, memory};
use crate::{Effort, Outcome};

const MIB: f64 = 1_048_576.0;
/// Processes that come and go before anything is compared.
const WARM: u64 = 2_000;

pub(crate) fn resident(effort: Effort) -> Outcome {
    let (actor, mark, count) = (actor()?, mark(), effort.of(200_000));
    let mut herd = Actor::start(&actor, "herd 1000 sleep 100000000", &mark);
    herd.told();
    let policies = [
        group("herd", "sleep", &mark, "memory: { max: 1000GiB }"),
        group("churn", "exit", &mark, "starts: { max: 100000000, within: 10s }"),
    ];
    let daemon = Setup::new().policy(&policies[0]).policy(&policies[1]).events("none").start();
    let resident_after = |count: u64| -> Result<f64, Box<dyn Error>> {
        if count > 0 {
            let mut churn = Actor::start(&actor, &format!("spawn {count} 4 exit 0"), &mark);
            churn.told();
            churn.finish();
        }
        thread::sleep(Duration::from_secs(5));
        Ok(memory(&daemon, "VmRSS")? as f64 / MIB)
    };
    // Code is in memory from its first use on: what handles the ends of processes counts from some of them on.
    let (at_rest, before, after) = (resident_after(0)?, resident_after(WARM)?, resident_after(count)?);
    let peak = memory(&daemon, "VmHWM")? as f64 / MIB;
    herd.finish();
    Ok(vec![Figure::new(
        format!("resident memory, 1,000 processes, before and after {count} short ones"),
        "under 12 MiB, flat",
        format!("{before:.1} and {after:.1} MiB ({at_rest:.1} before the first {WARM}, peak {peak:.1})"),
        at_rest < 12.0 && before < 12.0 && after < 12.0 && after < before + 0.5,
    )])
}
