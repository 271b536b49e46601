//! Wires the edges together and owns the daemon's life: numbers events, hands them to stdout and to the collectors, answers
//! the local API, reloads, and ends cleanly.

use std::io;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::agent::{self, HEARTBEAT_EVERY, KernelCost};
use crate::cli::Exit;
use crate::config::load::Prepared;
use crate::event::{Event, Severity};
use crate::forward::{Forwarder, StartError};
use crate::host::identity::{identify, kernel_release};
use crate::outlet::Dropped;
use crate::output::{Format, Sink};
use crate::serve::{self, AgentReport, BindError, MatchReport, Query, StatusReport};
use crate::stamp::{OpenError, Stamper, line};
use crate::time::{ClockReading, KTime, Wall};

/// How long the ways out may take at the end.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);

/// What the daemon is started with.
#[derive(Debug)]
pub struct Start {
    /// Configuration and policies.
    pub prepared: Prepared,
    /// How events look on stdout.
    pub format: Format,
    /// Size of the kernel's ring buffer, where the command line names one.
    pub ring_bytes: Option<u32>,
}

/// What the outside wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Load policies and configuration again.
    Reload,
    /// Drain and end; the signal's name is told.
    Stop(&'static str),
}

/// Why the daemon did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The state directory is another daemon's.
    #[error(transparent)]
    State(#[from] OpenError),
    /// The local API cannot listen.
    #[error(transparent)]
    Api(#[from] BindError),
    /// A collector cannot be fed.
    #[error(transparent)]
    Collector(#[from] StartError),
    /// The system refused something basic.
    #[error("the system refused: {0}")]
    Io(#[from] io::Error),
}

impl PipelineError {
    /// The exit code that tells it.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::State(_) | Self::Api(_) | Self::Collector(_) => Exit::Config,
            Self::Io(_) => Exit::NotWell,
        }
    }
}

/// Runs until it is told to stop.
pub async fn run(start: Start, mut orders: mpsc::Receiver<Order>) -> Result<(), PipelineError> {
    let Start { mut prepared, format, .. } = start;
    let mut edges = Edges::open(&prepared, format)?;
    let (server, mut queries) = serve::spawn(&prepared.config.api)?;
    let kernel = kernel_release();
    edges.tell(agent::started(
        edges.clock().mono,
        &agent::Started {
            kernel: &kernel,
            degraded: &edges.degraded,
            groups: prepared.policies.groups.len(),
            attached_after: None,
            sequence: edges.stamper.resumed().as_str(),
        },
    ));
    let mut heartbeat = tokio::time::interval_at(tokio::time::Instant::now() + HEARTBEAT_EVERY, HEARTBEAT_EVERY);
    let reason = loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Reload) => edges.reload(&mut prepared),
                Some(Order::Stop(signal)) => break signal,
                None => break "no more orders",
            },
            _ = heartbeat.tick() => edges.heartbeat()?,
            Some(query) = queries.recv() => match query {
                Query::Status { reply } => drop(reply.send(edges.status()?)),
                Query::Match { reply, .. } => drop(reply.send(MatchReport::default())),
            },
        }
        edges.tell_drops();
    };
    server.close();
    edges.close(reason).await;
    Ok(())
}

struct Edges {
    stamper: Stamper,
    sink: Sink,
    forwarders: Vec<Forwarder>,
    degraded: Vec<String>,
    began: Instant,
}

impl Edges {
    fn open(prepared: &Prepared, format: Format) -> Result<Self, PipelineError> {
        let config = &prepared.config;
        let identified = identify(config.node.name.as_deref());
        let mut degraded = identified.notes;
        let (stamper, notes) = Stamper::open(identified.host, &config.state_dir, read_clock().boot_ns)?;
        degraded.extend(notes);
        for note in &degraded {
            tracing::warn!("{note}");
        }
        let forwarders = config.collectors.iter().cloned().map(Forwarder::spawn).collect::<Result<_, _>>()?;
        Ok(Self { stamper, sink: Sink::stdout(format)?, forwarders, degraded, began: Instant::now() })
    }

    fn clock(&self) -> ClockReading {
        let _ = self;
        read_clock()
    }

    fn tell(&mut self, event: Event) {
        let urgent = event.severity > Severity::Info;
        let stamped = self.stamper.stamp(event, &read_clock());
        match line(&stamped) {
            Ok(line) => {
                self.sink.offer(&stamped, &line);
                for forwarder in &self.forwarders {
                    forwarder.offer(line.clone(), urgent);
                }
            }
            Err(error) => tracing::error!(%error, id = stamped.id, "an event cannot be written as JSON"),
        }
    }

    fn tell_drops(&mut self) {
        let now = read_clock().mono;
        let mut untold = self.sink.untold(now);
        untold.extend(self.forwarders.iter().flat_map(|forwarder| forwarder.untold(now)));
        for dropped in &untold {
            self.tell(agent::lost(now, dropped));
        }
    }

    fn reload(&mut self, prepared: &mut Prepared) {
        let now = read_clock().mono;
        match prepared.again() {
            Ok(new) => {
                *prepared = new;
                self.tell(agent::reloaded(now, prepared.policies.groups.len(), &prepared.notes));
            }
            Err(wrong) => {
                let report: Vec<String> = wrong.iter().map(|one| format!("{}:{}: {}", one.file, one.line, one.message)).collect();
                self.tell(agent::reload_failed(now, &report.join("\n"), wrong.len()));
            }
        }
    }

    fn heartbeat(&mut self) -> io::Result<()> {
        let clock = read_clock();
        let queued = self.forwarders.iter().map(Forwarder::status);
        let (events, bytes) =
            queued.fold((0, 0), |sum, status| (sum.0 + status.queued_events, sum.1 + status.queued_bytes));
        let beat = agent::heartbeat(
            clock.mono,
            &agent::Heartbeat {
                uptime: self.began.elapsed(),
                host_uptime: Duration::from_nanos(clock.boot_ns),
                cost: agent::own_cost()?,
                kernel: &KernelCost::default(),
                processes: 0,
                queued_events: events,
                queued_bytes: bytes,
            },
        );
        self.tell(beat);
        Ok(())
    }

    fn status(&self) -> io::Result<StatusReport> {
        let collectors: Vec<_> = self.forwarders.iter().map(Forwarder::status).collect();
        let mut dropped: Vec<Dropped> = self.sink.dropped();
        dropped.extend(collectors.iter().flat_map(|status| status.dropped.clone()));
        Ok(StatusReport {
            agent: AgentReport {
                version: agent::VERSION.to_owned(),
                pid: std::process::id(),
                host: self.stamper.host().name.clone(),
                uptime: self.began.elapsed().as_secs_f64(),
                seq: self.stamper.next_seq() - 1,
                degraded: self.degraded.clone(),
                cost: agent::own_cost()?,
                ..AgentReport::default()
            },
            collectors,
            dropped,
            ..StatusReport::default()
        })
    }

    async fn close(mut self, reason: &str) {
        let now = read_clock().mono;
        self.tell(agent::stopped(now, reason, self.began.elapsed()));
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
            tracing::warn!(%error, "the next event number could not be written");
        }
    }
}

/// All clocks at this moment.
fn read_clock() -> ClockReading {
    use rustix::time::{ClockId, clock_gettime};
    let nanos = |id| {
        let time = clock_gettime(id);
        i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
    };
    let unsigned = |id| u64::try_from(nanos(id)).unwrap_or(0);
    ClockReading {
        mono: KTime(unsigned(ClockId::Monotonic)),
        boot_ns: unsigned(ClockId::Boottime),
        wall: Wall(i64::try_from(nanos(ClockId::Realtime)).unwrap_or(0)),
    }
}
