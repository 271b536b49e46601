//! The kernel's texts about the host, read without allocating. Names of interfaces and mount points come from whoever may
//! make them: any bytes may stand there, and a text may be cut anywhere. What does not read as it should is left out.

use crate::record::{HostCpu, HostMemory};

/// /proc/stat counts in ticks of 10 ms, whatever the kernel's own rate is.
const TICK_NS: u64 = 10_000_000;

/// The first line of /proc/stat. Guests' time is part of user time already; what the hypervisor took (steal) is time in
/// which this host did not idle.
pub(super) fn cpu(text: &[u8]) -> Option<HostCpu> {
    let mut words = words(lines(text).next()?);
    if words.next()? != b"cpu" {
        return None;
    }
    let mut ticks = [0_u64; 8];
    let mut known = 0;
    for (place, word) in ticks.iter_mut().zip(words) {
        *place = number(word)?;
        known += 1;
    }
    if known < 4 {
        return None;
    }
    let [_, _, _, idle, iowait, ..] = ticks;
    let total = ticks.into_iter().fold(0, u64::saturating_add);
    Some(HostCpu {
        idle_ns: idle.saturating_add(iowait).saturating_mul(TICK_NS),
        total_ns: total.saturating_mul(TICK_NS),
    })
}

/// The load of one minute in /proc/loadavg.
pub(super) fn load(text: &[u8]) -> Option<f64> {
    let load: f64 = std::str::from_utf8(words(text).next()?).ok()?.parse().ok()?;
    (load.is_finite() && load >= 0.0).then_some(load)
}

/// /proc/meminfo.
pub(super) fn memory(text: &[u8]) -> Option<HostMemory> {
    let field = |name: &[u8]| {
        let mut words = lines(text).find_map(|line| line.strip_prefix(name)).map(words)?;
        let amount = number(words.next()?)?;
        (words.next()? == b"kB").then(|| amount.saturating_mul(1024))
    };
    Some(HostMemory {
        total: field(b"MemTotal:")?,
        available: field(b"MemAvailable:")?,
        swap_total: field(b"SwapTotal:").unwrap_or(0),
        swap_free: field(b"SwapFree:").unwrap_or(0),
    })
}

/// `some ... total=N` of a file in /proc/pressure, in us.
pub(super) fn pressure(text: &[u8]) -> Option<u64> {
    let line = lines(text).find_map(|line| line.strip_prefix(b"some "))?;
    words(line).find_map(|word| number(word.strip_prefix(b"total=")?))
}

/// Each interface of /proc/net/dev: name, bytes received, bytes sent.
pub(super) fn interfaces(text: &[u8]) -> impl Iterator<Item = (&[u8], u64, u64)> {
    lines(text).filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, counters) = (line.get(..colon)?.trim_ascii(), line.get(colon + 1..)?);
        let mut counters = words(counters);
        let received = number(counters.next()?)?;
        let sent = number(counters.nth(7)?)?;
        (!name.is_empty()).then_some((name, received, sent))
    })
}

/// One line of /proc/self/mountinfo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountLine<'a> {
    /// `major:minor` of the file system.
    pub(super) device: &'a [u8],
    /// Where it is mounted, escapes undone.
    pub(super) path: Vec<u8>,
    /// `ext4` and so on.
    pub(super) kind: &'a [u8],
}

/// Each mount of /proc/self/mountinfo, in its order.
pub(super) fn mounts(text: &[u8]) -> impl Iterator<Item = MountLine<'_>> {
    lines(text).filter_map(|line| {
        let mut words = words(line);
        let device = words.nth(2)?;
        let path = unescaped(words.nth(1)?);
        // Optional fields, as many as there are, end with a dash.
        let kind = words.by_ref().skip_while(|word| *word != b"-").nth(1)?;
        path.starts_with(b"/").then_some(MountLine { device, path, kind })
    })
}

/// `\040` stands for a space, and so on.
fn unescaped(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let octal = after.get(..3).filter(|_| *first == b'\\').and_then(|digits| {
            digits.iter().try_fold(0_u8, |sum, digit| match digit {
                b'0'..=b'7' => sum.checked_mul(8)?.checked_add(digit - b'0'),
                _ => None,
            })
        });
        plain.push(octal.unwrap_or(*first));
        rest = if octal.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    plain
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cpu_time_is_split_into_idle_and_the_rest() {
        let check = |text: &str, expected: Option<(u64, u64)>| {
            let found = cpu(text.as_bytes()).map(|cpu| (cpu.idle_ns / TICK_NS, cpu.total_ns / TICK_NS));
            assert_eq!(found, expected, "{text:?}");
        };
        check("cpu  100 5 20 1000 30 1 2 3 50 4\ncpu0 9 9 9 9\n", Some((1030, 1161)));
        check("cpu 1 2 3 4\n", Some((4, 10)));
        check("cpu 1 2 3\n", None);
        check("cpu0 1 2 3 4 5 6 7 8\n", None);
        check("cpu 1 2 3 x 5\n", None);
        check("cpu 1 2 3 -4 5\n", None);
        check("cpu 99999999999999999999 2 3 4\n", None);
        check("", None);
        let huge = cpu(format!("cpu {0} {0} {0} {0} {0}", u64::MAX).as_bytes()).unwrap();
        assert_eq!((huge.idle_ns, huge.total_ns), (u64::MAX, u64::MAX));
    }

    #[test]
    fn the_load_is_the_first_word() {
        let check = |text: &str, expected: Option<f64>| assert_eq!(load(text.as_bytes()), expected, "{text:?}");
        check("0.25 1.00 2.00 3/812 4711\n", Some(0.25));
        check("12.00", Some(12.0));
        for wrong in ["", "\n", "x 1", "nan 1 1", "inf 1 1", "-1 1 1", "\u{fffd}"] {
            check(wrong, None);
        }
    }

    #[test]
    fn memory_is_in_bytes() {
        let text =
            "MemTotal:        2048 kB\nMemFree:  1 kB\nMemAvailable:    512 kB\nSwapTotal: 8 kB\nSwapFree: 4 kB\n";
        let expected = HostMemory { total: 2 << 20, available: 512 << 10, swap_total: 8 << 10, swap_free: 4 << 10 };
        assert_eq!(memory(text.as_bytes()), Some(expected));
        let no_swap = HostMemory { swap_total: 0, swap_free: 0, ..expected };
        assert_eq!(memory(text.lines().take(3).collect::<Vec<_>>().join("\n").as_bytes()), Some(no_swap));
        for wrong in
            ["", "MemTotal: 5 kB\n", "MemTotal: 5 kB\nMemAvailable: 3\n", "MemTotal: 5 MB\nMemAvailable: 3 kB\n"]
        {
            assert_eq!(memory(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    #[test]
    fn pressure_is_the_total_of_some() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(pressure(text.as_bytes()), expected, "{text:?}");
        let some = "some avg10=0.00 avg60=0.12 avg300=0.00 total=157622151\n";
        check(&format!("{some}full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n"), Some(157_622_151));
        check("full avg10=0.00 avg60=0.00 avg300=0.00 total=9\n", None);
        check("some avg10=0.00\n", None);
        check("some total=-1\n", None);
        check("", None);
    }

    #[test]
    fn interfaces_whatever_their_names_are() {
        let text = b"Inter-|   Receive                                                |  Transmit\n \
            face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n    \
            lo: 10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n  \
            e\xff: 30 1 0 0 0 0 0 0 40 1 0 0 0 0 0 0\n\
            eth0:18446744073709551615 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n\
            : 1 1 0 0 0 0 0 0 2\n short: 1 2 3\n  odd: x 1 0 0 0 0 0 0 20\n cut: 5 1 0 0";
        let found: Vec<_> = interfaces(text).collect();
        assert_eq!(found, [(&b"lo"[..], 10, 20), (b"e\xff", 30, 40), (b"eth0", u64::MAX, 7)]);
    }

    #[test]
    fn mounts_with_optional_fields_and_escapes() {
        let text =
            b"36 35 98:0 /mnt1 /mnt\\0402\\134x rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue\n\
            22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            23 1 0:5 / /a\\9\\777\\ rw - tmpfs tmpfs rw\n\
            24 1 0:6 / relative rw - tmpfs tmpfs rw\n\
            25 1 0:6 / /no-dash rw tmpfs tmpfs rw\n26 1 0:6 / /cut rw -\n27 1";
        let found: Vec<_> = mounts(text).collect();
        let line = |device, path: &[u8], kind| MountLine { device, path: path.to_vec(), kind };
        let expected = [
            line(&b"98:0"[..], b"/mnt 2\\x", &b"ext3"[..]),
            line(b"8:1", b"/", b"ext4"),
            line(b"0:5", b"/a\\9\\777\\", b"tmpfs"),
        ];
        assert_eq!(found, expected);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = (cpu(&text), load(&text), memory(&text), pressure(&text));
            let _ = interfaces(&text).count();
            for mount in mounts(&text) {
                prop_assert!(mount.path.starts_with(b"/"));
            }
        }

        #[test]
        fn any_mount_point_survives_the_kernel_s_escapes(path in "/[ -~\t\n]{0,20}") {
            let mut escaped = String::new();
            for byte in path.bytes() {
                match byte {
                    b' ' | b'\t' | b'\n' | b'\\' => write!(escaped, "\\{byte:03o}").unwrap(),
                    _ => escaped.push(char::from(byte)),
                }
            }
            let text = format!("1 0 8:1 / {escaped} rw - ext4 /dev/sda1 rw\n");
            let found: Vec<_> = mounts(text.as_bytes()).map(|mount| mount.path).collect();
            prop_assert_eq!(found, vec![path.into_bytes()]);
        }
    }
}
