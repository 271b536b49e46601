//! bpf-linker: joins the kernel programs' LLVM bitcode into one object that the kernel can load.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::place;
use crate::step::{note, output_of, run, step};

/// Later ones want a static LLVM; this one borrows the LLVM of the rustc that builds it.
const VERSION: &str = "0.10.1";

/// Its path: the one that was built here before, one of the same version on PATH, or one built now.
pub(crate) fn find() -> Result<PathBuf> {
    let ours = place::tools_dir().join("bin/bpf-linker");
    if version_of(Command::new(&ours)) {
        return Ok(ours);
    }
    if version_of(Command::new("bpf-linker")) {
        note("bpf-linker", &format!("{VERSION} from PATH"));
        return Ok(PathBuf::from("bpf-linker"));
    }
    step("bpf-linker", "links the kernel programs; built once, into target/tools", || {
        // Unoptimised: it builds in half the time, and the work is done by LLVM anyway.
        run(place::cargo()
            .args(["install", "bpf-linker", "--version", VERSION, "--locked", "--debug", "--force", "--root"])
            .arg(place::tools_dir())
            .env_remove("RUSTFLAGS"))
    })?;
    Ok(ours)
}

fn version_of(mut linker: Command) -> bool {
    output_of(linker.arg("--version")).is_ok_and(|text| text.trim().ends_with(VERSION))
}
