//! Texts that come again and again, kept once: paths of executables, as they are and as they were executed.
//!
//! A host starts the same few programs all day. The last ones seen are remembered by the bytes that they came as, so that a
//! record that names one of them costs a comparison instead of two allocations, and processes share the text. Bounded: a
//! text has one place, which the next text of that place takes over. Who fills the places on purpose makes the daemon as
//! slow as it would be without them.

use std::sync::Arc;

/// How many texts are remembered; a power of two.
const PLACES: usize = 128;

/// Longer ones are rare, and not worth their room.
const BYTES_MAX: usize = 256;

/// The texts last seen, by the bytes that they came as.
#[derive(Debug, Default)]
pub(super) struct Texts {
    places: Vec<Option<Remembered>>,
}

#[derive(Debug)]
struct Remembered {
    bytes: Box<[u8]>,
    text: Arc<str>,
}

impl Texts {
    /// The text of these bytes: as `read` makes it of them, or as it did the last time.
    pub(super) fn get(&mut self, bytes: &[u8], read: impl FnOnce(&[u8]) -> Arc<str>) -> Arc<str> {
        if bytes.len() > BYTES_MAX {
            return read(bytes);
        }
        if self.places.is_empty() {
            self.places.resize_with(PLACES, || None);
        }
        let Some(place) = self.places.get_mut(place_of(bytes)) else { return read(bytes) };
        if let Some(known) = place.as_ref().filter(|known| *known.bytes == *bytes) {
            return Arc::clone(&known.text);
        }
        let text = read(bytes);
        *place = Some(Remembered { bytes: bytes.into(), text: Arc::clone(&text) });
        text
    }
}

fn place_of(bytes: &[u8]) -> usize {
    usize::try_from(hash(0, bytes) >> 57).unwrap_or(0) % PLACES
}

/// A number whose high bits depend on all of these bytes and on what was hashed before. Nobody's safety rests on it.
pub(super) fn hash(before: u64, bytes: &[u8]) -> u64 {
    let mix = |hash: u64, number: u64| (hash.rotate_left(5) ^ number).wrapping_mul(0x517c_c1b7_2722_0a95);
    let (words, rest) = bytes.as_chunks::<8>();
    let hash = words.iter().fold(before ^ bytes.len() as u64, |hash, word| mix(hash, u64::from_le_bytes(*word)));
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(place, byte)| *place = *byte);
    let hash = mix(hash, u64::from_le_bytes(last));
    (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_are_the_same_text_and_others_are_not() {
        let mut texts = Texts::default();
        let mut read = |bytes: &[u8]| texts.get(bytes, |bytes| String::from_utf8_lossy(bytes).into());
        let first = read(b"/bin/sh");
        assert!(Arc::ptr_eq(&first, &read(b"/bin/sh")));
        // Far more than there are places, and some that are too long to be remembered.
        for number in 0..10 * PLACES {
            let text = format!("/opt/{number}/{}", "x".repeat(number));
            assert_eq!(*read(text.as_bytes()), text);
            assert_eq!(*read(text.as_bytes()), text);
        }
        assert_eq!(*read(b""), *"");
        assert_eq!(*read(b"\xff"), *"\u{fffd}");
        assert_eq!(*read("\u{fffd}".as_bytes()), *"\u{fffd}");
    }

    #[test]
    fn places_are_used_alike() {
        let used: std::collections::HashSet<usize> =
            (0..4 * PLACES).map(|number| place_of(format!("kworker/{number}:1").as_bytes())).collect();
        assert!(used.len() > PLACES * 9 / 10, "{} of {PLACES}", used.len());
    }
}
