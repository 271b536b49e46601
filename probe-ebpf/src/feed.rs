//! Records from user space through the kernel's own way out, for measuring what the daemon can take.
//!
//! No machine starts 25,000 processes a second to measure with. `measure delivery` makes up the records of such processes
//! and runs this program with some of them at a time (`BPF_PROG_TEST_RUN`); it gives each its number, CPU and time and puts
//! it into the ring of a running daemon with the code that the real programs use ([`emit`]), so that losses are counted and
//! the daemon is woken as ever. An object of its own, never part of what ships.
//!
//! The input is a packet, for that is what user space may hand to a program: for each record its length as `u32`, then
//! the record. The result is how many found room.
#![no_std]
#![no_main]
#![expect(missing_docs, reason = "the program macro loses the comment of its function")]
#![expect(unreachable_pub, reason = "the program macros want `pub` functions; a binary has no outside")]
#![expect(clippy::inline_always, clippy::needless_pass_by_value, reason = "as in the programs that ship")]
#![expect(clippy::cast_possible_truncation, reason = "as in the programs that ship")]
#![feature(asm_experimental_arch)]

mod counter;
#[expect(dead_code, reason = "what makes records of kernel structs is not needed")]
mod emit;
#[expect(dead_code, unused_imports, unused_macros, reason = "what makes records of kernel structs is not needed")]
mod globals;
mod object;

use core::ffi::c_void;

use aya_ebpf::helpers::generated::bpf_skb_load_bytes;
use aya_ebpf::macros::{map, socket_filter};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::SkBuffContext;
use probe_common::record::{Header, RecordKind};

use crate::emit::Urgency;

/// The daemon's maps: the loader puts them in the place of these.
mod maps {
    use aya_ebpf::macros::map;
    use aya_ebpf::maps::{Array, PerCpuArray, RingBuf};
    use probe_common::maps::CpuState;

    #[map]
    pub(crate) static RECORDS: RingBuf = RingBuf::with_byte_size(4096, 0);

    #[map]
    pub(crate) static CPU_STATE: PerCpuArray<CpuState> = PerCpuArray::with_max_entries(1, 0);

    #[map]
    pub(crate) static LAST_WAKE: Array<u64> = Array::with_max_entries(1, 0);
}

/// Most bytes of a record: a power of two, so that a mask bounds them.
const RECORD_CAP: usize = 1024;

/// Most records in a packet.
const RECORDS_MAX: usize = 64;

/// Where a record is put together.
#[repr(C)]
struct Scratch {
    header: Header,
    rest: [u8; RECORD_CAP - size_of::<Header>()],
}

#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Puts the records of a packet into the ring.
#[socket_filter]
pub fn feed(ctx: SkBuffContext) -> i64 {
    let Some(scratch) = SCRATCH.get_ptr_mut(0) else { return 0 };
    let mut offset = 0;
    let mut sent = 0;
    for _ in 0..RECORDS_MAX {
        let Ok(size) = ctx.load::<u32>(offset) else { break };
        let size = size as usize & (RECORD_CAP - 1);
        if size < size_of::<Header>() {
            break;
        }
        let at = offset + size_of::<u32>();
        // SAFETY: the scratch has room for as many bytes as the mask lets through.
        let loaded =
            unsafe { bpf_skb_load_bytes(ctx.skb.skb.cast(), at as u32, scratch.cast::<c_void>(), size as u32) };
        if loaded != 0 {
            break;
        }
        let Header { cpu, seq, time, .. } = emit::header::<Header>(RecordKind::Fork, 0, 0, 0);
        // SAFETY: the pointer is into this CPU's own value and was checked; the record is initialised as far as it goes.
        let found_room = unsafe {
            let header = &mut (*scratch).header;
            *header = Header { cpu, seq, time, ..*header };
            let header = *header;
            emit::bytes(scratch.cast::<u8>(), size, &header, Urgency::Batched)
        };
        sent += i64::from(found_room);
        offset = at + size;
    }
    sent
}
