//! What membership of a site costs each of its hosts: real daemons, each at a loopback address of its own.

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use procprobe_tests::daemon::{self, Daemon, PATIENCE};
use procprobe_tests::home::Home;
use serde_json::Value;

use crate::figure::{Figure, median};
use crate::observe::first_number;
use crate::{Effort, Outcome};

/// As many as two cores carry without being busy.
const HOSTS: usize = 16;
/// The daemon's thread for it, by the name that the kernel knows it by.
const THREAD: &str = "peers";
/// UDP and IPv4, which the daemon does not count.
const HEADERS: f64 = 28.0;

pub(crate) fn member(effort: Effort) -> Outcome {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("peers.key");
    if !Command::new(daemon::binary()).args(["peers", "key"]).arg(&key).status()?.success() {
        return Err("no key was made".into());
    }
    let homes: Vec<Home> = (1..=HOSTS).map(|number| Home::new(&config(number, &key))).collect();
    let daemons: Vec<Daemon> =
        homes.iter().map(|home| home.setup().args(["--ring-bytes", "262144", "--events", "none"]).start()).collect();
    let deadline = Instant::now() + PATIENCE;
    while !daemons.iter().all(|daemon| known(daemon) == HOSTS) {
        if Instant::now() > deadline {
            return Err("they did not all find each other".into());
        }
        thread::sleep(Duration::from_millis(500));
    }
    // What is new is told for some seconds more.
    thread::sleep(Duration::from_secs(20));
    let length = Duration::from_secs(effort.of(60).max(10));
    let (sent, since) = (traffic(&daemons), Instant::now());
    let (cpu, began) = (threads(&daemons)?, Instant::now());
    thread::sleep(length);
    let seconds = began.elapsed().as_secs_f64();
    let later = threads(&daemons)?;
    let shares = cpu.iter().zip(&later).map(|(before, after)| after.saturating_sub(*before) as f64 / 1e9 / seconds);
    let share = median(shares.collect()) * 100.0;
    let gone = since.elapsed().as_secs_f64();
    let (rates, packets): (Vec<f64>, Vec<f64>) = sent
        .iter()
        .zip(traffic(&daemons))
        .map(|(before, after)| ((after.0 - before.0) / gone, (after.1 - before.1) / gone))
        .unzip();
    let (bytes, packets) = (median(rates), median(packets));
    let wire = packets.mul_add(HEADERS, bytes);
    Ok(vec![
        Figure::new(
            format!("CPU of membership, {HOSTS} daemons, each"),
            "under 0.05 % of a core",
            format!("{share:.3} %"),
            share < 0.05,
        ),
        Figure::new(
            format!("what it sends, {HOSTS} daemons, each"),
            "under 2 KiB/s",
            format!("{wire:.0} bytes/s in {packets:.1} packets/s"),
            wire < 2048.0,
        ),
    ])
}

fn config(number: usize, key: &Path) -> String {
    let zone = ["a", "b", "c"][number % 3];
    format!(
        "node: {{ name: p{number}, zone: {zone} }}\n\
         peers: {{ listen: \"127.77.0.{number}:7946\", join: [127.77.0.1, 127.77.0.2], key_file: {} }}\n",
        key.display()
    )
}

fn report(daemon: &Daemon) -> Value {
    let answer = daemon.command(&["peers", "--format", "json"]);
    serde_json::from_slice(&answer.stdout).unwrap_or_default()
}

fn known(daemon: &Daemon) -> usize {
    report(daemon)["members"].as_array().map_or(0, Vec::len)
}

/// Bytes and packets that each has sent.
fn traffic(daemons: &[Daemon]) -> Vec<(f64, f64)> {
    let of = |daemon: &Daemon| {
        let traffic = &report(daemon)["me"]["summary"]["traffic"];
        (traffic["sent_bytes"].as_f64().unwrap_or(f64::NAN), traffic["sent_packets"].as_f64().unwrap_or(f64::NAN))
    };
    daemons.iter().map(of).collect()
}

/// CPU time of each daemon's thread, ns.
fn threads(daemons: &[Daemon]) -> Result<Vec<u64>, Box<dyn Error>> {
    daemons.iter().map(|daemon| thread_of(daemon.pid())).collect()
}

fn thread_of(pid: u32) -> Result<u64, Box<dyn Error>> {
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        if fs::read_to_string(task.join("comm"))?.trim_end() == THREAD {
            return first_number(&fs::read_to_string(task.join("schedstat"))?);
        }
    }
    Err(format!("daemon {pid} has no thread {THREAD}").into())
}
