//! What each answer of a collector leads to.

use super::*;

#[tokio::test]
async fn a_batch_is_one_post_of_ndjson() {
    for status in [200, 202, 204] {
        let log = check(&[Answer::Status(status)], 0, 1).await;
        let heard = lock(&log);
        assert_eq!(heard.bodies[0].1, "1\n2\n3\n4\n5\n");
        assert_eq!(heard.headers[0]["content-type"], "application/x-ndjson");
        assert!(heard.headers[0].get("authorization").is_none());
    }
}

#[tokio::test]
async fn what_may_heal_is_sent_again() {
    for status in [401, 403, 408, 429, 500, 502, 503, 504, 302] {
        check(&[Answer::Status(status), Answer::Status(status)], 0, 3).await;
    }
}

#[tokio::test]
async fn what_is_refused_for_good_is_set_aside_counted_and_does_not_come_again() {
    for code in [400, 404, 415, 422] {
        let (url, log) = server(&[Answer::Status(code)]).await;
        let rig = Rig::filled(settings(&[&url]), 1..=5);
        while rig.status().dropped.is_empty() || rig.status().queued_events > 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let status = rig.status();
        assert_eq!(counts(&status), [("rejected", 5)]);
        assert!(!status.healthy && status.last_error.unwrap().contains(&code.to_string()));
        let dead = rig.dead_letters();
        let (told, events) = dead.split_once('\n').unwrap();
        let told: serde_json::Value = serde_json::from_str(told).unwrap();
        assert_eq!(
            (&told["dead_letters"], &told["rejected"], &told["collector"]),
            (&5.into(), &5.into(), &url.as_str().into())
        );
        assert!(told["why"].as_str().unwrap().contains(&code.to_string()), "{told}");
        assert_eq!(events, "1\n2\n3\n4\n5\n");
        // The spool knows of it too: it is told also when this run ends here.
        let untold = rig.spool.untold(KTime::from_secs(100));
        assert_eq!(untold, [Dropped { place: "forward".into(), reason: "rejected".into(), count: 5 }]);
        rig.offer(6..=6);
        rig.close().await;
        assert_eq!(accepted(&log), [6]);
    }
}

#[tokio::test]
async fn of_a_batch_that_is_taken_in_part_the_rest_is_set_aside_and_nothing_comes_again() {
    let asked = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&asked);
    let partial = async move || {
        *lock(&counted) += 1;
        let body = r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no more"}}"#;
        ([("content-type", "application/json")], body)
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&[&format!("http://{}", listener.local_addr().unwrap())]);
    settings.wire.protocol = Protocol::Otlp;
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/v1/logs", post(partial))).await });
    let rig = Rig::filled(settings, 1..=5);
    while rig.status().dropped.is_empty() || rig.status().queued_events > 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let status = rig.status();
    assert_eq!((counts(&status), status.sent_events), (vec![("rejected", 2)], 3));
    let dead = rig.dead_letters();
    let told: serde_json::Value = serde_json::from_str(dead.lines().next().unwrap()).unwrap();
    // Which two it was the collector does not say: all of the batch is kept.
    assert_eq!((&told["dead_letters"], &told["rejected"]), (&5.into(), &2.into()), "{dead}");
    assert!(told["why"].as_str().unwrap().contains("no more"), "{told}");
    rig.close().await;
    assert_eq!(*lock(&asked), 1);
}

#[tokio::test]
async fn a_stalling_collector_is_given_up_and_asked_again() {
    check(&[Answer::Stall], 0, 2).await;
}

#[tokio::test]
async fn retry_after_is_kept() {
    let log = check(&[Answer::Later(429, "1")], 0, 2).await;
    let at = lock(&log).at.clone();
    assert!(at[1] - at[0] >= Duration::from_secs(1), "{:?}", at[1] - at[0]);
}

#[tokio::test]
async fn retry_after_as_a_date_is_understood() {
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(2);
    let date = soon.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let log = check(&[Answer::Later(503, date.leak())], 0, 2).await;
    let at = lock(&log).at.clone();
    assert!(at[1] - at[0] >= Duration::from_millis(900), "{:?}", at[1] - at[0]);
}

#[tokio::test]
async fn too_large_a_batch_is_halved_down_to_the_one_that_is() {
    let status = Answer::Status;
    // 5 -> 2 + 3; 2 goes; 3 -> 1 + 2; 1 goes; 2 goes
    check(&[status(413), status(200), status(413)], 0, 5).await;
    let (url, _) = server(&[status(413)]).await;
    let rig = Rig::filled(settings(&[&url]), 1..=1);
    while rig.status().dropped.is_empty() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(counts(&rig.status()), [("rejected", 1)]);
}
