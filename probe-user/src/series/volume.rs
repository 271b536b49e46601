//! One file of blocks: walked through at the start, written to at its end, read for an answer.

use std::io;

use super::frame::{Damaged, FILE_HEADER, Frame, Grain, HEADER, Kind, entries};
use super::play::{Interval, Player, Sink};
use crate::spool::disk::Disk;

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) name: String,
    pub(super) grain: Grain,
    /// Rises from file to file.
    pub(super) number: u64,
    /// Its length.
    pub(super) bytes: u64,
    /// From its first interval's begin to its last one's end; `None` while it has none.
    pub(super) span: Option<Interval>,
    /// The highest number of a series in it.
    pub(super) last_series: u32,
    /// Of seconds: there are minutes of it.
    pub(super) thinned: bool,
}

/// What a walk through a file found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// All of it is whole.
    Whole,
    /// What follows the volume's length was not written whole, or is damaged.
    Torn,
    /// It is another program's, or another version's.
    Foreign,
}

impl Volume {
    /// A file that is to be made.
    pub(super) fn new(grain: Grain, number: u64) -> Self {
        let letter = match grain {
            Grain::Seconds => 's',
            Grain::Minutes => 'm',
        };
        let name = format!("{letter}-{number:012}");
        Self { name, grain, number, bytes: FILE_HEADER as u64, span: None, last_series: 0, thinned: false }
    }

    /// The volume that a file of this name would be.
    pub(super) fn named(name: &str) -> Option<Self> {
        let (letter, number) = name.split_once('-')?;
        let grain = match letter {
            "s" => Grain::Seconds,
            "m" => Grain::Minutes,
            _ => return None,
        };
        let volume = Self::new(grain, number.parse().ok()?);
        (volume.name == name).then_some(volume)
    }

    /// Looks at the headers of a file of so many bytes; `each` gets every interval that is there as a whole.
    pub(super) fn walk(&mut self, disk: &impl Disk, bytes: u64, mut each: impl FnMut(Interval)) -> io::Result<Walked> {
        if disk.read(&self.name, 0, FILE_HEADER)? != self.grain.header() {
            return Ok(Walked::Foreign);
        }
        let mut at = FILE_HEADER as u64;
        while at < bytes {
            let Some(frame) = Frame::read(&disk.read(&self.name, at, HEADER)?) else { return Ok(Walked::Torn) };
            at += (HEADER + frame.length) as u64;
            if at > bytes {
                return Ok(Walked::Torn);
            }
            if frame.kind == Kind::LastRuns {
                self.extend(frame.interval, frame.last, at);
                each(frame.interval);
            } else if frame.kind == Kind::Runs {
                self.last_series = self.last_series.max(frame.last);
            }
        }
        Ok(if self.bytes == bytes { Walked::Whole } else { Walked::Torn })
    }

    /// It holds this interval as well now, and is so long.
    pub(super) fn extend(&mut self, interval: Interval, last_series: u32, bytes: u64) {
        let from = self.span.map_or(interval.from, |span| span.from);
        self.span = Some(Interval { from, to: interval.to });
        self.last_series = self.last_series.max(last_series);
        self.bytes = bytes;
    }

    /// Plays what is in it. Returns how many frames could not be read.
    pub(super) fn play<S: Sink>(&self, disk: &impl Disk, player: &mut Player<'_, S>) -> io::Result<u64> {
        let (mut at, mut damaged) = (FILE_HEADER as u64, 0);
        let mut named = None;
        if self.grain == Grain::Seconds {
            player.renumbered();
        }
        while at < self.bytes {
            let Some(frame) = Frame::read(&disk.read(&self.name, at, HEADER)?) else {
                player.broken();
                return Ok(damaged + 1);
            };
            let payload = at + HEADER as u64;
            at = payload + frame.length as u64;
            if at > self.bytes {
                return Ok(damaged + 1);
            }
            // Each interval of minutes names its groups anew.
            if frame.kind == Kind::Names && self.grain == Grain::Minutes && named != Some(frame.interval) {
                named = Some(frame.interval);
                player.renumbered();
            }
            let of_names = frame.kind == Kind::Names;
            if !of_names {
                player.interval(frame.interval);
            }
            if of_names || (frame.first <= frame.last && player.wants(frame.first, frame.last)) {
                let sound = disk.read(&self.name, payload, frame.length).map(|packed| frame.unpack(&packed))?;
                if sound.and_then(|bytes| hand_in(&frame, &bytes, player)).is_err() {
                    damaged += 1;
                    player.broken();
                }
            }
            if frame.kind == Kind::LastRuns {
                // The next interval may be the same, after a clock that was set back.
                player.over();
            }
        }
        Ok(damaged)
    }
}

fn hand_in<S: Sink>(frame: &Frame, bytes: &[u8], player: &mut Player<'_, S>) -> Result<(), Damaged> {
    for entry in entries(bytes) {
        let (number, bytes) = entry?;
        if frame.kind == Kind::Names {
            player.named(number, std::str::from_utf8(bytes).map_err(|_| Damaged)?);
        } else if player.wants(number, number) {
            player.run(number, bytes);
        }
    }
    Ok(())
}
