//! Keeps the daemon within its own limits of CPU and memory, by leaving things out in a stated order: arguments of new
//! processes, events about processes, then ever more of the samples. Policies go on being judged by everything that
//! they need: a step that would blind them is not among [`steps`].
//!
//! Pure: told what was used, it says what is to be left out. CPU time that is not used is saved up, a minute's worth at
//! most, so that a storm of some seconds is seen whole. When it is used up, or memory is over its limit, each look takes
//! one step more; some looks well below the limits take one back, and each return to a step that had to be taken again
//! makes it wait for twice as long.

use std::time::Duration;

use crate::engine::Processes;
use crate::time::KTime;

/// How far apart the daemon looks at itself. It is woken for that only while something is left out.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What is saved up at most, as a time of full use.
const SAVED_MOST: Duration = Duration::from_mins(1);

/// Looks below the limit by this share in a row, before something is taken in again.
const CALM_LOOKS: u32 = 3;
/// Most looks that are waited for.
const CALM_MOST: u32 = 120;
/// Below this share of its limit a figure is calm: what a step saves is not to push it over again.
const CALM_SHARE: f64 = 0.7;

/// What the daemon may use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// CPU time of the daemon and of its programs in the kernel, as a share of one core.
    pub cpu: f64,
    /// Resident memory, bytes.
    pub memory: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { cpu: 0.01, memory: 64 << 20 }
    }
}

/// What it used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// CPU time since its start, ns, its programs' included.
    pub cpu_ns: u64,
    /// Resident memory, bytes.
    pub memory: u64,
}

/// Something that is left out; in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Arguments of processes that start from now on are not recorded.
    Args,
    /// Starts and ends of processes are not told.
    Processes,
    /// Only one of so many samples is taken.
    Sampling(u32),
}

impl Step {
    /// As a person reads it.
    pub fn words(self) -> String {
        match self {
            Self::Args => "arguments of new processes".to_owned(),
            Self::Processes => "events about processes".to_owned(),
            Self::Sampling(of) => format!("{} of {of} samples", of - 1),
        }
    }
}

/// The steps that would save something here and blind no policy.
pub fn steps(told: Processes, args_are_told: bool, args_are_matched: bool) -> Vec<Step> {
    let args = (args_are_told && !args_are_matched).then_some(Step::Args);
    let processes = (told != Processes::None).then_some(Step::Processes);
    args.into_iter().chain(processes).chain([2, 4, 8].map(Step::Sampling)).collect()
}

/// What is left out from now on, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Shed {
    /// All of it; nothing when the daemon is within its limits again.
    pub left_out: Vec<Step>,
    /// Share of a core since the last look.
    pub cpu: f64,
    /// Resident memory, bytes.
    pub memory: u64,
    /// Something more is left out than before.
    pub more: bool,
}

/// Watches the daemon.
#[derive(Debug)]
pub struct Guard {
    limits: Limits,
    steps: Vec<Step>,
    taken: usize,
    last: Option<(KTime, u64)>,
    /// CPU time, ns; below zero when more was used than there was.
    saved: f64,
    calm: u32,
    wanted: u32,
    /// The last change took something in again.
    returned: bool,
}

impl Guard {
    /// Nothing is left out yet.
    pub fn new(limits: Limits, steps: Vec<Step>) -> Self {
        let saved = saved_most(limits);
        Self { limits, steps, taken: 0, last: None, saved, calm: 0, wanted: CALM_LOOKS, returned: false }
    }

    /// Other limits or policies from now on. As many steps stay taken as there are.
    pub fn set(&mut self, limits: Limits, steps: Vec<Step>) {
        self.limits = limits;
        self.saved = self.saved.min(saved_most(limits));
        self.taken = self.taken.min(steps.len());
        self.steps = steps;
    }

    /// Whether [`Guard::look`] would look.
    pub fn is_due(&self, now: KTime) -> bool {
        self.last.is_none_or(|(at, _)| now >= at.after(LOOK_EVERY))
    }

    /// When the daemon is to be woken for a look; `None` while nothing is left out.
    pub fn next_look(&self) -> Option<KTime> {
        let (at, _) = self.last.filter(|_| self.taken > 0)?;
        Some(at.after(LOOK_EVERY))
    }

    /// What is left out now.
    pub fn left_out(&self) -> &[Step] {
        self.steps.get(..self.taken).unwrap_or_default()
    }

    /// The daemon's limits.
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Judges what was used since the last look; says so when that changes what is left out.
    pub fn look(&mut self, now: KTime, usage: Usage) -> Option<Shed> {
        let (at, cpu_ns) = self.last.replace((now, usage.cpu_ns))?;
        let elapsed = now.since(at);
        if elapsed.is_zero() {
            return None;
        }
        let (spent, elapsed) = (usage.cpu_ns.saturating_sub(cpu_ns) as f64, elapsed.as_nanos() as f64);
        let most = saved_most(self.limits);
        self.saved = (self.saved + elapsed * self.limits.cpu - spent).clamp(-most, most);
        let cpu = spent / elapsed;
        let memory = usage.memory as f64 / self.limits.memory as f64;
        let used = memory.max(cpu / self.limits.cpu);
        let before = self.taken;
        if memory > 1.0 || (used > 1.0 && self.saved < 0.0) {
            self.calm = 0;
            if self.taken < self.steps.len() {
                self.taken += 1;
                if std::mem::take(&mut self.returned) {
                    self.wanted = (self.wanted * 2).min(CALM_MOST);
                }
            }
        } else if used > CALM_SHARE {
            self.calm = 0;
        } else {
            self.calm += 1;
            if self.calm >= self.wanted && self.taken > 0 {
                self.calm = 0;
                self.taken -= 1;
                self.returned = true;
            } else if self.taken == 0 && self.calm >= CALM_MOST {
                self.wanted = CALM_LOOKS;
                self.returned = false;
            }
        }
        let left_out = self.left_out().to_vec();
        (self.taken != before).then_some(Shed { left_out, cpu, memory: usage.memory, more: self.taken > before })
    }
}

fn saved_most(limits: Limits) -> f64 {
    SAVED_MOST.as_nanos() as f64 * limits.cpu
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Step; 5] = [Step::Args, Step::Processes, Step::Sampling(2), Step::Sampling(4), Step::Sampling(8)];

    /// One character for each look: `o` over, `-` between calm and the limit, `.` calm; the digits are how many steps
    /// are taken after each.
    fn check(looks: &str, expected: &str) {
        let mut guard = Guard::new(Limits { cpu: 0.01, memory: 1 << 20 }, ALL.to_vec());
        let mut usage = Usage { cpu_ns: 7, memory: 0 };
        let mut now = KTime::from_secs(100);
        assert_eq!(guard.look(now, usage), None, "the first look has nothing to compare with");
        let mut taken = String::new();
        for look in looks.chars() {
            let permille: u32 = match look {
                'o' => 11,
                '-' => 9,
                _ => 6,
            };
            let share = f64::from(permille) / 1e3;
            // What is saved up has a test of its own.
            guard.saved = 0.0;
            assert!(!guard.is_due(now));
            now = now.after(LOOK_EVERY);
            assert!(guard.is_due(now));
            usage.cpu_ns += u64::try_from((LOOK_EVERY * permille / 1000).as_nanos()).unwrap();
            let before = guard.left_out().len();
            let shed = guard.look(now, usage);
            assert_eq!(shed.is_some(), guard.left_out().len() != before);
            let wakes = (!guard.left_out().is_empty()).then(|| now.after(LOOK_EVERY));
            assert_eq!(guard.next_look(), wakes);
            if let Some(shed) = shed {
                assert_eq!(shed.left_out, guard.left_out());
                assert_eq!(shed.more, shed.left_out.len() > before);
                assert!((shed.cpu - share).abs() < 1e-6, "{shed:?}");
            }
            taken.push_str(&guard.left_out().len().to_string());
        }
        assert_eq!(taken, expected, "{looks}");
    }

    #[test]
    fn it_acts_at_once_and_recovers_slowly() {
        check("....", "0000");
        check("ooooooo", "1234555");
        check("o--o--", "111222");
        check("o...", "1110");
        check("oo..-......", "12222221110");
        // Taken again after a return: twice as long, and again.
        check("o...o......", "11101111110");
        check("o...o......o............", "111011111101111111111110");
    }

    #[test]
    fn a_storm_of_some_seconds_is_seen_whole() {
        // A minute's worth is 0.6 s: 12 looks at twice the limit, or 6 s at a tenth of a core.
        let check = |share: u32, expected: usize| {
            let mut guard = Guard::new(Limits::default(), ALL.to_vec());
            let mut cpu_ns = 0;
            let shed = (0..60).position(|look| {
                let usage = Usage { cpu_ns, memory: 0 };
                cpu_ns += u64::try_from((LOOK_EVERY * share / 1000).as_nanos()).unwrap();
                guard.look(KTime::from_secs(5 * look), usage).is_some()
            });
            assert_eq!(shed, Some(expected), "{share}");
        };
        check(20, 13);
        check(100, 2);
        check(1000, 1);
    }

    #[test]
    fn memory_counts_as_cpu_does() {
        let mut guard = Guard::new(Limits { cpu: 0.01, memory: 1000 }, ALL.to_vec());
        guard.look(KTime::from_secs(1), Usage { cpu_ns: 0, memory: 2000 });
        let shed = guard.look(KTime::from_secs(6), Usage { cpu_ns: 0, memory: 1001 });
        assert_eq!(shed, Some(Shed { left_out: vec![Step::Args], cpu: 0.0, memory: 1001, more: true }));
        assert_eq!(guard.look(KTime::from_secs(11), Usage { cpu_ns: 0, memory: 1000 }), None);
    }

    #[test]
    fn a_step_that_blinds_a_policy_or_saves_nothing_is_none() {
        let sampling = [2, 4, 8].map(Step::Sampling);
        let check = |told, args_are_told, args_are_matched, expected: &[Step]| {
            let steps = steps(told, args_are_told, args_are_matched);
            assert_eq!(steps, [expected, &sampling].concat());
        };
        check(Processes::Matched, true, false, &[Step::Args, Step::Processes]);
        check(Processes::All, true, true, &[Step::Processes]);
        check(Processes::None, true, false, &[Step::Args]);
        check(Processes::None, false, false, &[]);
    }

    #[test]
    fn other_policies_keep_the_steps_that_there_are() {
        let mut guard = Guard::new(Limits::default(), ALL.to_vec());
        for second in 0..4 {
            guard.look(KTime::from_secs(second * 5), Usage { cpu_ns: second * 1_000_000_000, memory: 0 });
        }
        assert_eq!(guard.left_out(), &ALL[..3]);
        guard.set(Limits::default(), vec![Step::Sampling(2)]);
        assert_eq!(guard.left_out(), [Step::Sampling(2)]);
    }
}
