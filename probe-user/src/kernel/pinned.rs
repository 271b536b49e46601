//! Programs and maps that outlive the daemon: pinned when they are attached, and opened again by the next one.
//!
//! What is pinned goes under a name made of the wire's version, the object and what it was loaded with: only the same can
//! go on where the same stopped. While no daemon runs the programs go on telling into the ring until it is full; then
//! they count what they could not tell. That is all that a daemon that stays dead costs.

use std::path::Path;

use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::pin::PinError;
use aya::programs::links::FdLink;
use aya::programs::{BtfTracePoint, Iter, ProgramError};
use probe_common::ABI_VERSION;
use probe_common::maps as map_names;
use rustix::time::{ClockId, clock_gettime};

use super::loader::{Attached, ITERATORS, LoadError, LoadSettings, Loaded, PROGRAMS, fd_of, load, typed};
use super::losses::Losses;
use super::object::OBJECT;
use super::pins::{LINK, PROGRAM, Pins, PinsError, Removed, remove};
use super::records::Records;
use super::sampler::{Iterators, Sampler};
use super::shared::{Shared, SharedError};
use super::tail::{About, Damaged, HEAD, Tail};
use super::texts::hash;
use super::watched::Watched;

/// The tail's file among the pins.
const TAIL: &str = "TAIL";
/// Bytes of the tail. It holds what came since the last time that everything was settled, about a second ago: so much is
/// half a second of the heaviest storm that user space takes in, and what does not fit is settled early.
const TAIL_BYTES: u32 = 1 << 20;
/// The kernel has what glances need.
const GLANCES: u64 = 1;

/// Whose programs are at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This daemon's: nothing was told before.
    Fresh,
    /// An earlier daemon's: ring, tail and counters go on.
    Resumed,
}

/// Pins cannot be made or opened.
#[derive(Debug, thiserror::Error)]
enum PinnedError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Directory(#[from] PinsError),
    #[error("{what}: {source}")]
    Map { what: &'static str, source: MapError },
    #[error("{what}: {source}")]
    Pin { what: &'static str, source: PinError },
    #[error("{what}: {source}")]
    Program { what: &'static str, source: ProgramError },
    #[error("{what} is missing")]
    Missing { what: &'static str },
    #[error("{TAIL}: {0}")]
    Shared(#[from] SharedError),
    #[error("{TAIL}: {0}")]
    Tail(#[from] Damaged),
    #[error("the ring cannot be watched: {0}")]
    Ring(std::io::Error),
}

/// Takes over what is there, or loads, attaches and pins anew. Without any pins where that fails.
pub(super) fn attach(settings: LoadSettings, pins: &Pins) -> Result<Attached, LoadError> {
    let mut notes = Vec::new();
    let name = version(settings);
    if let Some(path) = pins.version(&name) {
        match open(&path, Origin::Resumed) {
            Ok(attached) => return Ok(attached),
            Err(error) => notes.push(format!(
                "what an earlier daemon left in {} cannot be taken over ({error}): what happened since it ended is not known",
                path.display()
            )),
        }
    }
    match renew(settings, pins, &name) {
        Ok(mut attached) => {
            attached.notes = notes;
            Ok(attached)
        }
        Err(PinnedError::Load(error)) => Err(error),
        Err(error) => {
            notes.push(format!(
                "nothing is pinned in {} ({error}): what happens between the end of this daemon and the next start will not \
                 be known",
                pins.path().display()
            ));
            let mut attached = super::loader::attach(settings, None)?;
            attached.notes = notes;
            Ok(attached)
        }
    }
}

/// Loads, attaches and pins. What other versions left is removed when the new ones are attached.
fn renew(settings: LoadSettings, pins: &Pins, name: &str) -> Result<Attached, PinnedError> {
    pins.tidy()?;
    let old = pins.versions()?;
    let began = clock_gettime(ClockId::Monotonic);
    let began = u64::try_from(began.tv_sec).unwrap_or_default() * 1_000_000_000
        + u64::try_from(began.tv_nsec).unwrap_or_default();
    let mut loaded = load(settings)?;
    let directory = pins.begin(name)?;
    if let Err(error) = pin(&mut loaded, &directory, began) {
        // Programs must not tell twice.
        pins.tidy()?;
        return Err(error);
    }
    drop(loaded);
    for (_, path) in old {
        remove(&path, &mut Removed::default())?;
    }
    open(&pins.finish(name)?, Origin::Fresh)
}

/// Attaches the programs and pins everything that the next daemon needs; maps that are not opened by anybody live as long
/// as the programs that use them.
fn pin(loaded: &mut Loaded, directory: &Path, began: u64) -> Result<(), PinnedError> {
    let flags = if loaded.glances { GLANCES } else { 0 };
    let words = Shared::make(&directory.join(TAIL), TAIL_BYTES / 8)?;
    Tail::make(words, About { instance: began, flags, began });
    for what in [map_names::RECORDS, map_names::WATCHED, map_names::CPU_STATE] {
        let map = loaded.ebpf.map_mut(what).ok_or(LoadError::Mismatch(what))?;
        map.pin(directory.join(what)).map_err(|source| PinnedError::Pin { what, source })?;
    }
    for what in ITERATORS {
        let iterator: &mut Iter = typed(&mut loaded.ebpf, what)?;
        iterator.pin(directory.join(file(PROGRAM, what))).map_err(|source| PinnedError::Pin { what, source })?;
    }
    for (what, _) in PROGRAMS {
        let program: &mut BtfTracePoint = typed(&mut loaded.ebpf, what)?;
        program.pin(directory.join(file(PROGRAM, what))).map_err(|source| PinnedError::Pin { what, source })?;
        let link = program.attach().and_then(|link| program.take_link(link));
        let link = link.map_err(|source| LoadError::Program { program: what, source })?;
        let link: FdLink = link.into();
        link.pin(directory.join(file(LINK, what))).map_err(|source| PinnedError::Pin { what, source })?;
    }
    Ok(())
}

/// Opens what is pinned there.
fn open(directory: &Path, origin: Origin) -> Result<Attached, PinnedError> {
    let map = |what: &'static str| {
        let data = MapData::from_pin(directory.join(what)).and_then(Map::from_map_data);
        data.map_err(|source| PinnedError::Map { what, source })
    };
    let ring = RingBuf::try_from(map(map_names::RECORDS)?);
    let ring = ring.map_err(|source| PinnedError::Map { what: map_names::RECORDS, source })?;
    let watched = HashMap::<MapData, u32, u32>::try_from(map(map_names::WATCHED)?);
    let watched = watched.map_err(|source| PinnedError::Map { what: map_names::WATCHED, source })?;
    let cpu_state = PerCpuArray::try_from(map(map_names::CPU_STATE)?);
    let cpu_state = cpu_state.map_err(|source| PinnedError::Map { what: map_names::CPU_STATE, source })?;
    let mut programs = Vec::new();
    for (what, _) in PROGRAMS {
        if !directory.join(file(LINK, what)).exists() {
            return Err(PinnedError::Missing { what });
        }
        let program = BtfTracePoint::from_pin(directory.join(file(PROGRAM, what)));
        let program = program.map_err(|source| PinnedError::Program { what, source })?;
        programs.extend(fd_of(&program).map(|fd| (what, fd)));
    }
    let mut iterators = Vec::new();
    for what in ITERATORS {
        let iterator = Iter::from_pin(directory.join(file(PROGRAM, what)));
        iterators.push((what, iterator.map_err(|source| PinnedError::Program { what, source })?));
    }
    let tail = Tail::open(Shared::open(&directory.join(TAIL), TAIL_BYTES / 8)?)?;
    let glances = tail.about().flags & GLANCES != 0;
    Ok(Attached {
        records: Records::new(ring, Some(tail)).map_err(PinnedError::Ring)?,
        sampler: Sampler::new(Iterators::Pinned(iterators), glances),
        watched: Watched::new(watched),
        losses: Losses::new(cpu_state, programs),
        origin,
        notes: Vec::new(),
    })
}

fn file(kind: &str, name: &str) -> String {
    format!("{kind}{name}")
}

/// What goes on must be the same object, loaded with the same settings.
fn version(settings: LoadSettings) -> String {
    let LoadSettings { ring_bytes, wake_gap, args_max, accounts_max } = settings;
    let settings = format!("{ring_bytes} {wake_gap:?} {args_max} {accounts_max} {TAIL_BYTES} {HEAD}");
    format!("v{ABI_VERSION}-{:016x}", hash(hash(0, OBJECT), settings.as_bytes()))
}
