//! The end of what a program writes, bounded.

/// Bytes kept.
const KEPT: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Tail {
    bytes: Vec<u8>,
    cut: bool,
}

impl Tail {
    /// More output.
    pub(super) fn push(&mut self, more: &[u8]) {
        self.bytes.extend_from_slice(more);
        if self.bytes.len() > KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
            self.cut = true;
        }
    }

    /// As text; starts with `…` when it is not all there was.
    pub(super) fn into_text(self) -> String {
        // A character that was cut in half is no character.
        let start = if self.cut { self.bytes.iter().take_while(|byte| **byte & 0xc0 == 0x80).count() } else { 0 };
        let text = String::from_utf8_lossy(self.bytes.get(start..).unwrap_or_default());
        if self.cut { format!("…{text}") } else { text.into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &str) {
        let mut tail = Tail::default();
        for piece in pieces {
            tail.push(piece);
        }
        assert_eq!(tail.into_text(), expected);
    }

    #[test]
    fn the_end_is_kept() {
        check(&[], "");
        check(&[b"one ", b"two"], "one two");
        check(&[b"\xff!"], "\u{fffd}!");
        check(&[&[b'x'; 5000], b"end"], &format!("…{}end", "x".repeat(4093)));
        // 4096 bytes of two-byte characters and one more byte: the first one is cut.
        check(&["é".repeat(2048).as_bytes(), b"!"], &format!("…{}!", "é".repeat(2047)));
    }
}
