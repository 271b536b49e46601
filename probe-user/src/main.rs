//! The `procprobe` command.
fn main() {}
