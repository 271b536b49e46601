//! One input as bytes: a tag, the moment at which the recorder had it, and what it is.
//!
//! Records of the ring and rows of the scan iterator stay as the kernel wrote them, so that a replay runs them through
//! the daemon's own decoder. Usage rows are written after their threads were summed, which is all that anybody sees of
//! them. Everything else is a list of numbers and texts ([`super::scalar`]).

use probe_common::maps::LossReason;

pub use super::scalar::ScalarError;
use super::scalar::{Sink, Source};
use crate::record::{
    DiskSize, HostCpu, HostDisk, HostInterface, HostMemory, HostPressure, HostSample, LogLine, LogLines, Loss, Lost,
    MountKind, PeerStanding, PeerView, ProcessKey, Reread, UsageRow,
};
use crate::time::{ClockReading, KTime, Wall};

/// Something that the recorder was told.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry<'a> {
    /// Whole records of the ring buffer, one after the other: what one drain found.
    Records(&'a [u8]),
    /// Rows of the scan iterator, one after the other, and the arguments read beside it.
    Scan {
        /// Read before the iterator ran.
        began: KTime,
        /// As the iterator wrote them.
        rows: &'a [u8],
        /// Of the processes that were not known before.
        args: Vec<(ProcessKey, Box<str>)>,
    },
    /// Usage of every process that the sample iterator showed.
    Sample(Vec<UsageRow>),
    /// Records that did not arrive. The next scan puts right what they left in doubt.
    Lost(Loss),
    /// A process had other arguments or another user at a second look.
    Reread {
        /// Which.
        key: ProcessKey,
        /// What it said.
        found: Reread,
    },
    /// Lines that matched a log while it was recorded.
    Lines(LogLines),
    /// Figures of the host.
    Host(HostSample),
    /// How kernel time and wall time relate from here on.
    Clock(ClockReading),
    /// What the host's daemon knows of the other hosts of its site.
    Peers(Vec<PeerView>),
}

/// What a usage row takes.
const USAGE_BYTES: usize = 56;
/// What a host of the site takes at least.
const PEER_BYTES: usize = 14;
/// What the other lists' items take at least.
const LEAST_BYTES: usize = 8;

impl<'a> Entry<'a> {
    const fn tag(&self) -> u8 {
        match self {
            Self::Records(_) => 1,
            Self::Scan { .. } => 2,
            Self::Sample(_) => 3,
            Self::Lost(_) => 4,
            Self::Reread { .. } => 5,
            Self::Lines(_) => 6,
            Self::Host(_) => 7,
            Self::Clock(_) => 8,
            Self::Peers(_) => 9,
        }
    }

    /// Appends the entry, had at `now`, to `bytes`.
    pub fn write(&self, now: KTime, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        let mut sink = Sink(bytes);
        sink.u8(self.tag());
        // The length is known when the rest is there.
        sink.u32(0);
        sink.u64(now.0);
        self.write_body(&mut sink);
        let length = u32::try_from(bytes.len() - start).unwrap_or(u32::MAX);
        if let Some(place) = bytes.get_mut(start + 1..start + 5) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }

    fn write_body(&self, sink: &mut Sink<'_>) {
        match self {
            Self::Records(records) => sink.0.extend_from_slice(records),
            Self::Scan { began, rows, args } => {
                sink.u64(began.0);
                sink.bytes(rows);
                sink.list(args, |sink, (key, args)| {
                    write_key(sink, *key);
                    sink.text(args);
                });
            }
            Self::Sample(rows) => sink.list(rows, write_usage),
            Self::Lost(Loss { reason, count }) => {
                sink.u8(loss_number(*reason));
                sink.u64(*count);
            }
            Self::Reread { key, found: Reread { args, uid } } => {
                write_key(sink, *key);
                sink.text(args);
                sink.option(*uid, Sink::u32);
            }
            Self::Lines(LogLines { log, path, count, first }) => {
                sink.text(log);
                sink.text(path);
                sink.u64(*count);
                sink.list(first, |sink, LogLine { keyword, text }| {
                    sink.text(keyword);
                    sink.text(text);
                });
            }
            Self::Host(sample) => write_host(sink, sample),
            Self::Clock(ClockReading { mono, boot_ns, wall }) => {
                sink.u64(mono.0);
                sink.u64(*boot_ns);
                sink.i64(wall.0);
            }
            Self::Peers(members) => sink.list(members, write_peer),
        }
    }

    /// The entry at the front of `bytes`, when it was had, and the bytes behind it.
    pub fn read(bytes: &'a [u8]) -> Result<(KTime, Self, &'a [u8]), ScalarError> {
        let mut source = Source(bytes);
        let tag = source.u8()?;
        let length = usize::try_from(source.u32()?).unwrap_or(usize::MAX);
        let Some((whole, rest)) = bytes.split_at_checked(length) else {
            return Err(ScalarError::Short { missing: length - bytes.len() });
        };
        let mut source = Source(whole);
        source.take(1 + 4)?;
        let now = KTime(source.u64()?);
        let entry = Self::read_body(tag, &mut source)?;
        if source.0.is_empty() { Ok((now, entry, rest)) } else { Err(ScalarError::Left(source.0.len())) }
    }

    fn read_body(tag: u8, source: &mut Source<'a>) -> Result<Self, ScalarError> {
        Ok(match tag {
            1 => Self::Records(source.take(source.0.len())?),
            2 => Self::Scan {
                began: KTime(source.u64()?),
                rows: source.bytes()?,
                args: source.list(LEAST_BYTES, |source| Ok((read_key(source)?, source.text()?.into())))?,
            },
            3 => Self::Sample(source.list(USAGE_BYTES, read_usage)?),
            4 => Self::Lost(Loss { reason: loss_reason(source.u8()?)?, count: source.u64()? }),
            5 => Self::Reread {
                key: read_key(source)?,
                found: Reread { args: source.text()?.into(), uid: source.option(Source::u32)? },
            },
            6 => Self::Lines(LogLines {
                log: source.shared()?,
                path: source.shared()?,
                count: source.u64()?,
                first: source.list(LEAST_BYTES, |source| {
                    Ok(LogLine { keyword: source.shared()?, text: source.text()?.into() })
                })?,
            }),
            7 => Self::Host(read_host(source)?),
            8 => Self::Clock(ClockReading {
                mono: KTime(source.u64()?),
                boot_ns: source.u64()?,
                wall: Wall(source.i64()?),
            }),
            9 => Self::Peers(source.list(PEER_BYTES, read_peer)?),
            number => return Err(ScalarError::Unknown { what: "the kind of entry", number }),
        })
    }
}

fn write_key(sink: &mut Sink<'_>, key: ProcessKey) {
    sink.u32(key.tgid);
    sink.u64(key.start.0);
}

fn read_key(source: &mut Source<'_>) -> Result<ProcessKey, ScalarError> {
    Ok(ProcessKey { tgid: source.u32()?, start: KTime(source.u64()?) })
}

fn write_usage(sink: &mut Sink<'_>, row: &UsageRow) {
    let UsageRow { key, threads, cpu_ns, wait_ns, read_bytes, write_bytes, rss_bytes } = *row;
    write_key(sink, key);
    sink.u32(threads);
    for number in [cpu_ns, wait_ns, read_bytes, write_bytes, rss_bytes] {
        sink.u64(number);
    }
}

fn read_usage(source: &mut Source<'_>) -> Result<UsageRow, ScalarError> {
    Ok(UsageRow {
        key: read_key(source)?,
        threads: source.u32()?,
        cpu_ns: source.u64()?,
        wait_ns: source.u64()?,
        read_bytes: source.u64()?,
        write_bytes: source.u64()?,
        rss_bytes: source.u64()?,
    })
}

/// Those of the kernel side keep their own numbers.
const fn loss_number(lost: Lost) -> u8 {
    match lost {
        Lost::Kernel(LossReason::RingFull) => 0,
        Lost::Kernel(LossReason::AccountsFull) => 1,
        Lost::Kernel(LossReason::WatchedFull) => 2,
        Lost::Recursion => 100,
        Lost::Undecodable => 101,
    }
}

fn loss_reason(number: u8) -> Result<Lost, ScalarError> {
    Ok(match number {
        0 => Lost::Kernel(LossReason::RingFull),
        1 => Lost::Kernel(LossReason::AccountsFull),
        2 => Lost::Kernel(LossReason::WatchedFull),
        100 => Lost::Recursion,
        101 => Lost::Undecodable,
        number => return Err(ScalarError::Unknown { what: "the reason of a loss", number }),
    })
}

fn write_host(sink: &mut Sink<'_>, sample: &HostSample) {
    let HostSample { at, until, cpu, load, memory, disks, interfaces, pressure } = sample;
    sink.u64(at.0);
    sink.option(*until, |sink, until| sink.u64(until.0));
    sink.option(*cpu, |sink, HostCpu { idle_ns, total_ns }| {
        sink.u64(idle_ns);
        sink.u64(total_ns);
    });
    sink.option(*load, Sink::f64);
    sink.option(*memory, |sink, HostMemory { total, available, swap_total, swap_free }| {
        for number in [total, available, swap_total, swap_free] {
            sink.u64(number);
        }
    });
    sink.option(disks.as_ref(), |sink, disks| {
        sink.list(disks, |sink, HostDisk { path, kind, size }| {
            sink.text(path);
            sink.u8(mount_number(*kind));
            sink.option(*size, |sink, DiskSize { bytes, bytes_used, bytes_free, inodes, inodes_free }| {
                for number in [bytes, bytes_used, bytes_free, inodes, inodes_free] {
                    sink.u64(number);
                }
            });
        });
    });
    sink.option(interfaces.as_ref(), |sink, interfaces| {
        sink.list(interfaces, |sink, HostInterface { name, received, sent }| {
            sink.text(name);
            sink.u64(*received);
            sink.u64(*sent);
        });
    });
    let HostPressure { cpu_us, memory_us, io_us } = *pressure;
    for number in [cpu_us, memory_us, io_us] {
        sink.option(number, Sink::u64);
    }
}

fn read_host(source: &mut Source<'_>) -> Result<HostSample, ScalarError> {
    Ok(HostSample {
        at: KTime(source.u64()?),
        until: source.option(Source::u64)?.map(KTime),
        cpu: source.option(|source| Ok(HostCpu { idle_ns: source.u64()?, total_ns: source.u64()? }))?,
        load: source.option(Source::f64)?,
        memory: source.option(|source| {
            Ok(HostMemory {
                total: source.u64()?,
                available: source.u64()?,
                swap_total: source.u64()?,
                swap_free: source.u64()?,
            })
        })?,
        disks: source.option(|source| source.list(LEAST_BYTES, read_disk))?,
        interfaces: source.option(|source| {
            source.list(LEAST_BYTES, |source| {
                Ok(HostInterface { name: source.shared()?, received: source.u64()?, sent: source.u64()? })
            })
        })?,
        pressure: HostPressure {
            cpu_us: source.option(Source::u64)?,
            memory_us: source.option(Source::u64)?,
            io_us: source.option(Source::u64)?,
        },
    })
}

fn read_disk(source: &mut Source<'_>) -> Result<HostDisk, ScalarError> {
    Ok(HostDisk {
        path: source.shared()?,
        kind: mount_kind(source.u8()?)?,
        size: source.option(|source| {
            Ok(DiskSize {
                bytes: source.u64()?,
                bytes_used: source.u64()?,
                bytes_free: source.u64()?,
                inodes: source.u64()?,
                inodes_free: source.u64()?,
            })
        })?,
    })
}

fn write_peer(sink: &mut Sink<'_>, peer: &PeerView) {
    let PeerView { name, zone, labels, standing, since } = peer;
    sink.text(name);
    sink.text(zone);
    sink.list(labels, |sink, (key, value)| {
        sink.text(key);
        sink.text(value);
    });
    let number = PeerStanding::ALL.iter().position(|known| known == standing).unwrap_or_default();
    sink.u8(u8::try_from(number).unwrap_or_default());
    sink.option(*since, |sink, since| sink.u64(since.0));
}

fn read_peer(source: &mut Source<'_>) -> Result<PeerView, ScalarError> {
    Ok(PeerView {
        name: source.shared()?,
        zone: source.shared()?,
        labels: source.list(LEAST_BYTES, |source| Ok((source.shared()?, source.shared()?)))?,
        standing: {
            let number = source.u8()?;
            let known = PeerStanding::ALL.get(usize::from(number)).copied();
            known.ok_or(ScalarError::Unknown { what: "what is held of a host", number })?
        },
        since: source.option(Source::u64)?.map(KTime),
    })
}

const fn mount_number(kind: MountKind) -> u8 {
    match kind {
        MountKind::Own => 0,
        MountKind::Again => 1,
        MountKind::Pseudo => 2,
    }
}

fn mount_kind(number: u8) -> Result<MountKind, ScalarError> {
    Ok(match number {
        0 => MountKind::Own,
        1 => MountKind::Again,
        2 => MountKind::Pseudo,
        number => return Err(ScalarError::Unknown { what: "the kind of mount", number }),
    })
}
