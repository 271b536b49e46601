//! What the kernel programs say while they run, in diagnosis builds (`cargo xtask build --kernel-log`).
//!
//! aya-log brings it through a ring of its own and hands it to a `log::Log`; here it goes where the daemon's own log goes,
//! under the target `kernel`. `RUST_LOG=kernel=debug` shows it.

use std::time::Duration;

use aya::Ebpf;
use aya_log::{EbpfLogger, Error};
use log::{Level, Log, Metadata, Record};

/// How often the ring is looked at: nobody waits for diagnosis.
const EVERY: Duration = Duration::from_millis(100);

/// Starts to show it, for as long as the runtime lives.
pub(super) fn start(ebpf: &mut Ebpf) -> Result<(), Error> {
    let mut logger = EbpfLogger::init_with_logger(ebpf, Tracing)?;
    tokio::spawn(async move {
        let mut every = tokio::time::interval(EVERY);
        loop {
            every.tick().await;
            logger.flush();
        }
    });
    Ok(())
}

/// From `log` to `tracing`.
struct Tracing;

impl Log for Tracing {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        match record.level() {
            Level::Error => tracing::error!(target: "kernel", "{}", record.args()),
            Level::Warn => tracing::warn!(target: "kernel", "{}", record.args()),
            Level::Info => tracing::info!(target: "kernel", "{}", record.args()),
            Level::Debug => tracing::debug!(target: "kernel", "{}", record.args()),
            Level::Trace => tracing::trace!(target: "kernel", "{}", record.args()),
        }
    }

    fn flush(&self) {}
}
