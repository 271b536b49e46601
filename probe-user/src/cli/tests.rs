use std::path::Path;
use std::time::Duration;

use clap::CommandFactory as _;

use super::args::{Cli, Command, Told};
use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(format!("procprobe {line}").split(' ').filter(|word| !word.is_empty()))
}

/// A command line that is refused: the exit code and a part of the message.
fn check_refused(line: &str, expected: &str) {
    let error = parse(line).map(|cli| format!("{cli:?}")).unwrap_err();
    assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{line}");
    assert!(error.to_string().contains(expected), "{line}: {error}");
}

#[test]
fn the_definition_holds_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_flag_of_run() {
    let line = "run --config /c --policies /a /b --policies /d --collector http://u:p@h/x --state-dir /s --socket /k \
                --http off --sample-interval 500ms --start-grace 1m --limit-cpu 2.5% --limit-memory 32MiB --events all --format json --log-format json \
                --ring-bytes 65536";
    let Command::Run(args) = parse(line).unwrap().command else { panic!("not run") };
    assert_eq!(args.policies, ["/a", "/b", "/d"].map(Path::new));
    assert_eq!(args.sample_interval, Some(Duration::from_millis(500)));
    assert_eq!((args.limit_cpu, args.limit_memory), (Some(0.025), Some(32 << 20)));
    assert_eq!((args.start_grace, args.events), (Some(Duration::from_mins(1)), Some(Told::All)));
    assert_eq!(args.collector.as_ref().unwrap().to_string(), "http://h/x");
    assert_eq!(args.ring_bytes, Some(65536));
    assert!(!format!("{args:?}").contains("u:p"), "no secret in what is logged");
}

#[test]
fn recordings_have_bounds_of_their_own() {
    let Command::Record(args) = parse("record /f").unwrap().command else { panic!("not record") };
    assert_eq!((args.max_size, args.duration, args.no_args), (1 << 30, None, false));
    let line = "record /f --duration 1d --max-size 2GiB --sample-interval 5s --no-args --policies /p";
    let Command::Record(args) = parse(line).unwrap().command else { panic!("not record") };
    assert_eq!((args.max_size, args.duration), (2 << 30, Some(Duration::from_hours(24))));
    let line = "replay /f --policies /a /b --suggest --format json --events procprobe.* --start-grace 0s";
    let Command::Replay(args) = parse(line).unwrap().command else { panic!("not replay") };
    assert_eq!((args.policies.len(), args.suggest, args.start_grace), (2, true, Duration::ZERO));
    assert_eq!(args.events.as_deref(), Some("procprobe.*"));
}

#[test]
fn what_is_wrong_is_told_with_exit_code_2() {
    check_refused("run --events some", "matched");
    check_refused("run --sample-interval 1", "--sample-interval");
    check_refused("run --sample-interval 1ms", "100ms to 1h");
    check_refused("run --collector ftp://h/", "http://");
    check_refused("run --http 9464", "127.0.0.1:9464");
    check_refused("run --http on", "or off");
    check_refused("run --ring-bytes 1000", "power of two");
    check_refused("run --polices /x", "--policies");
    check_refused("test", "PATH");
    check_refused("record", "FILE");
    check_refused("record /f --max-size 1KiB", "64KiB");
    check_refused("record /f --max-size 1", "unit");
    check_refused("replay /f", "--policies");
    check_refused("replay --policies /p", "FILE");
    check_refused("match", "PID");
    check_refused("match 1 --exe /a", "cannot be used with");
    check_refused("match -1", "-1");
    check_refused(&format!("status --socket /{}", "x".repeat(200)), "107 bytes");
    check_refused("top --interval 1ms", "100ms to 1h");
    check_refused("report --since 7", "unit");
    check_refused("up", "unrecognized subcommand");
}

#[test]
fn what_is_right_is_taken() {
    for line in [
        "run",
        "check /a /b --config /c",
        "check --config /c",
        "match 1",
        "match --exe /usr/sbin/nginx --args -x --user www-data --policies /p",
        "status --format json --socket /s",
        "report",
        "report --since 7d --format json --socket /s",
        "top",
        "top --interval 500ms --socket /s",
        "doctor",
        "doctor --collector http://h",
        "schema",
        "schema config",
        "completions bash",
        "man",
        "man run",
    ] {
        parse(line).unwrap();
    }
}

#[test]
fn exit_codes_are_the_contracts() {
    let codes = [Exit::Well, Exit::NotWell, Exit::Usage, Exit::Kernel, Exit::Config].map(Exit::code);
    assert_eq!(codes, [0, 1, 2, 77, 78]);
}

#[test]
fn a_match_shows_where_the_process_belongs_first() {
    use crate::serve::{Described, MatchReport, Verdict};
    let verdict = |group: &str, belongs, why: &str| Verdict {
        job: false,
        group: group.into(),
        declared: "a.yaml:3".into(),
        belongs,
        why: why.into(),
    };
    let process = Described { pid: 7, exe: "/usr/sbin/nginx".into(), comm: "nginx".into(), ..Described::default() };
    let groups = vec![verdict("cron", false, "`exe` keeps it out"), verdict("web", true, "`match` selects it")];
    let text = matching::text(&MatchReport { process: Some(process), groups });
    insta::assert_snapshot!(text, @r"
    7: exe /usr/sbin/nginx, comm nginx, uid 0
      args (none)
      cgroup (none)
    + web   `match` selects it (a.yaml:3)
    - cron  `exe` keeps it out (a.yaml:3)
    ");
}
