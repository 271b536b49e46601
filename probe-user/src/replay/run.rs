//! The engine's side of a replay: feeds it, tells its events, and keeps the account of what fired.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use super::decode::{self, Delivery, End, Listed, Step};
use super::durations::Durations;
use super::history::History;
use super::lane::{Lane, Usage};
use super::lines::Lines;
use super::suggest;
use super::summary::{Summary, Tally};
use crate::engine::{Input, Processes, Settings};
use crate::event::Event;
use crate::policy::spec::{Mode, PolicySet};
use crate::record::{Body, UsageRow};
use crate::recording::ReadError;
use crate::recording::facts::Facts;
use crate::recording::reader::Reader;
use crate::time::{ClockReading, KTime};

/// How a recording is replayed.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Nothing fires before so long after the beginning.
    pub start_grace: Duration,
    /// For which processes start and exit are told.
    pub processes: Processes,
    /// Keep the history that bounds can be suggested from.
    pub suggest: bool,
}

/// What came out of a replay.
#[derive(Debug)]
pub struct Outcome {
    /// Each bound, and how much was replayed.
    pub summary: Summary,
    /// What the groups and the runs of jobs came to, where it was asked for.
    pub history: Option<History>,
}

/// Why a replay ended early.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no thread to be had.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] io::Error),
    /// The thread that reads is gone without a word.
    #[error("the recording could not be read to its end")]
    Gone,
}

/// Replays a recording. Each event goes to `tell`, with the clocks of its time, until it says no.
pub fn replay<R: Read + Send + 'static>(
    reader: Reader<R>,
    policies: &PolicySet,
    options: Options,
    mut tell: impl FnMut(Event, &ClockReading) -> bool,
) -> Result<Outcome, ReplayError> {
    let mut runner = Runner::new(reader.facts(), policies, options);
    let batches = decode::spawn(reader)?;
    loop {
        match batches.next() {
            Some(Delivery::Batch(mut batch)) => {
                if !batch.empty_into(|step| runner.step(step, &mut tell)) {
                    return Ok(runner.finish(None));
                }
                batches.give_back(batch);
            }
            Some(Delivery::Ended(Ok(end))) => return Ok(runner.finish(Some(end))),
            Some(Delivery::Ended(Err(error))) => return Err(error.into()),
            None => return Err(ReplayError::Gone),
        }
    }
}

struct Runner {
    lane: Lane,
    tally: Tally,
    usage: Usage,
    clock: ClockReading,
    began: KTime,
    last: KTime,
    lives: u64,
    records: u64,
    lost: u64,
    lines: Lines,
    durations: Durations,
    /// A second engine, whose bounds never fire, to see the values of measures that have no bound.
    history: Option<(Lane, History)>,
}

impl Runner {
    fn new(facts: &Facts, policies: &PolicySet, options: Options) -> Self {
        let settings = Settings {
            host: facts.size(),
            start_grace: options.start_grace,
            processes: options.processes,
            forks: false,
            args: facts.args,
            redact: Vec::new(),
        };
        let users = Arc::new(facts.user_names());
        let clock = facts.began();
        let history = options.suggest.then(|| {
            let probes = Arc::new(suggest::probes(policies));
            let quiet = Settings { processes: Processes::None, ..settings.clone() };
            (Lane::new(quiet, &probes, &users), History::new(&probes))
        });
        let durations = Durations::new(policies);
        let mut policies = observing(policies);
        let lines = Lines::new(&mut policies, &facts.logs, facts.peers);
        let lane = Lane::new(settings, &Arc::new(policies), &users);
        let (tally, usage) = (Tally::default(), Usage::default());
        Self {
            lane,
            tally,
            usage,
            clock,
            began: clock.mono,
            last: clock.mono,
            lives: 0,
            records: 0,
            lost: 0,
            lines,
            durations,
            history,
        }
    }

    /// Takes a record in. False when nobody wants to hear more.
    fn record(&mut self, now: KTime, listed: Listed<'_>, tell: &mut impl FnMut(Event, &ClockReading) -> bool) -> bool {
        self.records += 1;
        if matches!(listed.record.body, Body::Exit { .. }) {
            self.lives += 1;
            self.usage.remove(&listed.record.key);
        }
        if let Some((lane, _)) = &mut self.history {
            lane.feed_record(now, listed, &mut |_| {});
        }
        let mut heard = true;
        let (tally, durations, clock) = (&mut self.tally, &mut self.durations, &self.clock);
        self.lane.feed_record(now, listed, &mut |event| {
            tally.note(&event);
            durations.note(&event);
            heard = heard && tell(event, clock);
        });
        heard
    }

    /// False when nobody wants to hear more.
    fn step(&mut self, step: Step<'_>, hear: &mut impl FnMut(Event, &ClockReading) -> bool) -> bool {
        let mut heard = true;
        if let Step::Input(_, Input::Clock(clock)) = &step {
            self.clock = *clock;
        }
        let (tally, durations, clock) = (&mut self.tally, &mut self.durations, &self.clock);
        let mut tell = |event: Event| {
            tally.note(&event);
            durations.note(&event);
            heard = heard && hear(event, clock);
        };
        match step {
            Step::Record(now, listed) => return self.record(now, listed, hear),
            Step::Input(now, Input::Lines(lines)) => {
                for found in self.lines.find(&lines) {
                    self.lane.feed(now, Input::Lines(found), &mut tell);
                }
            }
            Step::Input(now, input) => {
                match &input {
                    Input::Scan(scan) => {
                        // What ended unseen is not in the scan.
                        let alive: std::collections::BTreeSet<_> = scan.rows.iter().map(|row| row.key).collect();
                        self.usage.retain(|key, _| alive.contains(key));
                    }
                    Input::Lost(loss) => self.lost = self.lost.saturating_add(loss.count),
                    _ => {}
                }
                if let Some((lane, _)) = &mut self.history {
                    lane.feed(now, input.clone(), &mut |_| {});
                }
                self.lane.feed(now, input, &mut tell);
            }
            Step::Sample(now, rows) => {
                self.usage.extend(rows.into_iter().map(|row: UsageRow| (row.key, row)));
                self.lane.sample(now, &self.usage, &mut tell);
                if let Some((lane, _)) = &mut self.history {
                    lane.sample(now, &self.usage, &mut |_| {});
                }
            }
            Step::Settle(now) => {
                self.last = self.last.max(now);
                self.lane.settle(now, &mut tell);
                if let Some((lane, history)) = &mut self.history {
                    lane.settle(now, &mut |_| {});
                    history.look(now, lane.engine());
                }
            }
        }
        heard
    }

    fn finish(self, end: Option<End>) -> Outcome {
        let host = self.clock;
        let bounds = self.tally.close(self.last, self.lane.engine().seen());
        let summary = Summary {
            began: host.wall_of(self.began),
            ended: host.wall_of(self.last),
            seconds: self.last.since(self.began).as_secs_f64(),
            records: self.records,
            lives: self.lives,
            lost: self.lost,
            end,
            notes: self.lines.notes(),
            bounds,
            clock: host,
        };
        let history = self.history.map(|(lane, history)| history.close(lane.engine(), self.durations));
        Outcome { summary, history }
    }
}

/// The policies with every action only told.
fn observing(policies: &PolicySet) -> PolicySet {
    let mut policies = policies.clone();
    let groups = policies.groups.iter_mut().map(|group| &mut group.response);
    let jobs = policies.jobs.iter_mut().map(|job| &mut job.response);
    let logs = policies.logs.iter_mut().map(|log| &mut log.response);
    let hosts = policies.host.iter_mut().map(|block| &mut block.response);
    let peers = policies.peers.iter_mut().map(|peers| &mut peers.response);
    for response in groups.chain(jobs).chain(logs).chain(hosts).chain(peers) {
        response.mode = Mode::Observe;
    }
    policies
}
