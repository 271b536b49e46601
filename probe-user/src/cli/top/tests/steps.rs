//! What keys and answers lead to.

use super::*;
use crate::cli::top::screens::Screen;

fn chosen(state: &mut State) -> String {
    drawn(state, LOOKS, 80, 24);
    let table = state.table();
    table.rows.get(state.pane().cursor.index).map(|row| row.id.clone()).unwrap_or_default()
}

#[track_caller]
fn check_chosen(state: &mut State, keys: &[KeyCode], expected: &str) {
    for key in keys {
        press(state, *key);
    }
    assert_eq!(chosen(state), expected, "{keys:?}");
}

#[test]
fn screens_follow_each_other_in_a_circle() {
    let mut state = full();
    let mut seen = Vec::new();
    for _ in 0..6 {
        press(&mut state, KeyCode::Tab);
        seen.push(state.screen);
    }
    let circle = [Screen::Alarms, Screen::Events, Screen::Jobs, Screen::Peers, Screen::Probe, Screen::Groups];
    assert_eq!(seen, circle);
    press(&mut state, KeyCode::BackTab);
    assert_eq!(state.screen, Screen::Probe);
    press(&mut state, KeyCode::Char('3'));
    assert_eq!(state.screen, Screen::Events);
}

#[test]
fn groups_in_trouble_come_first_and_the_choice_follows_its_row() {
    let mut state = full();
    check_chosen(&mut state, &[], "nginx");
    check_chosen(&mut state, &[KeyCode::Down], "worker");
    check_chosen(&mut state, &[KeyCode::Char('s')], "worker");
    assert_eq!(state.order(), Some("name"));
    check_chosen(&mut state, &[KeyCode::Home], "app-errors");
    check_chosen(&mut state, &[KeyCode::End, KeyCode::Down], "데이터베이스\u{1b}[31m");
    check_chosen(&mut state, &[KeyCode::PageUp, KeyCode::Up], "app-errors");
    check_chosen(&mut state, &[KeyCode::Char('I'), KeyCode::Home], "데이터베이스\u{1b}[31m");
    check_chosen(&mut state, &[KeyCode::Char('<'), KeyCode::Home], "nginx");
    assert_eq!(state.order(), Some("state"));
    for (order, first) in
        [("name", "app-errors"), ("count", "데이터베이스\u{1b}[31m"), ("cpu", "nginx"), ("memory", "nginx")]
    {
        check_chosen(&mut state, &[KeyCode::Char('s'), KeyCode::Home], first);
        assert_eq!(state.order(), Some(order));
    }
}

#[test]
fn a_search_goes_to_what_it_finds_and_a_filter_leaves_it_alone() {
    let mut state = full();
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, "wOrq");
    assert_eq!(state.note.as_deref(), Some("`wOrq` is not found"));
    check_chosen(&mut state, &[KeyCode::Backspace, KeyCode::Enter], "worker");
    check_chosen(&mut state, &[KeyCode::Char('n')], "worker");
    press(&mut state, KeyCode::F(4));
    type_text(&mut state, "app-");
    assert_eq!(state.table().rows.len(), 1);
    assert!(picture(&mut state, 80, 24).contains("filter: app-_"));
    check_chosen(&mut state, &[KeyCode::Enter], "app-errors");
    assert!(picture(&mut state, 80, 24).contains("only `app-`"));
    check_chosen(&mut state, &[KeyCode::Esc], "app-errors");
    assert_eq!(state.table().rows.len(), 4);
    // Keys are letters while a text is typed, and what is typed is bounded.
    press(&mut state, KeyCode::Char('f'));
    type_text(&mut state, &"q".repeat(500));
    assert_eq!(state.pane().filter.len(), 60);
    press(&mut state, KeyCode::Esc);
    assert_eq!((state.table().rows.len(), state.typing), (4, None));
    assert_eq!(press(&mut state, KeyCode::Char('q')), Some(Effect::Quit));
}

#[test]
fn matches_are_gone_through_in_both_directions() {
    let mut state = full();
    press(&mut state, KeyCode::Char('s'));
    assert_eq!(press(&mut state, KeyCode::Char('n')), None);
    assert!(state.note.as_deref().is_some_and(|note| note.contains("nothing is searched for")));
    press(&mut state, KeyCode::Char('/'));
    type_text(&mut state, "or");
    press(&mut state, KeyCode::Enter);
    check_chosen(&mut state, &[], "app-errors");
    check_chosen(&mut state, &[KeyCode::Char('n')], "worker");
    check_chosen(&mut state, &[KeyCode::Char('n')], "app-errors");
    check_chosen(&mut state, &[KeyCode::Char('N')], "worker");
}

#[test]
fn a_pause_holds_what_is_shown() {
    let mut state = full();
    press(&mut state, KeyCode::Char('p'));
    let mut later = answer();
    later["engine"]["groups"][0]["name"] = json!("other");
    state.step(Duration::from_secs(3), report(later.clone()));
    let shown = picture(&mut state, 80, 24);
    assert!(shown.contains("PAUSED") && shown.contains("nginx") && !shown.contains("other"), "{shown}");
    press(&mut state, KeyCode::Char('p'));
    state.step(Duration::from_secs(4), report(later));
    let shown = picture(&mut state, 80, 24);
    assert!(!shown.contains("PAUSED") && shown.contains("other"), "{shown}");
}

#[test]
fn events_stand_still_while_one_of_them_is_looked_at_and_in_a_pause() {
    let mut state = full();
    press(&mut state, KeyCode::Char('3'));
    check_chosen(&mut state, &[], "3");
    let next = |number| Input::Told(vec![told(number, "procprobe.process.start", "x", &json!({}))], 0);
    state.step(Duration::from_secs(3), next(4));
    check_chosen(&mut state, &[], "4");
    check_chosen(&mut state, &[KeyCode::Down], "3");
    state.step(Duration::from_secs(3), next(5));
    check_chosen(&mut state, &[], "3");
    press(&mut state, KeyCode::Char('p'));
    let before = state.table().rows.len();
    state.step(Duration::from_secs(3), next(6));
    assert_eq!(state.table().rows.len(), before);
    press(&mut state, KeyCode::Char('p'));
    assert_eq!(state.table().rows.len(), before + 1);
}

#[test]
fn what_comes_too_fast_and_a_stream_that_fails_are_told() {
    let mut state = full();
    press(&mut state, KeyCode::Char('3'));
    state.step(Duration::from_secs(3), Input::Told(Vec::new(), 17));
    assert!(picture(&mut state, 120, 24).contains("17 came too fast"));
    let mut state = super::state();
    state.step(Duration::from_secs(1), report(answer()));
    press(&mut state, KeyCode::Char('3'));
    state.step(Duration::from_secs(3), Input::Stream(Some("others read as many histories as can be read".into())));
    assert!(picture(&mut state, 120, 24).contains("no events: others read"));
}

#[test]
fn members_of_another_group_come_too_late() {
    let mut state = full();
    press(&mut state, KeyCode::Down);
    assert_eq!(press(&mut state, KeyCode::Enter), Some(Effect::LookAt(About::Group("worker".into()))));
    state.step(Duration::from_secs(3), roster());
    assert!(state.looked.as_ref().is_some_and(|looked| looked.roster.is_none()));
    state.step(Duration::from_secs(3), Input::Roster(Err("the daemon answered: there is no group".into())));
    assert!(picture(&mut state, 80, 24).contains("there is no group"));
    // To another screen, nobody looks any more.
    assert_eq!(press(&mut state, KeyCode::Tab), Some(Effect::LookAt(About::Nothing)));
    state.step(Duration::from_secs(3), roster());
    assert!(state.looked.is_none());
}

#[test]
fn hosts_of_the_site_are_asked_for_while_they_are_looked_at() {
    let mut state = full();
    assert_eq!(press(&mut state, KeyCode::Char('4')), None);
    assert_eq!(press(&mut state, KeyCode::Tab), Some(Effect::LookAt(About::Peers)));
    assert_eq!(press(&mut state, KeyCode::Char('5')), None);
    assert_eq!(press(&mut state, KeyCode::Tab), Some(Effect::LookAt(About::Nothing)));
    // Out of a group's processes at once.
    press(&mut state, KeyCode::Char('1'));
    assert_eq!(press(&mut state, KeyCode::Enter), Some(Effect::LookAt(About::Group("nginx".into()))));
    assert_eq!(press(&mut state, KeyCode::Char('5')), Some(Effect::LookAt(About::Peers)));
}

#[test]
fn hosts_in_trouble_come_first_in_their_zone_and_in_every_order() {
    let mut state = full();
    state.step(Duration::from_secs(3), report(with_site()));
    state.step(Duration::from_secs(3), site());
    press(&mut state, KeyCode::Char('5'));
    let names = |state: &State| -> Vec<String> { state.table().rows.iter().map(|row| row.id.clone()).collect() };
    for (order, expected) in [
        ("zone", ["db-1", "web-2", "web-1", "web-4", "web-3"]),
        ("verdict", ["web-2", "web-4", "web-3", "db-1", "web-1"]),
        ("heard", ["web-4", "web-2", "db-1", "web-3", "web-1"]),
        ("name", ["db-1", "web-1", "web-2", "web-3", "web-4"]),
    ] {
        assert_eq!((state.order(), names(&state)), (Some(order), expected.map(str::to_owned).to_vec()));
        press(&mut state, KeyCode::Char('s'));
    }
    // A pause holds them as well.
    press(&mut state, KeyCode::Char('p'));
    state.step(Duration::from_secs(4), Input::Peers(Ok(Box::default())));
    assert_eq!(names(&state).len(), 5);
    press(&mut state, KeyCode::Char('p'));
    state.step(Duration::from_secs(5), Input::Peers(Ok(Box::default())));
    assert!(names(&state).is_empty());
}

#[test]
fn alarms_and_jobs_lead_to_their_processes() {
    let mut state = full();
    press(&mut state, KeyCode::Char('2'));
    assert_eq!(press(&mut state, KeyCode::Enter), Some(Effect::LookAt(About::Group("nginx".into()))));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.screen, Screen::Alarms);
    press(&mut state, KeyCode::Char('4'));
    assert_eq!(press(&mut state, KeyCode::Enter), Some(Effect::LookAt(About::Group("backup".into()))));
    // Logs and the probe itself have none.
    press(&mut state, KeyCode::Char('6'));
    assert_eq!(press(&mut state, KeyCode::Enter), None);
    assert!(state.note.is_some());
}

#[test]
fn parents_in_a_circle_are_all_shown() {
    let mut state = full();
    press(&mut state, KeyCode::Enter);
    let processes = vec![member(5, 6, "a"), member(6, 5, "b"), member(7, 7, "c")];
    let roster = Roster { name: "nginx".into(), members: 3, processes, ..Roster::default() };
    state.step(Duration::from_secs(3), Input::Roster(Ok(Box::new(roster))));
    assert_eq!(state.table().rows.len(), 3);
}

#[test]
fn a_daemon_that_started_again_has_no_pace_yet() {
    let mut state = full();
    assert!(state.pace.is_some_and(|pace| (pace.wakeups - 3.0).abs() < 1e-9));
    let mut other = answer();
    other["agent"]["pid"] = json!(8);
    state.step(Duration::from_secs(3), report(other));
    assert_eq!(state.pace, None);
}
