//! `procprobe replay`: policies held against a recording. Events as `run` prints them, then what became of each bound.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};

use super::args::ReplayArgs;
use super::progress::Watched;
use super::{Exit, complain};
use crate::engine::Processes;
use crate::engine::text::span;
use crate::event::{Event, Stamped, name};
use crate::output::{self, Text};
use crate::policy::{self, glob::Glob};
use crate::recording::facts::Facts;
use crate::recording::reader::Reader;
use crate::replay::summary::Summary;
use crate::replay::{Options, Outcome, replay as run, suggest};
use crate::stamp::{Stamper, line};
use crate::time::ClockReading;
use crate::yaml::read::Trust;

pub(super) fn replay(args: &ReplayArgs) -> Exit {
    let file = args.file.display();
    let opened = File::open(&args.file).map_err(|error| format!("cannot be opened: {error}"));
    let opened = opened.map(Watched::new);
    let reader = match opened.and_then(|opened| Reader::open(opened).map_err(|error| error.to_string())) {
        Ok(reader) => reader,
        Err(why) => {
            complain(&format!("procprobe: {file} {why}"));
            return Exit::NotWell;
        }
    };
    let facts = reader.facts().clone();
    let loaded = match policy::load(&args.policies, &facts.host_labels(), &policy::Lacks::default(), Trust::Anyone) {
        Ok(loaded) => loaded,
        wrong => {
            complain(&policy::report(&wrong));
            return Exit::Config;
        }
    };
    let shown = match Shown::of(args.events.as_deref()) {
        Ok(shown) => shown,
        Err(why) => {
            complain(&format!("procprobe: --events: {why}"));
            return Exit::Usage;
        }
    };
    let options = Options { start_grace: args.start_grace, processes: shown.processes(), suggest: args.suggest };
    let format = args.format.map_or_else(output::Format::for_stdout, Into::into);
    let mut printer = Printer::new(&facts, format, shown);
    match run(reader, &loaded.policies, options, |event, clock| printer.event(event, clock)) {
        Ok(outcome) => printer.close(&outcome, &facts, args.suggest),
        Err(error) => {
            printer.flush();
            complain(&format!("procprobe: {file} {error}"));
            Exit::NotWell
        }
    }
}

/// Which events are printed.
struct Shown(Option<Glob>);

/// Events of single processes: a day has millions of them.
const PER_PROCESS: [&str; 3] = [name::PROCESS_START, name::PROCESS_EXIT, name::PROCESS_FORK];

impl Shown {
    fn of(pattern: Option<&str>) -> Result<Self, String> {
        pattern.map(Glob::name).transpose().map(Self).map_err(|error| error.to_string())
    }

    fn shows(&self, name: &str) -> bool {
        self.0.as_ref().map_or_else(|| !PER_PROCESS.contains(&name), |glob| glob.is_match(name))
    }

    /// What the engine need not tell at all.
    fn processes(&self) -> Processes {
        if PER_PROCESS.iter().any(|name| self.shows(name)) { Processes::Matched } else { Processes::None }
    }
}

struct Printer {
    out: BufWriter<io::Stdout>,
    stamper: Stamper,
    text: Option<Text>,
    shown: Shown,
    /// The day of the last line, in text.
    day: String,
    /// Somebody looks at it: whole lines as they come, beside how far it is.
    live: bool,
    /// The reader went away.
    closed: bool,
}

impl Printer {
    fn new(facts: &Facts, format: output::Format, shown: Shown) -> Self {
        let text = match format {
            output::Format::Json => None,
            output::Format::Text => Some(Text::for_stdout()),
        };
        let stamper = Stamper::forgetful(facts.host());
        let live = io::stdout().is_terminal();
        Self { out: BufWriter::new(io::stdout()), stamper, text, shown, day: String::new(), live, closed: false }
    }

    /// False when nobody reads any more.
    fn event(&mut self, event: Event, clock: &ClockReading) -> bool {
        if !self.shown.shows(event.name) {
            return true;
        }
        let stamped = self.stamper.stamp(event, clock);
        let written = self.write(&stamped);
        self.closed |= written.is_err();
        if self.live {
            self.flush();
        }
        !self.closed
    }

    fn write(&mut self, stamped: &Stamped) -> io::Result<()> {
        let Some(text) = &self.text else {
            let line = line(stamped).map_err(io::Error::other)?;
            return self.out.write_all(&line);
        };
        let day = text.day(&stamped.time);
        if day != self.day {
            writeln!(self.out, "--- {day}")?;
            self.day = day;
        }
        self.out.write_all(&text.render(stamped))
    }

    fn flush(&mut self) {
        self.closed |= self.out.flush().is_err();
    }

    /// The summary, and the suggestions where they were asked for.
    fn close(mut self, outcome: &Outcome, facts: &Facts, wanted: bool) -> Exit {
        let suggestion = outcome
            .history
            .as_ref()
            .filter(|_| wanted)
            .map(|history| suggest::suggest(&outcome.summary, history, &facts.host_name));
        let text = if self.text.is_some() {
            text_of(&outcome.summary, &facts.host_name)
        } else {
            let mut json = outcome.summary.to_json();
            if let Some(Ok(yaml)) = &suggestion {
                json["suggestion"] = yaml.as_str().into();
            }
            format!("{json}\n")
        };
        self.closed |= self.out.write_all(text.as_bytes()).is_err();
        if let (Some(Ok(yaml)), Some(_)) = (&suggestion, &self.text) {
            self.closed |= write!(self.out, "\n{yaml}").is_err();
        }
        self.flush();
        match suggestion {
            // Who asked for suggestions and gets none has to know it from the exit code too.
            Some(Err(why)) => {
                complain(&format!("procprobe: no suggestions: {why}"));
                Exit::NotWell
            }
            _ => Exit::Well,
        }
    }
}

/// What was replayed, then a table with a line for each bound.
fn text_of(summary: &Summary, host: &str) -> String {
    let length = std::time::Duration::try_from_secs_f64(summary.seconds).unwrap_or_default();
    let mut text = format!(
        "\n{} of {host}, {} to {}: {} kernel records, {} processes ended\n",
        span(length),
        summary.began,
        summary.ended,
        summary.records,
        summary.lives
    );
    for note in summary.all_notes() {
        let _ = writeln!(text, "note: {note}");
    }
    let head = ["BOUND", "FIRED", "IN ALL", "LONGEST", "NEAREST MISS"].map(str::to_owned);
    let lines = summary.lines();
    if lines.is_empty() {
        text.push_str("the policies have no bounds here\n");
        return text;
    }
    let widths: Vec<usize> = (0..4)
        .map(|column| {
            let cells = lines.iter().chain([&head]).filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    text.push('\n');
    for line in [&head].into_iter().chain(&lines) {
        let mut row = String::new();
        for (index, cell) in line.iter().enumerate() {
            let width = widths.get(index).copied().unwrap_or(0);
            let _ = write!(row, "{cell:width$}  ");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}
