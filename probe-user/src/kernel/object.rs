//! The compiled kernel programs, built from `probe-ebpf` in the same build as this binary.

/// The object's bytes, aligned as an ELF reader wants them.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(env!("PROCPROBE_BPF_OBJECT"));
