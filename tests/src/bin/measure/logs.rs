//! How fast lines are held against logs: in memory, and by the daemon from a file.

use std::error::Error;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use probe_user::policy::lines::Matcher;
use probe_user::policy::spec::{Log, Response};
use procprobe_tests::daemon::{PATIENCE, Setup};
use procprobe_tests::event::Event;

use crate::figure::Figure;
use crate::observe::Reading;
use crate::{Effort, Outcome};

const MB: f64 = 1e6;
/// One line in so many matches.
const RARE: usize = 10_000;
const KEYWORDS: [&str; 5] = ["OutOfMemoryError", "ORA-", "panic:", "segfault", "deadlock detected"];

pub(crate) fn throughput(effort: Effort) -> Outcome {
    let text = text(64 << 20);
    let rounds = effort.of(20);
    let mut figures = Vec::new();
    for (what, any, regex) in [
        ("5 keywords", KEYWORDS.as_slice(), [].as_slice()),
        ("1 expression", &[], &[r"status=5\d\d"]),
        ("5 keywords and 3 expressions", &KEYWORDS, &[r"status=5\d\d", r"took \d{5,}ms", r"(?i)fatal error"]),
    ] {
        let matcher = Matcher::new(&log(any, regex))?;
        let mut found: usize = 0;
        let began = Instant::now();
        for _ in 0..rounds {
            matcher.scan(text.as_bytes(), |_| found += 1);
        }
        let speed = (text.len() as u64 * rounds) as f64 / MB / began.elapsed().as_secs_f64();
        if found == 0 {
            return Err("nothing was found".into());
        }
        figures.push(figure(format!("lines held against {what}, in memory"), speed));
    }
    let (by_the_clock, of_a_core) = daemon(&text)?;
    figures.push(figure("the daemon reads a file while it is written, 5 keywords".to_owned(), by_the_clock));
    figures.push(figure("the same, by the daemon's own time on a core".to_owned(), of_a_core));
    Ok(figures)
}

/// From the first byte written to the event of the last line: by the clock, and in time of the daemon on a core.
fn daemon(text: &str) -> Result<(f64, f64), Box<dyn Error>> {
    const TIMES: usize = 8;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("app.log");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let words = KEYWORDS.join("\", \"");
    let policy = format!("logs:\n  speed: {{ path: {}, any: [\"{words}\", THE-LAST] }}\n", path.display());
    let daemon = Setup::new().policy(&policy).start();
    // What was written before the file is followed is not read: its first lines go in until one is told.
    let followed = Instant::now();
    while daemon.stream.arrival(0, |event| event.text("keyword") == "segfault").is_none() {
        if followed.elapsed() > PATIENCE {
            return Err("the file is not followed".into());
        }
        file.write_all(b"segfault: the file is followed\n")?;
        thread::sleep(Duration::from_millis(250));
    }
    // What is withheld of them is told within a second.
    thread::sleep(Duration::from_millis(1500));
    let counted = |events: &[Event]| events.iter().filter_map(|event| event.number("count")).sum::<u64>();
    let first = counted(&daemon.stream.events());
    let (before, began) = (Reading::take(&daemon)?, Instant::now());
    for _ in 0..TIMES {
        file.write_all(text.as_bytes())?;
    }
    file.write_all(b"THE-LAST\n")?;
    let matching = text.lines().filter(|line| KEYWORDS.iter().any(|word| line.contains(word))).count();
    let expected = first + 1 + (TIMES * matching) as u64;
    daemon.stream.find("all lines", PATIENCE, |events| (counted(events) == expected).then_some(()));
    let rates = before.until(Reading::take(&daemon)?);
    // Lines beyond the first few of a second are told at its end.
    let arrived = daemon.stream.arrival(0, |event| event.text("line") == "THE-LAST");
    let arrived = arrived.map_or_else(Instant::now, |(_, arrived)| arrived);
    let megabytes = (text.len() * TIMES) as f64 / MB;
    Ok((megabytes / arrived.saturating_duration_since(began).as_secs_f64(), megabytes / (rates.cpu * rates.seconds)))
}

fn figure(what: String, speed: f64) -> Figure {
    Figure::new(what, "100 MB/s of one core", format!("{speed:.0} MB/s"), speed >= 100.0)
}

/// Lines as a web application writes them.
fn text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 256);
    for number in 0.. {
        if text.len() >= bytes {
            break;
        }
        let (address, took) = (number * 7919 % 251, number % 997);
        let _ = write!(
            text,
            "2026-11-22T03:{:02}:{:02}.{:03}Z web-1 app[4211]: 10.0.3.{address} \"GET /api/v1/items/{number} HTTP/1.1\" ",
            number / 60_000 % 60,
            number / 1000 % 60,
            number % 1000,
        );
        let end = if number % RARE == 0 { "status=503 ORA-00060: deadlock detected" } else { "status=200" };
        let _ = writeln!(text, "{end} took {took}ms user=\"ünal\" agent=\"curl/8.5.0\"");
    }
    text
}

fn log(any: &[&str], regex: &[&str]) -> Log {
    let words = |words: &[&str]| words.iter().map(|word| Arc::from(*word)).collect();
    Log {
        name: "speed".into(),
        declared: "measure".into(),
        paths: Vec::new(),
        any: words(any),
        regex: words(regex),
        ignore: Vec::new(),
        bounds: Vec::new(),
        quiet: None,
        response: Response::default(),
    }
}
