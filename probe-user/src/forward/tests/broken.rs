//! A collector that answers 500: to one event for good, or to everything for a while.

use super::*;

/// Waits, and shows how delivery stands when that takes too long.
async fn until(rig: &Rig, what: &str, holds: impl Fn(&Status) -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !holds(&rig.status()) {
        assert!(tokio::time::Instant::now() < deadline, "{what}: {:?}", rig.status());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn sorted(mut numbers: Vec<u64>) -> Vec<u64> {
    numbers.sort_unstable();
    numbers
}

/// Of 20 events in batches of four these are poison: they are set aside, and all others arrive once.
async fn check(poison: &[u64]) {
    let (url, log) = server(&[]).await;
    lock(&log).poison = poison.to_vec();
    let mut settings = settings(&[&url]);
    settings.limits.batch_events = 4;
    let rig = Rig::filled(settings, 1..=20);
    // Others come behind them, as heartbeats do.
    let (mut next, deadline) = (21, tokio::time::Instant::now() + Duration::from_mins(1));
    while rig.status().dropped.iter().map(|dropped| dropped.count).sum::<u64>() < poison.len() as u64 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", rig.status());
        rig.offer(next..=next);
        next += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    until(&rig, "everything done", |status| status.queued_events == 0).await;
    let status = rig.status();
    assert_eq!((counts(&status), status.suspects), (vec![("rejected", poison.len() as u64)], 0));
    let dead = rig.dead_letters();
    let lines: Vec<&str> = dead.lines().collect();
    assert_eq!(lines.len(), 2 * poison.len(), "{dead}");
    for pair in lines.chunks(2) {
        let told: serde_json::Value = serde_json::from_str(pair[0]).unwrap();
        assert_eq!((&told["dead_letters"], &told["rejected"]), (&1.into(), &1.into()));
        assert!(told["why"].as_str().unwrap().starts_with("HTTP 500 Internal Server Error, again"), "{told}");
        assert!(poison.contains(&pair[1].parse().unwrap()), "{dead}");
    }
    rig.close().await;
    let good: Vec<u64> = (1..next).filter(|number| !poison.contains(number)).collect();
    assert_eq!(sorted(accepted(&log)), good);
}

#[tokio::test]
async fn one_event_that_breaks_it_is_set_aside_and_holds_up_nothing() {
    check(&[7]).await;
    check(&[20]).await;
}

#[tokio::test]
async fn so_is_a_whole_batch_of_them() {
    check(&[1, 2, 3, 4]).await;
}

#[tokio::test]
async fn one_that_breaks_over_everything_is_asked_on_and_nothing_is_set_aside() {
    let (url, log) = server(&[]).await;
    lock(&log).broken = true;
    let mut settings = settings(&[&url]);
    (settings.limits.batch_events, settings.limits.backoff_max) = (4, Duration::from_millis(20));
    let rig = Rig::filled(settings, 1..=20);
    until(&rig, "some that stepped aside", |status| status.suspects > 4).await;
    let requests = || lock(&log).bodies.len();
    let before = requests();
    until(&rig, "more requests", |_| requests() > before + 100).await;
    let status = rig.status();
    assert!(!status.healthy && status.dropped.is_empty() && status.queued_events == 20, "{status:?}");
    assert!(status.last_error.as_ref().unwrap().contains("HTTP 500"), "{status:?}");
    lock(&log).broken = false;
    rig.close().await;
    assert_eq!(sorted(accepted(&log)), (1..=20).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_stepped_aside_goes_to_the_next_run() {
    let (url, log) = server(&[]).await;
    lock(&log).broken = true;
    let mut down = settings(&[&url]);
    (down.limits.batch_events, down.limits.backoff_max) = (4, Duration::from_millis(20));
    let rig = Rig::filled(down.clone(), 1..=8);
    until(&rig, "some that stepped aside", |status| status.suspects > 0).await;
    let Rig { dir, spool, forwarder } = rig;
    assert_eq!(forwarder.close(Duration::from_millis(100)).await, 8);
    spool.close(Duration::from_secs(5));
    lock(&log).broken = false;
    let spool = open_spool(&dir);
    let forwarder = spawn(down, &spool, &dir).unwrap();
    Rig { dir, spool, forwarder }.close().await;
    // What was under way at the end may have been taken and comes again.
    let mut arrived = sorted(accepted(&log));
    arrived.dedup();
    assert_eq!(arrived, (1..=8).collect::<Vec<_>>());
}
