//! From bytes to records: field by field, with every length checked, never by transmute.
//!
//! A record that does not fit its own lengths, or whose kind is unknown, is a [`DecodeError`]: the caller counts it as
//! lost (`undecodable`) and goes on with the next one.

use core::fmt;

use crate::fields::with_structs;
use crate::record::{
    Account, COMM_LEN, Cgroup, Exec, Exit, Fork, GlanceEnd, Header, Identity, Oom, RecordKind, Rename, Signal, Task,
    Usage,
};

/// A record and its tail, borrowed from the bytes it was decoded from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw<'a> {
    /// See [`Fork`].
    Fork(Fork),
    /// See [`Exec`].
    Exec {
        /// The fixed part.
        exec: Exec,
        /// Components from the leaf to the root, each closed by a NUL.
        exe: &'a [u8],
        /// The path as executed.
        filename: &'a [u8],
        /// Arguments, separated by NULs.
        args: &'a [u8],
    },
    /// See [`Exit`].
    Exit(Exit),
    /// See [`Account`].
    Account(Account),
    /// See [`Signal`].
    Signal(Signal),
    /// See [`Oom`].
    Oom(Oom),
    /// See [`Rename`].
    Rename(Rename),
    /// See [`Cgroup`].
    Cgroup {
        /// The fixed part.
        cgroup: Cgroup,
        /// Components from the leaf to the root, each closed by a NUL.
        path: &'a [u8],
    },
    /// See [`Task`].
    Task {
        /// The fixed part.
        task: Task,
        /// The executable: components from the leaf to the root, each closed by a NUL.
        exe: &'a [u8],
        /// The cgroup: components from the leaf to the root, each closed by a NUL.
        cgroup: &'a [u8],
    },
    /// See [`Usage`].
    Usage(Usage),
    /// See [`GlanceEnd`].
    GlanceEnd(GlanceEnd),
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// Fewer bytes than the record says or needs.
    Short {
        /// Bytes needed.
        needed: usize,
        /// Bytes there.
        found: usize,
    },
    /// The record says another size than its parts add up to.
    Size {
        /// What the header says.
        stated: u32,
        /// What the parts add up to.
        parts: usize,
    },
    /// No such kind.
    Kind(u16),
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short { needed, found } => write!(f, "record is short: {needed} bytes needed, {found} there"),
            Self::Size { stated, parts } => write!(f, "record says {stated} bytes, its parts add up to {parts}"),
            Self::Kind(kind) => write!(f, "unknown record kind {kind}"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// Decodes one record that fills `bytes` exactly.
#[inline]
pub fn decode(bytes: &[u8]) -> Result<Raw<'_>, DecodeError> {
    let (raw, rest) = decode_next(bytes)?;
    if rest.is_empty() {
        Ok(raw)
    } else {
        Err(DecodeError::Short { needed: bytes.len() - rest.len(), found: bytes.len() })
    }
}

/// Decodes the first record of a run of records, as the iterators write them; returns it and the rest.
#[inline]
pub fn decode_next(bytes: &[u8]) -> Result<(Raw<'_>, &[u8]), DecodeError> {
    let header = Header::read(&mut Reader { bytes })?;
    let size = usize::try_from(header.size).unwrap_or(usize::MAX);
    let Some((whole, rest)) = bytes.split_at_checked(size) else {
        return Err(DecodeError::Short { needed: size, found: bytes.len() });
    };
    let kind = RecordKind::from_u16(header.kind).ok_or(DecodeError::Kind(header.kind))?;
    let reader = &mut Reader { bytes: whole };
    let raw = match kind {
        RecordKind::Fork => Raw::Fork(Fork::read(reader)?),
        RecordKind::Exec => {
            let exec = Exec::read(reader)?;
            let exe = reader.take(exec.exe_len.into())?;
            let filename = reader.take(exec.filename_len.into())?;
            let args = reader.take(exec.args_len.into())?;
            Raw::Exec { exec, exe, filename, args }
        }
        RecordKind::Exit => Raw::Exit(Exit::read(reader)?),
        RecordKind::Account => Raw::Account(Account::read(reader)?),
        RecordKind::Signal => Raw::Signal(Signal::read(reader)?),
        RecordKind::Oom => Raw::Oom(Oom::read(reader)?),
        RecordKind::Rename => Raw::Rename(Rename::read(reader)?),
        RecordKind::Cgroup => {
            let cgroup = Cgroup::read(reader)?;
            let path = reader.take(cgroup.path_len.into())?;
            Raw::Cgroup { cgroup, path }
        }
        RecordKind::Task => {
            let task = Task::read(reader)?;
            let exe = reader.take(task.exe_len.into())?;
            let cgroup = reader.take(task.cgroup_len.into())?;
            Raw::Task { task, exe, cgroup }
        }
        RecordKind::Usage => Raw::Usage(Usage::read(reader)?),
        RecordKind::GlanceEnd => Raw::GlanceEnd(GlanceEnd::read(reader)?),
    };
    if reader.bytes.is_empty() {
        Ok((raw, rest))
    } else {
        Err(DecodeError::Size { stated: header.size, parts: whole.len() - reader.bytes.len() })
    }
}

impl Raw<'_> {
    /// The record's header.
    pub const fn header(&self) -> &Header {
        match self {
            Self::Fork(fork) => &fork.header,
            Self::Exec { exec, .. } => &exec.header,
            Self::Exit(exit) => &exit.header,
            Self::Account(account) => &account.header,
            Self::Signal(signal) => &signal.header,
            Self::Oom(oom) => &oom.header,
            Self::Rename(rename) => &rename.header,
            Self::Cgroup { cgroup, .. } => &cgroup.header,
            Self::Task { task, .. } => &task.header,
            Self::Usage(usage) => &usage.header,
            Self::GlanceEnd(end) => &end.header,
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((taken, rest)) = self.bytes.split_at_checked(length) else {
            return Err(DecodeError::Short { needed: length, found: self.bytes.len() });
        };
        self.bytes = rest;
        Ok(taken)
    }

    #[inline]
    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], DecodeError> {
        let Some((taken, rest)) = self.bytes.split_first_chunk() else {
            return Err(DecodeError::Short { needed: LENGTH, found: self.bytes.len() });
        };
        self.bytes = rest;
        Ok(*taken)
    }
}

trait Wire: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(<$number>::from_ne_bytes(reader.array()?))
            }
        }
    )*};
}

numbers!(u16, u32, u64, i32);

impl Wire for [u8; COMM_LEN] {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        reader.array()
    }
}

impl Wire for [u16; 3] {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok([u16::read(reader)?, u16::read(reader)?, u16::read(reader)?])
    }
}

/// Reads each struct's fields in their order, and tests that this is the order and place in which they lie in memory.
macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {
        $(impl Wire for $name {
            #[inline]
            fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                Ok(Self { $($field: Wire::read(reader)?),* })
            }
        })*

        #[cfg(test)]
        mod layout_tests {
            use super::*;

            fn same<T: Wire + PartialEq + fmt::Debug>(decoded: &T, place: &[u8], name: &str) {
                assert_eq!(decoded, &T::read(&mut Reader { bytes: place }).unwrap(), "{name}");
            }

            #[test]
            fn fields_are_read_from_where_they_lie() {
                let bytes: Vec<u8> = (0..=255).collect();
                $(
                    let mut whole = Reader { bytes: &bytes };
                    let decoded = $name::read(&mut whole).unwrap();
                    assert_eq!(bytes.len() - whole.bytes.len(), size_of::<$name>(), "{} has hidden padding", stringify!($name));
                    $(
                        let place = &bytes[core::mem::offset_of!($name, $field)..];
                        same(&decoded.$field, place, concat!(stringify!($name), ".", stringify!($field)));
                    )*
                )*
            }
        }
    };
}

with_structs!(structs);

#[cfg(test)]
mod tests;
