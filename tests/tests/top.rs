//! `procprobe top` in a real terminal, on a real daemon and real processes.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use procprobe_tests::actor::{Actor, group};
use procprobe_tests::daemon::{Daemon, Setup, binary};
use procprobe_tests::mark;
use procprobe_tests::page::masked;
use procprobe_tests::port::free;
use procprobe_tests::tmux::Tmux;
use rustix::process::Signal;

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// The command line of `top` on this daemon.
fn command(daemon: &Daemon) -> String {
    format!("{} top --interval 200ms --socket {}", binary().display(), daemon.socket().display())
}

/// It runs, and has heard of the daemon.
fn start(daemon: &Daemon, columns: u16, rows: u16) -> Tmux {
    let tmux = Tmux::new(columns, rows);
    tmux.line(&command(daemon));
    tmux.wait_for("the daemon's answer", |screen| screen.contains(" live") && screen.contains("GROUP"));
    tmux
}

/// Rows that have this in them, numbers and free space apart.
fn rows(screen: &str, with: &str) -> String {
    screen.lines().filter(|line| line.contains(with)).fold(String::new(), |all, line| all + masked(line).trim() + "\n")
}

#[test]
fn groups_are_shown_with_their_bounds_and_an_alarm_comes_with_its_evidence() {
    let mark = mark();
    let mut herd = Actor::start(ACTOR, "herd 2 sleep 600000", &mark);
    herd.told();
    let victim = Actor::start(ACTOR, "sleep 500000", &mark);
    let policy =
        group("flock", "sleep", &mark, "count: { min: 3, max: 30, severity: critical }\nmemory: { max: 100GiB }");
    let daemon = Setup::new().policy(&policy).start();
    let tmux = start(&daemon, 80, 24);
    let screen = tmux.wait_for("the memory", |screen| screen.contains("MiB") || screen.contains("KiB"));
    insta::assert_snapshot!(rows(&screen, "[1 Groups]"), @"[# Groups] # Alarms # Events # Jobs # Peers # Probe");
    insta::assert_snapshot!(rows(&screen, "GROUP "), @"GROUP COUNT CPU MEMORY NEAR STATE BOUND");
    assert!(
        screen.lines().any(|line| line.contains(">flock") && line.contains(" 3 ") && line.contains("100%")),
        "{screen}"
    );

    victim.signal(Signal::KILL);
    let screen = tmux.wait_for("the alarm", |screen| screen.contains("FIRING") && screen.contains("Alarms(1)"));
    assert!(
        screen.lines().any(|line| line.contains(">flock") && line.contains(" 2 ") && line.contains("150%")),
        "{screen}"
    );
    tmux.press("2");
    let pid = victim.pid();
    let why = format!("flock: 2 processes, minimum 3; {pid} killed by SIGKILL");
    let screen = tmux.wait_for("the evidence", |screen| screen.contains(&format!("- pid {pid},")));
    assert!(screen.contains("critical") && screen.lines().any(|line| line.starts_with(&why)), "{screen}");
    tmux.press("Enter");
    tmux.wait_for("its processes", |screen| screen.contains("flock: 2 processes") && screen.contains("COMMAND"));
    herd.finish();
}

#[test]
fn the_processes_of_a_group_are_a_tree_with_what_they_use() {
    let mut herds = Vec::new();
    let mut setup = Setup::new();
    for (name, bound) in [("mill", "cpu: { max: 100 cores }"), ("still", "count: { max: 100 }")] {
        let mark = mark();
        herds.push(Actor::start(ACTOR, "herd 1 burn 60000", &mark));
        setup = setup.policy(&group(name, "herd", &mark, &format!("include_children: true\n{bound}")));
    }
    let daemon = setup.start();
    let tmux = start(&daemon, 100, 30);
    for (name, herd) in ["mill", "still"].into_iter().zip(&mut herds) {
        tmux.press("/");
        tmux.types(name);
        tmux.press("Enter");
        tmux.wait_for("the choice", |screen| screen.contains(&format!(">{name}")));
        tmux.press("Enter");
        let herder = format!("{} ", herd.pid());
        let screen = tmux.wait_for("the tree", |screen| {
            let burns = |line: &str| {
                let cpu = line.split_whitespace().filter_map(|word| word.parse::<f64>().ok()).nth(1);
                line.contains("`- ") && line.contains("actor burn") && cpu.is_some_and(|cpu| cpu > 5.0)
            };
            screen.lines().any(burns) && screen.contains(&herder)
        });
        let lines: Vec<&str> = screen.lines().collect();
        let place = |what: &str| lines.iter().position(|line| line.contains(what)).unwrap();
        assert!(place("actor herd") < place("`- "), "{screen}");
        assert_eq!(screen.contains("figures are from /proc"), name == "still", "{screen}");
        tmux.press("t");
        tmux.wait_for("the flat list", |screen| screen.contains("actor burn") && !screen.contains("`- "));
        tmux.press("t");
        tmux.press("Escape");
        tmux.wait_for("the groups", |screen| screen.contains("GROUP "));
        herd.finish();
    }
}

#[test]
fn a_life_of_milliseconds_is_seen() {
    let mark = mark();
    let policy = group("quick", "exit", &mark, "count: { max: 100 }");
    let daemon = Setup::new().policy(&policy).start();
    let tmux = start(&daemon, 100, 24);
    tmux.press("3");
    tmux.wait_for("whose they are", |screen| screen.contains("starts and ends of processes in groups"));
    let mut actor = Actor::start(ACTOR, "exit 7", &mark);
    let pid = actor.pid();
    actor.wait();
    tmux.wait_for("start and end", |screen| {
        let has = |kind: &str, what: &str| screen.lines().any(|line| line.contains(kind) && line.contains(what));
        has("process.start", &format!("actor ({pid}) started"))
            && has("process.exit", &format!("actor ({pid}) exited with code 7"))
    });
}

#[test]
fn jobs_are_shown_with_their_next_run_and_the_probe_with_its_cost() {
    let mark = mark();
    let job = format!(
        "jobs:\n  nightly:\n    match: {{ args: \"actor exit 0 -- {mark}$\" }}\n    schedule: \"30 4 * * *\"\n    timezone: UTC\n"
    );
    let daemon = Setup::new().policy(&job).start();
    Actor::start(ACTOR, "exit 0", &mark).finish();
    let tmux = start(&daemon, 100, 24);
    tmux.press("4");
    let screen = tmux.wait_for("the last run", |screen| screen.contains("succeeded"));
    assert!(screen.contains("nightly") && screen.contains("04:30") && screen.contains("30 4 * * * in UTC"), "{screen}");
    tmux.press("6");
    let screen = tmux.wait_for("the cost", |screen| screen.contains("of a core now"));
    for line in ["memory", "wake-ups", "records", "spool", "lost"] {
        assert!(
            screen.lines().any(|shown| shown.trim_start().trim_start_matches('>').trim_start().starts_with(line)),
            "no {line}:\n{screen}"
        );
    }
}

#[test]
fn hosts_of_the_site_are_shown_as_they_come_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("peers.key");
    let made = Command::new(binary()).args(["peers", "key"]).arg(&key).status().unwrap();
    assert!(made.success());
    let addresses = [free(), free()];
    let mut daemons = ["a1", "b1"].map(|name| {
        let config = folder.path().join(name);
        let [first, second] = addresses;
        let listen = if name == "a1" { first } else { second };
        let text = format!(
            "node: {{ name: {name}, zone: zone-{name} }}\npeers: {{ listen: \"{listen}\", join: [\"{first}\"], key_file: {} }}\n",
            key.display()
        );
        fs::write(&config, text).unwrap();
        Setup::new().args(["--config".as_ref(), config.as_os_str()]).start()
    });
    let tmux = start(&daemons[0], 120, 24);
    tmux.press("5");
    let line = |screen: &str, name: &str| -> String {
        screen.lines().find(|line| line.contains(name) && line.contains("zone-")).unwrap_or_default().to_owned()
    };
    let screen = tmux.wait_for("the other host", |screen| {
        let other = line(screen, " b1 ");
        other.contains("alive") && other.contains("ms") && line(screen, " a1 * ").contains("alive")
    });
    assert!(screen.contains("2 hosts in 2 zones: 2 alive"), "{screen}");
    assert_eq!(daemons[1].stop(), Some(0));
    tmux.wait_for("its farewell", |screen| line(screen, " b1 ").contains("left"));
}

#[test]
fn it_keeps_to_the_size_of_its_terminal() {
    let daemon =
        Setup::new().policy("groups:\n  ghost: { match: { exe: /nonexistent/program }, count: { max: 1 } }\n").start();
    let tmux = start(&daemon, 80, 24);
    let before = rows(&tmux.screen(), "GROUP ");
    for (columns, lines) in [(60, 20), (40, 10)] {
        tmux.resize(columns, lines);
        let screen = tmux.wait_for("the smaller picture", |screen| {
            screen.lines().nth(usize::from(lines) - 1).is_some_and(|line| line.contains("h Help"))
                && screen.contains("GROUP ")
                && !screen.contains("BOUND ")
                && screen.contains(">ghost")
        });
        assert!(screen.lines().count() <= usize::from(lines), "{screen}");
    }
    tmux.resize(30, 8);
    tmux.wait_for("what is wrong", |screen| screen.contains("too small: 30x8"));
    tmux.resize(80, 24);
    tmux.wait_for("the first picture", |screen| rows(screen, "GROUP ") == before && screen.contains(">ghost"));
    assert_eq!(tmux.screen().lines().last().map(|line| line.contains("h Help")), Some(true), "{}", tmux.screen());
}

#[test]
fn a_dumb_terminal_gets_no_colours() {
    let daemon =
        Setup::new().policy("groups:\n  ghost: { match: { exe: /nonexistent/program }, count: { min: 1 } }\n").start();
    for (before, dumb) in [("TERM=dumb ", true), ("NO_COLOR=1 ", false), ("", false)] {
        let tmux = Tmux::new(80, 24);
        tmux.line(&format!("clear; {before}{}", command(&daemon)));
        tmux.wait_for("the alarm", |screen| screen.contains("FIRING") && screen.contains(">ghost"));
        let coloured = tmux.coloured();
        let has_colours = coloured.contains("38;5;");
        assert_eq!(has_colours, before.is_empty(), "{before}: {coloured:?}");
        assert_eq!(coloured.contains("\u{1b}["), !dumb, "{before}: {coloured:?}");
    }
}

#[test]
fn a_daemon_that_is_away_is_told_and_taken_up_again() {
    let mut daemon =
        Setup::new().policy("groups:\n  ghost: { match: { exe: /nonexistent/program }, count: { max: 1 } }\n").start();
    let tmux = start(&daemon, 80, 24);
    let old = daemon.pid();
    daemon.crash(|| {
        let screen = tmux.wait_for("the remedy", |screen| screen.contains("DOWN"));
        assert!(screen.contains("no answer for") && screen.contains("ghost"), "{screen}");
    });
    assert_ne!(daemon.pid(), old);
    tmux.wait_for("the next daemon", |screen| screen.contains(" live") && screen.contains("ghost"));
    tmux.press("3");
    tmux.wait_for("its events", |screen| screen.matches("agent.started").count() >= 2);
}

#[test]
fn without_a_daemon_it_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let tmux = Tmux::new(80, 24);
    tmux.line(&format!("{} top --socket {}", binary().display(), folder.path().join("none.sock").display()));
    tmux.wait_for("the remedy", |screen| {
        screen.contains("DOWN") && screen.split_whitespace().collect::<Vec<_>>().join(" ").contains("start one with")
    });
    tmux.press("q");
    tmux.wait_for("the shell", |screen| !screen.contains("DOWN"));
}

#[test]
fn the_terminal_is_as_it_was_however_it_ends() {
    let daemon = Setup::new().start();
    let folder = tempfile::tempdir().unwrap();
    let place = |name: &str| folder.path().join(name);
    for end in ["q", "F10", "C-c", "SIGTERM", "SIGINT"] {
        let tmux = Tmux::new(80, 24);
        let (before, after, pid) = (place("before"), place("after"), place("pid"));
        for path in [&before, &after, &pid] {
            let _ = fs::remove_file(path);
        }
        tmux.line("echo what-was-there");
        tmux.line(&format!("stty -g > {}", before.display()));
        tmux.line(&format!(
            "sh -c 'echo $$ > {}; exec {}'; code=$?; stty -g > {}; echo code $code",
            pid.display(),
            command(&daemon),
            after.display()
        ));
        tmux.wait_for("the daemon's answer", |screen| screen.contains(" live"));
        assert_eq!(tmux.says("#{alternate_on} #{cursor_flag}"), "1 0");
        let signal = |signal| {
            let pid: i32 = fs::read_to_string(&pid).unwrap().trim().parse().unwrap();
            rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
        };
        match end {
            "SIGTERM" => signal(Signal::TERM),
            "SIGINT" => signal(Signal::INT),
            key => tmux.press(key),
        }
        let screen = tmux.wait_for("the shell", |screen| screen.contains("code 0"));
        assert!(screen.contains("what-was-there") && !screen.contains("h Help"), "{end}: {screen}");
        assert_eq!(tmux.says("#{alternate_on} #{cursor_flag}"), "0 1", "{end}");
        assert_eq!(fs::read_to_string(&after).unwrap(), fs::read_to_string(&before).unwrap(), "{end}");
    }
}

#[test]
fn the_shell_can_be_had_meanwhile() {
    let daemon = Setup::new().start();
    let tmux = start(&daemon, 80, 24);
    tmux.press("C-z");
    tmux.wait_for("the shell", |screen| screen.contains("Stopped") && !screen.contains("h Help"));
    assert_eq!(tmux.says("#{alternate_on} #{cursor_flag}"), "0 1");
    tmux.line("fg");
    tmux.wait_for("the picture", |screen| screen.contains(" live") && screen.contains("h Help"));
    tmux.press("q");
    tmux.wait_for("the shell", |screen| !screen.contains("h Help"));
    tmux.line("echo code $?");
    tmux.wait_for("its end", |screen| screen.contains("code 0"));
}

#[test]
fn hundreds_of_groups_are_searched_and_filtered() {
    let mark = mark();
    let mut policy = String::from("groups:\n");
    for number in 0..500 {
        let _ = writeln!(
            policy,
            "  group-{number:03}: {{ match: {{ args: \"never {mark} {number}$\" }}, count: {{ max: 5 }}, starts: {{ max: 9, within: 1m }} }}"
        );
    }
    let daemon = Setup::new().policy(&policy).start();
    let tmux = start(&daemon, 80, 24);
    tmux.wait_for("all of them", |screen| screen.contains("500 groups"));
    tmux.press("End");
    tmux.wait_for("the last one", |screen| screen.contains(">group-499"));
    tmux.press("/");
    tmux.types("p-25");
    tmux.press("Enter");
    tmux.wait_for("the first match", |screen| screen.contains(">group-250"));
    tmux.press("n");
    tmux.wait_for("the second match", |screen| screen.contains(">group-251"));
    tmux.press("F4");
    tmux.types("-12");
    tmux.press("Enter");
    let screen = tmux.wait_for("the filter", |screen| screen.contains("only `-12`"));
    assert_eq!(screen.lines().filter(|line| line.contains("group-12")).count(), 11, "{screen}");
    tmux.press("Escape");
    tmux.press("Home");
    tmux.wait_for("all again", |screen| screen.contains(">group-000"));
}

#[test]
fn hostile_names_write_nothing_but_letters() {
    let mark = mark();
    let policy = group("odd", "sleep", &mark, "count: { max: 9 }");
    let daemon = Setup::new().policy(&policy).start();
    let words = ["sleep", "600000", "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}한국어"];
    let _actor = Actor::of(&mut procprobe_tests::actor::command(ACTOR, words, &mark));
    let tmux = start(&daemon, 120, 24);
    tmux.wait_for("it", |screen| {
        screen.contains(">odd") && screen.lines().any(|line| line.contains(">odd") && line.contains(" 1 "))
    });
    tmux.press("Enter");
    let screen = tmux.wait_for("its command", |screen| screen.contains("\\x1b[2J") && screen.contains("한국어"));
    assert!(screen.contains("PID") && screen.contains("h Help"), "{screen}");
    assert!(!tmux.says("#{pane_title}").contains("owned"));
}
