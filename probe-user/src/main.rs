//! The `procprobe` command; everything is in the library.

fn main() -> std::process::ExitCode {
    probe_user::cli::main()
}
