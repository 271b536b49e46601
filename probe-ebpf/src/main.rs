//! procprobe inside the kernel: what starts, what ends, what it used.
//!
//! Constraints: typed raw tracepoints and task iterators only; nothing on the context switch; kernel structs are read in
//! [`task`] alone, at offsets that the daemon resolved from BTF; one object for every kernel from 5.10 on, so no helper
//! or instruction newer than that (no atomic fetch). When a record cannot be delivered, [`emit`] counts it by reason.
#![no_std]
#![no_main]
#![expect(unreachable_pub, reason = "the program macros want `pub` functions; a binary has no outside")]
#![expect(
    clippy::inline_always,
    clippy::needless_pass_by_value,
    reason = "a call is a verifier state of its own and spends the 512 bytes of stack; contexts are handed on by value"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "lengths are masked to their bounds before, and a `try_from` would leave a panic that cannot be linked"
)]
#![expect(clippy::similar_names, reason = "tgid and tid are what they are called")]
#![feature(asm_experimental_arch)]

mod account;
mod cgroup;
mod counter;
mod emit;
mod exec;
mod exit;
mod fork;
mod glance;
mod globals;
mod iter;
mod log;
mod maps;
mod object;
mod oom;
mod rename;
mod signal;
mod task;
mod watch;
