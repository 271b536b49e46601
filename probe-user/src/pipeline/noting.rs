//! Notes measures for their history: at the end of a turn of the daemon's, what has changed in it.
//!
//! Nothing is sampled and nobody is woken for it. What the history's own thread does not take is counted and told.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Daemon, clock};
use crate::agent;
use crate::engine::{Engine, Line, Measured};
use crate::outlet::{Dropped, Tally};
use crate::series::{
    Archive, BoundReport, Figure, HistoryReport, Look, MeasuresReport, Question, Reading, Recorder, Status, SumQuestion,
};
use crate::time::KTime;

/// Without news the clock is looked at no more often than this.
const QUIET: Duration = Duration::from_secs(1);
/// The last block is on disk within this, or is left.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
const NS: i64 = 1_000_000_000;

/// The history of measures, and what goes into it.
pub(super) struct Noting {
    recorder: Recorder,
    archive: Archive,
    looked: KTime,
    tally: Tally,
    counted: [(&'static str, u64); 3],
}

impl Noting {
    /// Takes up what is in the state directory. The note says what is degraded.
    pub(super) fn open(state: &Path, max_bytes: u64) -> io::Result<(Self, Option<String>)> {
        let (archive, note) = Archive::open(&state.join("measures"), max_bytes)?;
        let counted = archive.lost();
        let (recorder, tally) = (Recorder::default(), Tally::new("measures"));
        Ok((Self { recorder, archive, looked: KTime::default(), tally, counted }, note))
    }

    /// Takes in what has changed.
    pub(super) fn note(&mut self, now: KTime, engine: &mut Engine) {
        if !engine.has_moved() && now.since(self.looked) < QUIET {
            return;
        }
        self.looked = now;
        if let Look::Begins { ended } = self.recorder.look(seconds_now()) {
            if let Some(block) = ended {
                self.archive.put(block);
            }
            engine.all_moved();
        }
        let recorder = &mut self.recorder;
        engine.moved(now, |place, name, measured| {
            let mut readings = [Reading::Unmeasured; Figure::COUNT];
            for (figure, reading) in Figure::all().zip(&mut readings) {
                *reading = match measured(figure.measure()) {
                    Measured::Unmeasured => Reading::Unmeasured,
                    Measured::AsBefore => Reading::AsBefore,
                    Measured::Value(value) => Reading::Value(value),
                };
            }
            recorder.note(place, name, &readings);
        });
        if self.recorder.is_due() {
            let fresh = self.archive.is_full();
            if let Some(block) = self.recorder.cut(fresh)
                && !self.archive.put(block)
                && !fresh
            {
                self.recorder.refresh();
            }
        }
    }

    /// Other groups come.
    pub(super) fn anew(&mut self) {
        if let Some(block) = self.recorder.end() {
            self.archive.put(block);
        }
    }

    /// How the history stands.
    pub(super) fn status(&self) -> Status {
        self.archive.status(seconds_now(), self.recorder.groups())
    }

    /// What was lost of it and not told yet.
    fn untold(&mut self, now: KTime) -> Vec<Dropped> {
        let lost = self.archive.lost();
        for ((reason, count), (_, counted)) in lost.into_iter().zip(self.counted) {
            self.tally.add(reason, count.saturating_sub(counted));
        }
        self.counted = lost;
        self.tally.untold(now)
    }

    /// What is not on disk yet is written.
    pub(super) fn close(mut self) {
        self.anew();
        self.archive.close(CLOSE_WITHIN);
    }

    fn ask(&self, engine: &Engine, name: String, span: (Duration, Option<Duration>), reply: Reply) {
        let Some(lines) = engine.lines(&name) else {
            let _ = reply.send(None);
            return;
        };
        let (tail, bounds) = (self.recorder.tail(Some(&name)), lines.iter().filter_map(bound).collect());
        let (since, step) = span;
        self.archive.ask(Question { name, now: seconds_now(), since, step, tail, bounds, reply });
    }
}

type Reply = oneshot::Sender<Option<HistoryReport>>;

/// A bound on something whose history is kept.
fn bound(line: &Line) -> Option<BoundReport> {
    Figure::of(line.measure)?;
    let severity = serde_json::to_value(line.severity).ok()?.as_str()?.to_owned();
    let (measure, bound) = (line.measure.as_str().to_owned(), line.side.as_str().to_owned());
    Some(BoundReport { measure, bound, limit: line.limit, severity })
}

fn seconds_now() -> i64 {
    clock::read().wall.0.div_euclid(NS)
}

impl Daemon {
    /// Measures that have changed go into their history.
    pub(super) fn note_measures(&mut self) {
        self.noting.note(clock::now(), self.core.engine_mut());
    }

    /// Tells what was lost of the history.
    pub(super) fn tell_lost_measures(&mut self) {
        let now = clock::now();
        for dropped in self.noting.untold(now) {
            self.outlets.tell(agent::lost(now, &dropped));
        }
    }

    /// One group's measures over a span, with points so far apart or farther.
    pub(super) fn answer_history(&mut self, name: String, since: Duration, step: Option<Duration>, reply: Reply) {
        self.note_measures();
        self.noting.ask(self.core.engine(), name, (since, step), reply);
    }

    /// All groups' measures summed up.
    pub(super) fn answer_measures(&mut self, since: Duration, reply: oneshot::Sender<MeasuresReport>) {
        self.note_measures();
        let tail = self.noting.recorder.tail(None);
        self.noting.archive.sum(SumQuestion { now: seconds_now(), since, tail, reply });
    }
}
