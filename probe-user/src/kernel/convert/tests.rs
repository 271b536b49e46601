use super::*;

#[test]
fn paths_are_turned_round() {
    let check = |components: &[u8], cut: bool, expected: &str| assert_eq!(&*path(components, cut), expected);
    check(b"", false, "");
    check(b"nginx\0sbin\0usr\0", false, "/usr/sbin/nginx");
    check(b"memfd:x\0", false, "/memfd:x");
    check(b"c\0b\0", true, "…/b/c");
    check(b"a\xff\0b\0", false, "/b/a\u{fffd}");
    assert_eq!(&*path_or_root(b"", false), "/");
    assert_eq!(&*path_or_root(b"nginx.service\0system.slice\0", false), "/system.slice/nginx.service");
}

#[test]
fn arguments_lose_only_their_closing_nuls() {
    let check = |bytes: &[u8], expected: &str| assert_eq!(&*arguments(bytes), expected);
    check(b"", "");
    check(b"\0\0", "");
    check(b"ls\0-l\0", "ls\0-l");
    check(b"ls\0\0-l\0\0\0", "ls\0\0-l");
    check(b"nginx: worker process\0\0\0\0", "nginx: worker process");
    check(b"x\xfe\0", "x\u{fffd}");
}
