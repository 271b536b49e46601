//! Hands the path of the compiled kernel programs to `include_bytes!`.
fn main() {
    let object = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bpf/procprobe.bpf.o");
    println!("cargo:rerun-if-changed={}", object.display());
    println!("cargo:rustc-env=PROCPROBE_BPF_OBJECT={}", object.display());
}
