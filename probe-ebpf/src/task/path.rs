//! Paths, walked from the leaf to the root: the kernel keeps no path strings, and `bpf_d_path` is not for tracepoints.
//!
//! Components are written one after the other, each closed by a NUL, leaf first; the daemon turns them round. What is
//! deeper than `PATH_DEPTH` or longer than the cap is cut at the root's end and flagged.
//!
//! The length written so far lives in a [`Cursor`] in map memory. The verifier follows a number in a register through each
//! turn of a loop, and whatever comes after the loop once more for each turn in which it may end; of a number in a map it
//! knows nothing, and is done after one look. This took the loading of the programs from 370 ms to 20.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use probe_common::record::{COMPONENT_CAP, PATH_DEPTH};

use super::{Kernfs, Mm, load, read};
use crate::globals::layout;

/// How many bytes stand in a scratch buffer.
#[derive(Clone, Copy)]
pub(crate) struct Cursor(*mut u32);

impl Cursor {
    /// Starts a path at the beginning of its buffer.
    ///
    /// # Safety
    /// `slot` is in this CPU's own map value and nothing else uses it meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn start(slot: *mut u32) -> Self {
        // SAFETY: the caller vouches for the slot.
        unsafe { slot.write_volatile(0) };
        Self(slot)
    }

    #[inline(always)]
    pub(crate) fn length(self) -> usize {
        // SAFETY: `start` was told a valid slot.
        unsafe { self.0.read_volatile() as usize }
    }

    #[inline(always)]
    fn set(self, length: usize) {
        // SAFETY: `start` was told a valid slot.
        unsafe { self.0.write_volatile(length as u32) };
    }
}

/// Whether the whole path was written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    Whole,
    /// The root was not reached.
    Cut,
}

/// Writes the executable's path at `target`, which has room for `CAP + COMPONENT_CAP` bytes. The same walk as the
/// kernel's `prepend_path` without a root to stop at: over mount points up to the root of the mount namespace.
#[inline(always)]
pub(crate) fn copy_exe_path<const CAP: usize>(mm: Mm, target: *mut u8, cursor: Cursor) -> Extent {
    if mm.0.is_null() {
        return Extent::Whole;
    }
    let file: *const u8 = load(mm.0, layout!(mm_exe_file));
    if file.is_null() {
        return Extent::Whole;
    }
    // Within the executable's own file system the verifier knows every struct on the way.
    let vfsmount: *const u8 = load(file, layout!(file_mnt));
    let root: *const u8 = load(vfsmount, layout!(vfsmount_root));
    let mut dentry: *const u8 = load(file, layout!(file_dentry));
    let mut depth = 0;
    while dentry != root {
        if depth == PATH_DEPTH {
            return Extent::Cut;
        }
        depth += 1;
        let name: *const u8 = load(dentry, layout!(dentry_name));
        if push::<CAP>(target, cursor, name) == Extent::Cut {
            return Extent::Cut;
        }
        let parent: *const u8 = load(dentry, layout!(dentry_parent));
        if parent == dentry {
            // A file outside any tree, such as a memfd: its name is all there is.
            return Extent::Whole;
        }
        dentry = parent;
    }
    copy_path_above::<CAP>(vfsmount, target, cursor)
}

/// Goes on at a mount's root. The struct around a `vfsmount` is reached by a subtraction, which the verifier does not
/// follow: from here on the helper reads.
#[inline(always)]
fn copy_path_above<const CAP: usize>(vfsmount: *const u8, target: *mut u8, cursor: Cursor) -> Extent {
    let mut mount = (vfsmount as usize).wrapping_sub(layout!(mount_mnt)) as *const u8;
    let above: *const u8 = read(mount, layout!(mount_parent));
    if above == mount {
        return Extent::Whole;
    }
    let mut dentry: *const u8 = read(mount, layout!(mount_mountpoint));
    mount = above;
    for _ in 0..PATH_DEPTH {
        let root: *const u8 = read(mount.wrapping_add(layout!(mount_mnt)), layout!(vfsmount_root));
        if dentry == root {
            let above: *const u8 = read(mount, layout!(mount_parent));
            if above == mount {
                return Extent::Whole;
            }
            dentry = read(mount, layout!(mount_mountpoint));
            mount = above;
            continue;
        }
        let name: *const u8 = read(dentry, layout!(dentry_name));
        if push::<CAP>(target, cursor, name) == Extent::Cut {
            return Extent::Cut;
        }
        let parent: *const u8 = read(dentry, layout!(dentry_parent));
        if parent == dentry {
            return Extent::Whole;
        }
        dentry = parent;
    }
    Extent::Cut
}

/// Writes a cgroup's path at `target`, which has room for `CAP + COMPONENT_CAP` bytes.
#[inline(always)]
pub(crate) fn copy_cgroup_path<const CAP: usize>(cgroup: Kernfs, target: *mut u8, cursor: Cursor) -> Extent {
    let mut node = cgroup.0;
    for _ in 0..PATH_DEPTH {
        let parent: *const u8 = read(node, layout!(kernfs_parent));
        if parent.is_null() {
            return Extent::Whole;
        }
        let name: *const u8 = read(node, layout!(kernfs_name));
        if push::<CAP>(target, cursor, name) == Extent::Cut {
            return Extent::Cut;
        }
        node = parent;
    }
    Extent::Cut
}

/// Writes one component; cut when it would reach past the cap.
#[inline(always)]
fn push<const CAP: usize>(target: *mut u8, cursor: Cursor, name: *const u8) -> Extent {
    let length = cursor.length();
    if length >= CAP {
        return Extent::Cut;
    }
    // SAFETY: length < CAP, and COMPONENT_CAP bytes of slack stand behind the cap.
    let written = unsafe { bpf_probe_read_kernel_str(target.add(length).cast(), COMPONENT_CAP as u32, name.cast()) };
    if written <= 0 || length + written as usize > CAP {
        return Extent::Cut;
    }
    cursor.set(length + written as usize);
    Extent::Whole
}
