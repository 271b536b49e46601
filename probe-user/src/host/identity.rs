//! Who speaks: the host's name, the stable id of its installation, and the id of its present boot.
//!
//! `host.id` is /etc/machine-id, else /var/lib/dbus/machine-id; where both are missing or malformed (some minimal images)
//! it is `name:` and the host's name, which holds as long as names are unique in the fleet. `boot.id` is the kernel's;
//! without it the moment of boot in seconds stands in. Every stand-in is told as a note: the daemon starts degraded
//! rather than not at all.

use std::fs;
use std::path::Path;

use crate::event::{Host, clean};

/// The host, and what had to stand in for a missing part of its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identified {
    /// For each event.
    pub host: Host,
    /// One sentence for each stand-in; empty on an ordinary host.
    pub notes: Vec<String>,
}

/// Reads this host's identity; `name` (the configuration's `node.name`) wins over the kernel's host name.
pub fn identify(name: Option<&str>) -> Identified {
    identify_in(Path::new("/"), name.map_or_else(kernel_name, str::to_owned))
}

/// The host's name as the kernel has it.
pub fn kernel_name() -> String {
    clean(&rustix::system::uname().nodename().to_string_lossy())
}

/// The kernel's release, such as `6.12.9-amd64`.
pub fn kernel_release() -> String {
    clean(&rustix::system::uname().release().to_string_lossy())
}

/// Major and minor number of a release such as `6.12.9-amd64`.
pub fn kernel_version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

fn identify_in(root: &Path, name: String) -> Identified {
    let mut notes = Vec::new();
    let machine_id = ["etc/machine-id", "var/lib/dbus/machine-id"]
        .iter()
        .find_map(|path| fs::read_to_string(root.join(path)).ok().and_then(|text| machine_id(&text)));
    let id = machine_id.unwrap_or_else(|| {
        notes.push(
            "host.id: no valid /etc/machine-id, the host's name stands in (systemd-machine-id-setup makes one)".into(),
        );
        format!("name:{name}")
    });
    let boot_id = fs::read_to_string(root.join("proc/sys/kernel/random/boot_id"))
        .ok()
        .and_then(|text| boot_id(&text))
        .unwrap_or_else(|| {
            let stand_in = boot_time(root).map_or_else(|| "btime:unknown".into(), |secs| format!("btime:{secs}"));
            notes.push(format!("boot.id: the kernel's boot_id cannot be read, {stand_in} stands in"));
            stand_in
        });
    Identified { host: Host { name, id, boot_id }, notes }
}

fn machine_id(text: &str) -> Option<String> {
    let id = text.trim();
    let valid =
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) && id.bytes().any(|byte| byte != b'0');
    valid.then(|| id.to_ascii_lowercase())
}

fn boot_id(text: &str) -> Option<String> {
    let id = text.trim();
    let valid = id.len() == 36 && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    valid.then(|| id.to_owned())
}

fn boot_time(root: &Path) -> Option<u64> {
    let stat = fs::read_to_string(root.join("proc/stat")).ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789ABCDEF\n";
    const BOOT: &str = "8f9e3b1d-0000-4000-8000-00000000aaaa\n";

    fn check(files: &[(&str, &str)], id: &str, boot: &str, notes: usize) {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let found = identify_in(root.path(), "web-1".into());
        assert_eq!((found.host.id.as_str(), found.host.boot_id.as_str()), (id, boot), "{files:?}");
        assert_eq!(found.notes.len(), notes, "{:?}", found.notes);
    }

    #[test]
    fn each_part_has_its_stand_in() {
        let id = ID.trim().to_ascii_lowercase();
        let boot_file = ("proc/sys/kernel/random/boot_id", BOOT);
        check(&[("etc/machine-id", ID), boot_file], &id, BOOT.trim(), 0);
        check(
            &[("etc/machine-id", "uninitialized\n"), ("var/lib/dbus/machine-id", ID), boot_file],
            &id,
            BOOT.trim(),
            0,
        );
        check(&[("etc/machine-id", ""), boot_file], "name:web-1", BOOT.trim(), 1);
        check(&[("etc/machine-id", "00000000000000000000000000000000"), boot_file], "name:web-1", BOOT.trim(), 1);
        check(&[("etc/machine-id", ID), ("proc/stat", "cpu 1 2\nbtime 1790000000\n")], &id, "btime:1790000000", 1);
        check(&[], "name:web-1", "btime:unknown", 2);
    }

    #[test]
    fn this_host_has_a_name_and_a_kernel() {
        assert_eq!(identify(Some("other")).host.name, "other");
        assert!(!identify(None).host.name.is_empty());
        assert!(kernel_release().contains('.'));
    }
}
