//! Whatever comes, in whatever order, on whatever screen: a picture and no panic.

use proptest::prelude::*;

use super::*;

fn keys() -> impl Strategy<Value = KeyCode> {
    let letters = "123456qtspfnNIgGhjk/\\<>? x한".chars().collect::<Vec<_>>();
    let others = vec![
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Backspace,
        KeyCode::F(1),
    ];
    prop_oneof![proptest::sample::select(letters).prop_map(KeyCode::Char), proptest::sample::select(others),]
}

/// What happens.
#[derive(Clone, Debug)]
enum Deed {
    Key(KeyCode),
    Size(u16, u16),
    Report(Vec<(String, Option<f64>)>),
    Members(Vec<(u32, u32, String)>),
    Told(u32, String),
    /// The site, from here on.
    Site(Vec<(String, Option<f64>)>),
    Down(String),
}

fn deeds() -> impl Strategy<Value = Deed> {
    let name = || proptest::string::string_regex(".{0,12}").unwrap();
    prop_oneof![
        6 => keys().prop_map(Deed::Key),
        1 => (0_u16..130, 0_u16..60).prop_map(|(columns, rows)| Deed::Size(columns, rows)),
        1 => proptest::collection::vec((name(), proptest::option::of(any::<f64>())), 0..6).prop_map(Deed::Report),
        1 => proptest::collection::vec((0_u32..9, 0_u32..9, name()), 0..9).prop_map(Deed::Members),
        1 => proptest::collection::vec((name(), proptest::option::of(any::<f64>())), 0..6).prop_map(Deed::Site),
        1 => (any::<u32>(), name()).prop_map(|(number, body)| Deed::Told(number, body)),
        1 => name().prop_map(Deed::Down),
    ]
}

fn input(deed: Deed, state: &State) -> Input {
    match deed {
        Deed::Key(code) => Input::Key(KeyEvent::new(code, KeyModifiers::NONE)),
        Deed::Size(columns, rows) => Input::Size(columns, rows),
        Deed::Report(groups) => {
            let group = |(name, near): (String, Option<f64>)| {
                let bound = json!({"name": name, "measure": name, "bound": "max", "severity": name, "value": near,
                    "nearness": near, "since_seconds": near, "state": "firing"});
                json!({"name": name, "declared": name, "members": 3, "usage": {"cpu": near}, "bounds": [bound]})
            };
            let mut whole = if groups.len() % 2 == 0 { with_site() } else { answer() };
            whole["engine"]["groups"] = groups.into_iter().map(group).collect();
            report(whole)
        }
        Deed::Members(members) => {
            let processes = members.into_iter().map(|(pid, parent, command)| member(pid, parent, &command)).collect();
            let name = state.looked.as_ref().map(|looked| looked.name.clone()).unwrap_or_default();
            Input::Roster(Ok(Box::new(Roster { name, members: 9, processes, ..Roster::default() })))
        }
        Deed::Told(number, body) => Input::Told(vec![told(number, &body, &body, &json!({}))], 0),
        Deed::Site(hosts) => {
            let host = |(name, figure): (String, Option<f64>)| {
                json!({"name": name, "zone": name, "labels": {"x": name}, "address": name, "state": name, "verdict": name,
                    "incident": name, "since_seconds": figure.unwrap_or(0.0), "heard_seconds": figure,
                    "round_trip_seconds": figure, "collector": name})
            };
            let members: Vec<Value> = hosts.into_iter().map(host).collect();
            Input::Peers(Ok(Box::new(serde_json::from_value(json!({ "members": members })).unwrap())))
        }
        Deed::Down(why) => Input::NoReport(why),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn every_picture_fits_and_has_no_controls(deeds in proptest::collection::vec(deeds(), 1..60)) {
        let mut state = state();
        let mut size = (80, 24);
        for (moment, deed) in deeds.into_iter().enumerate() {
            if let Deed::Size(columns, rows) = deed {
                size = (columns, rows);
            }
            let input = input(deed, &state);
            state.step(Duration::from_secs(moment as u64), input);
            let buffer = drawn(&mut state, LOOKS, size.0, size.1);
            for cell in buffer.content() {
                prop_assert!(!cell.symbol().chars().any(char::is_control), "{:?}", cell.symbol());
            }
        }
    }
}
