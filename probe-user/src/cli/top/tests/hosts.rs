//! Pictures of what is shown of the hosts of a site.

use super::*;

#[test]
fn hosts_of_the_site_by_zone() {
    let mut state = state();
    state.step(Duration::ZERO, report(with_site()));
    assert!(picture(&mut state, 80, 24).contains("5 Peers(2)"));
    assert_eq!(press(&mut state, KeyCode::Char('5')), Some(Effect::LookAt(About::Peers)));
    assert!(picture(&mut state, 80, 24).contains("asking for the hosts of the site"));
    state.step(Duration::from_secs(3), site());
    press(&mut state, KeyCode::Down);
    insta::assert_snapshot!(picture(&mut state, 80, 20), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes                           live
     1 Groups  2 Alarms(3)  3 Events  4 Jobs [5 Peers(2)] 6 Probe
    by zone: 5 hosts in 2 zones: 1 agent_down, 3 alive, 1 host_down; reached 3 of 4…
     ZONE       NAME                   STATE     VERDICT      SINCE   HEARD    TRIP
     -          db-1                   alive     alive           1m      2s  12.3ms
    >seoul-a    web-2                  down      host_down    1m15s   1m30s   0.4ms
     seoul-a    web-1 *                alive     alive         1h1m       -       -
     seoul-b    web-4                  down      agent_down     30s   never       -
     seoul-b    web-3                  suspect   alive           3s      1s       -





    ── web-2 (10.0.0.2:7946) ───────────────────────────────────────────────────────
    down, held for host_down for 1m15s; last heard 1m30s ago, round trip 0.4ms
    incident abcd12; `procprobe events --name '*.peer.*'` has its witnesses
    labels: rack=7\x1b, role=web
    zone seoul-a: 1 of 2 hosts alive
    h Help  q Quit  s Sort  / Search  f Filter  Tab Screens  p Pause
    ");
    // A wide screen has all of it.
    let wide = picture(&mut state, 130, 20);
    assert!(wide.contains("10.0.0.4:7946") && wide.contains("COLLECTOR") && wide.contains("lost"), "{wide}");
    state.step(Duration::from_secs(4), Input::Peers(Err("the daemon answered: too busy".into())));
    assert!(picture(&mut state, 130, 20).contains("as of a while ago (the daemon answered: too busy): 5 hosts"));
    assert_eq!(press(&mut state, KeyCode::Char('1')), Some(Effect::LookAt(About::Nothing)));
}

#[test]
fn without_peers_the_screen_says_how_to_have_some() {
    let mut state = full();
    press(&mut state, KeyCode::Char('5'));
    insta::assert_snapshot!(picture(&mut state, 80, 14), @r"
    procprobe 0.1.0 on web-1  up 1h1m  123 processes  probe 0.5 % cpu          live
     1 Groups  2 Alarms(2)  3 Events  4 Jobs [5 Peers] 6 Probe
    by zone: peers
     ZONE       NAME                   STATE     VERDICT      SINCE   HEARD    TRIP
     no peers: hosts that watch each other tell a host that is down from a path
     that broke.
     `procprobe peers key /etc/procprobe/peers.key` makes a key that all of them
     share; in the configuration of each:
     peers: { join: [10.0.0.2, 10.0.0.3], key_file: /etc/procprobe/peers.key }
     A restart of the daemon takes it up; docs/peers.md says more.



    h Help  q Quit  s Sort  / Search  f Filter  Tab Screens  p Pause
    ");
    // What keeps this host out of its site stands before that.
    let mut answer = answer();
    answer["agent"]["degraded"] = json!(["no pins", "peers: 0.0.0.0:7946 is taken"]);
    state.step(Duration::from_secs(3), report(answer));
    let shown = picture(&mut state, 80, 20);
    assert!(shown.contains("peers: 0.0.0.0:7946 is taken") && !shown.contains("no pins"), "{shown}");
}

#[test]
fn sets_of_peers_stand_among_the_groups_and_their_alarms_among_the_others() {
    let mut state = state();
    state.step(Duration::ZERO, report(with_site()));
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, "web-hosts");
    press(&mut state, KeyCode::Enter);
    let shown = picture(&mut state, 80, 24);
    let line = |with: &str| shown.lines().find(|line| line.contains(with)).unwrap_or_default().to_owned();
    insta::assert_snapshot!(line(">web-hosts"), @">web-hosts     peers      -         - ████████ 107% FIRING   alive min 80 %");
    let bound = line("alive min 80 %  ");
    assert!(bound.ends_with("75 % ████████ 107% FIRING 1m1s"), "{bound}");
    assert_eq!(press(&mut state, KeyCode::Enter), None);
    assert!(state.note.is_some());
    press(&mut state, KeyCode::Char('2'));
    assert!(picture(&mut state, 80, 24).contains("web-hosts.alive.min"));
}
