//! From a recording to what the engine is to do next.
//!
//! Frames are read and unpacked on a thread of their own ([`spawn`]); what is in them is decoded where the engine runs
//! ([`Decoder`]). Decoding costs less than to hand records from one core to the other: each of them is larger than the
//! bytes that it is made of, and the texts that they share would be counted on both.

use std::io::Read;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use crate::engine::Input;
use crate::kernel::convert::Converter;
use crate::kernel::sampler::task_rows;
use crate::record::{Scan, UsageRow};
use crate::recording::ReadError;
use crate::recording::entry::Entry;
use crate::recording::facts::Tail;
use crate::recording::reader::Reader;
use crate::time::KTime;

/// Frames on their way, so that neither thread waits for the other and memory stays bounded.
const AHEAD: usize = 2;

/// What the engine is to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Take this in.
    Input(KTime, Input),
    /// Usage of every process that ran.
    Sample(KTime, Vec<UsageRow>),
    /// Everything up to here is known: act on what is due.
    Settle(KTime),
}

/// What comes from the reading thread.
#[derive(Debug)]
pub(super) enum Delivery {
    /// The entries of the frame that begins there.
    Frame(u64, Vec<u8>),
    Ended(Result<End, ReadError>),
}

/// How the recording ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// What its tail says, where it has one.
    pub tail: Option<Tail>,
    /// Where a frame begins that is not whole.
    pub torn: Option<u64>,
}

/// The frames of a recording as they come.
pub(super) struct Frames {
    deliveries: Receiver<Delivery>,
    emptied: Sender<Vec<u8>>,
}

impl Frames {
    /// The next one; `None` when the thread is gone without a word.
    pub(super) fn next(&self) -> Option<Delivery> {
        self.deliveries.recv().ok()
    }

    /// The room of a frame that was taken in, for another one.
    pub(super) fn give_back(&self, frame: Vec<u8>) {
        // A thread that has read everything needs no more.
        let _ = self.emptied.send(frame);
    }
}

/// Reads to the end, on a thread of its own; gives up when nobody listens.
pub(super) fn spawn<R: Read + Send + 'static>(mut reader: Reader<R>) -> std::io::Result<Frames> {
    let (sender, deliveries) = sync_channel(AHEAD);
    let (emptied, empty) = channel();
    thread::Builder::new().name("unpack".into()).spawn(move || {
        let ended = unpack(&mut reader, &sender, &empty);
        if let Some(ended) = ended {
            // Who no longer listens has no use for the end either.
            let _ = sender.send(Delivery::Ended(ended));
        }
    })?;
    Ok(Frames { deliveries, emptied })
}

/// How it ended; `None` when nobody listens any more.
fn unpack<R: Read>(
    reader: &mut Reader<R>,
    sender: &SyncSender<Delivery>,
    empty: &Receiver<Vec<u8>>,
) -> Option<Result<End, ReadError>> {
    loop {
        let mut frame = empty.try_recv().unwrap_or_default();
        match reader.take_frame(&mut frame) {
            Ok(Some(at)) => sender.send(Delivery::Frame(at, frame)).ok()?,
            Ok(None) => return Some(Ok(End { tail: reader.tail().cloned(), torn: reader.torn() })),
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Makes steps of entries.
pub(super) struct Decoder {
    converter: Converter,
}

impl Decoder {
    /// For records of a kernel with pages of this size.
    pub(super) fn new(page_bytes: u64) -> Self {
        Self { converter: Converter::with_pages(page_bytes) }
    }

    /// Hands over all entries of the frame that begins at `at`, until `take` says no; says whether it went on to the
    /// end.
    pub(super) fn entries(
        &mut self,
        at: u64,
        mut bytes: &[u8],
        mut take: impl FnMut(Step) -> bool,
    ) -> Result<bool, ReadError> {
        let damaged = |why: &dyn std::fmt::Display| ReadError::Damaged { at, why: why.to_string() };
        while !bytes.is_empty() {
            let (now, entry, rest) = Entry::read(bytes).map_err(|error| damaged(&error))?;
            bytes = rest;
            let step = match entry {
                Entry::Records(mut records) => {
                    while !records.is_empty() {
                        let (record, rest) = self.converter.next(records).map_err(|error| damaged(&error))?;
                        records = rest;
                        if !take(Step::Input(now, Input::Record(record))) {
                            return Ok(false);
                        }
                    }
                    Step::Settle(now)
                }
                Entry::Scan { began, rows, args } => {
                    let rows = task_rows(rows).map_err(|error| damaged(&error))?;
                    Step::Input(now, Input::Scan(Scan { began, rows, args }))
                }
                Entry::Sample(rows) => Step::Sample(now, rows),
                Entry::Lost(loss) => Step::Input(now, Input::Lost(loss)),
                Entry::Reread { key, found } => Step::Input(now, Input::Reread { key, found: Some(found) }),
                Entry::Lines(lines) => Step::Input(now, Input::Lines(lines)),
                Entry::Host(sample) => Step::Input(now, Input::Host(Box::new(sample))),
                Entry::Clock(clock) => Step::Input(now, Input::Clock(clock)),
            };
            let settled = matches!(step, Step::Settle(_));
            if !take(step) || !(settled || take(Step::Settle(now))) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
