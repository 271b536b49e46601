//! Collectors that are not there, hang up, or stand in for each other.

use super::*;

#[tokio::test]
async fn a_dead_collector_costs_disk_and_what_waits_goes_to_the_next_run() {
    // Bound and never accepted from, then gone: refused.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let down = settings(&[&format!("http://u:hunter2@{dead}/events?key=hunter2")]);
    let rig = Rig::filled(down, 1..=3);
    while rig.status().failures == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let status = rig.status();
    assert_eq!((status.queued_events, status.healthy, status.dropped.len()), (3, false, 0), "{status:?}");
    assert!(!format!("{status:?}").contains("hunter2"), "{status:?}");
    let Rig { dir, spool, forwarder } = rig;
    let began = tokio::time::Instant::now();
    assert_eq!(forwarder.close(Duration::from_millis(100)).await, 3);
    assert!(began.elapsed() < Duration::from_secs(5));
    spool.close(Duration::from_secs(5));
    let (url, log) = server(&[]).await;
    let spool = open_spool(&dir);
    let forwarder = spawn(settings(&[&url]), &spool, &dir).unwrap();
    Rig { dir, spool, forwarder }.close().await;
    assert_eq!(accepted(&log), [1, 2, 3]);
}

#[tokio::test]
async fn the_next_url_takes_over_and_the_first_takes_back() {
    let (first, first_log) = server(&[Answer::Status(503)]).await;
    let (second, second_log) = server(&[]).await;
    let rig = Rig::filled(settings(&[&first, &second]), 1..=1);
    while accepted(&second_log).is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    rig.offer(2..=2);
    rig.close().await;
    assert_eq!((accepted(&first_log), accepted(&second_log)), (vec![2], vec![1]));
}

/// A server that reads the request and hangs up, `times` times; then it is gone for good.
async fn hangs_up(times: usize) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for _ in 0..times {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    url
}

#[tokio::test]
async fn a_connection_that_closes_early_loses_nothing() {
    let rude = hangs_up(1).await;
    let (good, log) = server(&[]).await;
    Rig::filled(settings(&[&rude, &good]), 1..=5).close().await;
    assert_eq!(accepted(&log), [1, 2, 3, 4, 5]);
}
