//! The ways to collectors: which there are, how they change with the configuration, how each stands.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::super::{clock, snapshots};
use super::Outlets;
use crate::forward::{self, Client, Forwarder, Reporter, StartError};
use crate::serve::Query;

/// The way to one collector.
pub(super) struct Way {
    pub(super) name: String,
    settings: forward::Settings,
    pub(super) forwarder: Forwarder,
}

/// A collector that is to have a way of its own, or that has it already.
pub(in crate::pipeline) struct Wanted {
    pub(super) name: String,
    settings: forward::Settings,
    /// `None`: nothing about it changes.
    client: Option<Client>,
}

impl Outlets {
    /// Sends collectors metrics, where they take some; in the place of those that were sent them before. Where nothing about
    /// them changes, what waits for them stays.
    pub(in crate::pipeline) fn report_metrics(
        &mut self,
        collectors: &[forward::Settings],
        queries: &mpsc::Sender<Query>,
    ) -> Result<(), StartError> {
        if collectors == self.reported {
            return Ok(());
        }
        let host = self.stamper.host();
        let _there = (!collectors.is_empty()).then(|| self.couriers.enter());
        let mut reporters = Vec::new();
        for (name, settings) in forward::Settings::names(collectors).into_iter().zip(collectors) {
            let ask = snapshots::ask(queries.clone(), Arc::clone(host));
            reporters.extend(Reporter::spawn(settings, ask)?.map(|reporter| (name, reporter)));
        }
        self.reporters = reporters;
        self.reported = collectors.to_vec();
        Ok(())
    }

    /// What it takes to send events to these collectors; nothing changes yet.
    pub(in crate::pipeline) fn want(&self, collectors: &[forward::Settings]) -> Result<Vec<Wanted>, StartError> {
        wanted(&self.ways, collectors)
    }

    /// These collectors from now on. What is under way to one that changes is sent again by its new way.
    pub(in crate::pipeline) fn set_collectors(&mut self, wanted: Vec<Wanted>) {
        if !wanted.iter().map(|wanted| &wanted.name).eq(self.ways.iter().map(|way| &way.name)) {
            self.spool.set_sinks(wanted.iter().map(|wanted| wanted.name.clone()).collect());
        }
        self.open_ways(wanted);
    }

    pub(super) fn open_ways(&mut self, wanted: Vec<Wanted>) {
        let _there = (!wanted.is_empty()).then(|| self.couriers.enter());
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

    /// How many events wait for the collector that is furthest behind.
    pub(in crate::pipeline) fn queued(&self) -> u64 {
        self.collectors().iter().map(|status| status.queued_events).max().unwrap_or_default()
    }

    /// Seconds since the oldest event happened that waits for a collector.
    pub(in crate::pipeline) fn queued_age(&self) -> Option<f64> {
        self.collectors().iter().filter_map(|status| status.queued_age).max_by(f64::total_cmp)
    }

    /// How delivery to each collector stands.
    /// For how long each way's collector has taken nothing, if it does not, and whether it has ever taken anything.
    pub(in crate::pipeline) fn ways(&self) -> Vec<(Option<Duration>, bool)> {
        let way = |status: forward::Status| {
            let unreached = status.unreached_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            (unreached, status.sent_batches > 0)
        };
        self.collectors().into_iter().map(way).collect()
    }

    pub(in crate::pipeline) fn collectors(&self) -> Vec<forward::Status> {
        let now = clock::read().wall;
        let of = |way: &Way| {
            let mut status = way.forwarder.status(now);
            if let Some((_, reporter)) = self.reporters.iter().find(|(name, _)| *name == way.name) {
                let (metrics, notes) = reporter.status();
                status.metrics = Some(metrics);
                // Both read the same files.
                status.notes.extend(notes);
                status.notes.sort_unstable();
                status.notes.dedup();
            }
            status
        };
        self.ways.iter().map(of).collect()
    }
}

/// The collectors that are to be fed, with a client for each that is new or changes.
pub(super) fn wanted(ways: &[Way], collectors: &[forward::Settings]) -> Result<Vec<Wanted>, StartError> {
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
