//! What this kernel lacks of what policies may ask for.

use std::fs;
use std::path::Path;

use crate::policy::Lacks;

/// Looks at the host.
pub fn read() -> Lacks {
    within(Path::new("/proc"))
}

fn within(proc: &Path) -> Lacks {
    let pressure = proc.join("pressure/memory");
    // With PSI switched off some kernels have the files, and refuse to read them.
    let pressure = fs::read(&pressure).err().map(|error| format!("/proc/pressure cannot be read: {error}"));
    let cgroups = match fs::read_to_string(proc.join("self/cgroup")) {
        // The kernel leaves this line out for as long as nobody has mounted the hierarchy.
        Ok(text) if text.lines().any(|line| line.starts_with("0::")) => None,
        Ok(_) => Some("the unified cgroup hierarchy was never mounted".to_owned()),
        Err(error) => Some(format!("it has no cgroups, or /proc/self/cgroup cannot be read: {error}")),
    };
    Lacks { pressure, cgroups }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_with_the_reason() {
        let proc = tempfile::tempdir().unwrap();
        let lacks = within(proc.path());
        assert!(lacks.pressure.is_some_and(|why| why.starts_with("/proc/pressure cannot be read: ")));
        assert!(lacks.cgroups.is_some_and(|why| why.starts_with("it has no cgroups")));
        for folder in ["pressure", "self"] {
            fs::create_dir(proc.path().join(folder)).unwrap();
        }
        fs::write(proc.path().join("pressure/memory"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n").unwrap();
        fs::write(proc.path().join("self/cgroup"), "4:memory:/a0::b\n1:name=systemd:/\n").unwrap();
        let never = "the unified cgroup hierarchy was never mounted".to_owned();
        assert_eq!(within(proc.path()), Lacks { pressure: None, cgroups: Some(never) });
        fs::write(proc.path().join("self/cgroup"), "1:name=systemd:/\n0::/\n").unwrap();
        assert_eq!(within(proc.path()), Lacks::default());
    }
}
