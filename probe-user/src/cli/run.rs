//! `procprobe run`: reads everything that can be wrong, then hands over to the pipeline.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::args::RunArgs;
use super::{Exit, complain};
use crate::config::load::Flags;
use crate::output::Format;
use crate::pipeline::{self, Order, Start};
use crate::telemetry;
use crate::yaml::read::Trust;

pub(super) fn run(args: &RunArgs) -> Exit {
    pipeline::arrange();
    if let Err(error) = telemetry::start(args.log_format) {
        complain(&format!("procprobe: the log cannot be started: {error}"));
    }
    let prepared = match flags(args).load(Trust::OwnerOnly) {
        Ok(prepared) => prepared,
        Err(wrong) => {
            let noun = if wrong.len() == 1 { "error" } else { "errors" };
            complain(&format!("{wrong}\n\n{} {noun}: nothing is started", wrong.len()));
            return Exit::Config;
        }
    };
    let format = args.format.map_or_else(Format::for_stdout, Into::into);
    let pins = prepared.config.pins.clone();
    let start = Start { prepared, format, ring_bytes: args.ring_bytes, pins };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(async {
            let orders = orders()?;
            // In a task of its own: the runtime wakes its root future by a write and a read of a descriptor, a task not.
            tokio::spawn(pipeline::run(start, orders)).await.map_err(std::io::Error::other)?
        }),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => Exit::Well,
        Err(error) => {
            complain(&format!("procprobe: {error}"));
            error.exit()
        }
    }
}

fn flags(args: &RunArgs) -> Flags {
    Flags {
        config: args.config.clone(),
        policies: args.policies.clone(),
        collector: args.collector.clone(),
        protocol: args.protocol.map(Into::into),
        state_dir: args.state_dir.clone(),
        socket: args.socket.clone(),
        http: args.http,
        sample_interval: args.sample_interval,
        start_grace: args.start_grace,
        limit_cpu: args.limit_cpu,
        limit_memory: args.limit_memory,
        processes: args.events.map(Into::into),
        pins: if args.no_pin { Some(None) } else { args.pin_dir.clone().map(Some) },
    }
}

/// Signals as orders. From here on none of them ends the process by itself.
pub(super) fn orders() -> std::io::Result<mpsc::Receiver<Order>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, orders) = mpsc::channel(4);
    tokio::spawn(async move {
        loop {
            let order = tokio::select! {
                () = heard(&mut hangup) => Order::Reload,
                () = heard(&mut terminate) => Order::Stop("SIGTERM"),
                () = heard(&mut interrupt) => Order::Stop("SIGINT"),
            };
            if sender.send(order).await.is_err() {
                return;
            }
        }
    });
    Ok(orders)
}

async fn heard(signal: &mut Signal) {
    if signal.recv().await.is_none() {
        // The runtime ends; so does this task.
        std::future::pending::<()>().await;
    }
}
