//! How large batches are, in which order they go, and how fast.

use super::*;

#[tokio::test]
async fn batches_are_bounded_in_events_and_bytes() {
    for (events, bytes, largest) in [(10, 1 << 20, 10), (1000, 20, 20)] {
        let (url, log) = server(&[]).await;
        let mut settings = settings(&[&url]);
        settings.limits.batch_events = events;
        settings.limits.batch_bytes = bytes;
        Rig::filled(settings, 1..=95).close().await;
        assert_eq!(accepted(&log), (1..=95).collect::<Vec<_>>());
        for (_, body) in &lock(&log).bodies {
            assert!(body.lines().count() <= events && body.len() <= bytes.max(largest), "{body}");
        }
        assert!(lock(&log).bodies.len() >= 10);
    }
}

#[tokio::test]
async fn alarms_of_a_backlog_come_first_and_nothing_comes_twice_or_never() {
    let (url, log) = server(&[]).await;
    let mut settings = settings(&[&url]);
    settings.alarms_first = true;
    settings.limits.batch_events = 7;
    let rig = Rig::filled(settings, 1..=200);
    while accepted(&log).len() < 200 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Caught up, order holds.
    rig.offer(201..=203);
    rig.close().await;
    let alarms = (1..=20).map(|tens| tens * 10);
    let rest = (1..=200).filter(|seq| seq % 10 != 0);
    let expected: Vec<u64> = alarms.chain(rest).chain(201..=203).collect();
    assert_eq!(accepted(&log), expected);
}

#[tokio::test]
async fn a_backlog_is_sent_no_faster_than_allowed() {
    let (url, log) = server(&[]).await;
    let mut settings = settings(&[&url]);
    settings.limits.batch_events = 10;
    // 10 events of 3 bytes each in 0.1 s.
    settings.catch_up = Some(300);
    let began = tokio::time::Instant::now();
    Rig::filled(settings, 100..=149).close().await;
    assert_eq!(accepted(&log), (100..=149).collect::<Vec<_>>());
    // Five batches; the first may go at once, and behind the last nothing waits.
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let at = lock(&log).at.clone();
    assert!(at.windows(2).take(3).all(|pair| pair[1] - pair[0] >= Duration::from_millis(90)), "{at:?}");
}
