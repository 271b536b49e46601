mod bounds;

use std::fmt::Write as _;

use super::*;

use crate::diagnostic::Source;
use crate::policy::{HostLabels, parse};

/// What the tests of a file say, without the places.
fn played(text: &str) -> String {
    let source = Source::new("t.yaml", format!("version: 1\n{text}"));
    let loaded = parse(&[source], &HostLabels::default(), &|_| true);
    let loaded = loaded.unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
    let mut story = String::new();
    for trial in &loaded.trials {
        let outcome = run(trial, &loaded.policies);
        if let Some(error) = &outcome.error {
            let _ = writeln!(story, "error: {error}");
        }
        for failure in &outcome.failures {
            let (expected, seen) = (failure.expected.join(" "), failure.seen.join(" "));
            let _ = writeln!(story, "{} {}: [{expected}] [{seen}]", failure.at.as_secs_f64(), failure.what);
        }
    }
    story
}

/// Policies, steps and expectations that hold.
#[track_caller]
fn check(policies: &str, steps: &[&str], expect: &[&str]) {
    check_failures(policies, steps, expect, "");
}

#[track_caller]
fn check_failures(policies: &str, steps: &[&str], expect: &[&str], failures: &str) {
    let list =
        |items: &[&str]| items.iter().fold(String::new(), |all, item| format!("{all}      - {{ at: {item} }}\n"));
    let text = format!("{policies}\ntests:\n  - name: t\n    steps:\n{}    expect:\n{}", list(steps), list(expect));
    assert_eq!(played(&text), failures);
}

const NGINX: &str =
    "groups: { nginx: { match: { exe: /usr/sbin/nginx, user: www-data }, count: { min: 2, for: 10s } } }";
const TWO: [&str; 2] = [
    "0s, start: { pid: 10, exe: /usr/sbin/nginx, user: www-data }",
    "0s, start: { pid: 11, exe: /usr/sbin/nginx, user: www-data }",
];

#[test]
fn the_example_of_the_language() {
    let steps = [TWO[0], TWO[1], "60s, exit: { pid: 11, signal: KILL }"];
    check(NGINX, &steps, &["69s, firing: []", "71s, firing: [nginx.count.min]"]);
    // To the moment: a deadline is before what is expected at it.
    check(NGINX, &steps, &["69s999ms, firing: []", "70s, firing: [nginx.count.min]"]);
}

#[test]
fn what_is_not_as_expected_is_told() {
    let steps = [TWO[0], TWO[1], "60s, exit: { pid: 11 }", "80s, start: { pid: 11, parent: 10 }"];
    check_failures(
        NGINX,
        &steps,
        &["69s, firing: [nginx.count.min]", "71s, firing: []", "90s, firing: [], resolved: []"],
        "69 firing: [nginx.count.min] []\n71 firing: [] [nginx.count.min]\n90 resolved: [] [nginx.count.min]\n",
    );
}

#[test]
fn a_timeline_says_how_it_came_to_that() {
    let steps =
        ["0s, start: { pid: 10, exe: /usr/sbin/nginx, user: www-data }", "5s, log: { path: /a, line: x, times: 3 }"];
    let list = steps.iter().fold(String::new(), |all, item| format!("{all}      - {{ at: {item} }}\n"));
    let text = format!(
        "version: 1\n{NGINX}\ntests:\n  - name: too few\n    steps:\n{list}    expect: [{{ at: 1m30s, firing: [] }}]\n"
    );
    let loaded = parse(&[Source::new("t.yaml", text)], &HostLabels::default(), &|_| true).expect("right");
    let outcome = run(&loaded.trials[0], &loaded.policies);
    assert_eq!(
        report::text(&[outcome]),
        "FAIL  too few  (t.yaml:4)\n      at 1m30s, firing (t.yaml:8):\n        expected   seen\n        (none)     \
         nginx.count.min\n      until then:\n         0s  step      10 starts: /usr/sbin/nginx\n         5s  step      x in \
         /a, 3 times\n        10s  firing    nginx.count.min  nginx: 1 process, minimum 2\n1 test: 1 failed"
    );
}

#[test]
fn processes_fork_execute_and_leave_children_behind() {
    let policies = "groups:\n  shells: { match: { exe: /bin/sh, user: [root, 7] }, count: { max: 1 }, starts: { max: 2, within: 1m } }\n  \
                    kernel: { match: { kernel_threads: true, comm: kworker* }, count: { max: 0 } }\n  \
                    tree: { match: { cgroup: /a/* }, include_children: true, count: { max: 1 } }\n  \
                    dead: { match: { comm: victim }, oom_kills: { max: 0, within: 1m }, failures: { max: 1, within: 1m } }";
    check(
        policies,
        &[
            "0s, start: { pid: 10, exe: /bin/sh }",
            "1s, start: { pid: 11, parent: 10 }",
            "2s, exec: { pid: 11, exe: /bin/ls }",
            "3s, start: { pid: 12, parent: 11, exe: /bin/sh, user: 7 }",
            "4s, start: { pid: 13, parent: 11, exe: /bin/sh, user: other }",
            "5s, start: { pid: 20, comm: kworker/0:1, kernel: true }",
            "6s, start: { pid: 30, exe: a, cgroup: /a/b }",
            "6s, start: { pid: 31, parent: 30, exe: b }",
            "7s, exit: { pid: 30 }",
            "8s, start: { pid: 40, exe: victim }",
            "9s, exit: { pid: 40, oom: true }",
            "9s, start: { pid: 40, exe: victim }",
            "10s, exit: { pid: 40, code: 3, }",
        ],
        &[
            "0s, firing: []",
            "1s, firing: [shells.count.max]",
            "2s, firing: [], resolved: [shells.count.max]",
            "4s, firing: [shells.count.max]",
            "5s, firing: [shells.count.max, kernel.count.max]",
            "6s, firing: [shells.count.max, kernel.count.max, tree.count.max]",
            "8s, resolved: [tree.count.max]",
            "9s, firing: [shells.count.max, kernel.count.max, dead.oom_kills.max]",
            "10s, firing: [shells.count.max, kernel.count.max, dead.oom_kills.max, dead.failures.max]",
            "70s, resolved: [dead.oom_kills.max, dead.failures.max]",
        ],
    );
}

#[test]
fn usage_is_sampled_each_second() {
    let policies = "groups:\n  g:\n    match: { comm: x }\n    cpu: { max: 1.5 cores, for: 5s }\n    \
                    memory: { max: 25% host, per: process }\n    write: { max: 1MiB/s }\n    threads: { max: 3 }";
    check(
        policies,
        &[
            "0s, start: { pid: 10, exe: x }",
            "0s, start: { pid: 11, exe: x }",
            "10s, usage: { pid: 10, cpu: 1 core }",
            "10s, usage: { pid: 11, cpu: 0.6 cores, threads: 3 }",
            "20s, usage: { pid: 11, cpu: 0.5 cores, memory: 25% host, threads: 2 }",
            "30s, usage: { pid: 11, memory: 2.1GiB, write: 2MiB/s }",
        ],
        &[
            "10s, firing: [g.threads.max]",
            // The first second with more than 1.5 cores ends at 11s.
            "15s, firing: [g.threads.max]",
            "16s, firing: [g.cpu.max, g.threads.max]",
            "21s, firing: [], resolved: [g.cpu.max, g.threads.max]",
            "30s, firing: [g.memory.max 11]",
            "31s, firing: [g.memory.max 11, g.write.max]",
        ],
    );
}

#[test]
fn the_host_is_what_steps_say() {
    let policies = "host:\n  cpu: { max: 90%, for: 3s }\n  load: { max: 2 per core }\n  memory_available: { min: 10%, clear_above: 15% }\n  \
                    swap_used: { max: 50% }\n  disk_free: { path: [/, /srv], min: 10% }\n  inodes_free: { min: 1000 }\n  \
                    processes: { max: 2 }\n  pressure_io: { max: 20% }\n  network_receive: { interface: eth*, max: 1MiB/s }";
    check(
        policies,
        &[
            "10s, host: { cpu: 95%, load: 8, memory_available: 10%, swap_used: 50%, disk_free: { path: /srv, free: 10% } }",
            "20s, host: { cpu: 80%, load: 8.5, memory_available: 9%, swap_used: 51%, inodes_free: { path: /srv, free: 999 } }",
            "30s, host: { load: 1, memory_available: 15%, swap_used: 0%, disk_free: [{ path: /srv, free: 9% }, { path: /, free: 1% }] }",
            "40s, host: { pressure_io: 30%, network_receive: { interface: eth0, rate: 2MiB/s }, network_transmit: { interface: eth0, rate: 9MiB/s } }",
            "50s, start: { pid: 10, exe: x }",
            "50s, start: { pid: 11, exe: x }",
        ],
        &[
            "13s, firing: []",
            "14s, firing: [host.cpu.max]",
            "21s, firing: [host.load.max, host.memory_available.min, host.swap_used.max, host.inodes_free.min /srv], resolved: [host.cpu.max]",
            "30s, firing: [host.disk_free.min /srv, host.disk_free.min /, host.inodes_free.min]",
            "41s, firing: [host.disk_free.min, host.inodes_free.min, host.pressure_io.max, host.network_receive.max eth0]",
            "51s, firing: [host.disk_free.min, host.inodes_free.min, host.pressure_io.max, host.network_receive.max, host.processes.max]",
        ],
    );
}

#[test]
fn actions_are_those_that_would_be_taken() {
    let policies = "groups: { g: { match: { comm: x }, count: { max: 0 }, act: [hup, once], mode: observe } }\n\
                    actions: { hup: { signal: HUP }, once: { run: [/bin/true], max_runs: 1 per 1h } }";
    let steps = ["0s, start: { pid: 10, exe: x }", "1s, exit: { pid: 10 }", "2s, start: { pid: 11, exe: x }"];
    check(policies, &steps, &["0s, actions: [hup, once]", "3s, actions: [hup]"]);
    check_failures(policies, &steps, &["0s, actions: []"], "0 actions: [] [hup once]\n");
}

#[test]
fn a_loss_and_the_start_grace_hold_alarms_back() {
    check(NGINX, &[TWO[0], TWO[1], "60s, exit: { pid: 11 }", "65s, lose: 10"], &["70s, firing: [nginx.count.min]"]);
    let text = format!(
        "{NGINX}\ntests:\n  - {{ name: t, start_grace: 30s, steps: [{{ at: 0s, start: {{ pid: 2, exe: x }} }}], expect: \
         [{{ at: 29s, firing: [] }}, {{ at: 30s, firing: [nginx.count.min] }}] }}"
    );
    assert_eq!(played(&text), "");
}

#[test]
fn a_test_is_about_its_own_policies() {
    let policies = "groups:\n  a: { match: { comm: a }, count: { min: 1 } }\n  b: { match: { comm: b, parent: a }, count: { min: 1 } }\n  \
                    c: { match: { comm: c }, count: { min: 1 } }\nhost: { cpu: { max: 1% } }";
    let with = |of: &str, firing: &str| {
        let step = "steps: [{ at: 0s, host: { cpu: 50% } }]";
        let text =
            format!("{policies}\ntests:\n  - {{ name: t, {of}{step}, expect: [{{ at: 2s, firing: [{firing}] }}] }}");
        assert_eq!(played(&text), "", "{of}");
    };
    with("", "a.count.min, b.count.min, c.count.min, host.cpu.max");
    with("policies: [c], ", "c.count.min");
    // With its parent.
    with("policies: b, ", "a.count.min, b.count.min");
    with("policies: [c, host], ", "c.count.min, host.cpu.max");
}

#[test]
fn a_year_without_samples_is_a_moment() {
    let policies = "groups: { g: { match: { comm: x }, age: { max: 300d } } }";
    let started = std::time::Instant::now();
    check(policies, &["0s, start: { pid: 10, exe: x }"], &["300d, firing: []", "301d, firing: [g.age.max 10]"]);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn lines_go_through_the_real_matcher() {
    let policies = "logs:\n  app: { path: [/var/log/a/*.log, /b], any: [ERROR, ORA-], regex: 'status=5\\d\\d', ignore: Health, \
                    lines: { max: 2, within: 1m } }\n  other: { path: /var/log/**, any: beat, lines: { min: 1, within: 1m } }";
    check(
        policies,
        &[
            "10s, log: { path: /var/log/a/x.log, line: an ERROR }",
            "20s, log: { path: /var/log/a/x.log, line: an ERROR of Health }",
            "30s, log: { path: /var/log/a/deeper/x.log, line: an ERROR }",
            "40s, log: { path: /b, line: GET status=503 }",
            "50s, log: { path: /var/log/a/x.log, line: beat }",
            "55s, log: { path: /b, line: ORA-1, times: 1 }",
            "80s, log: { path: /b, line: fine }",
        ],
        &[
            "54s, firing: []",
            "55s, firing: [app.lines.max]",
            // The first of the three is out of the window.
            "70s, firing: [], resolved: [app.lines.max]",
            "109s, firing: []",
            "110s, firing: [other.lines.min]",
        ],
    );
}

#[test]
fn runs_of_jobs_follow_the_clock_on_the_wall() {
    let policies = "jobs:\n  j:\n    match: { args: 'run\\.sh' }\n    schedule: '0 * * * *'\n    timezone: UTC\n    start_within: 10m\n    \
                    duration: { min: 1m, max: 30m }\n    overlap: forbid";
    check(
        policies,
        &[
            "1h, job: { name: j, lasts: 5m }",
            "2h5m, job: { name: j, lasts: 10s }",
            "3h, job: { name: j, lasts: 40m, args: /opt/run.sh --all, user: backup }",
            "3h10m, job: { name: j, lasts: 5m, signal: KILL }",
        ],
        &[
            "1h6m, firing: [], events: [job.started, job.succeeded]",
            "2h6m, firing: [j.duration.min]",
            "3h5m, firing: [j.duration.min], events: [job.started]",
            "3h11m, firing: [j.duration.min, j.overlap], events: [job.started, job.overlapped]",
            "3h16m, firing: [j.success], resolved: [j.duration.min, j.overlap], events: [job.failed]",
            "3h31m, firing: [j.success, j.duration.max]",
            "3h41m, firing: [], resolved: [j.success, j.duration.max]",
            "4h9m, firing: []",
            "4h11m, firing: [j.runs.min]",
        ],
    );
    // The clock jumps over a time, and the host sleeps over one: nobody was there to run it.
    check(policies, &["30m, clock_jump: 1h"], &["1h, firing: []"]);
    check(policies, &["30m, suspend: 1h"], &["1h, firing: []"]);
}
