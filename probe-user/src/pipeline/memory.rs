//! Keeps the heap small, and gives memory back after the start and after a storm of processes.
//!
//! Reading policies, the kernel's type information and the kernel object takes code and heap that are not needed again. The
//! C library keeps freed heap for the next such need, and the pages of code that ran once stay counted as the daemon's.
//! Both are returned here; a page that is needed after all comes back by a minor fault. What fails is left as it is.
//!
//! The start is a storm of its own: the first scan and the first samples run code that is seldom needed again, after the
//! other threads were started. Mappings are therefore looked up once, before that: those of the executable and its
//! libraries stay where they are for as long as the process lives.

use std::collections::BTreeSet;
use std::ffi::c_void;
use std::time::Duration;

use rustix::mm::{Advice, madvise};

use crate::time::KTime;

/// Makes the C library's heap one that stays small. To be called before anything else of the daemon.
///
/// By itself it would give each thread a heap of its own, none of which gives back what another thread frees, and it would
/// keep ever larger blocks that were free once instead of returning them at once.
pub fn arrange() {
    #[cfg(target_env = "gnu")]
    for (option, value) in
        [(libc::M_ARENA_MAX, ARENAS), (libc::M_MMAP_THRESHOLD, LARGE_BYTES), (libc::M_TRIM_THRESHOLD, KEPT_BYTES)]
    {
        #[expect(unsafe_code, reason = "there is no safe way to call the C library's mallopt")]
        // SAFETY: mallopt has no preconditions; what it does not understand it leaves as it is.
        unsafe {
            libc::mallopt(option, value);
        }
    }
}

/// Heaps of the C library: one for the daemon's own task, one for all threads beside it.
#[cfg(target_env = "gnu")]
const ARENAS: libc::c_int = 2;

/// Blocks from this size on are mappings of their own, and returned when they are freed.
#[cfg(target_env = "gnu")]
const LARGE_BYTES: libc::c_int = 128 << 10;

/// So much at the end of a heap may be free.
#[cfg(target_env = "gnu")]
const KEPT_BYTES: libc::c_int = 512 << 10;

/// Returns what the start left behind. To be called before other threads start, for it walks the mappings.
pub(super) fn trim() -> Storm {
    return_heap();
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
    let clean = clean_file_mappings(&smaps);
    for (range, _) in &clean {
        return_pages(*range);
    }
    Storm { records: STORM, ..Storm::new(of_code(&smaps, clean)) }
}

/// Records that a storm has at least. Walking the heap takes less than reading a hundred of them.
const STORM: usize = 10_000;

/// A look that finds no more records than this finds it quiet.
const QUIET: usize = 16;

/// Some hosts always have something to tell: a storm is over as well when a second brings so many times less than its
/// worst one did.
const CALMER: usize = 16;
const SECOND: Duration = Duration::from_secs(1);

/// What a storm leads to is over so long after it: the host has been looked at, and events are on disk.
const SETTLED: Duration = Duration::from_secs(3);

/// Storms take breath. More records than this in the meantime, and it was no end: what they take is given back too when it
/// comes, however many less than a storm has they are.
const AFTERMATH: usize = 1_000;

/// Gives memory back when a storm is over: what it held for a moment lies between what stays. Before that, whoever holds more
/// than it needs by now is called to let go of it, as `shrink`.
#[derive(Debug)]
pub(super) struct Storm {
    /// Since memory was given back the last time.
    records: usize,
    /// When the present second began, what it brought so far, and what the worst one brought since then.
    second: KTime,
    of_second: usize,
    worst: usize,
    /// The end of the last storm, until what followed it is given back as well.
    over: Option<Over>,
    /// Where the code of executable and libraries lies.
    code: Vec<Range>,
}

/// A storm that seems to be over.
#[derive(Clone, Copy, Debug)]
struct Over {
    /// Since when, and what was counted by then.
    since: KTime,
    counted: usize,
    /// It seemed so before, and went on.
    again: bool,
}

impl Storm {
    const fn new(code: Vec<Range>) -> Self {
        Self { records: 0, second: KTime(0), of_second: 0, worst: 0, over: None, code }
    }

    /// A wake-up by the kernel side brought so many records: however few, others may be on their way. True when memory was
    /// given back.
    pub(super) fn woken(&mut self, now: KTime, records: usize, shrink: impl FnOnce()) -> bool {
        self.records = self.records.saturating_add(records);
        self.of_second = self.of_second.saturating_add(records);
        let passed = now.since(self.second);
        if passed < SECOND {
            return false;
        }
        let millis = usize::try_from(passed.as_millis()).unwrap_or(usize::MAX).max(1);
        let rate = self.of_second.saturating_mul(1_000) / millis;
        let is_calm = rate.saturating_mul(CALMER) <= self.worst;
        self.worst = self.worst.max(rate);
        (self.second, self.of_second) = (now, 0);
        self.judge(now, is_calm, shrink)
    }

    /// A look at the ring by itself found so many records: nobody was woken for them. True likewise.
    pub(super) fn drained(&mut self, now: KTime, records: usize, mut shrink: impl FnMut()) -> bool {
        self.woken(now, records, &mut shrink) || self.judge(now, records <= QUIET, shrink)
    }

    /// When `settled` has something to do.
    pub(super) fn next_look(&self) -> Option<KTime> {
        self.over.map(|over| over.since.after(SETTLED))
    }

    /// To be called then: what followed a storm is given back as well, and once more when it went on and ended after all.
    /// True likewise.
    pub(super) fn settled(&mut self, now: KTime, shrink: impl FnOnce()) -> bool {
        let is_due = self.next_look().is_some_and(|at| at <= now);
        let Some(over) = self.over.filter(|_| is_due) else { return false };
        let went_on = self.records.saturating_sub(over.counted) > AFTERMATH;
        self.over = went_on.then_some(Over { since: now, counted: self.records, again: true });
        let is_given = !(went_on && over.again);
        if is_given {
            shrink();
            return_heap();
        }
        is_given
    }

    fn judge(&mut self, now: KTime, is_calm: bool, shrink: impl FnOnce()) -> bool {
        let is_over = is_calm && self.records >= STORM;
        if is_over {
            (self.records, self.worst) = (0, 0);
            self.over = Some(Over { since: now, counted: 0, again: false });
            shrink();
            return_heap();
            self.code.iter().copied().for_each(return_pages);
        }
        is_over
    }
}

fn return_heap() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "there is no safe way to call the C library's malloc_trim")]
    // SAFETY: malloc_trim has no preconditions; it only returns pages that hold no live allocation.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// A range of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    start: usize,
    end: usize,
}

fn return_pages(range: Range) {
    #[expect(unsafe_code, reason = "there is no safe way to give advice on mapped memory")]
    // SAFETY: the range is a read-only private mapping of a file, none of whose pages was ever written: what is dropped is
    // read from the same file again. A failure leaves it as it was.
    let _ = unsafe {
        madvise(std::ptr::without_provenance_mut::<c_void>(range.start), range.end - range.start, Advice::LinuxDontNeed)
    };
}

/// The read-only private mappings of files in /proc/PID/smaps without a page of their own (relocated tables have some).
fn clean_file_mappings(smaps: &str) -> Vec<(Range, &str)> {
    let mut clean = Vec::new();
    let mut present = None;
    for line in smaps.lines() {
        if let Some(Mapping { range, permissions, path }) = header(line) {
            let may_go = matches!(permissions, "r--p" | "r-xp") && path.starts_with('/') && range.start < range.end;
            present = may_go.then_some((range, path));
        } else if line.starts_with("Anonymous:") && line.ends_with(" 0 kB") {
            clean.extend(present.take());
        }
    }
    clean
}

/// Those of files that are mapped to be executed: nobody unmaps them, so that no other mapping can take their place.
fn of_code(smaps: &str, clean: Vec<(Range, &str)>) -> Vec<Range> {
    let executed: BTreeSet<&str> =
        smaps.lines().filter_map(header).filter(|mapping| mapping.permissions == "r-xp").map(|m| m.path).collect();
    clean.into_iter().filter(|(_, path)| executed.contains(path)).map(|(range, _)| range).collect()
}

/// One mapping as its first line describes it.
struct Mapping<'a> {
    range: Range,
    permissions: &'a str,
    path: &'a str,
}

/// The mapping that a header line begins; `None` for other lines.
fn header(line: &str) -> Option<Mapping<'_>> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let range = Range { start: usize::from_str_radix(start, 16).ok()?, end: usize::from_str_radix(end, 16).ok()? };
    let permissions = words.next()?;
    let path = words.nth(3).unwrap_or_default();
    Some(Mapping { range, permissions, path })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clean_read_only_files_are_given_back() {
        let smaps = "\
1000-3000 r--p 00000000 fe:00 1 /bin/x
Rss:                   8 kB
Anonymous:             0 kB
3000-5000 r-xp 00002000 fe:00 1 /bin/x
Anonymous:             0 kB
5000-6000 r--p 00004000 fe:00 1 /bin/x
Anonymous:             4 kB
6000-7000 rw-p 00005000 fe:00 1 /bin/x
Anonymous:             0 kB
7000-8000 rw-p 00000000 00:00 0 [heap]
Anonymous:             0 kB
8000-9000 r-xp 00000000 00:00 0 [vdso]
Anonymous:             0 kB
9000-a000 r--s 00000000 00:00 9 anon_inode:bpf-map
Anonymous:             0 kB
a000-b000 r--p 00000000 fe:00 2 /etc/table
Anonymous:             0 kB
nonsense
";
        let range = |start, end| Range { start, end };
        let clean = clean_file_mappings(smaps);
        let ranges: Vec<Range> = clean.iter().map(|(range, _)| *range).collect();
        let code = [range(0x1000, 0x3000), range(0x3000, 0x5000)];
        assert_eq!(ranges, [&code[..], &[range(0xa000, 0xb000)]].concat());
        assert_eq!(of_code(smaps, clean), code);
    }

    #[test]
    fn memory_is_given_back_once_after_each_storm() {
        let mut storm = Storm { records: STORM, ..Storm::new(Vec::new()) };
        // All within one second.
        let now = KTime(1);
        let check = |storm: &mut Storm, records: usize, expected: bool| {
            assert_eq!(storm.drained(now, records, || ()), expected, "{records}");
        };
        check(&mut storm, QUIET + 1, false);
        check(&mut storm, 0, true);
        check(&mut storm, 0, false);
        check(&mut storm, STORM - 1, false);
        check(&mut storm, 0, false);
        check(&mut storm, QUIET + 1, false);
        check(&mut storm, QUIET, true);
        assert!(!storm.woken(now, STORM, || ()));
        assert!(storm.drained(now, 0, || ()));
        check(&mut storm, 0, false);
        check(&mut storm, STORM, false);
        check(&mut storm, 0, true);
    }

    #[test]
    fn a_host_that_is_never_quiet_has_its_memory_back_when_it_is_calmer() {
        /// Records of each quarter of a second, and whether memory is given back in the last.
        fn check(storm: &mut Storm, now: &mut KTime, quarters: usize, records: usize, expected: &[usize]) {
            let mut given = Vec::new();
            for quarter in 0..quarters {
                *now = now.after(Duration::from_millis(250));
                if storm.woken(*now, records, || ()) {
                    given.push(quarter);
                }
            }
            assert_eq!(given, expected, "{quarters} with {records}");
        }
        let (mut storm, mut now) = (Storm::new(Vec::new()), KTime::from_secs(100));
        let mut check =
            |quarters, records, expected: &[usize]| check(&mut storm, &mut now, quarters, records, expected);
        // Always so busy: there is nothing to give back but what it needs again.
        check(4_000, 100, &[]);
        // A storm, and again as before: once, within two seconds.
        check(40, 4_000, &[]);
        check(400, 100, &[4]);
        // Not while the storm only slackens.
        check(40, 4_000, &[]);
        check(40, 1_000, &[]);
        check(40, 0, &[4]);
        // Nor for so few records.
        check(8, 1_000, &[]);
        check(40, 0, &[]);
    }

    #[test]
    fn what_follows_a_storm_is_given_back_once_more() {
        let mut storm = Storm::new(Vec::new());
        let seconds = KTime::from_secs;
        assert!(!storm.settled(seconds(9), || ()), "there was none");
        assert!(storm.drained(seconds(10), STORM, || ()) || storm.drained(seconds(10), 0, || ()));
        assert!(!storm.settled(seconds(12), || ()));
        assert_eq!(storm.next_look(), Some(seconds(13)));
        assert!(storm.settled(seconds(13), || ()));
        assert_eq!((storm.next_look(), storm.settled(seconds(16), || ())), (None, false), "once");
    }

    #[test]
    fn what_a_storm_brings_after_it_took_breath_is_given_back_too() {
        let mut storm = Storm::new(Vec::new());
        let seconds = KTime::from_secs;
        assert!(storm.drained(seconds(10), STORM, || ()) || storm.drained(seconds(10), 0, || ()));
        let mut check = |at: u64, records: usize, expected: bool| {
            storm.woken(seconds(at), records, || ());
            assert_eq!(storm.settled(seconds(at), || ()), expected, "{at}");
        };
        check(12, AFTERMATH + 1, false);
        check(13, 0, true);
        check(15, AFTERMATH + 1, false);
        // It goes on: nothing more until it ends.
        check(16, 0, false);
        check(18, AFTERMATH, false);
        check(19, 0, true);
        check(30, AFTERMATH + 1, false);
    }

    #[test]
    fn this_process_lives_on() {
        assert!(trim().drained(KTime(1), 0, || ()));
        assert_eq!("still here".to_uppercase(), "STILL HERE");
    }
}
