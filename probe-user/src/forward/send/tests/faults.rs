//! Each fault of a collector and its stated outcome.

use super::*;

const BOTH: [Protocol; 2] = [Protocol::Ndjson, Protocol::Otlp];
const PROTOBUF: &str = "Content-Type: application/x-protobuf\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// What became of one sending, and that it took no longer than it may.
async fn check(act: Act, protocol: Protocol, expected: impl Fn(&Outcome) -> bool) -> Heard {
    let (url, heard) = server(act.clone()).await;
    let began = std::time::Instant::now();
    let mut settings = settings(&url, protocol);
    if act.is_silent() {
        settings.limits.request_timeout = SHORT;
    }
    let outcome = send(&settings, &lines(5)).await;
    assert!(expected(&outcome), "{act:?}, {protocol:?}: {outcome:?}");
    assert!(began.elapsed() < Duration::from_secs(15), "{act:?}: {:?}", began.elapsed());
    heard
}

fn retry(outcome: &Outcome, says: &str) -> bool {
    matches!(outcome, Outcome::Retry { why, after: None } if why.contains(says))
}

#[tokio::test]
async fn one_that_hangs_up_is_asked_again() {
    for protocol in BOTH {
        check(Act::Close, protocol, |outcome| retry(outcome, "")).await;
        check(Act::ReadAndClose, protocol, |outcome| retry(outcome, "connection closed")).await;
    }
}

#[tokio::test]
async fn one_that_never_answers_is_given_up_and_asked_again() {
    for protocol in BOTH {
        check(Act::Ignore, protocol, |outcome| retry(outcome, "timed out")).await;
    }
    let (url, _) = server(Act::Ignore).await;
    // More than the sockets take in: it stalls in the request's body.
    let large = vec![Bytes::from(vec![b'x'; 1 << 20]); 16];
    let mut settings = settings(&url, Protocol::Ndjson);
    settings.limits.request_timeout = SHORT;
    let outcome = send(&settings, &large).await;
    assert!(retry(&outcome, "timed out"), "{outcome:?}");
}

#[tokio::test]
async fn an_answer_that_comes_too_late_is_none() {
    let late = Act::Say(Duration::from_secs(10), answer("200 OK", "", ""));
    for protocol in BOTH {
        // It has the events now and gets them again, with the ids that they had.
        let heard = check(late.clone(), protocol, |outcome| retry(outcome, "timed out")).await;
        assert_eq!(lock(&heard).len(), 1);
    }
}

#[tokio::test]
async fn an_acknowledgement_whose_body_stalls_or_never_ends_is_one() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc".to_owned();
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for protocol in BOTH {
        check(Act::SayAndStall(head.clone()), protocol, |outcome| *outcome == Outcome::Accepted).await;
        for between in [Duration::ZERO, Duration::from_millis(50)] {
            let endless = Act::Endless(chunked.clone(), b"4\r\nabcd\r\n", between);
            check(endless, protocol, |outcome| *outcome == Outcome::Accepted).await;
        }
    }
}

#[tokio::test]
async fn a_refusal_whose_body_never_ends_is_still_one() {
    let endless = |status: &str| {
        let head = format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n");
        Act::Endless(head, b"4\r\nabcd\r\n", Duration::ZERO)
    };
    for protocol in BOTH {
        check(endless("503 No"), protocol, |outcome| retry(outcome, "HTTP 503")).await;
        check(endless("400 No"), protocol, |outcome| matches!(outcome, Outcome::Rejected { .. })).await;
        check(endless("413 No"), protocol, |outcome| *outcome == Outcome::TooLarge).await;
    }
}

#[tokio::test]
async fn what_is_no_http_is_asked_again() {
    for garbage in ["\x00\x01\x02\x03 garbage\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n", "HTTP/1.1 two hundred OK\r\n\r\n"] {
        for protocol in BOTH {
            check(Act::Say(Duration::ZERO, garbage.into()), protocol, |outcome| retry(outcome, "")).await;
        }
    }
}

#[tokio::test]
async fn headers_that_drip_or_never_end_are_given_up() {
    for between in [Duration::from_millis(20), Duration::ZERO] {
        let drip = Act::Endless("HTTP/1.1 200 OK\r\n".into(), b"X-More: and more\r\n", between);
        check(drip, Protocol::Otlp, |outcome| retry(outcome, "")).await;
    }
}

#[tokio::test]
async fn a_wait_is_obeyed_in_both_forms() {
    let seconds = say("429 Slow", "Retry-After: 7\r\n", "");
    let asked = |least, most| {
        move |outcome: &Outcome| match outcome {
            Outcome::Retry { after: Some(after), .. } => (least..=most).contains(&after.as_secs()),
            _ => false,
        }
    };
    let date = (jiff::Timestamp::now() + jiff::SignedDuration::from_secs(100)).strftime("%a, %d %b %Y %H:%M:%S GMT");
    let dated = say("503 Later", &format!("Retry-After: {date}\r\n"), "");
    let past = say("429 Slow", "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", "");
    let garbage = say("429 Slow", "Retry-After: soon\r\n", "");
    for protocol in BOTH {
        check(seconds.clone(), protocol, asked(7, 7)).await;
        check(dated.clone(), protocol, asked(90, 100)).await;
        check(past.clone(), protocol, |outcome| retry(outcome, "HTTP 429")).await;
        check(garbage.clone(), protocol, |outcome| retry(outcome, "HTTP 429")).await;
    }
}

#[tokio::test]
async fn a_refusal_for_good_says_why_where_the_protocol_has_words() {
    let why = |expected: &'static str| move |outcome: &Outcome| matches!(outcome, Outcome::Rejected { why } if why == expected);
    let json = say("400 No", JSON, r#"{"code":3,"message":"no such tenant"}"#);
    check(json.clone(), Protocol::Otlp, why("HTTP 400 Bad Request: no such tenant")).await;
    check(json, Protocol::Ndjson, why("HTTP 400 Bad Request")).await;
    let protobuf = say("400 No", PROTOBUF, "\x12\x05no\x1b[m");
    check(protobuf, Protocol::Otlp, why("HTTP 400 Bad Request: no\\x1b[m")).await;
    let page = say("404 No", "Content-Type: text/html\r\n", "<html>");
    check(page, Protocol::Otlp, why("HTTP 404 Not Found")).await;
    check(say("413 No", JSON, "{}"), Protocol::Otlp, |outcome| *outcome == Outcome::TooLarge).await;
    let long = say("400 No", JSON, &format!(r#"{{"message":"{}"}}"#, "ä".repeat(10_000)));
    let bounded = |outcome: &Outcome| matches!(outcome, Outcome::Rejected { why } if why.chars().count() < 400);
    check(long, Protocol::Otlp, bounded).await;
}

#[tokio::test]
async fn credentials_that_are_refused_are_tried_again() {
    for status in ["401 Who", "403 Not you", "407 Not past me"] {
        for protocol in BOTH {
            check(say(status, "", ""), protocol, |outcome| retry(outcome, "HTTP 40")).await;
        }
    }
}

#[tokio::test]
async fn a_part_that_is_refused_is_counted() {
    let partial = |count: u64| {
        say("200 OK", JSON, &format!(r#"{{"partialSuccess":{{"rejectedLogRecords":"{count}","errorMessage":"old"}}}}"#))
    };
    let refused = |count| {
        move |outcome: &Outcome| *outcome == Outcome::Partial { rejected: count, why: "partial success: old".into() }
    };
    check(partial(2), Protocol::Otlp, refused(2)).await;
    check(partial(99), Protocol::Otlp, refused(5)).await;
    check(partial(2), Protocol::Ndjson, |outcome| *outcome == Outcome::Accepted).await;
    // Field 1: field 1 = 3, field 2 = "no".
    let protobuf = say("200 OK", PROTOBUF, "\x0a\x06\x08\x03\x12\x02no");
    let three = |outcome: &Outcome| matches!(outcome, Outcome::Partial { rejected: 3, .. });
    check(protobuf, Protocol::Otlp, three).await;
}

#[tokio::test]
async fn garbage_in_an_acknowledgement_is_told_once_and_changes_nothing() {
    let (url, _) = server(say("200 OK", "Content-Type: text/html\r\n", "<html>welcome</html>")).await;
    let settings = settings(&url, Protocol::Otlp);
    let mut client = Client::new(&settings).unwrap();
    let body = client.encode(&lines(1));
    assert!(!client.told_garbage);
    for _ in 0..3 {
        assert_eq!(client.send(&settings.endpoints[0], &body).await, Outcome::Accepted);
        assert!(client.told_garbage);
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (other, heard) = server(say("200 OK", "", "")).await;
    let redirect = say("307 Over there", &format!("Location: {other}\r\n"), "");
    check(redirect, Protocol::Otlp, |outcome| retry(outcome, "HTTP 307")).await;
    assert!(lock(&heard).is_empty());
}

#[tokio::test]
async fn what_is_sent_says_what_it_is() {
    for (protocol, path, kind) in [
        (Protocol::Ndjson, "post /events http/1.1", "application/x-ndjson"),
        (Protocol::Otlp, "post /events/v1/logs http/1.1", "application/x-protobuf"),
    ] {
        for (compression, name) in
            [(Compression::None, None), (Compression::Gzip, Some("gzip")), (Compression::Zstd, Some("zstd"))]
        {
            let (url, log) = server(say("200 OK", "", "")).await;
            let mut settings = settings(&url, protocol);
            settings.wire.compression = compression;
            assert_eq!(send(&settings, &lines(5)).await, Outcome::Accepted);
            let requests = lock(&log);
            let (head, body) = &requests[0];
            let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            assert_eq!(head.lines().next(), Some(path));
            assert_eq!((header("content-type"), header("content-encoding")), (Some(kind), name));
            assert_eq!(body[..], settings.wire.encode(&lines(5)).bytes[..]);
        }
    }
}

/// One that knows no compression: it refuses a body that has one.
async fn unknowing(refusal: &'static str, plain: &'static str) -> (String, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/events", listener.local_addr().unwrap());
    let heard = Heard::default();
    let log = Arc::clone(&heard);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                while request(&mut stream, &log).await? {
                    let compressed = lock(&log).last().is_some_and(|(top, _)| top.contains("content-encoding"));
                    let answer = answer(if compressed { refusal } else { plain }, "", "");
                    stream.write_all(answer.as_bytes()).await?;
                }
                std::io::Result::Ok(())
            });
        }
    });
    (url, heard)
}

/// Sends twice; gives the outcomes, and for each request whether it was compressed.
async fn check_unknowing(refusal: &'static str, plain: &'static str) -> (Vec<Outcome>, Vec<bool>) {
    let (url, log) = unknowing(refusal, plain).await;
    let mut settings = settings(&url, Protocol::Otlp);
    settings.wire.compression = Compression::Zstd;
    let mut client = Client::new(&settings).unwrap();
    let body = client.encode(&lines(3));
    let mut outcomes = Vec::new();
    for _ in 0..2 {
        outcomes.push(client.send(&settings.endpoints[0], &body).await);
    }
    let requests = lock(&log).iter().map(|(top, _)| top.contains("content-encoding: zstd")).collect();
    (outcomes, requests)
}

#[tokio::test]
async fn one_that_does_not_know_the_compression_gets_none() {
    for refusal in ["400 What", "415 What"] {
        let (outcomes, requests) = check_unknowing(refusal, "200 OK").await;
        assert_eq!(outcomes, [Outcome::Accepted, Outcome::Accepted]);
        assert_eq!(requests, [true, false, false]);
    }
    // What is refused either way is refused, and nothing is learnt of compression.
    let (outcomes, requests) = check_unknowing("400 What", "400 What").await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Rejected { .. })), "{outcomes:?}");
    assert_eq!(requests, [true, false, true, false]);
    let (outcomes, requests) = check_unknowing("422 What", "200 OK").await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Rejected { .. })), "{outcomes:?}");
    assert_eq!(requests, [true, true]);
}
