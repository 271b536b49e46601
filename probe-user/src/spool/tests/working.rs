//! The thread and its readers, on a real directory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;
use tokio::sync::Notify;

use super::super::{Class, Entry, Limits, Settings, Spool, WhenFull};
use crate::time::KTime;

const WITHIN: Duration = Duration::from_secs(20);

fn settings(max_bytes: u64) -> Settings {
    Settings { linger: Duration::from_millis(5), ..Settings::of(Limits::of(max_bytes, WhenFull::DropOldest)) }
}

fn open(dir: &TempDir, settings: Settings) -> Spool {
    Spool::open(&dir.path().join("spool"), settings, &["a".into(), "b".into()]).unwrap().0
}

fn entry(number: u64, class: Class) -> Entry {
    Entry { class, wall: 0, line: Bytes::from(format!("{number}\n")) }
}

/// Takes what there is for a collector until so many have come.
async fn take(spool: &Spool, sink: &str, count: usize) -> Vec<u64> {
    let mut reader = spool.reader(sink, false);
    let mut numbers = Vec::new();
    while numbers.len() < count {
        assert!(tokio::time::timeout(WITHIN, reader.ready()).await.unwrap());
        for entry in reader.next(7, 1 << 20).await.unwrap() {
            numbers.push(std::str::from_utf8(&entry.line).unwrap().trim().parse().unwrap());
        }
        reader.acknowledge(0).await.unwrap();
    }
    assert_eq!(reader.gauge().read().events, 0);
    numbers
}

#[tokio::test]
async fn each_collector_gets_all_in_order_also_over_a_restart() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, settings(10 << 20));
    for number in 0..100 {
        spool.offer(entry(number, Class::Process), number == 50);
    }
    assert_eq!(take(&spool, "a", 100).await, (0..100).collect::<Vec<_>>());
    assert_eq!(spool.close(WITHIN), 0);
    let spool = open(&dir, settings(10 << 20));
    for number in 100..110 {
        spool.offer(entry(number, Class::Alarm), false);
    }
    assert_eq!(take(&spool, "b", 110).await, (0..110).collect::<Vec<_>>());
    assert_eq!(take(&spool, "a", 10).await, (100..110).collect::<Vec<_>>());
}

#[tokio::test]
async fn drops_are_told_until_the_telling_is_on_disk() {
    let dir = TempDir::new().unwrap();
    let small = settings(200_000);
    let mut spool = open(&dir, small);
    for number in 0..10_000 {
        spool.offer(entry(number, Class::Process), false);
    }
    spool.close(WITHIN);
    // The run ended before anybody asked: the next one tells.
    spool = open(&dir, small);
    let untold = spool.untold(KTime::from_secs(100));
    assert_eq!((untold[0].place.as_str(), untold[0].reason.as_str()), ("spool", "full"));
    assert!(untold[0].count > 3000, "{untold:?}");
    assert_eq!(spool.untold(KTime::from_secs(200)), [], "once in a run");
    spool.close(WITHIN);
    spool = open(&dir, small);
    assert_eq!(spool.untold(KTime::from_secs(100)), untold, "no event told of it");
    let kept = 10_000 - usize::try_from(untold[0].count).unwrap();
    for sink in ["a", "b"] {
        take(&spool, sink, kept).await;
    }
    spool.offer_told(entry(10_000, Class::Alarm));
    spool.close(WITHIN);
    spool = open(&dir, small);
    assert_eq!(spool.untold(KTime::from_secs(100)), []);
}

#[test]
fn at_the_end_every_drop_can_be_told_and_the_next_run_has_none_to_tell() {
    let dir = TempDir::new().unwrap();
    let spool = open(&dir, settings(200_000));
    let last_untold = || {
        let began = std::time::Instant::now();
        loop {
            if let Some(untold) = spool.last_untold() {
                return untold;
            }
            assert!(began.elapsed() < WITHIN, "{:?}", spool.status());
            std::thread::sleep(Duration::from_millis(1));
        }
    };
    // However short ago the last telling was.
    for round in 0..2 {
        for number in 0..10_000 {
            spool.offer(entry(number, Class::Process), false);
        }
        let untold = last_untold();
        assert_eq!((untold.len(), untold[0].reason.as_str()), (1, "full"), "{round}: {untold:?}");
        spool.offer_told(entry(10_000, Class::Loss));
    }
    assert_eq!(last_untold(), []);
    assert_eq!(spool.close(WITHIN), 0);
    let spool = open(&dir, settings(200_000));
    assert_eq!(spool.untold(KTime::from_secs(100)), []);
}

#[test]
fn a_disk_that_refuses_costs_memory_up_to_the_bound_and_starts_and_exits_first() {
    let dir = TempDir::new().unwrap();
    let small = Settings { memory_bytes: 10_000, backoff: Duration::from_millis(1), ..settings(1 << 20) };
    let spool = open(&dir, small);
    // Whoever removes the directory takes the files away from under the daemon.
    std::fs::remove_dir_all(dir.path().join("spool")).unwrap();
    spool.offer(entry(0, Class::Alarm), true);
    let began = std::time::Instant::now();
    while spool.status().failing.is_none() {
        assert!(began.elapsed() < WITHIN, "it never failed");
        std::thread::sleep(Duration::from_millis(1));
    }
    for number in 1..1000 {
        spool.offer(entry(number, if number % 100 == 0 { Class::Alarm } else { Class::Process }), false);
    }
    let status = spool.status();
    assert!(status.failing.is_some());
    let dropped: u64 = status.dropped.iter().map(|dropped| dropped.count).sum();
    assert_eq!(dropped + status.unwritten as u64, 1000);
    let left = spool.close(WITHIN);
    assert_eq!(left, status.unwritten);
}

#[tokio::test]
async fn a_disk_that_refuses_rings_and_so_does_one_that_takes_events_again() {
    let dir = TempDir::new().unwrap();
    let (real, away) = (dir.path().join("spool"), dir.path().join("away"));
    let quick = Settings { backoff: Duration::from_millis(1), ..settings(1 << 20) };
    let (spool, bell) = (open(&dir, quick), Arc::new(Notify::new()));
    spool.ring(&bell);
    let rung = async || tokio::time::timeout(WITHIN, bell.notified()).await.unwrap();
    std::fs::rename(&real, &away).unwrap();
    spool.offer(entry(0, Class::Alarm), true);
    rung().await;
    let status = spool.status();
    assert!(status.failing.unwrap().contains("No such file") && status.failing_seconds.unwrap() < 20.0);
    std::fs::rename(&away, &real).unwrap();
    rung().await;
    let status = spool.status();
    assert_eq!((status.failing, status.failing_seconds, status.unwritten), (None, None, 0));
}
