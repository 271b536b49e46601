//! What processes use, from /proc, for groups of which the daemon samples nothing because no bound asks for it.
//!
//! This is the looking program's own work and costs the daemon nothing. A pid is held against the start of the process
//! that is meant, so that nobody gets another one's figures.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use crate::engine::{Member, Roster};

/// A tick of the start time may be rounded either way.
const TICKS_APART: u64 = 1;

/// CPU time of each process when it was looked at last.
#[derive(Debug, Default)]
pub(super) struct Figures {
    before: HashMap<(u32, u64), (u64, Instant)>,
}

/// The fields of /proc/PID/stat that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    cpu_ticks: u64,
    threads: u32,
    start_ticks: u64,
    rss_pages: u64,
}

impl Figures {
    /// Fills in what the daemon does not know.
    pub(super) fn fill(&mut self, roster: &mut Roster, now: Instant) {
        let mut seen = HashMap::new();
        for member in roster.processes.iter_mut().filter(|member| member.cpu.is_none() && member.memory_bytes.is_none())
        {
            let Ok(text) = fs::read_to_string(format!("/proc/{}/stat", member.pid)) else { continue };
            if let Some(stat) = parse(&text) {
                self.one(member, stat, rustix::param::clock_ticks_per_second().max(1), now, &mut seen);
            }
        }
        self.before = seen;
    }

    fn one(
        &self,
        member: &mut Member,
        stat: Stat,
        ticks_per_second: u64,
        now: Instant,
        seen: &mut HashMap<(u32, u64), (u64, Instant)>,
    ) {
        let start_ticks = u128::from(member.start_boot_ns) * u128::from(ticks_per_second) / 1_000_000_000;
        if u128::from(stat.start_ticks).abs_diff(start_ticks) > u128::from(TICKS_APART) {
            return;
        }
        let which = (member.pid, member.start_boot_ns);
        member.memory_bytes = Some(stat.rss_pages.saturating_mul(rustix::param::page_size() as u64));
        member.threads = stat.threads;
        member.cpu = self.before.get(&which).and_then(|(ticks, at)| {
            let passed = now.saturating_duration_since(*at).as_secs_f64();
            let used = stat.cpu_ticks.saturating_sub(*ticks) as f64 / ticks_per_second as f64;
            (passed > 0.0).then_some(used / passed)
        });
        seen.insert(which, (stat.cpu_ticks, now));
    }
}

/// The name in brackets can hold anything, brackets and spaces too.
fn parse(text: &str) -> Option<Stat> {
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    // The first one behind the name is field 3.
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some(Stat {
        cpu_ticks: field(14)?.saturating_add(field(15)?),
        threads: u32::try_from(field(20)?).ok()?,
        start_ticks: field(22)?,
        rss_pages: field(24)?,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LINE: &str =
        "42 (a) b) S 1 42 42 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 3 0 12345 1000000 256 18446744073709551615";

    #[test]
    fn a_line_is_read_whatever_the_name_is() {
        let expected = Stat { cpu_ticks: 200, threads: 3, start_ticks: 12345, rss_pages: 256 };
        assert_eq!(parse(LINE), Some(expected));
        assert_eq!(parse("42 (a) S 1 2"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn use_is_what_came_between_two_looks_at_the_same_process() {
        let mut figures = Figures::default();
        let began = Instant::now();
        let stat = parse(LINE).unwrap();
        let look = |figures: &mut Figures, cpu_ticks, start_boot_ns, seconds| {
            let mut member = Member { pid: 42, start_boot_ns, ..Member::default() };
            let mut seen = HashMap::new();
            let now = began + Duration::from_secs(seconds);
            figures.one(&mut member, Stat { cpu_ticks, ..stat }, 100, now, &mut seen);
            figures.before = seen;
            (member.cpu, member.memory_bytes.is_some())
        };
        assert_eq!(look(&mut figures, 200, 123_450_000_000, 0), (None, true));
        assert_eq!(look(&mut figures, 300, 123_455_000_000, 2), (None, true), "another process");
        assert_eq!(look(&mut figures, 400, 123_455_000_000, 4), (Some(0.5), true));
        assert_eq!(look(&mut figures, 500, 99_000_000_000, 5), (None, false), "somebody else has the pid now");
    }

    #[test]
    fn this_process_is_found() {
        let text = fs::read_to_string("/proc/self/stat").unwrap();
        let ticks = rustix::param::clock_ticks_per_second();
        let start = parse(&text).unwrap().start_ticks;
        let member =
            Member { pid: std::process::id(), start_boot_ns: start * 1_000_000_000 / ticks, ..Member::default() };
        let mut roster = Roster { processes: vec![member], ..Roster::default() };
        Figures::default().fill(&mut roster, Instant::now());
        assert!(roster.processes[0].memory_bytes.is_some_and(|bytes| bytes > 0), "{roster:?}");
    }
}
