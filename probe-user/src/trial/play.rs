//! Plays a test: virtual time, and a virtual host around the engine.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use probe_common::maps::LossReason;

use super::host::HostFigures;
use super::judge::Judge;
use super::peers::Site;
use super::processes::Processes;
use super::{Failure, PlayError};
use crate::engine::{self, Effect, Engine, Input, Settings};
use crate::policy::glob::Glob;
use crate::policy::lines::Matcher;
use crate::policy::spec::{ActionKind, Happening, HostFacts, PolicySet, Trial};
use crate::record::{Acted, ExitStatus, LogLine, LogLines, Loss, Lost, Outcome, Reread};
use crate::time::{ClockReading, KTime, Wall};

/// Kernel time at 0s: a host that has been up for a while.
const BEGIN: KTime = KTime::from_secs(100_000);
/// How often usage and figures are sampled.
const SECOND: Duration = Duration::from_secs(1);
/// How many lines of one step are shown to the engine; the rest is counted.
const LINES_SHOWN: u32 = 5;
/// Most ticks at one moment.
const TICKS_MAX: usize = 1000;

struct Player {
    engine: Engine,
    processes: Processes,
    figures: HostFigures,
    site: Site,
    logs: Vec<Log>,
    /// Some bound is on the host.
    watches_host: bool,
    sampling: bool,
    now: KTime,
    wake: Option<KTime>,
    clock: ClockReading,
    judge: Judge,
}

struct Log {
    name: Arc<str>,
    paths: Vec<Glob>,
    matcher: Matcher,
}

/// The failures of a test.
pub(super) fn play(trial: &Trial, policies: &Arc<PolicySet>) -> Result<Vec<Failure>, PlayError> {
    let mut player = Player::new(trial, policies)?;
    // What stands at the beginning of 0s was there before the daemon.
    let before = |of: &&crate::policy::spec::Step| {
        of.at.is_zero() && matches!(of.what, Happening::Start { .. } | Happening::Usage { .. } | Happening::Host(_))
    };
    let earlier = trial.steps.iter().take_while(before).count();
    for step in trial.steps.iter().take(earlier) {
        player.prepare(&step.what);
    }
    player.begin()?;
    let mut steps = trial.steps.iter().skip(earlier).peekable();
    for expected in &trial.expect {
        while let Some(step) = steps.next_if(|step| step.at <= expected.at) {
            player.pass(BEGIN.after(step.at), false)?;
            player.happen(&step.what)?;
        }
        player.pass(BEGIN.after(expected.at), true)?;
        player.judge.hold(expected);
    }
    Ok(player.judge.failures())
}

impl Player {
    fn new(trial: &Trial, policies: &Arc<PolicySet>) -> Result<Self, PlayError> {
        // Round totals, so that shares of them come out as they are written.
        let memory_bytes = (trial.facts.memory_bytes - trial.facts.memory_bytes % 10_000).max(10_000);
        let facts = HostFacts { memory_bytes, ..trial.facts };
        let processes = Processes::new(trial, policies, facts);
        let settings = Settings {
            host: facts,
            start_grace: trial.start_grace,
            processes: engine::Processes::None,
            forks: false,
            args: true,
            redact: Vec::new(),
        };
        let logs = policies.logs.iter().map(|log| {
            let paths = log.paths.iter().filter_map(|path| Glob::path(path).ok()).collect();
            Ok(Log { name: Arc::clone(&log.name), paths, matcher: Matcher::new(log)? })
        });
        Ok(Self {
            engine: Engine::new(settings, policies, processes.users()),
            processes,
            figures: HostFigures::new(facts, policies, BEGIN),
            site: Site::default(),
            logs: logs.collect::<Result<_, PlayError>>()?,
            watches_host: !policies.host.is_empty(),
            sampling: false,
            now: BEGIN,
            wake: None,
            clock: ClockReading { mono: BEGIN, boot_ns: BEGIN.0, wall: trial.clock },
            judge: Judge::new(BEGIN),
        })
    }

    /// What was so before the daemon started.
    fn prepare(&mut self, what: &Happening) {
        self.judge.step(self.now, what);
        match what {
            Happening::Start { .. } => {
                let _ = self.processes.happen(self.now, what);
            }
            Happening::Usage { pid, usage } => self.processes.uses(self.now, *pid, usage),
            Happening::Host(figures) => self.figures.set(self.now, figures),
            _ => {}
        }
    }

    fn begin(&mut self) -> Result<(), PlayError> {
        self.step(Input::Clock(self.clock))?;
        let scan = self.processes.scan(self.now);
        self.step(Input::Scan(scan))
    }

    /// Lets time pass; what is due at the very moment itself only where `whole`.
    fn pass(&mut self, until: KTime, whole: bool) -> Result<(), PlayError> {
        let mut ticks = 0;
        loop {
            let second = (self.sampling || self.watches_host).then(|| self.next_second());
            let Some(next) = [second, self.wake].into_iter().flatten().min() else { break };
            if next > until || (next == until && !whole) {
                break;
            }
            ticks = if next > self.now { 0 } else { ticks + 1 };
            if ticks > TICKS_MAX {
                return Err(PlayError::Sleepless(self.now.since(BEGIN)));
            }
            self.now = self.now.max(next);
            if second == Some(next) {
                self.sample()?;
            }
            if self.wake.is_some_and(|wake| wake <= self.now) {
                self.step(Input::Tick)?;
            }
        }
        self.now = self.now.max(until);
        Ok(())
    }

    /// The next whole second that has not been sampled.
    fn next_second(&self) -> KTime {
        self.figures.sampled().after(SECOND).max(self.now)
    }

    fn sample(&mut self) -> Result<(), PlayError> {
        let sample = self.figures.sample(self.now);
        if self.watches_host {
            self.step(Input::Host(Box::new(sample)))?;
        }
        if self.sampling {
            let rows = self.processes.usage(self.now);
            self.step(Input::Sample(rows))?;
        }
        Ok(())
    }

    fn happen(&mut self, what: &Happening) -> Result<(), PlayError> {
        self.judge.step(self.now, what);
        match what {
            Happening::Start { .. } | Happening::Exec { .. } | Happening::Exit { .. } => {
                for record in self.processes.happen(self.now, what) {
                    self.step(Input::Record(record))?;
                }
            }
            Happening::Usage { pid, usage } => self.processes.uses(self.now, *pid, usage),
            Happening::Log { path, line, times } => {
                for lines in self.lines(path, line, *times) {
                    self.step(Input::Lines(lines))?;
                }
            }
            Happening::Host(figures) => self.figures.set(self.now, figures),
            Happening::Peer(step) => {
                let news = self.site.set(self.now, step);
                self.step(Input::Peers(news))?;
            }
            Happening::ClockJump(nanos) => {
                let clock = self.clock();
                self.set_clock(ClockReading { wall: Wall(clock.wall.0.saturating_add(*nanos)), ..clock })?;
            }
            Happening::Suspend(slept) => {
                let clock = self.clock();
                let nanos = u64::try_from(slept.as_nanos()).unwrap_or(u64::MAX);
                let wall = Wall(clock.wall.0.saturating_add(i64::try_from(nanos).unwrap_or(i64::MAX)));
                self.set_clock(ClockReading { wall, boot_ns: clock.boot_ns.saturating_add(nanos), ..clock })?;
            }
            Happening::Lose(count) => {
                let reason = Lost::Kernel(LossReason::RingFull);
                self.step(Input::Lost(Loss { reason, count: u64::from(*count) }))?;
            }
        }
        Ok(())
    }

    /// The clocks at this moment.
    fn clock(&self) -> ClockReading {
        let boot_ns = self.clock.boot_ns.saturating_add(self.now.0.saturating_sub(self.clock.mono.0));
        ClockReading { mono: self.now, boot_ns, wall: self.clock.wall_of(self.now) }
    }

    fn set_clock(&mut self, clock: ClockReading) -> Result<(), PlayError> {
        self.clock = clock;
        self.processes.slept(clock);
        self.step(Input::Clock(clock))
    }

    /// What each log finds of a line in a file.
    fn lines(&self, path: &Arc<str>, line: &str, times: u32) -> Vec<LogLines> {
        let about = self.logs.iter().filter(|log| log.paths.iter().any(|glob| glob.is_match(path)));
        about
            .filter_map(|log| {
                let mut keyword = None;
                log.matcher.scan(line.as_bytes(), |found| keyword = Some(Arc::clone(found.keyword)));
                let shown = LogLine { keyword: keyword?, text: line.into() };
                Some(LogLines {
                    log: Arc::clone(&log.name),
                    path: Arc::clone(path),
                    count: u64::from(times),
                    first: (0..times.min(LINES_SHOWN)).map(|_| shown.clone()).collect(),
                })
            })
            .collect()
    }

    /// One input, and what it leads to.
    fn step(&mut self, input: Input) -> Result<(), PlayError> {
        let mut open = VecDeque::from([input]);
        let mut rounds = 0;
        while let Some(input) = open.pop_front() {
            rounds += 1;
            if rounds > TICKS_MAX {
                return Err(PlayError::Sleepless(self.now.since(BEGIN)));
            }
            let mut effects = Vec::new();
            self.engine.step(self.now, input, &mut effects);
            for effect in effects {
                open.extend(self.answer(effect));
            }
        }
        Ok(())
    }

    /// Does what the engine asks for.
    fn answer(&mut self, effect: Effect) -> Option<Input> {
        match effect {
            Effect::Emit(event) => self.judge.told(&event),
            Effect::Watch(key, watch) => self.processes.watch(key, watch),
            Effect::WakeAt(at) => self.wake = at,
            Effect::Scan => return Some(Input::Scan(self.processes.scan(self.now))),
            Effect::Reread { key, .. } => {
                let found = self.processes.reread(key).map(|(args, uid)| Reread { args, uid: Some(uid) });
                return Some(Input::Reread { key, found });
            }
            Effect::Sampling(on) => {
                self.sampling = on;
                if !self.watches_host {
                    self.figures.skip_to(self.now);
                }
            }
            Effect::Act(order) => {
                self.judge.ordered(self.now, &order);
                let outcome = match order.action.kind {
                    ActionKind::Run { .. } => Outcome::Ran {
                        status: Some(ExitStatus::Code(0)),
                        timed_out: false,
                        took_ns: 0,
                        output: "".into(),
                    },
                    ActionKind::Signal { .. } => Outcome::Signalled {
                        pids: order.targets.iter().map(|target| target.key.tgid).collect(),
                        killed: Vec::new(),
                        left: Vec::new(),
                        gone: Vec::new(),
                    },
                };
                return Some(Input::Acted(Acted { order: order.number, outcome }));
            }
        }
        None
    }
}
