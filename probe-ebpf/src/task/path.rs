//! Paths, walked from the leaf to the root: the kernel keeps no path strings, and `bpf_d_path` is not for tracepoints.
//!
//! Components are written one after the other, each closed by a NUL, leaf first; the daemon turns them round. What is
//! deeper than `PATH_DEPTH` or longer than the cap is cut at the root's end and flagged.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel_str;
use probe_common::record::{COMPONENT_CAP, PATH_DEPTH};

use super::{Kernfs, Mm, read};
use crate::globals::layout;

/// How far a path was written.
pub(crate) struct Written {
    /// Bytes, all closing NULs included.
    pub(crate) length: usize,
    /// The root was not reached.
    pub(crate) cut: bool,
}

/// Writes the executable's path at `target`, which has room for `CAP + COMPONENT_CAP` bytes. The same walk as the
/// kernel's `prepend_path` without a root to stop at: over mount points up to the root of the mount namespace.
#[inline(always)]
pub(crate) fn copy_exe_path<const CAP: usize>(mm: Mm, target: *mut u8) -> Written {
    if mm.0.is_null() {
        return Written { length: 0, cut: false };
    }
    let file: *const u8 = read(mm.0, layout!(mm_exe_file));
    if file.is_null() {
        return Written { length: 0, cut: false };
    }
    let mut vfsmount: *const u8 = read(file, layout!(file_mnt));
    let mut dentry: *const u8 = read(file, layout!(file_dentry));
    let mut length = 0;
    for _ in 0..PATH_DEPTH {
        let root: *const u8 = read(vfsmount, layout!(vfsmount_root));
        if dentry == root {
            let mount = vfsmount.wrapping_sub(layout!(mount_mnt));
            let above: *const u8 = read(mount, layout!(mount_parent));
            if above == mount {
                return Written { length, cut: false };
            }
            dentry = read(mount, layout!(mount_mountpoint));
            vfsmount = above.wrapping_add(layout!(mount_mnt));
            continue;
        }
        let name: *const u8 = read(dentry, layout!(dentry_name));
        let Some(longer) = push::<CAP>(target, length, name) else {
            return Written { length, cut: true };
        };
        length = longer;
        let parent: *const u8 = read(dentry, layout!(dentry_parent));
        if parent == dentry {
            // A file outside any tree, such as a memfd: its name is all there is.
            return Written { length, cut: false };
        }
        dentry = parent;
    }
    Written { length, cut: true }
}

/// Writes a cgroup's path at `target`, which has room for `CAP + COMPONENT_CAP` bytes.
#[inline(always)]
pub(crate) fn copy_cgroup_path<const CAP: usize>(cgroup: Kernfs, target: *mut u8) -> Written {
    let mut node = cgroup.0;
    let mut length = 0;
    for _ in 0..PATH_DEPTH {
        let parent: *const u8 = read(node, layout!(kernfs_parent));
        if node.is_null() || parent.is_null() {
            return Written { length, cut: false };
        }
        let name: *const u8 = read(node, layout!(kernfs_name));
        let Some(longer) = push::<CAP>(target, length, name) else {
            return Written { length, cut: true };
        };
        length = longer;
        node = parent;
    }
    Written { length, cut: true }
}

/// Writes one component behind `length` bytes; the new length, or `None` when it would be past the cap.
#[inline(always)]
fn push<const CAP: usize>(target: *mut u8, length: usize, name: *const u8) -> Option<usize> {
    if length >= CAP {
        return None;
    }
    // SAFETY: length < CAP, and COMPONENT_CAP bytes of slack stand behind the cap.
    let written = unsafe { bpf_probe_read_kernel_str(target.add(length).cast(), COMPONENT_CAP as u32, name.cast()) };
    if written <= 0 || written > COMPONENT_CAP as i64 {
        return None;
    }
    let length = length + written as usize;
    (length <= CAP).then_some(length)
}
