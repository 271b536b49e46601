//! The name of a task, which every other record brings along.
//!
//! The kernel's has 15 bytes at most. Such a name is kept where it stands, so that it is taken over, compared and dropped
//! without touching anything else; a longer one, as it comes of bytes that are no UTF-8 and were replaced, is kept apart.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Bytes that are kept in place.
const SHORT_MAX: usize = 15;

/// 1 in each byte.
const ONES: u128 = u128::from_le_bytes([0x01; 16]);
/// The highest bit of each byte.
const TOPS: u128 = u128::from_le_bytes([0x80; 16]);

/// A task's name: valid UTF-8, hostile otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct Comm(Kept);

/// One text has one way to be kept, so that ways can be compared.
#[derive(Clone, PartialEq, Eq)]
enum Kept {
    /// UTF-8 without NULs, filled up with them.
    Short([u8; SHORT_MAX]),
    /// Every other one.
    Long(Arc<String>),
}

impl Comm {
    /// From the kernel's bytes, which end at the first NUL; what is no UTF-8 is replaced.
    pub fn of_task(bytes: [u8; 16]) -> Self {
        let word = u128::from_le_bytes(bytes);
        // The lowest bit that is left belongs to the first NUL.
        let nuls = word.wrapping_sub(ONES) & !word & TOPS;
        let length = nuls.trailing_zeros() / 8;
        let text = if length < 16 { word & ((1 << (8 * length)) - 1) } else { word };
        if length < 16 && text & TOPS == 0 {
            let [short @ .., _] = text.to_le_bytes();
            return Self(Kept::Short(short));
        }
        let length = usize::try_from(length).unwrap_or(bytes.len());
        Self::from(&*String::from_utf8_lossy(bytes.get(..length).unwrap_or(&bytes)))
    }

    /// A number that differs for most names that differ.
    pub(crate) fn number(&self) -> u64 {
        let Kept::Short(short) = &self.0 else { return self.len() as u64 };
        // The byte in the middle is in both.
        let first = short.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let last = short.last_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        first.rotate_left(32) ^ last
    }
}

impl Default for Comm {
    fn default() -> Self {
        Self(Kept::Short([0; SHORT_MAX]))
    }
}

impl From<&str> for Comm {
    fn from(text: &str) -> Self {
        if text.len() > SHORT_MAX || text.contains('\0') {
            return Self(Kept::Long(Arc::new(text.to_owned())));
        }
        let mut short = [0; SHORT_MAX];
        short.iter_mut().zip(text.bytes()).for_each(|(place, byte)| *place = byte);
        Self(Kept::Short(short))
    }
}

impl Deref for Comm {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Kept::Short(short) => {
                let length = short.iter().position(|byte| *byte == 0).unwrap_or(SHORT_MAX);
                // It came from a text, so that there is nothing else that it could be.
                std::str::from_utf8(short.get(..length).unwrap_or(short)).unwrap_or_default()
            }
            Kept::Long(text) => text,
        }
    }
}

impl fmt::Debug for Comm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_takes_no_more_room_than_a_pointer_to_a_text() {
        assert_eq!(size_of::<Comm>(), size_of::<Arc<str>>());
    }

    #[test]
    fn names_that_differ_have_other_numbers() {
        let numbers: std::collections::HashSet<u64> =
            (0..1000).map(|n| Comm::from(&*format!("kworker/{n}:1")).number()).collect();
        assert_eq!(numbers.len(), 1000);
    }

    proptest! {
        /// Few different bytes, so that NULs, their neighbours and halves of characters stand side by side.
        #[test]
        fn a_task_has_the_name_that_its_bytes_say(
            bytes in prop::array::uniform16(prop::sample::select(vec![0, 1, b'a', b'z', 0x7f, 0x80, 0x81, 0xc3, 0xff])),
        ) {
            let text = String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap()).into_owned();
            let comm = Comm::of_task(bytes);
            prop_assert_eq!(&*comm, &*text);
            prop_assert_eq!(comm, Comm::from(&*text));
        }

        #[test]
        fn it_is_the_text_it_came_from(a in "[a\0é]{0,17}", b in "[a\0é]{0,17}") {
            prop_assert_eq!(&*Comm::from(&*a), &*a);
            prop_assert_eq!(Comm::from(&*a) == Comm::from(&*b), a == b);
        }
    }
}
