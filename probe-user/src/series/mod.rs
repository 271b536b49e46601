//! The history of measures: what groups and jobs used, second by second for an hour, minute by minute for seven days, bounded
//! in memory and on disk.
//!
//! - [`recorder`] notes values in memory, what has not changed costs nothing: pure;
//! - blocks of up to a minute go to a thread ([`keeper`]), which writes them ([`shelf`], [`volume`], [`frame`]), thins full files to
//!   minutes ([`thin`]) and answers questions ([`fold`]);
//! - [`play`] is how all of these read runs of points ([`run`]): from when to when a series had which value.
//!
//! It takes what the engine has computed anyway, at moments when the daemon is awake anyway, and causes neither samples nor
//! wake-ups. It may fail as a whole: events, alarms and everything else go on. Time is the wall clock's: where that was set back,
//! what is told later counts. What nobody looked at is unknown, never 0.

mod figure;
mod fold;
mod frame;
mod keeper;
mod play;
mod recorder;
mod report;
mod run;
mod shelf;
#[cfg(test)]
mod tests;
mod thin;
mod volume;

pub use figure::Figure;
pub use keeper::{Archive, Question, SumQuestion};
pub use recorder::{Block, Chunk, Look, Reading, Recorder, SERIES_MAX, Tail};
pub use report::{
    BoundReport, GroupSums, HistoryReport, MeasureSum, MeasuresReport, POINTS_MAX, Point, SeriesReport, Status,
};

/// Most bytes that the files may take, unless told otherwise.
pub const DEFAULT_MAX: u64 = 64 << 20;
