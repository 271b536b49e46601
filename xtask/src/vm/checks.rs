//! What is checked on each kernel: end-to-end tests by name, so that each is written once.
//!
//! A check is one row of the table. Every test of every row must have run and passed: one that is not in the binaries any
//! more, that the machine did not come to, or that took too long, is a failure like one that failed. Software emulation
//! makes everything ten to twenty times slower, so the tests chosen are those whose point is what the kernel does, one for
//! each thing that it does, and whose work is small.

/// One row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// What holds when its tests pass.
    pub(crate) what: &'static str,
    /// Test binary (a file of tests/tests) and test.
    pub(crate) tests: &'static [(&'static str, &'static str)],
}

/// The test that prints lines of `verifier NAME COUNT`.
pub(crate) const VERIFIER: (&str, &str) = ("verifier", "each_program_is_far_from_what_the_verifier_can_bear");

/// All rows. A later feature of the kernel side adds its own.
pub(crate) const CHECKS: [Check; 9] = [
    Check {
        what: "programs load, doctor agrees",
        tests: &[VERIFIER, ("lifecycle", "the_doctor_finds_nothing_in_the_way")],
    },
    Check {
        what: "starts and exits with all fields",
        tests: &[
            ("endings", "exit_codes_are_told"),
            ("endings", "signals_are_told_by_name"),
            ("programs", "threads_are_one_process_and_are_counted"),
            ("programs", "an_exec_by_another_thread_keeps_the_process"),
            ("programs", "a_program_started_by_a_relative_path_is_told_by_its_absolute_one"),
            ("programs", "arguments_of_100_kib_are_counted_and_cut"),
        ],
    },
    Check { what: "a pid that comes again", tests: &[("identity", "a_pid_that_comes_again_is_another_process")] },
    Check {
        what: "exact CPU accounts",
        tests: &[
            ("cpu", "cpu_time_of_short_processes_is_exact"),
            ("cpu", "cpu_time_of_all_threads_is_in_the_account"),
            ("sampling", "an_account_whose_threads_found_no_room_says_so"),
        ],
    },
    Check {
        what: "killer, OOM",
        tests: &[
            ("endings", "the_alarm_of_a_killed_process_names_signal_and_killer"),
            ("endings", "what_the_oom_killer_ends_is_told_as_that"),
        ],
    },
    Check {
        what: "sampler against /proc",
        tests: &[
            ("sampling", "one_that_wakes_for_a_moment_is_seen"),
            ("sampling", "one_busy_thread_among_many_is_seen"),
            ("sampling", "a_child_that_was_forked_meanwhile_is_found"),
        ],
    },
    Check {
        what: "ring overflow and mending",
        tests: &[("storm", "a_ring_that_overflows_is_told_mended_and_raises_no_false_alarm")],
    },
    Check {
        what: "capabilities are dropped",
        tests: &[
            ("actions", "a_program_runs_as_its_user_with_nothing_of_the_daemons"),
            ("lifecycle", "without_capabilities_it_is_refused_with_77"),
        ],
    },
    Check {
        what: "a policy fires and resolves",
        tests: &[("programs", "children_of_a_member_belong_when_the_policy_says_so")],
    },
];
