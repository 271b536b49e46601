//! Hands the compiled kernel programs to the daemon, which carries them inside itself.
//!
//! They need a toolchain of their own, so `cargo xtask build` makes them beforehand; this script only finds the object
//! and names it to `include_bytes!` as `PROCPROBE_BPF_OBJECT`. A variable of that name in the environment chooses
//! another object. Without one the build ends with an error that says what to run.

use std::path::PathBuf;

const VARIABLE: &str = "PROCPROBE_BPF_OBJECT";

fn main() {
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let object = std::env::var_os(VARIABLE)
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/procprobe.bpf.o"), PathBuf::from);
    println!("cargo::rerun-if-changed={}", object.display());
    match object.canonicalize() {
        Ok(object) => println!("cargo::rustc-env={VARIABLE}={}", object.display()),
        Err(error) => println!(
            "cargo::error=the kernel programs are not built ({}: {error}); run `cargo xtask build` first, it makes them \
             from source",
            object.display()
        ),
    }
}
