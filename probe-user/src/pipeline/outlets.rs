//! The ways out of the daemon: events get their place in the stream and go to stdout, to the spool, and from there to each
//! collector.
//!
//! Each event is written as JSON once, whoever gets it. Nothing here waits: what a way out cannot take it drops, counts,
//! and tells as an event of its own.

mod alarms;
mod last;
mod turns;
mod ways;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::clock::{self, Steady};
use super::couriers::Couriers;
use crate::agent::{self, Disk, Paths};
use crate::config::Config;
use crate::engine::Standing;
use crate::event::{Event, Severity, Stamped, name};
use crate::forward::{self, DeadLetters, Reporter};
use crate::notify::{self, Notifier};
use crate::outlet::Dropped;
use crate::output::{Format, Sink};
use crate::policy::spec::PolicySet;
use crate::resume::Numbers;
use crate::serve::AlarmsOn;
use crate::spool::{self, Class, Entry, Limits, Spool, View};
use crate::stamp::{Gap, Lines, Stamper, line};
use crate::time::KTime;

use super::PipelineError;
use alarms::Alarms;
use ways::{Way, wanted};

/// All ways out.
pub(super) struct Outlets {
    stamper: Stamper,
    clock: Steady,
    sink: Sink,
    spool: Spool,
    ways: Vec<Way>,
    /// By the collector's name.
    reporters: Vec<(String, Reporter)>,
    /// Where ways and reporters live.
    couriers: Couriers,
    /// The collectors that the reporters were made for.
    reported: Vec<forward::Settings>,
    dead: Arc<DeadLetters>,
    notifier: Notifier,
    alarms: Alarms,
    lines: Lines,
    /// Numbers that no event has, until that is told.
    gap: Option<Gap>,
    /// Rung when a collector goes out of reach or comes back, and when the disk does.
    bell: Arc<Notify>,
    paths: Paths,
    disk: Disk,
}

impl Outlets {
    /// Takes up what the last run left in the spool. The notes say what is degraded.
    pub(super) fn open(
        mut stamper: Stamper,
        format: Format,
        config: &Config,
        notifier: Notifier,
    ) -> Result<(Self, Vec<String>), PipelineError> {
        let wanted = wanted(&[], &config.collectors)?;
        let names: Vec<String> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
        let limits = Limits::of(config.spool_max, config.when_full);
        let (spool, notes) = Spool::open(&config.state_dir.join("spool"), spool::Settings::of(limits), &names)?;
        let gap = stamper.take_up(spool.last().map(|last| &*last.line));
        let mut outlets = Self {
            stamper,
            clock: Steady::default(),
            sink: Sink::stdout(format)?,
            spool,
            ways: Vec::new(),
            reporters: Vec::new(),
            couriers: Couriers::default(),
            reported: Vec::new(),
            dead: Arc::new(DeadLetters::in_state(&config.state_dir)),
            notifier,
            alarms: Alarms::default(),
            lines: Lines::default(),
            gap,
            bell: Arc::default(),
            paths: Paths::default(),
            disk: Disk::default(),
        };
        outlets.spool.ring(&outlets.bell);
        outlets.open_ways(wanted);
        Ok((outlets, notes))
    }

    /// Shows something to whoever started the daemon on a terminal; no event.
    pub(super) fn greet(&self, text: &str) {
        self.sink.show(text);
    }

    /// Gives an event its place and sends it off.
    pub(super) fn tell(&mut self, event: Event) {
        self.tell_one(event, false);
    }

    /// The same of many: nobody is woken for each of them.
    pub(super) fn tell_all(&mut self, events: Vec<Event>) {
        let mut events = events.into_iter();
        while let Some(event) = events.next() {
            self.tell_one(event, events.len() > 0);
        }
    }

    fn tell_one(&mut self, event: Event, more_follow: bool) {
        // A heartbeat wakes the spool's thread once that way, not twice.
        let urgent = event.severity > Severity::Info || event.name == name::AGENT_HEARTBEAT;
        self.tell_by(event, more_follow, |spool, entry| spool.offer(entry, urgent));
    }

    fn tell_by(&mut self, mut event: Event, more_follow: bool, offer: impl FnOnce(&Spool, Entry)) {
        let alarm = event.alarm.take();
        let clock = self.clock.read();
        let (class, wall) = (Class::of(event.name), clock.wall_of(event.at).0);
        let stamped = self.stamper.stamp(event, &clock);
        // An alarm's line waits for whoever is to be told, it may be for days.
        let line = if alarm.is_some() { line(&stamped) } else { self.lines.line(&stamped) };
        match line {
            Ok(line) => {
                self.sink.offer(&stamped, &line, more_follow);
                offer(&self.spool, Entry { class, wall, line: line.clone() });
                if let Some(alarm) = alarm {
                    self.notifier.offer(&alarm, &stamped.id, &line);
                    self.alarms.turn(&alarm, &line);
                }
            }
            Err(error) => cannot_write(&stamped, &error),
        }
    }

    /// Tells of numbers that no event has. Comes before any other event: should this run die early, its own events must
    /// not hide the gap before them from the next one.
    /// `again`: what they were for is told anew.
    pub(super) fn tell_gap(&mut self, again: bool) {
        if let Some(gap) = self.gap.take() {
            self.tell(agent::lost_numbers(clock::now(), &gap, again));
        }
    }

    /// Tells what the ways out have dropped, where it is time to.
    pub(super) fn tell_drops(&mut self) {
        let now = clock::now();
        let of_spool = self.spool.untold(now);
        self.tell_dropped(now, now, &of_spool);
    }

    /// Tells what the spool has dropped, and the other ways out as far as it is time to at `due`.
    fn tell_dropped(&mut self, now: KTime, due: KTime, of_spool: &[Dropped]) {
        let mut untold = self.sink.untold(due);
        untold.extend(self.reporters.iter().flat_map(|(_, reporter)| reporter.untold(due)));
        untold.extend(self.notifier.untold(due));
        for dropped in &untold {
            self.tell(agent::lost(now, dropped));
        }
        let last_of_spool = of_spool.len();
        for (number, dropped) in (1..).zip(of_spool) {
            let event = agent::lost(now, dropped);
            if number == last_of_spool {
                self.tell_by(event, false, Spool::offer_told);
            } else {
                self.tell(event);
            }
        }
    }

    /// When [`Self::tell_orphans`] has something to tell.
    pub(super) fn next_orphan(&self) -> Option<KTime> {
        self.notifier.next_orphan()
    }

    /// Tells the ends of alarms of an earlier run that have not come back.
    pub(super) fn tell_orphans(&mut self) {
        for event in self.notifier.take_orphans(clock::now()) {
            self.tell(event);
        }
    }

    /// Other destinations from now on; the notes say what is degraded.
    pub(super) fn set_destinations(&mut self, policies: &PolicySet) -> Vec<String> {
        self.notifier.reload(policies)
    }

    /// How notifications to each destination stand.
    pub(super) fn destinations(&self) -> Vec<notify::Status> {
        self.notifier.status()
    }

    /// How the stream goes on after the last run.
    pub(super) const fn sequence(&self) -> &'static str {
        self.stamper.resumed().as_str()
    }

    /// How the numbers of events go on after the last run.
    pub(super) fn numbers(&self) -> Numbers {
        let last = self.spool.last().map(|last| &*last.line);
        Numbers { accepted: self.stamper.accepted(last), first: self.stamper.next_seq() }
    }

    /// Number of the next event.
    pub(super) const fn next_seq(&self) -> u64 {
        self.stamper.next_seq()
    }

    /// Every event below this number is on disk, or given up and counted.
    pub(super) fn settled(&self) -> u64 {
        self.stamper.next_seq().saturating_sub(self.spool.unsettled() as u64)
    }

    /// Whether somebody who is to hear of this alarm was told, or will be.
    pub(super) fn pages(&self, alarm: &Standing) -> bool {
        self.notifier.knows(&alarm.name, alarm.instance.as_ref())
    }

    /// The engine goes on with these alarms of an earlier run, and tells their ends.
    pub(super) fn adopt(&mut self, alarms: &[Standing]) {
        for alarm in alarms {
            self.notifier.adopt(&alarm.name, alarm.instance.as_ref());
        }
    }

    /// Number of the last event.
    pub(super) const fn last_seq(&self) -> u64 {
        self.stamper.next_seq().saturating_sub(1)
    }

    /// The host's name as events carry it.
    pub(super) fn host_name(&self) -> &str {
        &self.stamper.host().name
    }

    /// How the spool stands.
    pub(super) fn spool(&self) -> spool::Status {
        self.spool.status()
    }

    /// A way to read the local history: since so long ago, else from its beginning, or from now on where it is followed.
    pub(super) fn history(&self, since: Option<Duration>, follow: bool) -> View {
        let view = self.spool.view();
        let view = if follow { view.and_on() } else { view };
        match since {
            Some(ago) => {
                let ago = i64::try_from(ago.as_nanos()).unwrap_or(i64::MAX);
                view.since(clock::read().wall.0.saturating_sub(ago))
            }
            None if follow => view.from_now(),
            None => view,
        }
    }

    /// The alarms that are on, as they were told last.
    pub(super) fn alarms(&self) -> AlarmsOn {
        self.alarms.report()
    }

    /// Everything dropped since the start.
    pub(super) fn dropped(&self) -> Vec<Dropped> {
        let mut dropped = self.sink.dropped();
        // What collectors reject is among it.
        dropped.extend(self.spool.status().dropped);
        dropped.extend(self.reporters.iter().flat_map(|(_, reporter)| reporter.dropped()));
        dropped.extend(self.notifier.dropped());
        dropped
    }
}

fn cannot_write(event: &Stamped, error: &serde_json::Error) {
    tracing::error!(%error, id = event.id, "an event cannot be written as JSON");
}
