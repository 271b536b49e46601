//! Programs and maps that outlive the daemon: pinned when they are attached, and opened again by the next one.
//!
//! What is pinned goes under a name made of the wire's version, the object and what it was loaded with: only the same can
//! go on where the same stopped. While no daemon runs the programs go on telling into the ring until it is full; then
//! they count what they could not tell. That is all that a daemon that stays dead costs.

use std::path::{Path, PathBuf};

use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya::pin::PinError;
use aya::programs::links::FdLink;
use aya::programs::{BtfTracePoint, Iter, ProgramError, ProgramFd};
use probe_common::ABI_VERSION;
use probe_common::maps::{self as map_names, LossReason};
use rustix::time::{ClockId, clock_gettime};

use super::handover::Handover;
use super::left_out::LeftOut;
use super::loader::{Attached, ITERATORS, LoadError, LoadSettings, Loaded, PROGRAMS, fd_of, load, typed};
use super::losses::{CpuWords, Losses};
use super::object::OBJECT;
use super::pins::{LINK, PROGRAM, Pins, PinsError, Removed, failed, is_readable, remove};
use super::records::Records;
use super::sampler::{Iterators, Sampler};
use super::shared::{Shared, SharedError};
use super::tail::{About, Damaged, HEAD, Tail};
use super::texts::hash;
use super::watched::Watched;

/// The tail's file among the pins.
const TAIL: &str = "TAIL";
/// The tail holds what came since the last time that everything was settled, some seconds ago, and is as large as the ring:
/// what does not fit is settled early. It is no smaller than this.
const TAIL_MIN: u32 = 256 << 10;
/// The kernel has what glances need.
const GLANCES: u64 = 1;

/// Whose programs are at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// This daemon's: nothing was told before.
    Fresh,
    /// An earlier daemon's, or new ones that these handed over to: tail and counters go on.
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
    #[error("its wire is another one")]
    Version,
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
    match renew(settings, pins, &name, &mut notes) {
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

/// Loads, attaches and pins. The new programs are attached before the old ones are detached; what these had told by then is
/// handed over, and what both have told is taken once.
fn renew(settings: LoadSettings, pins: &Pins, name: &str, notes: &mut Vec<String>) -> Result<Attached, PinnedError> {
    pins.tidy()?;
    let old = pins.versions()?;
    let mut predecessor = None;
    for (version, path) in old.iter().filter(|(version, _)| version != name) {
        match Predecessor::open(version, path) {
            Ok(found) => predecessor = Some(found),
            Err(error) => {
                notes.push(format!("what another version left in {} cannot be read: {error}", path.display()));
            }
        }
    }
    let mut loaded = load(settings)?;
    let directory = pins.begin(name)?;
    let handed_over =
        pin(&mut loaded, &directory, settings.ring_bytes.max(TAIL_MIN), predecessor.as_ref()).and_then(|mut tail| {
            let Some(predecessor) = predecessor else { return Ok(Origin::Fresh) };
            predecessor.hand_over(&mut tail, now())?;
            Ok(Origin::Resumed)
        });
    let origin = match handed_over {
        Ok(origin) => origin,
        Err(error) => {
            // Programs must not tell twice.
            pins.tidy()?;
            return Err(error);
        }
    };
    drop(loaded);
    // Whoever is killed between these has the new ones alone.
    for (_, path) in old.iter().filter(|(version, _)| version == name) {
        remove(path, &mut Removed::default())?;
    }
    let directory = pins.finish(name)?;
    for (_, path) in old.iter().filter(|(version, _)| version != name) {
        remove(path, &mut Removed::default())?;
    }
    open(&directory, origin)
}

/// CLOCK_MONOTONIC, ns, as the programs stamp their records.
fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let whole = u64::try_from(now.tv_sec).unwrap_or_default() * 1_000_000_000;
    whole + u64::try_from(now.tv_nsec).unwrap_or_default()
}

/// What another version left.
struct Predecessor {
    directory: PathBuf,
    ring: RingBuf<MapData>,
    tail: Tail<Shared>,
    losses: Losses,
}

impl Predecessor {
    fn open(version: &str, directory: &Path) -> Result<Self, PinnedError> {
        if !is_readable(version) {
            return Err(PinnedError::Version);
        }
        let Opened { ring, cpu_state, programs, tail, .. } = Opened::at(directory)?;
        let losses = Losses::new(cpu_state, programs, tail.about().lost);
        Ok(Self { directory: directory.to_owned(), ring, tail, losses })
    }

    /// Detaches the old programs and puts what they have told up to `since`, and what was read of it before, into the tail of
    /// the new ones, at the positions that it had.
    fn hand_over(mut self, tail: &mut Tail<Shared>, since: u64) -> Result<(), PinnedError> {
        for (what, _) in PROGRAMS {
            let link = self.directory.join(file(LINK, what));
            match std::fs::remove_file(&link) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&link)(error).into()),
                _ => {}
            }
        }
        let mut handover = Handover::begin(&self.tail, tail, since)?;
        while let Some(item) = self.ring.next() {
            handover.take(&item, tail);
        }
        let mut totals =
            self.losses.totals().map_err(|source| PinnedError::Map { what: map_names::CPU_STATE, source })?;
        totals[LossReason::RingFull as usize] += handover.missed();
        tail.go_on(since, totals);
        Ok(())
    }
}

/// Attaches the programs and pins everything that the next daemon needs; maps that are not opened by anybody live as long
/// as the programs that use them.
fn pin(
    loaded: &mut Loaded,
    directory: &Path,
    tail_bytes: u32,
    predecessor: Option<&Predecessor>,
) -> Result<Tail<Shared>, PinnedError> {
    let flags = if loaded.glances { GLANCES } else { 0 };
    let began = now();
    let old = predecessor.map(|predecessor| &predecessor.tail);
    let instance = old.map_or(began, |old| old.about().instance);
    let words = Shared::make(&directory.join(TAIL), tail_bytes / 8)?;
    let mut tail = Tail::make(words, About { instance, flags, began, ..About::default() });
    if let Some(old) = old {
        tail.begin_at(old.settled());
    }
    for what in [map_names::RECORDS, map_names::WATCHED, map_names::LEFT_OUT, map_names::CPU_STATE] {
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
    Ok(tail)
}

/// What is pinned, opened.
struct Opened {
    ring: RingBuf<MapData>,
    watched: HashMap<MapData, u32, u32>,
    left_out: Array<MapData, u32>,
    cpu_state: PerCpuArray<MapData, CpuWords>,
    programs: Vec<(&'static str, ProgramFd)>,
    tail: Tail<Shared>,
}

impl Opened {
    fn at(directory: &Path) -> Result<Self, PinnedError> {
        let map = |what: &'static str| {
            let data = MapData::from_pin(directory.join(what)).and_then(Map::from_map_data);
            data.map_err(|source| PinnedError::Map { what, source })
        };
        let ring = RingBuf::try_from(map(map_names::RECORDS)?);
        let watched = HashMap::<MapData, u32, u32>::try_from(map(map_names::WATCHED)?);
        let left_out = Array::<MapData, u32>::try_from(map(map_names::LEFT_OUT)?);
        let cpu_state = PerCpuArray::try_from(map(map_names::CPU_STATE)?);
        let mut programs = Vec::new();
        for (what, _) in PROGRAMS {
            let program = BtfTracePoint::from_pin(directory.join(file(PROGRAM, what)));
            let program = program.map_err(|source| PinnedError::Program { what, source })?;
            programs.extend(fd_of(&program).map(|fd| (what, fd)));
        }
        Ok(Self {
            ring: ring.map_err(|source| PinnedError::Map { what: map_names::RECORDS, source })?,
            watched: watched.map_err(|source| PinnedError::Map { what: map_names::WATCHED, source })?,
            left_out: left_out.map_err(|source| PinnedError::Map { what: map_names::LEFT_OUT, source })?,
            cpu_state: cpu_state.map_err(|source| PinnedError::Map { what: map_names::CPU_STATE, source })?,
            programs,
            tail: Tail::open(Shared::open(&directory.join(TAIL))?)?,
        })
    }
}

/// Opens what is pinned there.
fn open(directory: &Path, origin: Origin) -> Result<Attached, PinnedError> {
    if let Some((what, _)) = PROGRAMS.into_iter().find(|(what, _)| !directory.join(file(LINK, what)).exists()) {
        return Err(PinnedError::Missing { what });
    }
    let Opened { ring, watched, left_out, cpu_state, programs, tail } = Opened::at(directory)?;
    let mut iterators = Vec::new();
    for what in ITERATORS {
        let iterator = Iter::from_pin(directory.join(file(PROGRAM, what)));
        iterators.push((what, iterator.map_err(|source| PinnedError::Program { what, source })?));
    }
    let about = tail.about();
    Ok(Attached {
        records: Records::new(ring, Some(tail)).map_err(PinnedError::Ring)?,
        sampler: Sampler::new(Iterators::Pinned(iterators), about.flags & GLANCES != 0),
        watched: Watched::new(watched),
        left_out: LeftOut::new(left_out),
        losses: Losses::new(cpu_state, programs, about.lost),
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
    let settings = format!("{ring_bytes} {wake_gap:?} {args_max} {accounts_max} {TAIL_MIN} {HEAD}");
    format!("v{ABI_VERSION}-{:016x}", hash(hash(0, OBJECT), settings.as_bytes()))
}
