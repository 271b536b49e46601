use std::sync::mpsc;

use jiff::tz::{self, TimeZone};

use super::*;
use crate::event::{Attributes, Host, Severity, name};
use crate::time::{ClockReading, Wall};

fn event(seq: u64, body: &str, severity: Severity) -> (Stamped, Bytes) {
    let event = Stamped {
        id: format!("h:b:{seq:012}"),
        seq,
        time: "2026-11-21T22:00:00.123456789Z".into(),
        name: name::POLICY_FIRING,
        severity,
        body: body.into(),
        host: Arc::new(Host { name: "web-1".into(), id: "h".into(), boot_id: "b".into() }),
        attributes: Attributes::default(),
        clock: ClockReading { mono: KTime(0), boot_ns: 0, wall: Wall(0) },
    };
    let line = Bytes::from(format!("{seq}\n"));
    (event, line)
}

/// What a test lets the writing thread do: each permit is the result of one write.
struct Stage {
    permits: mpsc::Receiver<io::Result<()>>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Stage {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.permits.recv().unwrap_or(Ok(()))?;
        lock(&self.written).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Permits = mpsc::Sender<io::Result<()>>;

fn staged(queue_bytes: usize) -> (Sink, Permits, Arc<Mutex<Vec<u8>>>) {
    let (permit, permits) = mpsc::channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = Sink::spawn(Stage { permits, written: Arc::clone(&written) }, None, queue_bytes).unwrap();
    (sink, permit, written)
}

fn offer(sink: &Sink, seqs: impl Iterator<Item = u64>) {
    for seq in seqs {
        let (event, line) = event(seq, "", Severity::Info);
        sink.offer(&event, &line, false);
    }
}

fn text(written: &Mutex<Vec<u8>>) -> String {
    String::from_utf8(lock(written).clone()).unwrap()
}

fn counts(dropped: &[Dropped]) -> Vec<(&str, u64)> {
    dropped.iter().map(|dropped| (dropped.reason.as_str(), dropped.count)).collect()
}

#[tokio::test]
async fn lines_go_out_whole_and_in_order() {
    let (sink, permit, written) = staged(QUEUE_BYTES);
    drop(permit);
    offer(&sink, 1..=200);
    assert_eq!(sink.close(Duration::from_secs(10)).await, 0);
    let seen: Vec<u64> = text(&written).lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(seen, (1..=200).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_blocked_reader_costs_a_bounded_queue_and_counted_drops() {
    let (sink, permit, written) = staged(10 * 70);
    offer(&sink, 1..=100_000);
    assert!(lock(&sink.shared.state).queue.bytes() <= 700);
    let dropped = sink.untold(KTime::from_secs(1));
    assert_eq!(dropped[0].place, "stdout");
    drop(permit);
    let shared = Arc::clone(&sink.shared);
    assert_eq!(sink.close(Duration::from_secs(10)).await, 0);
    let dropped = lock(&shared.state).tally.totals();
    let seen = text(&written).lines().count() as u64;
    assert_eq!(dropped.iter().map(|dropped| dropped.count).sum::<u64>() + seen, 100_000);
    assert!(text(&written).ends_with("\n100000\n"), "the newest are kept");
}

#[tokio::test]
async fn a_writer_that_hangs_does_not_hold_up_the_end() {
    let (sink, permit, _written) = staged(QUEUE_BYTES);
    offer(&sink, 1..=3);
    assert!(sink.close(Duration::from_millis(50)).await >= 2);
    drop(permit);
}

#[tokio::test]
async fn a_reader_that_went_away_closes_the_way_out() {
    let (sink, permit, written) = staged(QUEUE_BYTES);
    permit.send(Ok(())).unwrap();
    permit.send(Err(ErrorKind::BrokenPipe.into())).unwrap();
    offer(&sink, 1..=2);
    while !sink.is_closed() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    offer(&sink, 3..=9);
    assert_eq!(counts(&sink.dropped()), [("closed", 1)]);
    assert_eq!(sink.close(Duration::from_secs(10)).await, 0);
    assert_eq!(text(&written), "1\n");
}

#[tokio::test]
async fn a_failed_write_costs_its_line_only() {
    let (sink, permit, written) = staged(QUEUE_BYTES);
    permit.send(Err(io::Error::from_raw_os_error(28))).unwrap();
    permit.send(Err(ErrorKind::Interrupted.into())).unwrap();
    permit.send(Err(ErrorKind::WouldBlock.into())).unwrap();
    drop(permit);
    offer(&sink, 1..=3);
    let shared = Arc::clone(&sink.shared);
    assert_eq!(sink.close(Duration::from_secs(10)).await, 0);
    assert_eq!(counts(&lock(&shared.state).tally.totals()), [("write_failed", 1)]);
    assert_eq!(text(&written), "\n2\n3\n");
}

fn check_text(colours: bool, severity: Severity, body: &str, expected: &str) {
    let seoul = TimeZone::fixed(tz::offset(9));
    let rendered = Text::in_zone(colours, seoul).render(&event(1, body, severity).0);
    assert_eq!(std::str::from_utf8(&rendered).unwrap(), expected);
}

#[test]
fn text_is_one_line_for_people() {
    check_text(
        false,
        Severity::Critical,
        "nginx: 1 process, minimum 2",
        "07:00:00.123 critical policy.firing   nginx: 1 process, minimum 2\n",
    );
    check_text(
        false,
        Severity::Warning,
        "a\n07:00:00.123 critical forged\x1b[0m",
        "07:00:00.123 warning  policy.firing   a\\n07:00:00.123 critical forged\\x1b[0m\n",
    );
    check_text(
        true,
        Severity::Critical,
        "x",
        "\x1b[2m07:00:00.123\x1b[0m \x1b[1;31mcritical\x1b[0m \x1b[2mpolicy.firing  \x1b[0m x\n",
    );
    check_text(true, Severity::Info, "x", "\x1b[2m07:00:00.123\x1b[0m info     \x1b[2mpolicy.firing  \x1b[0m x\n");
}
