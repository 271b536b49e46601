//! Words for people: values with their units, and the sentence of an alarm.

use std::time::Duration;

use crate::policy::spec::{Measure, Side};

/// A value that no decimal tells from its limit is told exactly.
const DECIMALS_MAX: usize = 6;

/// `1 process, minimum 2`; a counted measure says its window too: `6 starts within 1m, maximum 5`.
pub(super) fn breach(measure: Measure, side: Side, value: f64, limit: f64, within: Duration) -> String {
    let end = end(side);
    let (shown, bound) = apart(value, limit, |value, decimals| amount(measure, value, decimals));
    let shown = match measure {
        Measure::Count => counted(&shown, value, "process", "processes"),
        Measure::Threads => counted(&shown, value, "thread", "threads"),
        Measure::Cpu => format!("{shown} of CPU"),
        Measure::CpuWait => format!("{shown} waiting for a CPU"),
        Measure::Memory => format!("{shown} of memory"),
        Measure::Read => format!("{shown} read"),
        Measure::Write => format!("{shown} written"),
        Measure::Starts => counted(&shown, value, "start", "starts"),
        Measure::Exits => counted(&shown, value, "exit", "exits"),
        Measure::Failures => counted(&shown, value, "failure", "failures"),
        Measure::OomKills => counted(&shown, value, "OOM kill", "OOM kills"),
        Measure::Age => format!("{shown} old"),
        Measure::Runs => counted(&shown, value, "run", "runs"),
        Measure::Duration => format!("runs for {shown}"),
        Measure::Lines => counted(&shown, value, "line", "lines"),
        // Of the host: [`HostWords`] says it.
        _ => shown,
    };
    if measure.is_windowed() {
        format!("{shown} within {}, {end} {bound}", span(within))
    } else {
        format!("{shown}, {end} {bound}")
    }
}

/// What is said of a measure of the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct HostWords<'a> {
    measure: Measure,
    /// Values are shares of a total.
    share: bool,
    /// Mount point or interface, fit to print.
    thing: Option<&'a str>,
}

/// The words for a measure of the host.
pub(super) const fn of_host(measure: Measure, share: bool, thing: Option<&str>) -> HostWords<'_> {
    HostWords { measure, share, thing }
}

impl HostWords<'_> {
    /// `4% of disk free on /data, minimum 10%`.
    pub(super) fn breach(self, side: Side, value: f64, limit: f64) -> String {
        let (shown, bound) = apart(value, limit, |value, decimals| self.amount(value, decimals));
        let on = self.thing.map(|thing| format!(" on {thing}")).unwrap_or_default();
        let said = match self.measure {
            Measure::HostCpu => format!("{shown} of CPU used"),
            Measure::Load => format!("load {shown}"),
            Measure::MemoryAvailable => format!("{shown} of memory available"),
            Measure::SwapUsed => format!("{shown} of swap used"),
            Measure::DiskFree => format!("{shown} of disk free{on}"),
            Measure::InodesFree if self.share => format!("{shown} of inodes free{on}"),
            Measure::InodesFree => format!("{} free{on}", counted(&shown, value, "inode", "inodes")),
            Measure::Processes => counted(&shown, value, "process", "processes"),
            Measure::PressureCpu => format!("{shown} of the time some task waited for a CPU"),
            Measure::PressureMemory => format!("{shown} of the time some task waited for memory"),
            Measure::PressureIo => format!("{shown} of the time some task waited for storage"),
            Measure::NetworkReceive => format!("{shown} received{on}"),
            Measure::NetworkTransmit => format!("{shown} sent{on}"),
            // Not of the host.
            _ => shown,
        };
        format!("{said}, {} {bound}", end(side))
    }

    fn amount(self, value: f64, decimals: usize) -> String {
        if self.share { format!("{}%", number(value * 100.0, decimals)) } else { amount(self.measure, value, decimals) }
    }
}

/// What is said of a measure of peers.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerWords {
    measure: Measure,
    /// Values are shares of the set.
    share: bool,
}

/// The words for a measure of peers.
pub(super) const fn of_peers(measure: Measure, share: bool) -> PeerWords {
    PeerWords { measure, share }
}

impl PeerWords {
    /// `60% of the hosts alive, minimum 80%`.
    pub(super) fn breach(self, side: Side, value: f64, limit: f64) -> String {
        let shown = |value: f64, decimals| {
            if self.share { format!("{}%", number(value * 100.0, decimals)) } else { number(value, decimals) }
        };
        let (shown, bound) = apart(value, limit, shown);
        let counted =
            if self.share { format!("{shown} of the hosts") } else { counted(&shown, value, "host", "hosts") };
        let said = match self.measure {
            Measure::Alive => format!("{counted} alive"),
            Measure::AgentsDown => format!("{counted} without an answer of procprobe"),
            _ => format!("{counted} down"),
        };
        format!("{said}, {} {bound}", end(side))
    }
}

const fn end(side: Side) -> &'static str {
    match side {
        Side::Min => "minimum",
        Side::Max => "maximum",
    }
}

fn counted(shown: &str, value: f64, one: &str, many: &str) -> String {
    #[expect(clippy::float_cmp, reason = "counts are whole numbers, which floats hold exactly")]
    let is_one = value == 1.0;
    format!("{shown} {}", if is_one { one } else { many })
}

/// Value and limit with as many decimals as it takes to tell them apart.
fn apart(value: f64, limit: f64, amount: impl Fn(f64, usize) -> String) -> (String, String) {
    let mut shown = (amount(value, 2), amount(limit, 2));
    for decimals in 3..=DECIMALS_MAX {
        if shown.0 != shown.1 {
            break;
        }
        shown = (amount(value, decimals), amount(limit, decimals));
    }
    shown
}

/// A value in the measure's unit.
pub(crate) fn amount(measure: Measure, value: f64, decimals: usize) -> String {
    match measure {
        Measure::Cpu | Measure::CpuWait => {
            let shown = number(value, decimals);
            let unit = if shown == "1" { "core" } else { "cores" };
            format!("{shown} {unit}")
        }
        Measure::Memory | Measure::MemoryAvailable | Measure::SwapUsed | Measure::DiskFree => bytes(value, decimals),
        Measure::Read | Measure::Write | Measure::NetworkReceive | Measure::NetworkTransmit => {
            format!("{}/s", bytes(value, decimals))
        }
        Measure::Age | Measure::Duration => span(Duration::try_from_secs_f64(value.max(0.0)).unwrap_or(Duration::MAX)),
        Measure::Count
        | Measure::Threads
        | Measure::Starts
        | Measure::Exits
        | Measure::Failures
        | Measure::OomKills
        | Measure::Runs
        | Measure::Lines
        | Measure::Load
        | Measure::InodesFree
        | Measure::Processes
        | Measure::Alive
        | Measure::Down
        | Measure::AgentsDown
        // Always shares.
        | Measure::HostCpu
        | Measure::PressureCpu
        | Measure::PressureMemory
        | Measure::PressureIo => number(value, decimals),
    }
}

/// At most so many decimals, none that are zero.
fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    if !text.contains('.') {
        return text;
    }
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// `1.5 GiB`.
fn bytes(value: f64, decimals: usize) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scaled = value;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if scaled.abs() < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = larger;
    }
    format!("{} {unit}", number(scaled, decimals))
}

/// The body of an alarm's end after `lasted`. `reason` is there when it is not that the value is healthy again.
pub(super) fn ending(subject: &str, breach: &str, lasted: Duration, reason: Option<&str>) -> String {
    let lasted = span(lasted);
    match reason {
        None => format!("{breach}; healthy again after {lasted}"),
        Some(reason) => format!("{subject}; over after {lasted}: {reason}"),
    }
}

/// `2d 3h`, `1h 30m`, `1m 5s`, `3.2s`, `12ms`, `80us`: the two largest units that say something.
pub(crate) fn span(duration: Duration) -> String {
    let secs = duration.as_secs();
    if secs == 0 {
        return match (duration.as_millis(), duration.as_micros()) {
            (0, 0) => "0s".to_owned(),
            (0, micros) => format!("{micros}us"),
            (millis, _) => format!("{millis}ms"),
        };
    }
    if secs < 60 {
        // Cut, not rounded: 59.99 s must not read as 60s.
        let tenths = duration.as_millis() / 100 % 10;
        return if tenths == 0 { format!("{secs}s") } else { format!("{secs}.{tenths}s") };
    }
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let mut left = secs;
    let mut parts: Vec<String> = Vec::new();
    for (unit, length) in units {
        let amount = left / length;
        left %= length;
        if amount > 0 {
            parts.push(format!("{amount}{unit}"));
        } else if !parts.is_empty() {
            break;
        }
        if parts.len() == 2 {
            break;
        }
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: f64 = 1024.0 * 1024.0 * 1024.0;

    #[track_caller]
    fn check(measure: Measure, side: Side, value: f64, limit: f64, expected: &str) {
        assert_eq!(breach(measure, side, value, limit, Duration::from_mins(1)), expected);
    }

    #[test]
    fn each_measure_has_its_words_and_units() {
        check(Measure::Count, Side::Min, 1.0, 2.0, "1 process, minimum 2");
        check(Measure::Count, Side::Min, 0.0, 1.0, "0 processes, minimum 1");
        check(Measure::Threads, Side::Max, 401.0, 400.0, "401 threads, maximum 400");
        check(Measure::Cpu, Side::Max, 1.8437, 1.5, "1.84 cores of CPU, maximum 1.5 cores");
        check(Measure::Cpu, Side::Min, 0.0, 1.0, "0 cores of CPU, minimum 1 core");
        check(Measure::CpuWait, Side::Max, 0.5, 0.2, "0.5 cores waiting for a CPU, maximum 0.2 cores");
        check(Measure::Memory, Side::Max, 2.1 * GIB, 2.0 * GIB, "2.1 GiB of memory, maximum 2 GiB");
        check(Measure::Read, Side::Max, 12e6, 10.0 * 1024.0 * 1024.0, "11.44 MiB/s read, maximum 10 MiB/s");
        check(Measure::Write, Side::Min, 0.0, 512.0, "0 B/s written, minimum 512 B/s");
        check(Measure::Starts, Side::Max, 6.0, 5.0, "6 starts within 1m, maximum 5");
        check(Measure::Exits, Side::Max, 1.0, 0.0, "1 exit within 1m, maximum 0");
        check(Measure::Failures, Side::Max, 3.0, 0.0, "3 failures within 1m, maximum 0");
        check(Measure::OomKills, Side::Max, 1.0, 0.0, "1 OOM kill within 1m, maximum 0");
        check(Measure::Age, Side::Max, 7380.0, 7200.0, "2h 3m old, maximum 2h");
    }

    #[test]
    fn the_host_has_its_own_words() {
        #[track_caller]
        fn check(measure: Measure, share: bool, thing: Option<&str>, values: (f64, f64), expected: &str) {
            let side = if expected.contains("minimum") { Side::Min } else { Side::Max };
            assert_eq!(of_host(measure, share, thing).breach(side, values.0, values.1), expected);
        }
        let (disk, card) = (Some("/data"), Some("eth0"));
        check(Measure::HostCpu, true, None, (0.954, 0.9), "95.4% of CPU used, maximum 90%");
        check(Measure::Load, false, None, (8.25, 8.0), "load 8.25, maximum 8");
        check(Measure::MemoryAvailable, true, None, (0.04, 0.1), "4% of memory available, minimum 10%");
        check(Measure::MemoryAvailable, false, None, (0.5 * GIB, GIB), "512 MiB of memory available, minimum 1 GiB");
        check(Measure::SwapUsed, true, None, (0.51, 0.5), "51% of swap used, maximum 50%");
        check(Measure::DiskFree, true, disk, (0.04, 0.1), "4% of disk free on /data, minimum 10%");
        check(Measure::DiskFree, false, disk, (GIB, 5.0 * GIB), "1 GiB of disk free on /data, minimum 5 GiB");
        check(Measure::InodesFree, true, disk, (0.09996, 0.1), "9.996% of inodes free on /data, minimum 10%");
        check(Measure::InodesFree, false, disk, (1.0, 10.0), "1 inode free on /data, minimum 10");
        check(Measure::Processes, false, None, (501.0, 500.0), "501 processes, maximum 500");
        check(Measure::PressureCpu, true, None, (0.3, 0.2), "30% of the time some task waited for a CPU, maximum 20%");
        check(
            Measure::PressureMemory,
            true,
            None,
            (0.3, 0.2),
            "30% of the time some task waited for memory, maximum 20%",
        );
        check(Measure::PressureIo, true, None, (0.3, 0.2), "30% of the time some task waited for storage, maximum 20%");
        check(Measure::NetworkReceive, false, card, (2048.0, 1024.0), "2 KiB/s received on eth0, maximum 1 KiB/s");
        check(Measure::NetworkTransmit, false, card, (0.0, 1.0), "0 B/s sent on eth0, minimum 1 B/s");
    }

    #[test]
    fn peers_have_their_own_words() {
        #[track_caller]
        fn check(measure: Measure, share: bool, values: (f64, f64), expected: &str) {
            let side = if expected.contains("minimum") { Side::Min } else { Side::Max };
            assert_eq!(of_peers(measure, share).breach(side, values.0, values.1), expected);
        }
        check(Measure::Alive, true, (2.0 / 3.0, 0.8), "66.67% of the hosts alive, minimum 80%");
        check(Measure::Alive, false, (1.0, 2.0), "1 host alive, minimum 2");
        check(Measure::Down, false, (2.0, 0.0), "2 hosts down, maximum 0");
        check(Measure::AgentsDown, false, (1.0, 0.0), "1 host without an answer of procprobe, maximum 0");
    }

    #[test]
    fn a_value_never_reads_like_the_limit_it_breaks() {
        check(Measure::Cpu, Side::Max, 1.5004, 1.5, "1.5004 cores of CPU, maximum 1.5 cores");
        check(Measure::Memory, Side::Max, 2.0 * GIB + 4096.0, 2.0 * GIB, "2.000004 GiB of memory, maximum 2 GiB");
    }

    #[test]
    fn spans_say_their_two_largest_units() {
        let cases = [
            (Duration::ZERO, "0s"),
            (Duration::from_micros(80), "80us"),
            (Duration::from_millis(12), "12ms"),
            (Duration::from_millis(3_250), "3.2s"),
            (Duration::from_secs(59), "59s"),
            (Duration::from_mins(1), "1m"),
            (Duration::from_secs(65), "1m 5s"),
            (Duration::from_mins(90), "1h 30m"),
            (Duration::from_secs(3_605), "1h"),
            (Duration::from_hours(51), "2d 3h"),
        ];
        for (duration, expected) in cases {
            assert_eq!(span(duration), expected);
        }
    }
}
