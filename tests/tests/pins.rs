//! What is pinned in the kernel's file system: it goes when it is told to, stays away where it was not wanted, and lies only in
//! a directory of the daemon's own.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::process::Output;

use procprobe_tests::daemon::Setup;
use procprobe_tests::home::PinnedHome;

fn code_and_text(output: &Output) -> (Option<i32>, String) {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    (output.status.code(), String::from_utf8_lossy(&both).into_owned())
}

#[test]
fn unload_removes_everything_but_not_under_a_daemon() {
    let home = PinnedHome::new();
    let mut daemon = home.setup().start();
    let name = home.pins.path().to_str().unwrap();
    let (code, text) = code_and_text(&home.pins.unload());
    assert!(code == Some(1) && text.contains(name) && text.contains("stop it first"), "{code:?}: {text}");
    // Nor can a second daemon have it.
    let state = tempfile::tempdir().unwrap();
    let (code, text) = code_and_text(&Setup::new().state(state.path()).pins(home.pins.path()).refuse());
    assert!(code == Some(78) && text.contains(name) && text.contains("--pin-dir"), "{code:?}: {text}");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!(home.pins.versions().len(), 1);
    let (code, text) = code_and_text(&home.pins.unload());
    assert!(code == Some(0) && text.contains("7 links, 10 programs, 5 maps removed"), "{code:?}: {text}");
    assert!(!home.pins.path().exists());
    let (code, text) = code_and_text(&home.pins.unload());
    assert!(code == Some(0) && text.contains("nothing is pinned there"), "{code:?}: {text}");
}

#[test]
fn without_pins_nothing_is_left_behind() {
    let (home, before) = (PinnedHome::new(), fs::read_dir("/sys/fs/bpf").unwrap().count());
    let own = |entry: &fs::DirEntry| !entry.file_name().to_string_lossy().contains("mark-");
    let count = || fs::read_dir("/sys/fs/bpf").unwrap().flatten().filter(own).count();
    let others = count();
    assert!(before >= others);
    let mut daemon = Setup::new().state(&home.home.state()).start();
    assert_eq!(count(), others, "--no-pin pins nothing");
    assert_eq!(daemon.stop(), Some(0));
    assert_eq!((count(), home.pins.path().exists()), (others, false));
    assert!(!home.home.state().join("known").exists());
}

#[test]
fn a_directory_that_is_not_ours_is_refused_by_name() {
    let check = |make: &dyn Fn(&Path), why: &str| {
        let home = PinnedHome::new();
        let path = home.pins.path();
        make(path);
        let (code, text) = code_and_text(&home.setup().refuse());
        assert!(code == Some(78) && text.contains(path.to_str().unwrap()) && text.contains(why), "{code:?}: {text}");
        let (code, text) = code_and_text(&home.pins.unload());
        assert!(code == Some(78) && text.contains(why), "unload, {code:?}: {text}");
        if path.is_symlink() { fs::remove_file(path) } else { fs::remove_dir(path) }.unwrap();
    };
    let directory = |path: &Path, mode: u32| {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    check(&|path| directory(path, 0o755), "its mode is 0755");
    check(&|path| directory(path, 0o720), "its mode is 0720");
    check(
        &|path| {
            directory(path, 0o700);
            chown(path, Some(12_345), None).unwrap();
        },
        "it belongs to user 12345, not to 0",
    );
    check(&|path| symlink("/sys/fs/bpf", path).unwrap(), "a link to one");
}

#[test]
fn without_a_bpf_file_system_it_runs_and_says_what_is_missing() {
    let state = tempfile::tempdir().unwrap();
    let mut daemon = Setup::new().pins(&state.path().join("pins")).start();
    let started = daemon.wait_for("the start", |event| event.name() == "procprobe.agent.started");
    assert!(started.attribute("degraded").to_string().contains("no bpf file system is mounted"), "{}", started.0);
    assert!(!state.path().join("pins").exists());
    assert_eq!(daemon.stop(), Some(0));
}
