//! `procprobe events`: the local history through the daemon's socket, as it came or for people.

use std::io::{self, StdoutLock, Write as _};

use serde::Deserialize;

use super::args::EventsArgs;
use super::{Exit, block_on, complain};
use crate::event::{Severity, clean};
use crate::output::{Format, Text};
use crate::serve::client::{self, Told};

pub(super) fn events(args: &EventsArgs) -> Exit {
    let told = Told { since: args.since.clone(), name: args.name.clone(), follow: args.follow };
    let text = match args.format.map_or_else(Format::for_stdout, Into::into) {
        Format::Text => Some(Text::for_stdout()),
        Format::Json => None,
    };
    let mut page = Page { out: io::stdout().lock(), text, day: String::new(), written: Ok(()) };
    let answered = block_on(client::events(&args.socket, &told, |line| page.take(line)));
    let failed = match (answered, page.written) {
        (Err(error), _) => error.to_string(),
        (Ok(Err(error)), Ok(())) => error.to_string(),
        // A reader that went away (`| head`) has what it wanted.
        (Ok(_), Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => return Exit::Well,
        (Ok(_), Err(error)) => format!("stdout: {error}"),
        (Ok(Ok(())), Ok(())) => return Exit::Well,
    };
    complain(&format!("procprobe: {failed}"));
    Exit::NotWell
}

/// What is shown of an event.
#[derive(Deserialize)]
struct Shown {
    time: String,
    severity: String,
    name: String,
    body: String,
}

struct Page {
    out: StdoutLock<'static>,
    text: Option<Text>,
    day: String,
    written: io::Result<()>,
}

impl Page {
    /// False when nobody reads any more.
    fn take(&mut self, line: &[u8]) -> bool {
        self.written = self.write(line);
        self.written.is_ok()
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match &self.text {
            None => {
                self.out.write_all(line)?;
                self.out.write_all(b"\n")?;
            }
            Some(text) => match serde_json::from_slice::<Shown>(line) {
                Ok(event) => {
                    let day = text.day(&event.time);
                    if day != self.day {
                        writeln!(self.out, "--- {day}")?;
                        self.day = day;
                    }
                    let severity = Severity::named(&event.severity).unwrap_or_default();
                    self.out.write_all(&text.line(&event.time, severity, &event.name, &event.body))?;
                }
                // A newer daemon may tell of things that this version does not know.
                Err(_) => writeln!(self.out, "{}", clean(&String::from_utf8_lossy(line)))?,
            },
        }
        self.out.flush()
    }
}
