//! Numbers and texts of an entry: little-endian, texts with their length in front, every read checked.

use std::sync::Arc;

/// Bytes end before what they should hold, or hold what cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScalarError {
    /// Too few bytes.
    #[error("an entry ends {missing} bytes too early")]
    Short {
        /// How many are missing.
        missing: usize,
    },
    /// A text that is none.
    #[error("a text is no UTF-8")]
    Text,
    /// A number that stands for nothing.
    #[error("{what} {number} does not exist")]
    Unknown {
        /// What it should have been.
        what: &'static str,
        /// The number.
        number: u8,
    },
    /// Something is left over.
    #[error("an entry has {0} bytes too many")]
    Left(usize),
}

/// Reads from the front of some bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a>(pub(super) &'a [u8]);

impl<'a> Source<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], ScalarError> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return Err(ScalarError::Short { missing: length - self.0.len() });
        };
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ScalarError> {
        let Some((taken, rest)) = self.0.split_first_chunk() else {
            return Err(ScalarError::Short { missing: N - self.0.len() });
        };
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ScalarError> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, ScalarError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, ScalarError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, ScalarError> {
        Ok(i64::from_le_bytes(self.array()?))
    }

    pub(super) fn f64(&mut self) -> Result<f64, ScalarError> {
        Ok(f64::from_bits(self.u64()?))
    }

    pub(super) fn bool(&mut self) -> Result<bool, ScalarError> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            number => Err(ScalarError::Unknown { what: "the truth value", number }),
        }
    }

    /// With its length in front.
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], ScalarError> {
        let length = self.u32()?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    pub(super) fn text(&mut self) -> Result<&'a str, ScalarError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| ScalarError::Text)
    }

    pub(super) fn shared(&mut self) -> Result<Arc<str>, ScalarError> {
        Ok(self.text()?.into())
    }

    pub(super) fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, ScalarError>,
    ) -> Result<Option<T>, ScalarError> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    /// A list with its length in front. What is set aside for it follows what is there, not what the length claims.
    pub(super) fn list<T>(
        &mut self,
        least_bytes: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, ScalarError>,
    ) -> Result<Vec<T>, ScalarError> {
        let count = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        let mut list = Vec::with_capacity(count.min(self.0.len() / least_bytes.max(1)));
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }
}

/// Appends to some bytes.
pub(super) struct Sink<'a>(pub(super) &'a mut Vec<u8>);

impl Sink<'_> {
    pub(super) fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    pub(super) fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn i64(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn f64(&mut self, number: f64) {
        self.u64(number.to_bits());
    }

    pub(super) fn bool(&mut self, truth: bool) {
        self.u8(truth.into());
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    pub(super) fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    pub(super) fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.bool(value.is_some());
        if let Some(value) = value {
            write(self, value);
        }
    }

    pub(super) fn list<T>(&mut self, list: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.length(list.len());
        for item in list {
            write(self, item);
        }
    }

    /// Nothing that is written comes near the end of the range: a frame is far smaller.
    fn length(&mut self, length: usize) {
        self.u32(u32::try_from(length).unwrap_or(u32::MAX));
    }
}
