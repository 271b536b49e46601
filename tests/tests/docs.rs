//! The pages of docs/, followed word for word: every command that they print is run, in their order, and prints what they
//! show.

use procprobe_tests::page::{Page, to_type};

/// Follows a page. `elsewhere` are the commands of it that only another host or an installed system can run.
#[track_caller]
fn check(page: &str, elsewhere: &[&str]) {
    assert_eq!(Page::of(page).follow(), elsewhere, "{page}");
}

#[test]
fn the_cookbook() {
    check("cookbook.md", &[]);
}

#[test]
fn getting_started() {
    let on_a_host_of_its_own = [
        "apt install gcc libc6-dev",
        "cargo xtask build --release",
        "install -m 755 target/release/procprobe /usr/local/bin/",
        "cargo xtask package",
        "apt install ./target/package/procprobe_0.1.0-1_amd64.deb",
        "systemctl status procprobe",
        "procprobe events --follow",
    ];
    check("getting-started.md", &on_a_host_of_its_own);
}

#[test]
fn top() {
    check("top.md", &["procprobe top"]);
}

#[test]
fn the_page() {
    check("page.md", &["ssh -L 9464:127.0.0.1:9464 web-1"]);
}

#[test]
fn operations() {
    check("operations.md", &[]);
}

#[test]
fn troubleshooting() {
    check("troubleshooting.md", &[]);
}

#[test]
fn peers() {
    check("peers.md", &[]);
}

#[test]
fn security() {
    check("security.md", &[]);
}

#[test]
fn getting_started_in_korean_is_the_same() {
    assert_eq!(to_type("ko/getting-started.md"), to_type("getting-started.md"));
}

#[test]
fn comparison() {
    check("comparison.md", &[]);
}
