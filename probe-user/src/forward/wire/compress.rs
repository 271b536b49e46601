//! Compression of a request's body, and the name that `Content-Encoding` has for it.

use std::io::{self, Write as _};

use bytes::Bytes;
use flate2::write::GzEncoder;

use super::Compression;

/// Fast: events repeat themselves so much that higher levels of either gain little for many times the CPU.
const ZSTD_LEVEL: i32 = 1;
const GZIP_LEVEL: flate2::Compression = flate2::Compression::fast();

/// The compressed bytes and their name; `None` where none is wanted.
pub(super) fn compress(how: Compression, plain: &[u8]) -> io::Result<Option<(Bytes, &'static str)>> {
    match how {
        Compression::None => Ok(None),
        Compression::Zstd => Ok(Some((zstd::bulk::compress(plain, ZSTD_LEVEL)?.into(), "zstd"))),
        Compression::Gzip => {
            let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), GZIP_LEVEL);
            encoder.write_all(plain)?;
            Ok(Some((encoder.finish()?.into(), "gzip")))
        }
    }
}
