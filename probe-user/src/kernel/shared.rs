//! Words of memory that the kernel keeps for as long as somebody has them pinned: what is written here outlives the daemon,
//! however it dies, and goes with the boot.
//!
//! An array map that can be mapped. Storing a word is a store and nothing else: no system call, and nothing that a SIGKILL
//! could cut in half. Nobody but daemons of this program maps it, one at a time.

use std::ops::Deref;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::ptr::{self, NonNull};
use std::sync::atomic::AtomicU64;

use aya::maps::{Array, MapData, MapError};
use aya::pin::PinError;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// `BPF_F_MMAPABLE` of include/uapi/linux/bpf.h (5.5).
const MMAPABLE: u32 = 1 << 10;

/// The mapped words. Dropped, they are unmapped; what is in them stays while they are pinned.
#[derive(Debug)]
pub struct Shared {
    words: NonNull<AtomicU64>,
    len: usize,
}

/// There is no such memory.
#[derive(Debug, thiserror::Error)]
pub(super) enum SharedError {
    /// The map cannot be made or opened.
    #[error(transparent)]
    Map(#[from] MapError),
    /// It cannot be pinned.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// It cannot be mapped.
    #[error("cannot map it: {0}")]
    Mmap(#[from] rustix::io::Errno),
    /// It is another thing than this program makes.
    #[error("it holds values of {0} bytes, expected 8")]
    Shape(u32),
}

impl Shared {
    /// Makes `len` words, all 0, and pins them.
    pub(super) fn make(path: &Path, len: u32) -> Result<Self, SharedError> {
        Array::<MapData, u64>::create(len, MMAPABLE)?.pin(path)?;
        Self::open(path)
    }

    /// Opens words that were pinned.
    pub(super) fn open(path: &Path) -> Result<Self, SharedError> {
        let map = MapData::from_pin(path)?;
        let info = map.info()?;
        let (len, size) = (info.max_entries() as usize, info.value_size());
        if size != 8 {
            return Err(SharedError::Shape(size));
        }
        #[expect(unsafe_code, reason = "there is no safe way to map memory")]
        // SAFETY: a new mapping at an address that the kernel chooses, as long as the values of the map that was just looked
        // at; the map cannot shrink, and the mapping holds it.
        let start = unsafe {
            mmap(ptr::null_mut(), len * 8, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED, map.fd().as_fd(), 0)
        }?;
        let words = NonNull::new(start.cast::<AtomicU64>()).ok_or(rustix::io::Errno::NOMEM)?;
        Ok(Self { words, len })
    }
}

impl Deref for Shared {
    type Target = [AtomicU64];

    fn deref(&self) -> &[AtomicU64] {
        #[expect(unsafe_code, reason = "a mapping is known by its address alone")]
        // SAFETY: `len` words are mapped there, page-aligned, for as long as `self` lives; every bit pattern is a number, and
        // whoever else has them mapped uses atomics too.
        unsafe {
            std::slice::from_raw_parts(self.words.as_ptr(), self.len)
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        #[expect(unsafe_code, reason = "the counterpart of the mapping")]
        // SAFETY: the range is what `open` mapped, and nothing borrows from it any more.
        let _ = unsafe { munmap(self.words.as_ptr().cast(), self.len * 8) };
    }
}

#[expect(unsafe_code, reason = "a pointer is not Send by itself")]
// SAFETY: the mapping belongs to this value alone and to no thread; its words are atomics.
unsafe impl Send for Shared {}

#[expect(unsafe_code, reason = "a pointer is not Sync by itself")]
// SAFETY: whoever shares it sees atomics.
unsafe impl Sync for Shared {}
