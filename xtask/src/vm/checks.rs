//! What is checked on each kernel: end-to-end tests by name, so that each is written once.
//!
//! A check is one row of the table. Every test of every row must have run and passed: one that is not in the binaries any
//! more, that the machine did not come to, or that took too long, is a failure like one that failed. Software emulation
//! makes everything ten to twenty times slower, so the tests chosen are those whose point is what the kernel does, one for
//! each thing that it does, and whose work is small.

/// Test binary (a file of tests/tests) and test.
pub(crate) type Test = (&'static str, &'static str);

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// What holds when its tests pass.
    pub(crate) what: &'static str,
    /// In a sentence or two: what is looked at, and what of the kernel it stands on.
    pub(crate) means: &'static str,
    /// The first is the one that says most for its time.
    tests: &'static [Test],
}

/// How much of each row is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// The first test of each: what `cargo xtask test` has time for.
    First,
    /// Every test.
    All,
    /// Every test but the one that suspends the machine.
    Awake,
}

impl Check {
    /// Its tests.
    pub(crate) fn tests(&self, extent: Extent) -> &'static [Test] {
        match extent {
            Extent::First => self.tests.get(..1).unwrap_or_default(),
            Extent::All => self.tests,
            Extent::Awake => self.tests.strip_suffix(&[SLEEP]).unwrap_or(self.tests),
        }
    }
}

/// The tests of all rows.
pub(crate) fn tests(extent: Extent) -> impl Iterator<Item = Test> {
    CHECKS.iter().flat_map(move |check| check.tests(extent).iter().copied())
}

/// The test that prints lines of `verifier NAME COUNT`.
pub(crate) const VERIFIER: Test = ("verifier", "each_program_is_far_from_what_the_verifier_can_bear");

/// The test that suspends the machine; in its row the last.
const SLEEP: Test = ("clock", "a_machine_that_slept_has_no_alarm_for_it");

/// All rows. A later feature of the kernel side adds its own.
pub(crate) const CHECKS: [Check; 13] = [
    Check {
        what: "programs load, doctor agrees",
        means: "The kernel's verifier takes every program, and far below its limits; `procprobe doctor` finds nothing in the \
                way and proves it by attaching them.",
        tests: &[VERIFIER, ("lifecycle", "the_doctor_finds_nothing_in_the_way")],
    },
    Check {
        what: "starts and exits with all fields",
        means: "Path, arguments and their true length, threads, exit codes and signals by name, also where another thread \
                than the first executes a program.",
        tests: &[
            ("programs", "an_exec_by_another_thread_keeps_the_process"),
            ("endings", "exit_codes_are_told"),
            ("endings", "signals_are_told_by_name"),
            ("programs", "threads_are_one_process_and_are_counted"),
            ("programs", "a_program_started_by_a_relative_path_is_told_by_its_absolute_one"),
            ("programs", "arguments_of_100_kib_are_counted_and_cut"),
        ],
    },
    Check {
        what: "a pid that comes again",
        means: "The kernel hands out a number twice, and the two processes are never taken for one.",
        tests: &[("identity", "a_pid_that_comes_again_is_another_process")],
    },
    Check {
        what: "exact CPU accounts",
        means: "CPU time that exits tell is what the scheduler charged, over many short processes and over threads that \
                reaped themselves.",
        tests: &[
            ("cpu", "cpu_time_of_all_threads_is_in_the_account"),
            ("cpu", "cpu_time_of_short_processes_is_exact"),
            ("sampling", "an_account_whose_threads_found_no_room_says_so"),
        ],
    },
    Check {
        what: "killer, OOM",
        means: "Who sent the signal that ended a process, and that it was the kernel for want of memory.",
        tests: &[
            ("endings", "what_the_oom_killer_ends_is_told_as_that"),
            ("endings", "the_alarm_of_a_killed_process_names_signal_and_killer"),
        ],
    },
    Check {
        what: "sampler against /proc",
        means: "What the task iterator says of usage is what /proc says, and nobody who woke up meanwhile is missed.",
        tests: &[
            ("sampling", "one_busy_thread_among_many_is_seen"),
            ("sampling", "one_that_wakes_for_a_moment_is_seen"),
            ("sampling", "a_child_that_was_forked_meanwhile_is_found"),
        ],
    },
    Check {
        what: "ring overflow and mending",
        means: "A full ring loses starts before the ends of watched processes, and what is lost is counted to the record. A \
                daemon that lost records says how many, mends its table by the iterator, and raises no false alarm.",
        tests: &[
            ("overload", "starts_are_lost_before_the_ends_of_watched_processes"),
            ("storm", "a_ring_that_overflows_is_told_mended_and_raises_no_false_alarm"),
        ],
    },
    Check {
        what: "restart from pins",
        means: "Programs and maps outlive the daemon. Killed once or many times, it tells each start and each exit once, \
                counts what a full ring has lost, and `procprobe unload` leaves nothing.",
        tests: &[
            ("restart", "what_ended_while_nobody_looked_is_told_by_name"),
            ("restart", "starts_and_ends_are_told_once_over_twenty_deaths"),
            ("restart", "a_daemon_that_stays_dead_costs_a_full_ring_and_the_next_one_counts"),
            ("pins", "unload_removes_everything_but_not_under_a_daemon"),
        ],
    },
    Check {
        what: "an upgrade attaches first",
        means: "Another version attaches its programs beside those of the last, reads what those have left, and nothing is \
                told twice or not at all.",
        tests: &[("restart", "another_version_takes_over_what_the_last_one_left")],
    },
    Check {
        what: "capabilities are dropped",
        means: "What a policy runs has nothing of the daemon's rights; without the rights to load programs it refuses to \
                start.",
        tests: &[
            ("actions", "a_program_runs_as_its_user_with_nothing_of_the_daemons"),
            ("lifecycle", "without_capabilities_it_is_refused_with_77"),
        ],
    },
    Check {
        what: "a policy fires and resolves",
        means: "From a process that the kernel told of to an alarm, and back.",
        tests: &[("programs", "children_of_a_member_belong_when_the_policy_says_so")],
    },
    Check {
        what: "what a kernel lacks is refused",
        means: "Where pressure figures are missing `procprobe doctor` says so, and a policy that needs them is refused with \
                file, line and column.",
        tests: &[("host", "what_needs_pressure_figures_is_refused_at_its_place_where_the_kernel_has_none")],
    },
    // The last: a machine that slept is switched off badly by some kernels.
    Check {
        what: "a clock that is set, a sleep",
        means: "The wall clock is set forward and back by hours, days and a year: no alarm comes or goes by that, what lasts \
                goes on, all is told with the times of the new clock, and jobs are due by it. The machine is suspended: \
                the time that it sleeps counts for no bound, and who was there before began when it did.",
        tests: &[("clock", "a_clock_that_is_set_fires_nothing_hides_nothing_and_is_told_by"), SLEEP],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_first_test_and_none_is_named_twice() {
        assert_eq!(tests(Extent::First).count(), CHECKS.len());
        let mut all: Vec<Test> = tests(Extent::All).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
        assert_eq!(tests(Extent::Awake).count(), count - 1);
        assert!(!tests(Extent::Awake).any(|test| test == SLEEP));
        assert_eq!(tests(Extent::First).next(), Some(VERIFIER), "what it prints goes into the table");
    }
}
