//! The path of a cgroup, told once for each id, so that no folder has to be looked up after a short process is gone.

use aya_ebpf::bindings::BPF_ANY;
use probe_common::record::{CGROUP_CAP, Cgroup, Flags, Header, RecordKind};

use crate::emit::{self, Urgency};
use crate::maps::{CGROUP_LAST, CGROUP_SCRATCH, CGROUPS_TOLD};
use crate::task::{Cursor, Extent, Kernfs, copy_cgroup_path};

/// Tells the path of a cgroup unless it was told before. `of` is the record that names the id.
#[inline(always)]
pub(crate) fn tell(cgroup: Kernfs, id: u64, of: &Header) {
    // The hash would fetch its entry from memory for each of the processes that start on a quiet host.
    let Some(last) = CGROUP_LAST.get_ptr_mut(0) else { return };
    // SAFETY: the pointer is into this CPU's own value and was checked; of the hash only the presence of the key is looked at.
    unsafe {
        if *last == id {
            return;
        }
        if CGROUPS_TOLD.get(id).is_some() {
            *last = id;
            return;
        }
    }
    let Some(scratch) = CGROUP_SCRATCH.get_ptr_mut(0) else { return };
    // SAFETY: the pointer is into this CPU's own value and was checked; the tail has the room that the walk asks for.
    unsafe {
        let tail = (&raw mut (*scratch).tail).cast::<u8>();
        let cursor = Cursor::start(&raw mut (*scratch).cursor);
        let extent = copy_cgroup_path::<CGROUP_CAP>(cgroup, tail, cursor);
        let flags = if extent == Extent::Cut { Flags::CGROUP_CUT } else { 0 };
        let path_len = cursor.length();
        if path_len > CGROUP_CAP {
            return;
        }
        let mut header = emit::header::<Cgroup>(RecordKind::Cgroup, flags, of.tgid, of.start_time);
        header.size += path_len as u32;
        (*scratch).cgroup = Cgroup { header, cgroup_id: id, path_len: path_len as u16, reserved: [0; 3] };
        if emit::bytes(scratch.cast(), size_of::<Cgroup>() + path_len, &header, Urgency::Batched) {
            // When the map has no room the path is told again, which does no harm.
            let _ = CGROUPS_TOLD.insert(id, 1, u64::from(BPF_ANY));
        }
    }
}
