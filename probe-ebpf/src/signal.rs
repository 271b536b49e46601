//! `signal_generate`: who sent the signal that may end a watched process.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_get_current_uid_gid};
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use probe_common::maps::Watch;
use probe_common::record::{RecordKind, Signal};

use crate::emit::{self, Urgency};
use crate::log::told;
use crate::task::{Task, current_comm, siginfo_code};
use crate::watch;

/// `TRACE_SIGNAL_DELIVERED` and `TRACE_SIGNAL_ALREADY_PENDING` of include/trace/events/signal.h.
const DELIVERED: i32 = 0;
const ALREADY_PENDING: i32 = 2;

/// Signals that are told whatever the target does with them, for they are meant to end it: HUP, INT, QUIT, ABRT, KILL,
/// TERM.
const MEANT_TO_END: u64 = 1 << 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9 | 1 << 15;
/// Signals whose default action is not to end the target: CHLD, CONT, STOP, TSTP, TTIN, TTOU, URG, WINCH.
const HARMLESS: u64 = 1 << 17 | 1 << 18 | 1 << 19 | 1 << 20 | 1 << 21 | 1 << 22 | 1 << 23 | 1 << 28;

/// Arguments: signal number, `kernel_siginfo`, target, whether for the group, what became of it. Runs in the sender.
#[btf_tracepoint(function = "signal_generate")]
pub fn signal_generate(ctx: BtfTracePointContext) -> i32 {
    // Nearly all signals are told by their number alone: every child's end is one.
    let number = ctx.arg::<i32>(0);
    if !(1..=64).contains(&number) {
        return 0;
    }
    let bit = 1u64.wrapping_shl(number as u32);
    if number < 64 && bit & HARMLESS != 0 {
        return 0;
    }
    let result = ctx.arg::<i32>(4);
    if result != DELIVERED && result != ALREADY_PENDING {
        return 0;
    }
    let target = Task(ctx.arg::<*const u8>(2));
    let tgid = target.tgid();
    if watch::bits_of(target.group_leader(), tgid) & Watch::SIGNALS == 0 {
        return 0;
    }
    let ends = number < 64 && bit & MEANT_TO_END != 0;
    if !(ends || target.has_default_action(number as u32)) {
        return 0;
    }
    let header = emit::header::<Signal>(RecordKind::Signal, 0, tgid, target.group_leader().start_time());
    let signal = Signal {
        header,
        signal: number,
        code: siginfo_code(ctx.arg::<*const u8>(1)),
        sender_tgid: (bpf_get_current_pid_tgid() >> 32) as u32,
        sender_uid: bpf_get_current_uid_gid() as u32,
        sender_comm: current_comm(),
    };
    let sent = emit::record(&signal, &header, Urgency::Batched);
    told!(ctx, "signal", tgid, sent);
    0
}
