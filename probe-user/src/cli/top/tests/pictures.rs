//! Whole screens.

use super::*;

#[test]
fn groups_at_80_by_24() {
    insta::assert_snapshot!(picture(&mut full(), 80, 24), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes  probe 0.5 % cpu          live
    [1 Groups] 2 Alarms(2)  3 Events  4 Jobs  5 Peers  6 Probe
    by state: 3 groups; - is not sampled, for no bound asks
     GROUP         COUNT    CPU    MEMORY NEAR          STATE    BOUND
    >nginx             1   0.25  64.0 MiB ████████ 200% FIRING   count min 2
     worker            3      -         - ███████░  90% healthy  starts in 1m max 5
     app-errors      log      -         - ░░░░░░░░   0% healthy  lines in 1m max 0
     데이터베이스…    12      -         - -             -        no bounds












    ── nginx (web.yaml:3) ──────────────────────────────────────────────────────────
     count min 2                                    1 ████████ 200% FIRING 1m15s
     cpu max 1.00 cores                    0.25 cores ██░░░░░░  25% healthy
    h Help  q Quit  Enter Processes  s Sort  / Search  f Filter  Tab Screens
    ");
}

#[test]
fn groups_at_40_by_12() {
    insta::assert_snapshot!(picture(&mut full(), 40, 12), @r"
    procprobe 0.1.0 on web-1  up 1h1…  live
    [1 Groups] 2 Alarms(2)  3 Events  4 Jobs
    by state: 3 groups; - is not sampled, f…
     GROUP              COUNT NEAR
    >nginx                  1 ████████ 200%
     worker                 3 ███████░  90%
     app-errors           log ░░░░░░░░   0%
     데이터베이스\x1b[…    12 -



    h Help  q Quit  Enter Processes  s Sort
    ");
}

#[test]
fn alarms_with_their_evidence() {
    let mut state = full();
    press(&mut state, KeyCode::Char('2'));
    insta::assert_snapshot!(picture(&mut state, 80, 24), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes  probe 0.5 % cpu          live
     1 Groups [2 Alarms(2)] 3 Events  4 Jobs  5 Peers  6 Probe
    by severity: 2 on
         FOR SEVERITY ALARM                    WHY
    >  1m15s critical nginx.count.min          nginx: 1 process, minimum 2; 4211 k…
          1h warning  backup.success           backup.success













    ── nginx.count.min, told at 00:58:55 ───────────────────────────────────────────
    nginx: 1 process, minimum 2; 4211 killed by SIGKILL from 99 (bash)
    - pid 4211, executable.path /usr/sbin/nginx, exit.signal SIGKILL, killer.pid 99,
    killer.command bash\x07
    h Help  q Quit  Enter Processes  s Sort  / Search  f Filter  Tab Screens
    ");
    // The other one was told by an earlier daemon.
    press(&mut state, KeyCode::Down);
    assert!(picture(&mut state, 80, 24).contains("procprobe events --name '*.firing'"));
}

#[test]
fn starts_and_ends() {
    let mut state = full();
    press(&mut state, KeyCode::Char('3'));
    insta::assert_snapshot!(picture(&mut state, 100, 14), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes  probe 0.5 % cpu                              live
     1 Groups  2 Alarms(2) [3 Events] 4 Jobs  5 Peers  6 Probe
    starts and ends of processes in groups (--events all tells of every one)
     TIME     EVENT             LIVED   CPU s WHAT
    >01:00:03 process.exit        3ms   0.001 true (77) exited with code 0 after 3ms
     01:00:02 process.start                   true (77) started: /bin/true





    ── process.exit at 01:00:03 ────────────────────────────────────────────────────────────────────────
    true (77) exited with code 0 after 3ms
    h Help  q Quit  / Search  f Filter  Tab Screens  p Pause
    ");
}

#[test]
fn jobs_with_their_last_and_next_run() {
    let mut state = full();
    press(&mut state, KeyCode::Char('4'));
    insta::assert_snapshot!(picture(&mut state, 90, 16), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes  probe 0.5 % cpu                    live
     1 Groups  2 Alarms(2)  3 Events [4 Jobs] 5 Peers  6 Probe
    by state: 2 jobs, 1 running
     JOB             STATE    RUNS FOR     LAST RUN             NEXT                IN MISSED
    >backup          FIRING                failed 1h ago        11-22 02:00     59m50s      1
     index           healthy  1m15s        not seen yet         no schedule                 0





    ── backup (jobs.yaml:3) ──────────────────────────────────────────────────────────────────
    scheduled 0 2 * * * in UTC, 1 missed since the daemon started
    last run failed 1h ago after 3m12s, 1.50 s of CPU
    backup.success FIRING for 1h (warning)
    h Help  q Quit  Enter Processes  s Sort  / Search  f Filter  Tab Screens  p Pause
    ");
}

#[test]
fn the_probe_itself() {
    let mut state = full();
    press(&mut state, KeyCode::Char('6'));
    insta::assert_snapshot!(picture(&mut state, 80, 20), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes  probe 0.5 % cpu          live
     1 Groups  2 Alarms(2)  3 Events  4 Jobs  5 Peers [6 Probe]
    the probe itself
     WHAT
    >degraded       no pins
     cpu            0.50 % of a core now, 0.100 % since its start (3.71 s)
     memory         6.0 MiB resident, 7.0 MiB at most
     wake-ups       3.0 a second now, this screen's questions among them
     events         42 told, 0.0 a second now
     records        5 fork, 4 exec
     kernel side    0.000 s in 4 runs (0.000 % of a core)
                    exec: 4 runs, 500 ns each
     collector      none
     spool          2.0 KiB of 1.0 MiB on disk
     lost           9 at stdout (queue_full)




    h Help  q Quit  / Search  f Filter  Tab Screens  p Pause
    ");
}

#[test]
fn branches_lead_to_their_siblings_over_all_levels() {
    let mut state = full();
    press(&mut state, KeyCode::Enter);
    let mut processes = vec![
        member(10, 1, "a"),
        member(11, 10, "b"),
        member(12, 11, "c"),
        member(13, 12, "d"),
        member(14, 11, "e"),
        member(15, 10, "f"),
        member(16, 15, "g"),
    ];
    let roster = |processes: &[Member]| {
        let roster = Roster { name: "nginx".into(), members: 7, processes: processes.to_vec(), ..Roster::default() };
        Input::Roster(Ok(Box::new(roster)))
    };
    let commands = |state: &State| -> String {
        let rows = state.table().rows;
        rows.iter().filter_map(|row| row.cells.last()).fold(String::new(), |all, cell| match cell {
            super::super::table::Cell::Text(text, _) => all + text + "\n",
            _ => all,
        })
    };
    state.step(Duration::from_secs(3), roster(&processes));
    insta::assert_snapshot!(commands(&state), @r"
    a
    |- b
    | |- c
    | | `- d
    | `- e
    `- f
      `- g
    ");
    // However deep, the command is still on the screen.
    processes.extend((100..200).map(|pid| member(pid, if pid == 100 { 16 } else { pid - 1 }, "deep")));
    state.step(Duration::from_secs(4), roster(&processes));
    let longest = commands(&state).lines().map(str::len).max();
    assert_eq!(longest, Some(30 + "`- deep".len()));
}

#[test]
fn the_processes_of_a_group_as_a_tree_and_by_use() {
    let mut state = full();
    assert_eq!(press(&mut state, KeyCode::Enter), Some(Effect::LookAt(About::Group("nginx".into()))));
    assert!(picture(&mut state, 80, 24).contains("asking for its processes"));
    state.step(Duration::from_secs(3), roster());
    insta::assert_snapshot!(picture(&mut state, 80, 18), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes  probe 0.5 % cpu          live
    [1 Groups] 2 Alarms(2)  3 Events  4 Jobs  5 Peers  6 Probe
    by pid: nginx: 5 processes
         PID USER        CPU%    MEMORY      AGE COMMAND
    >     10 www-data     1.0  10.0 MiB      10s nginx: master
          20 www-data     2.0  20.0 MiB      20s |- nginx: worker \x1b[2J
          21 www-data     2.1  21.0 MiB      21s | `- sh -c 'x'
          30 www-data     3.0  30.0 MiB      30s `- nginx: worker
          40 www-data     4.0  40.0 MiB      40s elsewhere





    ── 10 (nginx), child of 1 ──────────────────────────────────────────────────────
    /usr/sbin/nginx
    nginx: master
    h Help  q Quit  Esc Back  t Flat  s Sort  / Search  f Filter  Tab Screens
    ");
    press(&mut state, KeyCode::Char('t'));
    press(&mut state, KeyCode::Char('s'));
    insta::assert_snapshot!(picture(&mut state, 60, 12), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes  pr…  live
    [1 Groups] 2 Alarms(2)  3 Events  4 Jobs  5 Peers  6 Probe
    by cpu: nginx: 5 processes
         PID USER        CPU%    MEMORY COMMAND
    >     40 www-data     4.0  40.0 MiB elsewhere
          30 www-data     3.0  30.0 MiB nginx: worker
          21 www-data     2.1  21.0 MiB sh -c 'x'
          20 www-data     2.0  20.0 MiB nginx: worker \x1b[2J
          10 www-data     1.0  10.0 MiB nginx: master


    h Help  q Quit  Esc Back  t Tree  s Sort  / Search  f Filter
    ");
    assert_eq!(press(&mut state, KeyCode::Esc), Some(Effect::LookAt(About::Nothing)));
    assert!(picture(&mut state, 80, 24).contains("[1 Groups]"));
}

#[test]
fn help_has_every_key() {
    let mut state = full();
    press(&mut state, KeyCode::F(1));
    insta::assert_snapshot!(picture(&mut state, 80, 24), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes  probe 0.5 % cpu          live
    [1 Groups] 2 Alarms(2)  3 Events  4 Jobs  5 Peers  6 Probe

     1 to 6, Tab        groups, alarms, events, jobs, peers, the probe itself
     arrows, PgUp, PgDn move (also j k, Space)
     Home, End          first and last row (g G)
     Enter              processes of the group, job or alarm
     Esc                back; or the filter away
     / F3, n N          search; next and previous match
     f F4 \             filter: only rows that have a text
     s F6 > <           another order
     I                  the order inverted
     t F5               processes as a tree or by order alone
     p                  pause: nothing changes until p again
     Ctrl-L, Ctrl-Z     draw anew; to the shell, `fg` comes back
     q F10 Ctrl-C       quit

     NEAR               share of the bound that is worst off: of a max the value by
                        the limit, of a min the limit by the value; over 100% is a …
     CPU                in cores; of a process in percent of one core



    h Help  q Quit  Enter Processes  s Sort  / Search  f Filter  Tab Screens
    ");
    press(&mut state, KeyCode::Char('x'));
    assert!(!state.help);
}

#[test]
fn without_a_daemon_the_remedy_is_on_the_screen() {
    let mut state = state();
    assert!(picture(&mut state, 80, 24).contains("asking the daemon..."));
    let why = "no procprobe daemon answers on /run/procprobe/api.sock: No such file or directory (os error 2); start one \
               with `procprobe run`, or name its --socket";
    state.step(Duration::from_secs(1), Input::NoReport(why.into()));
    insta::assert_snapshot!(picture(&mut state, 60, 10), @r"
    procprobe top                                          DOWN
    [1 Groups] 2 Alarms  3 Events  4 Jobs  5 Peers  6 Probe

     no procprobe daemon answers on /run/procprobe/api.sock: No
     such file or directory (os error 2); start one with
     `procprobe run`, or name its --socket
     (it is tried again each second; q quits)


    h Help  q Quit  Enter Processes  s Sort  / Search  f Filter
    ");
    state.step(Duration::from_secs(9), Input::NoReport(why.into()));
    state.step(Duration::from_secs(10), report(answer()));
    assert!(picture(&mut state, 80, 24).contains("nginx"));
}

#[test]
fn a_daemon_that_went_away_is_told_beside_its_last_words() {
    let mut state = full();
    state.step(Duration::from_secs(5), Input::NoReport("gone".into()));
    state.step(Duration::from_secs(65), Input::NoReport("gone".into()));
    let shown = picture(&mut state, 80, 24);
    assert!(
        shown.starts_with("no answer for 1m: gone") && shown.contains("DOWN") && shown.contains("nginx"),
        "{shown}"
    );
    state.step(Duration::from_secs(66), report(answer()));
    assert!(picture(&mut state, 80, 24).contains(" live"));
}

#[test]
fn a_terminal_without_anything_gets_letters_alone() {
    let mut state = full();
    let buffer = drawn(&mut state, BARE, 80, 24);
    for cell in buffer.content() {
        assert!(cell.style().fg.is_none_or(|colour| colour == ratatui::style::Color::Reset), "{cell:?}");
        assert!(cell.modifier.is_empty(), "{cell:?}");
    }
    let text = lines(&buffer);
    assert!(text.contains("########"), "{text}");
    let foreign: Vec<char> =
        text.chars().filter(|letter| !letter.is_ascii() && !('가'..='힣').contains(letter)).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
}

#[test]
fn on_a_large_screen_everything_is_there() {
    let mut state = full();
    let text = picture(&mut state, 200, 60);
    for part in ["COUNT", "CPU, 2 MIN", "count min 2", "app-errors", "FIRING 1m15s", "nginx (web.yaml:3)"] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
}

#[test]
fn a_screen_that_is_too_small_says_so() {
    let shown = picture(&mut full(), 30, 8);
    assert_eq!(shown.lines().collect::<Vec<_>>().concat(), "too small: 30x8, needs 40x10;q quits");
    picture(&mut full(), 1, 1);
}
