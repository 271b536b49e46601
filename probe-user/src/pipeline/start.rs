//! The daemon's start, in the order in which each step needs the one before: first what another daemon on this host would
//! refuse, then the kernel, then what must keep capabilities, and only then they are dropped.
//!
//! Whatever fails here ends the start with an error; what is merely missing is told as degraded.

use std::io::{IsTerminal as _, stdout};
use std::path::Path;

use tokio::sync::mpsc;

use super::core::Core;
use super::greeting::Greeting;
use super::logfiles::LogFiles;
use super::memory;
use super::noting::Noting;
use super::outlets::Outlets;
use super::site::{Prospect, Site};
use super::times::Times;
use super::{Daemon, Order, PipelineError, Start, clock, privileges, shedding};
use crate::act::Acting;
use crate::agent;
use crate::config::load::Prepared;
use crate::engine::{Engine, Settings};
use crate::host::facts;
use crate::host::identity::{identify, kernel_release};
use crate::host::measures::Measures;
use crate::kernel::loader::{self, LoadSettings};
use crate::kernel::pins::{Pins, PinsError};
use crate::notify::Notifier;
use crate::output::Format;
use crate::serve;
use crate::serve::http::Http;
use crate::stamp::Stamper;
use crate::supervisor::Supervisor;

/// Inputs of sources that may wait for the daemon; a source waits when there are more.
pub(super) const INPUTS: usize = 64;

/// Runs until it is told to stop.
#[expect(clippy::too_many_lines, reason = "one step after the other, in the order that matters")]
pub async fn run(start: Start, orders: mpsc::Receiver<Order>) -> Result<(), PipelineError> {
    let began = clock::now();
    loader::check_rights()?;
    let Start { prepared, format, ring_bytes, pins } = start;
    let config = &prepared.config;
    let identified = identify(config.node.name.as_deref());
    let mut degraded = identified.notes;
    let own_host = identified.host.clone();
    let host_name = identified.host.name.clone();
    // First what another daemon on this host would refuse, then the kernel.
    let (stamper, notes) = Stamper::open(identified.host, &config.state_dir, clock::read().boot_ns)?;
    degraded.extend(notes);
    let (pins, note) = open_pins(pins.as_deref())?;
    degraded.extend(note);
    let (server, queries) = serve::spawn(&config.api)?;
    // A privileged port is bound with the privilege; a port that is taken is told.
    let mut http = Http::bind(&config.http);
    let prospect = match Prospect::open(config, &mut degraded) {
        Ok(prospect) => prospect,
        Err(error) => {
            server.close();
            return Err(error);
        }
    };
    degraded.extend(Site::lacks(&prepared));
    let settings = LoadSettings {
        ring_bytes: ring_bytes.unwrap_or(LoadSettings::default().ring_bytes),
        args_max: config.events.args_max,
        ..LoadSettings::default()
    };
    let attached = match loader::attach(settings, pins.as_ref()) {
        Ok(mut attached) => {
            degraded.append(&mut attached.notes);
            attached
        }
        Err(error) => {
            server.close();
            return Err(error.into());
        }
    };
    let attached_after = clock::now().since(began);
    let (feed, inputs) = mpsc::channel(INPUTS);
    let mut acting = Acting::new(feed.clone());
    let mut engine = Engine::new(engine_settings(&prepared), &prepared.policies, prepared.users.clone());
    engine.spare(std::process::id());
    // The helper has to have its capabilities from a daemon that still has them.
    degraded.extend(start_helper(&prepared, &mut acting, &mut engine));
    // So has the thread that reads log files.
    let logs = LogFiles::prepare(&prepared.policies, &config.state_dir, &feed, &mut degraded);
    if let Err(error) = privileges::drop_loading() {
        degraded.push(format!("privileges are kept: {error}"));
    }
    let args_max = usize::try_from(config.events.args_max).unwrap_or(usize::MAX);
    let mut core = Core::new(attached, engine, args_max);
    let storm = memory::trim();
    http.serve(server.queries());
    let (notifier, notes) = Notifier::open(&config.state_dir, &prepared.policies, clock::now(), config.start_grace);
    degraded.extend(notes);
    let (mut outlets, notes) = Outlets::open(stamper, format, config, notifier)?;
    degraded.extend(notes);
    outlets.report_metrics(&config.collectors, server.queries())?;
    // What the last daemon got accepted is known only now.
    let numbers = outlets.numbers();
    let resumed = core.begin(&config.state_dir, numbers, |alarm| outlets.pages(alarm))?;
    degraded.extend(resumed.notes);
    outlets.adopt(&resumed.alarms);
    let (noting, note) = Noting::open(&config.state_dir, config.measures_max)?;
    degraded.extend(note);
    let site = prospect.begin(own_host, config, feed.clone(), &mut degraded);

    let measures = Measures::new(&prepared.policies);
    degraded.extend(prepared.notes.iter().cloned());
    // It may be well after a reload, and is told by itself then.
    let told: Vec<String> = degraded.iter().cloned().chain(http.note()).collect();
    for note in &told {
        tracing::warn!("{note}");
    }
    for note in &prepared.left_out {
        tracing::info!("{note}");
    }
    let kernel = kernel_release();
    if format == Format::Text && stdout().is_terminal() {
        let greeting = Greeting {
            version: agent::VERSION,
            host: &host_name,
            kernel: &kernel,
            attached: (loader::PROGRAMS.len(), attached_after),
            pins: pins.as_ref().map(Pins::path),
            policies: &prepared.policies,
            config,
            http: http.address(),
            degraded: told.len(),
        };
        outlets.greet(&greeting.text());
    }
    logs.begin(&prepared.policies).await;
    outlets.tell_gap(resumed.resumed);
    let sequence = outlets.sequence();
    outlets.tell(agent::started(
        began,
        &agent::Started {
            kernel: &kernel,
            degraded: &told,
            held: agent::Held::of(&prepared.policies),
            attached_after: Some(attached_after),
            sequence,
        },
    ));
    let supervisor = Supervisor::from_environment();
    let times = Times::new(clock::now(), &supervisor);
    let wake_gap = settings.wake_gap;
    let daemon = Daemon {
        pins,
        feed,
        logs,
        core,
        acting,
        measures,
        outlets,
        noting,
        site,
        http,
        queries: server.queries().clone(),
        guard: shedding::guard(&prepared),
        prepared,
        degraded,
        began,
        wake_gap,
        times,
        storm,
        supervisor,
    };
    daemon.tell_ready();
    // Lives as long as the daemon, and is too large to be moved about on the stack.
    let ended = Box::pin(daemon.run(orders, queries, inputs)).await;
    server.close();
    ended
}

/// Without a file system for pins the daemon runs without them, and says so.
fn open_pins(path: Option<&Path>) -> Result<(Option<Pins>, Option<String>), PinsError> {
    match path.map(Pins::open).transpose() {
        Ok(pins) => Ok((pins, None)),
        Err(error @ PinsError::NoBpffs(_)) => {
            Ok((None, Some(format!("{error}: what happens while no daemon runs will not be known"))))
        }
        Err(error) => Err(error),
    }
}

/// Starts what carries out actions, where policies want that; a note says why it could not be.
pub(super) fn start_helper(prepared: &Prepared, acting: &mut Acting, engine: &mut Engine) -> Option<String> {
    if !prepared.policies.enforces() {
        return None;
    }
    match acting.start() {
        Ok(helper) => {
            if let Some(pid) = helper {
                engine.spare(pid);
            }
            None
        }
        Err(error) => Some(format!("no helper for actions can be started ({error}): none is carried out")),
    }
}

pub(super) fn engine_settings(prepared: &Prepared) -> Settings {
    let config = &prepared.config;
    Settings {
        host: facts::read(),
        start_grace: config.start_grace,
        processes: config.events.processes,
        forks: config.events.forks,
        args: config.events.args,
        redact: config.events.redact.clone(),
    }
}
