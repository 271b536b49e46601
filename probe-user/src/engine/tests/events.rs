//! The events of processes and alarms, attribute by attribute.

use regex::Regex;

use super::world::{secs, settings, shown};
use super::*;
use crate::engine::Processes;

fn app() -> Vec<Group> {
    vec![group("app", exe("/bin/app"), vec![min(Measure::Count, 1.0)])]
}

fn telling(processes: Processes) -> Settings {
    Settings { processes, ..settings() }
}

/// The attributes of the last event of that name, one a line.
#[track_caller]
fn attributes(world: &World, name: &str) -> String {
    let event = world.told.iter().rev().find(|event| event.name.ends_with(name)).expect("it was told");
    let lines = event.attributes.0.iter().map(|(name, value)| format!("{name}: {}", shown(value)));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn a_start_says_all_that_is_known() {
    let world = check_with(
        telling(Processes::Matched),
        app(),
        "0 have 10 /bin/app
         0 scan
         5 run 11 /bin/app uid=33 args=app_--x",
        "5 process.start app (11) started: app --x",
    );
    let expected = r#"
        process.pid: 11
        process.parent_pid: 1
        process.creation.time: 5
        process.executable.path: "/bin/app"
        process.executable.name: "app"
        process.command: "app"
        process.command_args: ["app","--x"]
        process.args_count: 2
        process.owner: "www-data"
        process.user.id: 33
        process.linux.cgroup: "/"
        groups: ["app"]"#;
    assert_eq!(attributes(&world, "process.start"), tidy(expected));
}

#[test]
fn an_exit_says_how_and_what_it_used() {
    let world = check_with(
        telling(Processes::Matched),
        app(),
        "0 have 10 /bin/app
         0 scan
         5 run 11 /bin/app
         6 use 11 rss=7
         7.5 exit 11 sig=TERM by=99/bash cpu=1250",
        "5 process.start app (11) started: /bin/app
         7.5 process.exit app (11) killed by SIGTERM from 99 (bash) after 2.5s",
    );
    let told = attributes(&world, "process.exit");
    let expected = r#"
        groups: ["app"]
        process.exit.signal: "SIGTERM"
        process.exit.core_dumped: false
        killer.pid: 99
        killer.user.id: 0
        killer.command: "bash"
        oom: false
        process.cpu.time: 1.25
        process.memory.peak: 7340032
        process.uptime: 2.5"#;
    assert!(told.ends_with(&tidy(expected)), "{told}");
}

#[test]
fn which_processes_are_told() {
    let script = "
        0 have 10 /bin/app
        0 scan
        1 run 11 /bin/sh
        2 exit 11
        3 run 12 /bin/app
        4 exec 12 /bin/sh
        5 exit 12 code=2
    ";
    let members = "3 process.start app (12) started: /bin/app
                   5 process.exit sh (12) exited with code 2 after 2s";
    check_with(telling(Processes::Matched), app(), script, members);
    check_with(telling(Processes::None), app(), script, "");
    check_with(
        telling(Processes::All),
        app(),
        script,
        "1 process.start sh (11) started: /bin/sh
         2 process.exit sh (11) exited with code 0 after 1s
         3 process.start app (12) started: /bin/app
         4 process.start sh (12) started: /bin/sh
         5 process.exit sh (12) exited with code 2 after 2s",
    );
}

#[test]
fn a_group_of_everything_need_not_make_every_process_a_told_one() {
    let groups = || {
        vec![Group { events: false, ..group("all", exe("/bin/*"), vec![max(Measure::Count, 9.0)]) }, app().remove(0)]
    };
    let world = check_with(
        telling(Processes::Matched),
        groups(),
        "0 have 10 /bin/app
         0 scan
         1 run 11 /bin/sh
         2 exit 11
         3 run 12 /bin/app",
        "3 process.start app (12) started: /bin/app",
    );
    assert_eq!(world.told[0].attributes.get("groups"), Some(&serde_json::json!(["all", "app"])));
    assert_eq!(world.watched(), "10:exit 12:exit");
}

#[test]
fn forks_are_told_when_asked_for() {
    let script = "0 have 10 /bin/app\n 0 scan\n 1 fork 11 from=10\n 2 exit 11";
    let exit = "2 process.exit app (11) exited with code 0 after 1s";
    check_with(telling(Processes::Matched), app(), script, exit);
    let told = format!("1 process.fork app (11) forked by 10\n{exit}");
    check_with(Settings { forks: true, ..telling(Processes::Matched) }, app(), script, &told);
}

#[test]
fn who_enters_late_by_its_arguments_is_told_late() {
    let job = || vec![group("job", args("job"), vec![max(Measure::Count, 9.0)])];
    let script = "0 scan\n 1 run 11 /bin/sh\n 1.2 title 11 job 7\n 9";
    check_with(telling(Processes::Matched), job(), script, "1 process.start sh (11) started: job 7");
    // It only forked: there is no start to tell.
    let script = "0 scan\n 1 fork 11\n 1.2 title 11 job 7\n 9";
    check_with(telling(Processes::Matched), job(), script, "");
    let forks = Settings { forks: true, ..telling(Processes::Matched) };
    check_with(forks, job(), script, "1 process.fork init (11) forked by 1");
}

#[test]
fn arguments_are_redacted_or_not_told_at_all() {
    let script = "0 have 10 /bin/app\n 0 scan\n 5 run 11 /bin/app args=app_--password=hunter2_x";
    let redact = vec![Regex::new(r"(?i)(password|token)=\S+").unwrap()];
    let world = check_with(
        Settings { redact, ..telling(Processes::Matched) },
        app(),
        script,
        "5 process.start app (11) started: app --[redacted] x",
    );
    assert!(attributes(&world, "start").contains(r#"process.command_args: ["app","--[redacted]","x"]"#));
    let silent = Settings { args: false, ..telling(Processes::Matched) };
    let world = check_with(silent, app(), script, "5 process.start app (11) started: /bin/app");
    assert!(!attributes(&world, "start").contains("hunter2"));
}

#[test]
fn text_from_processes_is_cleaned() {
    let world = check_with(
        telling(Processes::Matched),
        vec![group("any", exe("/bin/*"), vec![min(Measure::Count, 2.0)])],
        "0 have 10 /bin/x
         0 scan
         1 run 11 /bin/e\u{1b}[31m comm=\u{202e}evil
         2 exit 11 sig=KILL by=5/\u{7}bell",
        "0 firing any: 1 process, minimum 2
         1 process.start e\\x1b[31m (11) started: /bin/e\\x1b[31m
         1 resolved any: 2 processes, minimum 2; healthy again after 1s
         2 firing any: 1 process, minimum 2; 11 killed by SIGKILL from 5 (\\x07bell)
         2 process.exit e\\x1b[31m (11) killed by SIGKILL from 5 (\\x07bell) after 1s",
    );
    assert!(attributes(&world, "start").contains(r#"process.command: "\\u{202e}evil""#));
}

#[test]
fn an_alarm_says_what_is_needed_to_act() {
    let mut groups = app();
    groups[0].bounds[0].severity = Severity::Critical;
    let world = check(
        groups,
        "0 have 10 /bin/app
         0 scan
         5 exit 10 sig=KILL by=99/bash",
        "5 firing app: 0 processes, minimum 1; 10 killed by SIGKILL from 99 (bash)",
    );
    let expected = r#"
        policy.name: "app"
        policy.kind: "group"
        measure: "count"
        bound: "min"
        limit: 1
        value: 0
        since: 5
        degraded: false
        declared: "test.yaml:1"
        evidence: [process.pid=10 process.executable.path="/bin/app" process.executable.name="app" process.exit.signal="SIGKILL" process.exit.core_dumped=false killer.pid=99 killer.user.id=0 killer.command="bash" oom=false time=5]"#;
    assert_eq!(attributes(&world, "firing"), tidy(expected));
    assert_eq!(world.told[0].severity, Severity::Critical);
}

#[test]
fn an_alarm_about_starts_shows_what_started() {
    let world = check(
        vec![group("dumps", exe("coredump"), vec![max(Measure::Starts, 0.0).within(600)])],
        "0 scan
         5 run 11 /lib/coredump args=coredump_4211_11_SEGV",
        "5 firing dumps: 1 start within 10m, maximum 0; 11 started: coredump 4211 11 SEGV",
    );
    let told = attributes(&world, "firing");
    assert!(told.contains(r#"process.command_args=["coredump","4211","11","SEGV"] time=5]"#), "{told}");
}

#[test]
fn the_end_of_an_alarm_says_how_long_it_was() {
    let world = check(
        vec![group("app", exe("/bin/app"), vec![max(Measure::Starts, 0.0).within(30)])],
        "0 scan
         5 run 10 /bin/app
         60",
        "5 firing app: 1 start within 30s, maximum 0; 10 started: /bin/app
         35 resolved app: 0 starts within 30s, maximum 0; healthy again after 30s",
    );
    let told = attributes(&world, "resolved");
    assert!(told.contains("since: 5\n") && told.contains("within: 30\n") && told.contains("duration: 30\n"), "{told}");
}

#[test]
fn the_status_is_made_for_people_and_programs() {
    let groups = vec![group(
        "app",
        exe("/bin/app"),
        vec![
            min(Measure::Count, 2.0).hold(60),
            max(Measure::Memory, 50.0 * world::MIB),
            max(Measure::Memory, 200.0 * world::MIB).each(),
            max(Measure::Failures, 4.0).within(60),
        ],
    )];
    let world = check(
        groups,
        "0 have 10 /bin/app
         0 scan
         1 use 10 rss=100
         1 sample
         4 lost 3",
        "1 firing app: 100 MiB of memory, maximum 50 MiB; most by 10 (app): 100 MiB
         4 agent.lost 3 records were lost in the kernel (ring_full); nothing fires until the processes are scanned",
    );
    let status = serde_json::to_value(world.engine.status(KTime::from_secs(5))).unwrap();
    assert_eq!(status["firing"], serde_json::json!(["app.memory.max.1"]));
    assert_eq!(status["degraded"], true);
    assert_eq!(status["losses"], serde_json::json!([{ "reason": "ring_full", "count": 3 }]));
    let bounds = status["groups"][0]["bounds"].as_array().unwrap();
    let lines: Vec<String> = bounds
        .iter()
        .map(|bound| {
            format!("{} {} {} {}", bound["name"], bound["state"], bound["value"], bound["nearness"]).replace('"', "")
        })
        .collect();
    assert_eq!(
        lines,
        [
            "app.count.min pending 1.0 2.0",
            "app.memory.max.1 firing 104857600.0 2.0",
            "app.memory.max.2 healthy 104857600.0 0.5",
            "app.failures.max healthy 0.0 0.0",
        ]
    );
    assert_eq!(bounds[0]["since_seconds"], 5.0);
    assert_eq!(bounds[2]["processes"], serde_json::json!({ "healthy": 1, "pending": 0, "firing": 0 }));
    assert_eq!(bounds[3]["lower_limit"], true);
    assert_eq!(secs(world.told[0].at), "1");
}

use crate::time::KTime;
