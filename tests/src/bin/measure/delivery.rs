//! What the daemon delivers a second: its own path from the kernel's ring to a collector, with nothing left out.
//!
//! The records are made up ([`feeder`]), for no machine starts so many processes; everything behind the ring is the
//! release daemon: decoding, engine, numbering, JSON, the spool with its fsyncs on the disk of the temporary folder, OTLP,
//! HTTP. The collector ([`sink`]) counts, and looks at every number. Feeder and collector run on the same cores as the
//! daemon.

mod feeder;
mod sink;

use std::error::Error;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use procprobe_tests::daemon::{Daemon, Setup, end_of_patience};

use crate::figure::Figure;
use crate::observe::{Reading, memory};
use crate::{Effort, Outcome};
use feeder::{Fed, Feeder};
use sink::Sink;

/// To reach, events a second; each life is told by two.
const EVENTS: u64 = 50_000;
const MIB: f64 = 1_048_576.0;
/// Until the flow is steady.
const WARM_UP: Duration = Duration::from_secs(2);

const POLICY: &str = "groups:
  workers:
    match: { args: 'worker\\.py' }
    count: { max: 100000 }
    starts: { max: 100000000, within: 1m }
  crashes:
    match: { exe: '**' }
    failures: { max: 100000000, within: 1m }
";

pub(crate) fn rate(effort: Effort) -> Outcome {
    let length = Duration::from_secs(effort.of(30));
    let sink = Sink::start()?;
    let folder = tempfile::tempdir()?;
    let config = folder.path().join("procprobe.yaml");
    fs::write(&config, format!("collector: {{ url: '{}', protocol: otlp }}\n", sink.url()))?;
    // The way to stdout is not measured.
    let daemon = Setup::new()
        .policy(POLICY)
        .args(["--config".into(), config.into_os_string()])
        .events("all")
        .under(["sh", "-c", "exec \"$@\" >/dev/null", "--"])
        .start_unready();
    wait("the first event", || Ok((sink.heard().events > 0).then_some(())))?;
    let mut feeder = Feeder::attach(&daemon)?;
    feeder.feed(EVENTS / 2, WARM_UP)?;
    let (before, heard, began) = (Reading::take(&daemon)?, sink.heard(), Instant::now());
    let fed = feeder.feed(EVENTS / 2, length)?;
    let rates = before.until(Reading::take(&daemon)?);
    let (seconds, arrived) = (began.elapsed().as_secs_f64(), sink.heard());
    let behind = daemon.status()["agent"]["seq"].as_u64().unwrap_or_default().saturating_sub(arrived.seq);
    feeder.end()?;
    let lost = drained(&daemon, &sink)?;
    let peak = memory(&daemon, "VmHWM")? as f64 / MIB;
    let all = sink.heard();
    if !all.faults.is_empty() {
        return Err(all.faults.join("; ").into());
    }
    let delivered = (arrived.events - heard.events) as f64 / seconds;
    let bytes = (arrived.bytes - heard.bytes) as f64 / seconds / 1e6;
    let Fed { lives, records, refused } = fed;
    let nothing_lost = lost.is_empty() && refused == 0 && all.out_of_order == 0;
    let losses = if nothing_lost {
        "none lost".to_owned()
    } else {
        format!("{refused} records found no room, {} numbers out of order, {}", all.out_of_order, lost.join(", "))
    };
    Ok(vec![
        Figure::new(
            format!("events through engine, spool and OTLP in {seconds:.0} s"),
            format!("{EVENTS} a second, none lost"),
            format!(
                "{delivered:.0} a second of {:.0} ({losses}; {behind} under way at the end; {bytes:.0} MB/s; {:.0} records/s)",
                2.0 * lives as f64 / seconds,
                records as f64 / seconds
            ),
            delivered >= 0.99 * EVENTS as f64 && nothing_lost,
        ),
        Figure::new(
            "the daemon under that load: memory at most, and CPU",
            "under 32 MiB",
            format!("{peak:.1} MiB, {:.0} % of a core", rates.cpu * 100.0),
            peak < 32.0,
        ),
    ])
}

/// Waits until everything told has arrived; what was dropped or lost meanwhile.
fn drained(daemon: &Daemon, sink: &Sink) -> Result<Vec<String>, Box<dyn Error>> {
    wait("the end of the queue", || {
        let status = daemon.status();
        let (told, waiting) = (status["agent"]["seq"].as_u64(), status["collectors"][0]["queued_events"].as_u64());
        Ok((waiting == Some(0) && told == Some(sink.heard().seq)).then_some(()))
    })?;
    let status = daemon.status();
    let lists = [&status["dropped"], &status["lost"]];
    Ok(lists.iter().filter_map(|list| list.as_array()).flatten().map(ToString::to_string).collect())
}

fn wait(what: &str, mut done: impl FnMut() -> Result<Option<()>, Box<dyn Error>>) -> Result<(), Box<dyn Error>> {
    let deadline = end_of_patience();
    while done()?.is_none() {
        if Instant::now() > deadline {
            return Err(format!("{what} did not come").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}
