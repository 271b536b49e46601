//! How large the host is, for bounds such as `25% host`.

use crate::policy::spec::HostFacts;

/// The host's online CPUs (those of the machine, not those this process may use) and its memory.
pub fn read() -> HostFacts {
    let system = rustix::system::sysinfo();
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").ok();
    HostFacts {
        cpus: online.and_then(|list| count(list.trim())).unwrap_or(1),
        memory_bytes: system.totalram.saturating_mul(u64::from(system.mem_unit)),
    }
}

/// Counts a CPU list such as `0-3,8`; `None` for what is none.
fn count(list: &str) -> Option<u32> {
    list.split(',').try_fold(0_u32, |sum, part| {
        let (low, high) = part.split_once('-').unwrap_or((part, part));
        let (low, high): (u32, u32) = (low.parse().ok()?, high.parse().ok()?);
        sum.checked_add(high.checked_sub(low)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_counted() {
        let check = |list: &str, expected: Option<u32>| assert_eq!(count(list), expected, "{list}");
        check("0", Some(1));
        check("0-3", Some(4));
        check("0-3,8,10-11", Some(7));
        check("", None);
        check("3-1", None);
        check("a-b", None);
    }

    #[test]
    fn this_host_has_a_size() {
        let facts = read();
        assert!(facts.cpus >= 1 && facts.memory_bytes > 1 << 20, "{facts:?}");
    }
}
