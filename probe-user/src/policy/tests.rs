mod applies;
mod random;

use std::fmt::Write as _;
use std::time::Duration;

use super::spec::{ActionKind, Bound, DestinationKind, Group, HostBound, Limit, Mode, Per, Rate, Success, User};
use super::*;

fn host() -> HostLabels {
    let labels = [("role".to_owned(), "web".to_owned()), ("zone".to_owned(), "seoul-a".to_owned())];
    HostLabels { name: "web-1".to_owned(), labels: labels.into() }
}

/// Only paths below /there exist.
fn exists(path: &str) -> bool {
    path.starts_with("/there")
}

fn read(texts: &[&str]) -> Result<Loaded, Diagnostics> {
    let sources: Vec<Source> =
        texts.iter().enumerate().map(|(index, text)| Source::new(&format!("{index}.yaml"), *text)).collect();
    parse(&sources, &host(), &exists)
}

/// A group's bounds, one a line: `memory.max 1073741824 for 60s per process critical`.
fn shown(group: &Group) -> String {
    group.bounds.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn line(bound: &Bound) -> String {
    let limit = |limit: Limit| match limit {
        Limit::Absolute(value) => value.to_string(),
        Limit::HostShare(share) => format!("{share} of the host"),
    };
    let mut line = format!("{}.{} {}", bound.measure.as_str(), bound.side.as_str(), limit(bound.limit));
    let durations = [("for", bound.hold), ("keep", bound.keep_firing), ("within", bound.within)];
    for (name, duration) in durations.iter().filter(|(_, duration)| !duration.is_zero()) {
        let _ = write!(line, " {name} {duration:?}");
    }
    if let Some(clear) = bound.clear {
        let _ = write!(line, " clear {}", limit(clear));
    }
    if bound.per == Per::Process {
        line.push_str(" per process");
    }
    line + " " + bound.severity.as_str()
}

/// The bounds that the lines of a group give.
#[track_caller]
fn check(lines: &str, expected: &str) {
    let body: String = lines.lines().fold(String::new(), |body, line| body + "    " + line.trim() + "\n");
    let text = format!("version: 1\ngroups:\n  g:\n    match: {{ comm: x }}\n{body}");
    let loaded = read(&[&text]).map_err(|diagnostics| diagnostics.to_string()).expect("right");
    assert_eq!(shown(&loaded.policies.groups[0]), expected);
}

#[test]
fn bounds_in_their_units() {
    check("count: { min: 2, max: 64, for: 10s }", "count.min 2 for 10s warning\ncount.max 64 for 10s warning");
    check("cpu: { max: 1.5 cores, for: 30s }", "cpu.max 1.5 for 30s warning");
    check("cpu: { max: 25% host }", "cpu.max 0.25 of the host warning");
    check("cpu_wait: { max: 1 core }", "cpu_wait.max 1 warning");
    check("memory: { max: 10% host, per: process }", "memory.max 0.1 of the host per process warning");
    check("read: { max: 10MiB/s }", "read.max 10485760 warning");
    check("write: { min: 1.5 KiB/s, clear_above: 2KiB/s }", "write.min 1536 clear 2048 warning");
    check("age: { max: 1d12h }", "age.max 129600 per process warning");
    check("starts: { max: 5, within: 1m }", "starts.max 5 within 60s warning");
    check("failures: { max: 0, within: 1m, keep_firing_for: 5m }", "failures.max 0 keep 300s within 60s warning");
    check("threads: { max: 100, clear_below: 80 }", "threads.max 100 clear 80 warning");
    check(
        "count: { min: 3, clear_above: 4, max: 9, clear_below: 8 }",
        "count.min 3 clear 4 warning\ncount.max 9 clear 8 warning",
    );
    check(
        "memory: [{ max: 1GiB, for: 1m, severity: info }, { max: 2GiB, severity: critical }]",
        "memory.max 1073741824 for 60s info\nmemory.max 2147483648 critical",
    );
    // Different windows may well be told different limits that no single one could hold.
    check(
        "starts: [{ min: 5, within: 1h }, { max: 2, within: 1m }]",
        "starts.min 5 within 3600s warning\nstarts.max 2 within 60s warning",
    );
    check("mode: observe", "");
}

#[test]
fn a_whole_group() {
    let text = "\
version: 1
groups:
  nginx:
    match:
      exe: [/usr/sbin/nginx, openresty]
      comm: ngin*
      args: 'worker process'
      user: [www-data, 33]
      cgroup: '/system.slice/*'
      unit: [nginx, user@*.service]
      container: 4D1B7A0C5E9F
      parent: masters
    except: { args: '-t' }
    include_children: true
    count: { min: 1 }
    repeat: 1h
    events: false
  masters:
    match: { comm: x }
  kernel:
    match: { kernel_threads: true }
    except: { comm: 'kworker*' }
";
    let loaded = read(&[text]).expect("right");
    let names: Vec<&str> = loaded.policies.groups.iter().map(|group| &*group.name).collect();
    assert_eq!(names, ["kernel", "masters", "nginx"]);
    let [kernel, _, nginx] = &loaded.policies.groups[..] else { panic!("three groups") };
    assert_eq!((&*nginx.declared, &*nginx.bounds[0].declared), ("0.yaml:3", "0.yaml:15"));
    let select = &nginx.select;
    let counts = [select.exe.len(), select.comm.len(), select.args.len(), select.user.len(), select.parent.len()];
    assert_eq!(counts, [2, 1, 1, 2, 1]);
    assert_eq!(select.user, [User::Name("www-data".into()), User::Uid(33)]);
    // One pattern, a unit, two for a unit with a wildcard, a container.
    assert_eq!(select.cgroup.len(), 5);
    assert!(matches!(&select.cgroup[1], spec::CgroupPattern::Unit(unit) if **unit == *"nginx.service"));
    assert!(matches!(&select.cgroup[4], spec::CgroupPattern::Container(id) if **id == *"4d1b7a0c5e9f"));
    assert_eq!(nginx.except.as_ref().map(|except| except.args.len()), Some(1));
    assert!(nginx.include_children && !nginx.events);
    assert_eq!(nginx.response.repeat, Some(Duration::from_hours(1)));
    // What is taken out of kernel threads are kernel threads.
    assert!(kernel.select.kernel_threads && kernel.except.as_ref().is_some_and(|except| except.kernel_threads));
}

/// The one policy set of a text that is right.
fn set(text: &str) -> PolicySet {
    let read = read(&[&format!("version: 1\n{text}")]);
    read.unwrap_or_else(|diagnostics| panic!("{diagnostics}")).policies
}

/// What a job says, in one line: schedule and start, bounds, good ends, overlap.
#[track_caller]
fn check_job(lines: &str, expected: &str) {
    let set = set(&format!("jobs:\n  j:\n    match: {{ comm: x }}\n    {}\n", lines.replace('\n', "\n    ")));
    let job = &set.jobs[0];
    let schedule = job.schedule.as_ref().map_or("whenever".to_owned(), |schedule| {
        format!("{} {} within {:?}", schedule.as_str(), schedule.zone(), job.start_within)
    });
    let bounds: Vec<String> = job.bounds.iter().map(line).collect();
    let Success { exit_codes, signals, severity } = &job.success;
    let shown = format!(
        "{schedule}; {}; {exit_codes:?} {signals:?} {}; {:?}",
        bounds.join(", "),
        severity.as_str(),
        job.overlap
    );
    assert_eq!(shown, expected);
}

#[test]
fn jobs_and_their_defaults() {
    check_job("", "whenever; ; [0] [] warning; Allow");
    check_job(
        "schedule: 0 2 * * *\ntimezone: Asia/Seoul\nstart_within: 15m\nduration: { min: 1m, max: 2h }\n\
         runs: { min: 1, max: 1 }\nsuccess: { exit_codes: [0] }\noverlap: forbid",
        "0 2 * * * Asia/Seoul within 900s; duration.min 60 warning, duration.max 7200 warning, runs.min 1 warning, \
         runs.max 1 warning; [0] [] warning; Forbid",
    );
    // A scheduled job is to run; how late it may start depends on how dense the schedule is.
    check_job("schedule: '@daily'\ntimezone: UTC", "@daily UTC within 300s; runs.min 1 warning; [0] [] warning; Allow");
    check_job(
        "schedule: '* * * * *'\ntimezone: UTC",
        "* * * * * UTC within 60s; runs.min 1 warning; [0] [] warning; Allow",
    );
    check_job(
        "schedule: '0,2 * * * *'\ntimezone: UTC\nruns: { max: 2 }",
        "0,2 * * * * UTC within 120s; runs.max 2 warning, runs.min 1 warning; [0] [] warning; Allow",
    );
    check_job(
        "schedule: '0 * * * *'\ntimezone: UTC\nruns: { min: 0, max: 1 }\nstart_within: 1h",
        "0 * * * * UTC within 3600s; runs.max 1 warning; [0] [] warning; Allow",
    );
    check_job(
        "runs: [{ min: 1, within: 1d, severity: critical }, { max: 5, within: 1h }]\noverlap: allow",
        "whenever; runs.min 1 within 86400s critical, runs.max 5 within 3600s warning; [0] [] warning; Allow",
    );
    check_job(
        "success: { signals: [TERM, sigint, 9], severity: critical }",
        "whenever; ; [0] [15, 2, 9] critical; Allow",
    );
    check_job("success: { exit_codes: 3 }", "whenever; ; [3] [] warning; Allow");
}

#[test]
fn logs_of_a_file() {
    let set = set("logs:\n  app:\n    path: /var/log/app/*.log\n    any: [OutOfMemoryError, 'ORA-', 500]\n    \
                   regex: 'status=5\\d\\d'\n    ignore: HealthCheck\n    lines: [{ max: 0, within: 1m, for: 5s }, { min: 1, within: 1h }]\n    \
                   quiet: 10m\n    repeat: 1h\n");
    let log = &set.logs[0];
    assert_eq!((&*log.name, &*log.declared), ("app", "0.yaml:3"));
    let plain = |texts: &[std::sync::Arc<str>]| texts.join(" ");
    assert_eq!(plain(&log.paths), "/var/log/app/*.log");
    assert_eq!(plain(&log.any), "OutOfMemoryError ORA- 500");
    assert_eq!(plain(&log.regex), "status=5\\d\\d");
    assert_eq!(plain(&log.ignore), "HealthCheck");
    let bounds: Vec<String> = log.bounds.iter().map(line).collect();
    assert_eq!(bounds, ["lines.max 0 for 5s within 60s warning", "lines.min 1 within 3600s warning"]);
    assert_eq!(log.quiet, Some(Duration::from_mins(10)));
    assert_eq!(log.response.repeat, Some(Duration::from_hours(1)));
}

#[test]
fn the_host_in_blocks() {
    let set = set(
        "host:\n  - cpu: { max: 90%, for: 5m, clear_below: 80% }\n    load: [{ max: 8 }, { max: 2 per core }]\n    \
                   memory_available: { min: 512MiB }\n    inodes_free: { path: /, min: 5% }\n    \
                   disk_free: [{ path: [/, /srv/], min: 10% }, { min: 1GiB, severity: critical }]\n  \
                   - only_if: { path: /there }\n    pressure_io: { max: 20%, for: 5m }\n    \
                   network_receive: { interface: en*, max: 100MiB/s }\n    processes: { max: 5000 }\n  \
                   - only_if: { path: /not }\n    cpu: { max: 1% }\n",
    );
    let shown: Vec<Vec<String>> = set
        .host
        .iter()
        .map(|block| {
            let targets = |of: &HostBound| of.targets.iter().fold(String::new(), |all, glob| all + " " + glob.as_str());
            block.bounds.iter().map(|of| line(&of.bound) + &targets(of)).collect()
        })
        .collect();
    assert_eq!(
        shown,
        [
            vec![
                "cpu.max 0.9 of the host for 300s clear 0.8 of the host warning",
                "load.max 8 warning",
                "load.max 2 of the host warning",
                "memory_available.min 536870912 warning",
                "disk_free.min 0.1 of the host warning / /srv",
                "disk_free.min 1073741824 critical",
                "inodes_free.min 0.05 of the host warning /",
            ],
            vec![
                "processes.max 5000 warning",
                "pressure_io.max 0.2 of the host for 300s warning",
                "network_receive.max 104857600 warning en*",
            ],
        ]
    );
}

#[test]
fn what_alarms_lead_to() {
    let set = set("\
groups:
  nginx: { match: { comm: nginx }, count: { min: 1 }, notify: [pager, ops], act: restart, mode: enforce, repeat: 1h }
notify:
  ops: { webhook: 'https://ops.example/hook?key=x', token_file: /etc/t, secret_file: /etc/s, max_rate: 60 per 1m }
  pager: { alertmanager: ['http://a:9093', 'http://b:9093'], labels: { team: web }, timeout: 3s }
actions:
  restart: { run: [systemctl, restart, ''], as: 33, timeout: 5s, max_runs: 3 per 1h }
  stop: { signal: SIGTERM, then_kill_after: 10s }
");
    let response = &set.groups[0].response;
    assert_eq!((response.notify.join(" "), response.act.join(" ")), ("pager ops".to_owned(), "restart".to_owned()));
    assert_eq!((response.mode, response.repeat), (Mode::Enforce, Some(Duration::from_hours(1))));
    let text = |text: &str| std::sync::Arc::<str>::from(text);
    let ops = &set.destinations["ops"];
    let kind =
        DestinationKind::Webhook { url: text("https://ops.example/hook?key=x"), secret_file: Some(text("/etc/s")) };
    assert_eq!((&ops.kind, ops.token_file.as_deref(), ops.timeout), (&kind, Some("/etc/t"), Duration::from_secs(10)));
    assert_eq!(ops.max_rate, Some(Rate { count: 60, per: Duration::from_mins(1) }));
    let pager = &set.destinations["pager"];
    let urls = vec![text("http://a:9093"), text("http://b:9093")];
    let kind = DestinationKind::Alertmanager { urls, labels: vec![(text("team"), text("web"))] };
    assert_eq!((&pager.kind, pager.timeout, pager.max_rate), (&kind, Duration::from_secs(3), None));
    let argv = vec![text("systemctl"), text("restart"), text("")];
    let kind = ActionKind::Run { argv, user: Some(User::Uid(33)), timeout: Duration::from_secs(5) };
    assert_eq!(set.actions["restart"].kind, kind);
    assert_eq!(set.actions["restart"].max_runs, Some(Rate { count: 3, per: Duration::from_hours(1) }));
    let kind = ActionKind::Signal { signal: 15, then_kill_after: Some(Duration::from_secs(10)) };
    assert_eq!(set.actions["stop"].kind, kind);
}

#[test]
fn what_check_says() {
    let good = "version: 1\ngroups:\n  g: { match: { comm: x }, count: { min: 1, max: 3 } }\n";
    assert_eq!(report(&read(&[good])), "1 file, 1 group, 2 bounds: no errors");
    let absent = "version: 1\ngroups:\n  h: { match: { comm: x }, only_if: { path: /no } }\n";
    assert_eq!(
        report(&read(&[good, absent])),
        "1.yaml:3:37: `h` is not loaded here: `/no` does not exist\n \
         3 |   h: { match: { comm: x }, only_if: { path: /no } }\n   \
         |                                     ^\n\n\
         2 files, 1 group, 2 bounds: no errors"
    );
    let bad = "version: 1\ngruops: {}\n";
    assert_eq!(
        report(&read(&[good, bad])),
        "1.yaml:2:1: unknown key `gruops`\n 2 | gruops: {}\n   | ^^^^^^\n help: did you mean `groups`?\n\n\
         1 error: nothing is loaded"
    );
}
