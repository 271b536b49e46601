//! The ways out of the daemon: events get their place in the stream and go to stdout and to each collector.
//!
//! Each event is written as JSON once, whoever gets it. Nothing here waits: what a way out cannot take it drops, counts,
//! and tells as an event of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::clock::{self, Steady};
use super::snapshots;
use crate::agent;
use crate::event::{Event, Severity, Stamped};
use crate::forward::{self, Forwarder, Reporter};
use crate::notify::{self, Notifier};
use crate::outlet::Dropped;
use crate::output::{Format, Sink};
use crate::policy::spec::PolicySet;
use crate::serve::Query;
use crate::stamp::{Stamper, line};
use crate::time::KTime;

use super::PipelineError;

/// How long each way out may take at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// All ways out.
pub(super) struct Outlets {
    stamper: Stamper,
    clock: Steady,
    sink: Sink,
    forwarders: Vec<Forwarder>,
    reporters: Vec<Reporter>,
    notifier: Notifier,
}

impl Outlets {
    pub(super) fn open(
        stamper: Stamper,
        format: Format,
        collectors: &[forward::Settings],
        notifier: Notifier,
    ) -> Result<Self, PipelineError> {
        let forwarders = collectors.iter().cloned().map(Forwarder::spawn).collect::<Result<_, _>>()?;
        Ok(Self {
            stamper,
            clock: Steady::default(),
            sink: Sink::stdout(format)?,
            forwarders,
            reporters: Vec::new(),
            notifier,
        })
    }

    /// Sends collectors metrics, where they take some; in the place of those that were sent them before.
    pub(super) fn report_metrics(
        &mut self,
        collectors: &[forward::Settings],
        queries: &mpsc::Sender<Query>,
    ) -> Result<(), PipelineError> {
        let host = self.stamper.host();
        let spawn = |settings| Reporter::spawn(settings, snapshots::ask(queries.clone(), Arc::clone(host)));
        let reporters: Vec<Option<Reporter>> = collectors.iter().map(spawn).collect::<Result<_, _>>()?;
        self.reporters = reporters.into_iter().flatten().collect();
        Ok(())
    }

    /// Gives an event its place and sends it off.
    pub(super) fn tell(&mut self, mut event: Event) {
        let urgent = event.severity > Severity::Info;
        let alarm = event.alarm.take();
        let stamped = self.stamper.stamp(event, &self.clock.read());
        match line(&stamped) {
            Ok(line) => {
                self.sink.offer(&stamped, &line);
                for forwarder in &self.forwarders {
                    forwarder.offer(line.clone(), urgent);
                }
                if let Some(alarm) = alarm {
                    self.notifier.offer(&alarm, &stamped.id, &line);
                }
            }
            Err(error) => cannot_write(&stamped, &error),
        }
    }

    /// Tells what the ways out have dropped, where it is time to.
    pub(super) fn tell_drops(&mut self) {
        let now = clock::now();
        let mut untold = self.sink.untold(now);
        untold.extend(self.forwarders.iter().flat_map(|forwarder| forwarder.untold(now)));
        untold.extend(self.reporters.iter().flat_map(|reporter| reporter.untold(now)));
        untold.extend(self.notifier.untold(now));
        for dropped in &untold {
            self.tell(agent::lost(now, dropped));
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

    /// Number of the last event.
    pub(super) const fn last_seq(&self) -> u64 {
        self.stamper.next_seq().saturating_sub(1)
    }

    /// The host's name as events carry it.
    pub(super) fn host_name(&self) -> &str {
        &self.stamper.host().name
    }

    /// Events that wait for collectors, and their bytes.
    pub(super) fn queued(&self) -> (usize, usize) {
        self.collectors().iter().fold((0, 0), |sum, status| (sum.0 + status.queued_events, sum.1 + status.queued_bytes))
    }

    /// How delivery to each collector stands.
    pub(super) fn collectors(&self) -> Vec<forward::Status> {
        self.forwarders.iter().map(Forwarder::status).collect()
    }

    /// Everything dropped since the start.
    pub(super) fn dropped(&self) -> Vec<Dropped> {
        let mut dropped = self.sink.dropped();
        dropped.extend(self.collectors().into_iter().flat_map(|status| status.dropped));
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
        for forwarder in self.forwarders {
            let left = forwarder.close(CLOSE_WITHIN).await;
            if left > 0 {
                tracing::warn!(left, "events did not reach the collector before the end");
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

fn cannot_write(event: &Stamped, error: &serde_json::Error) {
    tracing::error!(%error, id = event.id, "an event cannot be written as JSON");
}

fn note_unwritten(error: &io::Error) {
    tracing::warn!(%error, "the next event number could not be written: the next run leaves a gap in them");
}
