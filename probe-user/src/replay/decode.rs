//! From a recording to inputs of the engine, on a thread of its own.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
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

/// Steps handed over at a time.
const BATCH: usize = 2048;
/// Batches on their way, so that neither thread waits for the other and memory stays bounded.
const AHEAD: usize = 4;

/// What the engine's thread is to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Hand this in.
    Input(KTime, Input),
    /// Usage of every process that ran.
    Sample(KTime, Vec<UsageRow>),
    /// Everything up to here is known: act on what is due.
    Settle(KTime),
}

/// What comes from the decoding thread.
#[derive(Debug)]
pub(super) enum Delivery {
    Steps(Vec<Step>),
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

/// Reads to the end, on a thread of its own; gives up when nobody listens.
pub(super) fn spawn<R: Read + Send + 'static>(reader: Reader<R>) -> std::io::Result<Receiver<Delivery>> {
    let (sender, receiver) = sync_channel(AHEAD);
    thread::Builder::new().name("decode".into()).spawn(move || {
        let decoder =
            Decoder { converter: Converter::with_pages(reader.facts().page_bytes), steps: Vec::new(), sender };
        decoder.run(reader);
    })?;
    Ok(receiver)
}

/// Nobody listens any more.
struct Unheard;

struct Decoder {
    converter: Converter,
    steps: Vec<Step>,
    sender: SyncSender<Delivery>,
}

impl Decoder {
    fn run<R: Read>(mut self, mut reader: Reader<R>) {
        let ended = loop {
            match reader.next_frame() {
                Ok(Some((at, entries))) => match self.entries(at, entries) {
                    Ok(Ok(())) => {}
                    Ok(Err(Unheard)) => return,
                    Err(error) => break Err(error),
                },
                Ok(None) => break Ok(End { tail: reader.tail().cloned(), torn: reader.torn() }),
                Err(error) => break Err(error),
            }
        };
        if self.hand_over().is_ok() {
            // Who no longer listens has no use for the end either.
            let _ = self.sender.send(Delivery::Ended(ended));
        }
    }

    /// All entries of the frame that begins at `at`.
    fn entries(&mut self, at: u64, mut bytes: &[u8]) -> Result<Result<(), Unheard>, ReadError> {
        let damaged = |why: &dyn std::fmt::Display| ReadError::Damaged { at, why: why.to_string() };
        while !bytes.is_empty() {
            let (now, entry, rest) = Entry::read(bytes).map_err(|error| damaged(&error))?;
            bytes = rest;
            match entry {
                Entry::Records(mut records) => {
                    while !records.is_empty() {
                        let (record, rest) = self.converter.next(records).map_err(|error| damaged(&error))?;
                        records = rest;
                        self.steps.push(Step::Input(now, Input::Record(record)));
                        if self.steps.len() >= BATCH && self.hand_over().is_err() {
                            return Ok(Err(Unheard));
                        }
                    }
                }
                Entry::Scan { began, rows, args } => {
                    let rows = task_rows(rows).map_err(|error| damaged(&error))?;
                    self.steps.push(Step::Input(now, Input::Scan(Scan { began, rows, args })));
                }
                Entry::Sample(rows) => self.steps.push(Step::Sample(now, rows)),
                Entry::Lost(loss) => self.steps.push(Step::Input(now, Input::Lost(loss))),
                Entry::Reread { key, found } => {
                    self.steps.push(Step::Input(now, Input::Reread { key, found: Some(found) }));
                }
                Entry::Lines(lines) => self.steps.push(Step::Input(now, Input::Lines(lines))),
                Entry::Host(sample) => self.steps.push(Step::Input(now, Input::Host(sample))),
                Entry::Clock(clock) => self.steps.push(Step::Input(now, Input::Clock(clock))),
            }
            self.steps.push(Step::Settle(now));
            if self.steps.len() >= BATCH && self.hand_over().is_err() {
                return Ok(Err(Unheard));
            }
        }
        Ok(Ok(()))
    }

    fn hand_over(&mut self) -> Result<(), Unheard> {
        if self.steps.is_empty() {
            return Ok(());
        }
        let steps = std::mem::replace(&mut self.steps, Vec::with_capacity(BATCH + 1));
        self.sender.send(Delivery::Steps(steps)).map_err(|_| Unheard)
    }
}
