//! From a recording to what the engine is to do next.
//!
//! Frames are read, unpacked and decoded on a thread of their own ([`spawn`]), and handed over in batches that are small
//! enough to lie in a cache when they are taken in. What the engine's thread gets of a record are numbers, and names that
//! stand where they are ([`crate::record::Comm`]). Of programs, which are shared, a batch lists each once and records say
//! which of the list they mean: what both threads count would be passed from core to core for every record.

use std::collections::VecDeque;
use std::io::Read;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use crate::engine::Input;
use crate::kernel::convert::Converter;
use crate::kernel::sampler::task_rows;
use crate::record::{PeerNews, Program, Record, Scan, UsageRow};
use crate::recording::ReadError;
use crate::recording::entry::Entry;
use crate::recording::facts::Tail;
use crate::recording::reader::Reader;
use crate::time::KTime;

/// Batches on their way: some ten ms of work, and memory stays bounded. With less, two threads that happen to share a core
/// wait for each other in turns: only one of them is ever ready to run, and the scheduler sees no reason to part them.
const AHEAD: usize = 24;

/// A batch is handed over when it has so many records, or so many pieces.
const RECORDS_FULL: usize = 1024;
const PIECES_FULL: usize = 256;

/// Places of programs that a batch lists; a power of two. Where two want the same, one is listed again.
const PLACES: usize = 128;

/// Programs that this thread holds on to for some time longer than batches are on their way: most are let go by the engine
/// before that, and are then freed where they were made, not on the thread that is waited for.
const HELD: usize = 8192;

/// What the engine is to do next.
#[derive(Debug)]
pub(super) enum Step<'a> {
    /// Take this record in.
    Record(KTime, Listed<'a>),
    /// Take this in.
    Input(KTime, Input),
    /// Usage of every process that ran.
    Sample(KTime, Vec<UsageRow>),
    /// Everything up to here is known: act on what is due.
    Settle(KTime),
}

/// A record where it lies in its batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listed<'a> {
    /// Its program is a place in the batch's list.
    pub(super) record: &'a Record<usize>,
    programs: &'a [Arc<Program>],
}

impl Listed<'_> {
    /// The program in this place.
    pub(super) fn program(&self, place: usize) -> Arc<Program> {
        self.programs.get(place).cloned().unwrap_or_default()
    }
}

/// What comes from the reading thread.
#[derive(Debug)]
pub(super) enum Delivery {
    Batch(Batch),
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

/// Steps in their order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pieces: Vec<Piece>,
    /// Of all pieces; the program is a place in `programs`.
    records: Vec<Record<usize>>,
    programs: Vec<Arc<Program>>,
}

#[derive(Debug)]
enum Piece {
    /// So many of the records.
    Records(KTime, usize),
    Step(Step<'static>),
}

impl Batch {
    /// Hands over all steps until `take` says no; says whether it went on to the end. Empty afterwards.
    pub(super) fn empty_into(&mut self, mut take: impl FnMut(Step<'_>) -> bool) -> bool {
        let Self { pieces, records, programs } = self;
        let mut rest = records.as_slice();
        for piece in pieces.drain(..) {
            let goes_on = match piece {
                Piece::Records(now, count) => {
                    let (these, others) = rest.split_at(count.min(rest.len()));
                    rest = others;
                    these.iter().all(|record| take(Step::Record(now, Listed { record, programs })))
                }
                Piece::Step(step) => take(step),
            };
            if !goes_on {
                return false;
            }
        }
        records.clear();
        programs.clear();
        true
    }

    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_FULL || self.pieces.len() >= PIECES_FULL
    }
}

/// The batches of a recording as they come.
pub(super) struct Batches {
    deliveries: Receiver<Delivery>,
    emptied: Sender<Batch>,
}

impl Batches {
    /// The next one; `None` when the thread is gone without a word.
    pub(super) fn next(&self) -> Option<Delivery> {
        self.deliveries.recv().ok()
    }

    /// The room of a batch that was taken in, for another one.
    pub(super) fn give_back(&self, batch: Batch) {
        // A thread that has read everything needs no more.
        let _ = self.emptied.send(batch);
    }
}

/// Reads to the end, on a thread of its own; gives up when nobody listens.
pub(super) fn spawn<R: Read + Send + 'static>(mut reader: Reader<R>) -> std::io::Result<Batches> {
    let (sender, deliveries) = sync_channel(AHEAD);
    let (emptied, empty) = channel();
    thread::Builder::new().name("unpack".into()).spawn(move || {
        let mut decoder = Decoder {
            converter: Converter::with_pages(reader.facts().page_bytes),
            batch: Batch::default(),
            listed: Vec::new(),
            held: VecDeque::with_capacity(HELD),
            sender,
            empty,
        };
        let ended = decoder.read(&mut reader);
        // Who no longer listens has no use for the end either.
        let _ = decoder.flush().and_then(|()| decoder.sender.send(Delivery::Ended(ended?)).ok());
    })?;
    Ok(Batches { deliveries, emptied })
}

/// Makes batches of frames.
struct Decoder {
    converter: Converter,
    batch: Batch,
    /// Where programs lie in memory that the batch lists, and their places there.
    listed: Vec<(usize, usize)>,
    /// The last programs that were listed.
    held: VecDeque<Arc<Program>>,
    sender: SyncSender<Delivery>,
    empty: Receiver<Batch>,
}

/// Why decoding does not go on.
enum Halt {
    /// Nobody listens any more.
    Unheard,
    Damaged(String),
}

impl Decoder {
    /// How it ended; `None` when nobody listens any more.
    fn read<R: Read>(&mut self, reader: &mut Reader<R>) -> Option<Result<End, ReadError>> {
        let mut frame = Vec::new();
        loop {
            match reader.take_frame(&mut frame) {
                Ok(Some(at)) => match self.entries(&frame) {
                    Ok(()) => {}
                    Err(Halt::Unheard) => return None,
                    Err(Halt::Damaged(why)) => return Some(Err(ReadError::Damaged { at, why })),
                },
                Ok(None) => return Some(Ok(End { tail: reader.tail().cloned(), torn: reader.torn() })),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// Takes in all entries of a frame.
    fn entries(&mut self, mut bytes: &[u8]) -> Result<(), Halt> {
        while !bytes.is_empty() {
            let (now, entry, rest) = Entry::read(bytes).map_err(damaged)?;
            bytes = rest;
            let step = match entry {
                Entry::Records(records) => {
                    self.records(now, records)?;
                    self.step(Step::Settle(now))?;
                    continue;
                }
                Entry::Scan { began, rows, args } => {
                    let rows = task_rows(rows).map_err(damaged)?;
                    Step::Input(now, Input::Scan(Scan { began, rows, args }))
                }
                Entry::Sample(rows) => Step::Sample(now, rows),
                Entry::Lost(loss) => Step::Input(now, Input::Lost(loss)),
                Entry::Reread { key, found } => Step::Input(now, Input::Reread { key, found: Some(found) }),
                Entry::Lines(lines) => Step::Input(now, Input::Lines(lines)),
                Entry::Host(sample) => Step::Input(now, Input::Host(Box::new(sample))),
                Entry::Clock(clock) => Step::Input(now, Input::Clock(clock)),
                Entry::Peers(members) => Step::Input(now, Input::Peers(PeerNews::Members(members))),
            };
            self.step(step)?;
            self.step(Step::Settle(now))?;
        }
        Ok(())
    }

    fn records(&mut self, now: KTime, mut bytes: &[u8]) -> Result<(), Halt> {
        while !bytes.is_empty() {
            let before = self.batch.records.len();
            let mut outcome = Ok(());
            while !bytes.is_empty() && !self.batch.is_full() {
                let Self { converter, batch, listed, held, .. } = self;
                match converter.next(bytes, |program| list(listed, held, &mut batch.programs, program)) {
                    Ok((record, rest)) => {
                        bytes = rest;
                        batch.records.push(record);
                    }
                    Err(error) => {
                        outcome = Err(damaged(error));
                        break;
                    }
                }
            }
            self.batch.pieces.push(Piece::Records(now, self.batch.records.len() - before));
            outcome?;
            if self.batch.is_full() {
                self.flush().ok_or(Halt::Unheard)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, step: Step<'static>) -> Result<(), Halt> {
        self.batch.pieces.push(Piece::Step(step));
        if self.batch.is_full() { self.flush().ok_or(Halt::Unheard) } else { Ok(()) }
    }

    /// Hands over what there is; `None` when nobody listens any more.
    fn flush(&mut self) -> Option<()> {
        self.listed.clear();
        let batch = std::mem::replace(&mut self.batch, self.empty.try_recv().unwrap_or_default());
        self.sender.send(Delivery::Batch(batch)).ok()
    }
}

fn damaged(why: impl std::fmt::Display) -> Halt {
    Halt::Damaged(why.to_string())
}

/// The place of a program in the list of a batch.
fn list(
    listed: &mut Vec<(usize, usize)>,
    held: &mut VecDeque<Arc<Program>>,
    programs: &mut Vec<Arc<Program>>,
    program: &Arc<Program>,
) -> usize {
    if listed.is_empty() {
        listed.resize(PLACES, (0, 0));
    }
    // What is listed stays where it is until the batch has been taken in, so that its address is nobody else's.
    let address = Arc::as_ptr(program).addr();
    let place = listed.get_mut((address >> 5) % PLACES);
    if let Some((_, known)) = place.as_ref().filter(|place| place.0 == address) {
        return *known;
    }
    programs.push(Arc::clone(program));
    if held.len() == HELD {
        held.pop_front();
    }
    held.push_back(Arc::clone(program));
    if let Some(place) = place {
        *place = (address, programs.len() - 1);
    }
    programs.len() - 1
}
