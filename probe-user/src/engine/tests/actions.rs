//! Actions: which alarms lead to them, what keeps them back, what is told of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::world::{World, secs, settings};
use super::*;
use crate::engine::ActionStatus;
use crate::policy::spec::{Action, ActionKind, Mode, PolicySet, Rate, User};
use crate::time::KTime;

const RESTART: &str = "restart";
const STOP: &str = "stop";

fn actions(max_runs: Option<Rate>) -> BTreeMap<Arc<str>, Arc<Action>> {
    let action =
        |name: &str, kind| Arc::new(Action { name: name.into(), declared: "test.yaml:9".into(), kind, max_runs });
    let run = ActionKind::Run {
        argv: vec!["systemctl".into(), "restart".into(), "app".into()],
        user: Some(User::Name("root".into())),
        timeout: Duration::from_secs(30),
    };
    let stop = ActionKind::Signal { signal: 15, then_kill_after: Some(Duration::from_secs(10)) };
    [action(RESTART, run), action(STOP, stop)].into_iter().map(|action| (Arc::clone(&action.name), action)).collect()
}

/// `app` with this bound; every alarm leads to these actions.
fn policies(bound: Bound, act: &[&str], mode: Mode, max_runs: Option<Rate>) -> PolicySet {
    let response = Response {
        repeat: Some(Duration::from_secs(100)),
        act: act.iter().map(|name| (*name).into()).collect(),
        mode,
        ..Response::default()
    };
    let group = Group { response, ..group("app", exe("app"), vec![bound]) };
    PolicySet { groups: vec![group], actions: actions(max_runs), ..PolicySet::default() }
}

fn play(sets: Vec<PolicySet>, script: &str) -> World {
    let mut world = World::of(settings(), sets);
    world.engine.spare(50);
    world.play(script);
    world
}

/// What was ordered, and what was told of actions.
#[track_caller]
fn check(sets: Vec<PolicySet>, script: &str, orders: &[&str], told: &[&str]) -> World {
    let world = play(sets, script);
    let ordered: Vec<&String> = world.asked.iter().filter(|asked| asked.contains(" order ")).collect();
    assert_eq!(ordered, orders, "{script}");
    let actions = world.told.iter().filter(|event| event.name.starts_with("procprobe.action."));
    let lines: Vec<String> = actions
        .map(|event| format!("{} {} {}", secs(event.at), event.name.rsplit('.').next().unwrap(), event.body))
        .collect();
    assert_eq!(lines, told, "{script}");
    world
}

fn one_process(act: &[&str], mode: Mode) -> Vec<PolicySet> {
    vec![policies(min(Measure::Count, 1.0), act, mode, None)]
}

const FALLS: &str = "0 have 10 /bin/app
                     0 scan
                     5 exit 10 code=1
                     ";

#[test]
fn observing_tells_what_would_be_done() {
    let world = check(
        one_process(&[RESTART], Mode::Observe),
        &format!("{FALLS} 500"),
        &[],
        &["5 skipped restart not done (observe): would run systemctl restart app as root; app.count.min"],
    );
    let event = world.told.iter().find(|event| event.name == "procprobe.action.skipped").unwrap();
    assert_eq!(event.attributes.get("why"), Some(&"observe".into()));
    assert_eq!(event.attributes.get("policy.name"), Some(&"app".into()));
    assert_eq!(event.attributes.get("alarm"), Some(&"app.count.min".into()));
    let alarm = world.told.iter().position(|event| event.name == "procprobe.policy.firing").unwrap();
    assert!(std::ptr::eq(&raw const world.told[alarm + 1], event), "the alarm is told first");
}

#[test]
fn an_alarm_is_acted_on_once_however_long_it_lasts() {
    let world = check(
        one_process(&[RESTART], Mode::Enforce),
        &format!("{FALLS} 6 acted 1 code=0 ms=1200\n 500 run 11 /bin/app\n 501 exit 11"),
        &["5 order 1 restart", "501 order 2 restart"],
        &["6 ran restart ended with code 0 after 1.2s; app.count.min"],
    );
    let facts: BTreeMap<_, _> = world.orders[0].facts.iter().cloned().collect();
    assert_eq!(facts["ALARM"], "app.count.min");
    assert_eq!((&*facts["VALUE"], &*facts["LIMIT"], &*facts["POLICY"]), ("0", "1", "app"));
    assert!(facts["SUMMARY"].starts_with("app: 0 processes, minimum 1"), "{facts:?}");
}

#[test]
fn what_is_under_way_is_shown_until_it_has_ended() {
    let shown = |script: &str| {
        let world = play(one_process(&[RESTART], Mode::Enforce), &format!("{FALLS}{script}"));
        let status = world.engine.status(KTime::from_secs(8));
        let line = |of: &ActionStatus| format!("{} {} {} {}", of.name, of.alarm, of.policy, of.since_seconds);
        status.actions.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(shown(""), ["restart app.count.min app 3"]);
    assert_eq!(shown("6 acted 1 code=0"), [""; 0]);
}

#[test]
fn a_program_that_runs_is_not_started_again() {
    check(
        one_process(&[RESTART], Mode::Enforce),
        &format!("{FALLS} 6 run 11 /bin/app\n 7 exit 11\n 8 acted 1 code=3\n 9 run 12 /bin/app\n 10 exit 12"),
        &["5 order 1 restart", "10 order 2 restart"],
        &[
            "7 skipped restart not done (running): would run systemctl restart app as root; app.count.min",
            "8 ran restart ended with code 3 after 10ms; app.count.min",
        ],
    );
}

#[test]
fn what_was_held_back_is_tried_at_the_next_repetition() {
    check(
        one_process(&[RESTART], Mode::Enforce),
        &format!("{FALLS} 6 run 11 /bin/app\n 7 exit 11\n 8 acted 1 why=no_helper\n 400"),
        &["5 order 1 restart", "107 order 2 restart"],
        &[
            "7 skipped restart not done (running): would run systemctl restart app as root; app.count.min",
            "8 skipped restart failed: no_helper; app.count.min",
        ],
    );
}

#[test]
fn a_limit_slides_and_survives_a_reload() {
    let rate = Rate { count: 2, per: Duration::from_mins(1) };
    let sets = || (0..2).map(|_| policies(min(Measure::Count, 1.0), &[RESTART], Mode::Enforce, Some(rate))).collect();
    let blink =
        |at: u64, order: u64| format!("{at} run {at} /bin/app\n {at}.1 acted {order} code=0\n {at}.2 exit {at}\n");
    let ran = |at: &str| format!("{at}.1 ran restart ended with code 0 after 10ms; app.count.min");
    let script = format!("{FALLS} {} 30 policies 1\n {} {}", blink(20, 1), blink(40, 2), blink(65, 3));
    check(
        sets(),
        &script,
        &["5 order 1 restart", "20.2 order 2 restart", "65.2 order 3 restart"],
        &[
            &ran("20"),
            &ran("40"),
            "40.2 skipped restart not done (limit): would run systemctl restart app as root; app.count.min",
        ],
    );
}

#[test]
fn nothing_is_done_on_a_table_in_doubt() {
    check(
        one_process(&[RESTART], Mode::Enforce),
        "0 have 10 /bin/app
         0 scan
         5 unseen exit 10
         6 lost 1
         7 scan
         300",
        &["107 order 1 restart"],
        &["7 skipped restart not done (degraded): would run systemctl restart app as root; app.count.min"],
    );
}

#[test]
fn of_too_many_the_youngest_are_signalled() {
    let too_many = vec![policies(max(Measure::Count, 2.0).hold(3), &[STOP], Mode::Enforce, None)];
    let script = "0 scan
                  1 run 10 /bin/app
                  2 run 11 /bin/app
                  3 run 12 /bin/app
                  4 run 13 /bin/app
                  6.5 acted 1 hit=13 gone=12 killed=13";
    check(
        too_many,
        script,
        &["6 order 1 stop 13,12"],
        &["6.5 ran stop sent to 13; SIGKILL for 13; 12 gone, or another process by now; app.count.max"],
    );
}

#[test]
fn a_kill_that_was_not_due_at_the_end_is_told() {
    let sets = vec![policies(max(Measure::Age, 10.0), &[STOP], Mode::Enforce, None)];
    let script = "0 scan
                  1 run 10 /bin/app
                  15 acted 1 hit=10 left=10";
    let told = ["15 ran stop sent to 10; no SIGKILL for 10: procprobe ended before it was due; app.age.max"];
    check(sets, script, &["11 order 1 stop 10"], &told);
}

#[test]
fn one_process_in_breach_is_signalled_alone() {
    let sets = vec![policies(max(Measure::Age, 10.0), &[STOP], Mode::Enforce, None)];
    let script = "0 scan
                  1 run 10 /bin/app
                  4 run 11 /bin/app
                  15 acted 1 gone=10";
    let told = ["15 skipped stop not done (identity changed): 10 gone, or another process by now; app.age.max"];
    check(sets, script, &["11 order 1 stop 10", "14 order 2 stop 11"], &told);
}

#[test]
fn the_daemon_and_pid_1_are_spared() {
    let everyone = || Group {
        response: Response { act: vec![STOP.into()], mode: Mode::Enforce, ..Response::default() },
        ..group("all", exe("*"), vec![max(Measure::Count, 0.0)])
    };
    let set = || vec![PolicySet { groups: vec![everyone()], actions: actions(None), ..PolicySet::default() }];
    let told = ["0 skipped stop not done (no target): would send SIGTERM to nobody, SIGKILL after 10s; all.count.max"];
    check(set(), "0 have 50 /usr/bin/procprobe\n 0 scan", &[], &told);
    check(set(), "0 have 50 /usr/bin/procprobe\n 0 have 60 /bin/app\n 0 scan", &["0 order 1 stop 60"], &[]);
}
