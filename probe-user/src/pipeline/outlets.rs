//! The ways out of the daemon: events get their place in the stream and go to stdout, to the spool, and from there to each
//! collector.
//!
//! Each event is written as JSON once, whoever gets it. Nothing here waits: what a way out cannot take it drops, counts,
//! and tells as an event of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use super::clock::{self, Steady};
use super::snapshots;
use crate::agent::{self, Paths, Seen};
use crate::config::Config;
use crate::engine::Standing;
use crate::event::{Event, Severity, Stamped, name};
use crate::forward::{self, Client, DeadLetters, Forwarder, Reporter, StartError};
use crate::notify::{self, Notifier};
use crate::outlet::Dropped;
use crate::output::{Format, Sink};
use crate::policy::spec::PolicySet;
use crate::resume::Numbers;
use crate::serve::Query;
use crate::spool::{self, Class, Entry, Limits, Spool, View};
use crate::stamp::{Gap, Stamper, line};
use crate::time::KTime;

use super::PipelineError;

/// How long each way out may take at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// All ways out.
pub(super) struct Outlets {
    stamper: Stamper,
    clock: Steady,
    sink: Sink,
    spool: Spool,
    ways: Vec<Way>,
    reporters: Vec<Reporter>,
    /// The collectors that the reporters were made for.
    reported: Vec<forward::Settings>,
    dead: Arc<DeadLetters>,
    notifier: Notifier,
    /// Numbers that no event has, until that is told.
    gap: Option<Gap>,
    /// Rung when a collector goes out of reach or comes back.
    bell: Arc<Notify>,
    paths: Paths,
}

/// The way to one collector.
struct Way {
    name: String,
    settings: forward::Settings,
    forwarder: Forwarder,
}

/// A collector that is to have a way of its own, or that has it already.
pub(super) struct Wanted {
    name: String,
    settings: forward::Settings,
    /// `None`: nothing about it changes.
    client: Option<Client>,
}

impl Outlets {
    /// Takes up what the last run left in the spool. The notes say what is degraded.
    pub(super) fn open(
        stamper: Stamper,
        format: Format,
        config: &Config,
        notifier: Notifier,
    ) -> Result<(Self, Vec<String>), PipelineError> {
        let wanted = wanted(&[], &config.collectors)?;
        let names: Vec<String> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
        let limits = Limits::of(config.spool_max, config.when_full);
        let (spool, notes) = Spool::open(&config.state_dir.join("spool"), spool::Settings::of(limits), &names)?;
        let gap = stamper.gap(spool.last().map(|last| &*last.line));
        let mut outlets = Self {
            stamper,
            clock: Steady::default(),
            sink: Sink::stdout(format)?,
            spool,
            ways: Vec::new(),
            reporters: Vec::new(),
            reported: Vec::new(),
            dead: Arc::new(DeadLetters::in_state(&config.state_dir)),
            notifier,
            gap,
            bell: Arc::default(),
            paths: Paths::default(),
        };
        outlets.open_ways(wanted);
        Ok((outlets, notes))
    }

    /// Sends collectors metrics, where they take some; in the place of those that were sent them before. Where nothing about
    /// them changes, what waits for them stays.
    pub(super) fn report_metrics(
        &mut self,
        collectors: &[forward::Settings],
        queries: &mpsc::Sender<Query>,
    ) -> Result<(), StartError> {
        if collectors == self.reported {
            return Ok(());
        }
        let host = self.stamper.host();
        let spawn = |settings| Reporter::spawn(settings, snapshots::ask(queries.clone(), Arc::clone(host)));
        let reporters: Vec<Option<Reporter>> = collectors.iter().map(spawn).collect::<Result<_, _>>()?;
        self.reporters = reporters.into_iter().flatten().collect();
        self.reported = collectors.to_vec();
        Ok(())
    }

    /// What it takes to send events to these collectors; nothing changes yet.
    pub(super) fn want(&self, collectors: &[forward::Settings]) -> Result<Vec<Wanted>, StartError> {
        wanted(&self.ways, collectors)
    }

    /// These collectors from now on. What is under way to one that changes is sent again by its new way.
    pub(super) fn set_collectors(&mut self, wanted: Vec<Wanted>) {
        if !wanted.iter().map(|wanted| &wanted.name).eq(self.ways.iter().map(|way| &way.name)) {
            self.spool.set_sinks(wanted.iter().map(|wanted| wanted.name.clone()).collect());
        }
        self.open_ways(wanted);
    }

    fn open_ways(&mut self, wanted: Vec<Wanted>) {
        let mut old = std::mem::take(&mut self.ways);
        for Wanted { name, settings, client } in wanted {
            let before = old.iter().position(|way| way.name == name).map(|place| old.swap_remove(place));
            let way = match (before, client) {
                (Some(way), None) => way,
                (before, Some(client)) => {
                    if let Some(way) = before {
                        way.forwarder.abort();
                    }
                    let dead = Arc::clone(&self.dead);
                    let forwarder = Forwarder::spawn(settings.clone(), client, &self.spool, &name, dead);
                    forwarder.ring(&self.bell);
                    Way { name, settings, forwarder }
                }
                // What has no way gets a client.
                (None, None) => continue,
            };
            self.ways.push(way);
        }
        for way in old {
            way.forwarder.abort();
        }
    }

    /// Gives an event its place and sends it off.
    pub(super) fn tell(&mut self, event: Event) {
        // A heartbeat wakes the spool's thread once that way, not twice.
        let urgent = event.severity > Severity::Info || event.name == name::AGENT_HEARTBEAT;
        self.tell_by(event, |spool, entry| spool.offer(entry, urgent));
    }

    fn tell_by(&mut self, mut event: Event, offer: impl FnOnce(&Spool, Entry)) {
        let alarm = event.alarm.take();
        let clock = self.clock.read();
        let (class, wall) = (Class::of(event.name), clock.wall_of(event.at).0);
        let stamped = self.stamper.stamp(event, &clock);
        match line(&stamped) {
            Ok(line) => {
                self.sink.offer(&stamped, &line);
                offer(&self.spool, Entry { class, wall, line: line.clone() });
                if let Some(alarm) = alarm {
                    self.notifier.offer(&alarm, &stamped.id, &line);
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
        let mut untold = self.sink.untold(now);
        untold.extend(self.reporters.iter().flat_map(|reporter| reporter.untold(now)));
        untold.extend(self.notifier.untold(now));
        let of_spool = self.spool.untold(now);
        let last_of_spool = of_spool.len();
        for dropped in &untold {
            self.tell(agent::lost(now, dropped));
        }
        for (number, dropped) in (1..).zip(&of_spool) {
            let event = agent::lost(now, dropped);
            if number == last_of_spool {
                self.tell_by(event, Spool::offer_told);
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

    /// Waits until a collector goes out of reach or comes back.
    pub(super) async fn path_turns(&self) {
        self.bell.notified().await;
    }

    /// When [`Self::tell_paths`] has something to tell, unless a path turns before.
    pub(super) fn next_path(&self) -> Option<KTime> {
        self.paths.next_look()
    }

    /// Tells which collectors have been out of reach for long, and which are back.
    pub(super) fn tell_paths(&mut self) {
        let now = clock::now();
        let collectors = self.collectors();
        let seen = collectors.into_iter().map(|status| {
            let collector = status.name;
            let why = status.last_error.unwrap_or_default();
            let why = why.strip_prefix(&format!("{collector}: ")).unwrap_or(&why).to_owned();
            let lasting = status.unreached_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let unreached = lasting.map(|lasting| now.before(lasting));
            Seen { collector, unreached, why, waiting: status.queued_events, sent: status.sent_events }
        });
        for event in self.paths.look(now, &seen.collect::<Vec<_>>()) {
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

    /// How many events wait for the collector that is furthest behind.
    pub(super) fn queued(&self) -> u64 {
        self.collectors().iter().map(|status| status.queued_events).max().unwrap_or_default()
    }

    /// Seconds since the oldest event happened that waits for a collector.
    pub(super) fn queued_age(&self) -> Option<f64> {
        self.collectors().iter().filter_map(|status| status.queued_age).max_by(f64::total_cmp)
    }

    /// How delivery to each collector stands.
    pub(super) fn collectors(&self) -> Vec<forward::Status> {
        let now = clock::read().wall;
        self.ways.iter().map(|way| way.forwarder.status(now)).collect()
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

    /// Everything dropped since the start.
    pub(super) fn dropped(&self) -> Vec<Dropped> {
        let mut dropped = self.sink.dropped();
        // What collectors reject is among it.
        dropped.extend(self.spool.status().dropped);
        dropped.extend(self.reporters.iter().flat_map(Reporter::dropped));
        dropped.extend(self.notifier.dropped());
        dropped
    }

    /// Lets out what waits, for a bounded time.
    pub(super) async fn close(self) {
        let left = self.notifier.close(CLOSE_WITHIN).await;
        if left > 0 {
            tracing::warn!(left, "notifications wait for the next run");
        }
        let spool = self.spool;
        let closed = tokio::task::spawn_blocking(move || spool.close(CLOSE_WITHIN));
        if let Ok(left @ 1..) = closed.await {
            tracing::error!(left, "events did not get on disk before the end: they are lost");
        }
        let closing: Vec<_> =
            self.ways.into_iter().map(|way| tokio::spawn(way.forwarder.close(CLOSE_WITHIN))).collect();
        for closed in closing {
            if let Ok(left @ 1..) = closed.await {
                tracing::warn!(left, "events wait for the collector until the next run");
            }
        }
        let left = self.sink.close(CLOSE_WITHIN).await;
        if left > 0 {
            tracing::warn!(left, "events did not reach stdout before the end");
        }
        if let Err(error) = self.stamper.close() {
            note_unwritten(&error);
        }
    }
}

/// The collectors that are to be fed, with a client for each that is new or changes.
fn wanted(ways: &[Way], collectors: &[forward::Settings]) -> Result<Vec<Wanted>, StartError> {
    let names = forward::Settings::names(collectors);
    let known =
        |name: &str, settings: &forward::Settings| ways.iter().any(|way| way.name == name && way.settings == *settings);
    let pairs = names.into_iter().zip(collectors.iter().cloned());
    pairs
        .map(|(name, settings)| {
            let client = if known(&name, &settings) { None } else { Some(Client::new(&settings)?) };
            Ok(Wanted { name, settings, client })
        })
        .collect()
}

fn cannot_write(event: &Stamped, error: &serde_json::Error) {
    tracing::error!(%error, id = event.id, "an event cannot be written as JSON");
}

fn note_unwritten(error: &io::Error) {
    tracing::warn!(%error, "the next event number could not be written: the next run leaves a gap in them");
}
