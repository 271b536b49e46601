//! Random histories, and what must hold after any of them: members, watches and counts are those of the real world, and
//! each alarm ends before the next one begins.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::world::settings;
use super::*;
use crate::event::name;

#[derive(Clone, Debug)]
enum Act {
    Fork { from: usize },
    Exec { who: usize, program: usize },
    Exit { who: usize, fails: bool },
    Use { who: usize, cpu: u64, rss: u64 },
    Sample,
    Reload { set: usize },
    Pause { millis: u64 },
}

const PROGRAMS: [&str; 4] = ["/bin/app", "/bin/sh", "/bin/shop", "/opt/x/other"];

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0..99_usize).prop_map(|from| Act::Fork { from }),
        3 => (0..99_usize, 0..PROGRAMS.len()).prop_map(|(who, program)| Act::Exec { who, program }),
        3 => (0..99_usize, any::<bool>()).prop_map(|(who, fails)| Act::Exit { who, fails }),
        2 => (0..99_usize, 0..3_000_u64, 0..9_u64).prop_map(|(who, cpu, rss)| Act::Use { who, cpu, rss }),
        2 => Just(Act::Sample),
        1 => (0..2_usize).prop_map(|set| Act::Reload { set }),
        2 => (1..4_000_u64).prop_map(|millis| Act::Pause { millis }),
    ]
}

fn policies() -> Vec<Vec<Group>> {
    let app = group(
        "app",
        exe("/bin/app"),
        vec![
            min(Measure::Count, 2.0).hold(2),
            max(Measure::Count, 3.0),
            max(Measure::Failures, 1.0).within(5),
            min(Measure::Starts, 1.0).within(3),
            max(Measure::Age, 4.0),
            max(Measure::Cpu, 0.5),
        ],
    );
    let child =
        group("child", Selector { parent: vec!["app".into()], ..exe("/bin/*") }, vec![max(Measure::Count, 2.0)]);
    let odd = group("odd", exe("oth*"), vec![max(Measure::Memory, 1.0).each()]);
    vec![
        vec![app.clone(), child.clone(), odd.clone()],
        vec![odd, Group { response: Response { repeat: Some(Duration::from_secs(1)), ..Response::default() }, ..app }],
    ]
}

/// What the groups should hold, from the truth alone.
fn members(world: &World, set: usize) -> String {
    let is = |pid: u32, exe: &str| world.exe_of(pid).is_some_and(|found| found == exe);
    let living: Vec<u32> = world.pids().collect();
    let of = |belongs: &dyn Fn(u32) -> bool| {
        let pids: Vec<String> = living.iter().filter(|pid| belongs(**pid)).map(ToString::to_string).collect();
        pids.join(",")
    };
    let app = of(&|pid| is(pid, "/bin/app"));
    let odd = of(&|pid| is(pid, "/opt/x/other"));
    let child = of(&|pid| {
        let parent = world.parent_of(pid);
        world.exe_of(pid).is_some_and(|exe| exe.starts_with("/bin/"))
            && parent.is_some_and(|parent| is(parent, "/bin/app"))
    });
    if set == 0 { format!("app:{app} child:{child} odd:{odd}") } else { format!("odd:{odd} app:{app}") }
}

/// By identity of the alarm: how many begin more than end. A repetition begins nothing.
fn open_alarms(world: &World) -> BTreeMap<String, i32> {
    let mut open = BTreeMap::new();
    for event in &world.told {
        let names = ["policy.name", "measure", "bound", "limit", "process.pid", "process.creation.time"];
        let key: Vec<String> = names.iter().map(|name| format!("{:?}", event.attributes.get(name))).collect();
        let key = format!("{key:?}");
        match event.name {
            name::POLICY_FIRING if event.attributes.get("repeated").is_none() => *open.entry(key).or_default() += 1,
            name::POLICY_RESOLVED => *open.entry(key).or_default() -= 1,
            _ => continue,
        }
        assert!(open.values().all(|count| (0..=1).contains(count)), "{open:?}\n{}", world.story());
    }
    open
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn the_engine_keeps_up_with_any_history(acts in prop::collection::vec((act(), 0..10_u8), 0..120)) {
        let mut world = World::new(settings(), policies());
        world.play("0 have 10 /bin/app\n 0 have 11 /bin/shop\n 0 scan");
        let (mut set, mut next, mut millis, mut lost) = (0, 100_u32, 0_u64, false);
        for (act, luck) in acts {
            millis += 7;
            // One record in ten is lost; a scan makes it good some steps later.
            let unseen = if luck == 0 { "unseen " } else { "" };
            let secs = format!("{}.{:03}", millis / 1000, millis % 1000);
            let living: Vec<u32> = world.pids().filter(|pid| *pid != 1).collect();
            let pick = |who: usize| living.get(who % living.len().max(1)).copied();
            match act {
                Act::Fork { from } => {
                    let from = pick(from).unwrap_or(1);
                    world.play(&format!("{secs} {unseen}fork {next} from={from}"));
                    next += 1;
                }
                Act::Exec { who, program } => {
                    let Some(pid) = pick(who) else { continue };
                    world.play(&format!("{secs} {unseen}exec {pid} {}", PROGRAMS[program]));
                }
                Act::Exit { who, fails } => {
                    let Some(pid) = pick(who) else { continue };
                    world.play(&format!("{secs} {unseen}exit {pid} code={}", u8::from(fails)));
                    world.orphan(pid);
                }
                Act::Use { who, cpu, rss } => {
                    let Some(pid) = pick(who) else { continue };
                    world.play(&format!("{secs} use {pid} cpu={cpu} rss={rss} threads={}", 1 + rss));
                }
                Act::Sample => world.play(&format!("{secs} sample")),
                Act::Reload { set: other } => {
                    set = other;
                    world.play(&format!("{secs} policies {set}"));
                }
                Act::Pause { millis: pause } => millis += pause,
            }
            lost |= luck == 0;
            if lost && luck % 3 == 0 {
                let secs = format!("{}.{:03}", (millis + 1) / 1000, (millis + 1) % 1000);
                world.play(&format!("{secs} lost 1\n {secs} scan"));
                lost = false;
                // Within a second the table takes an exec of the program that the scan saw for the one that was lost.
                millis += 1_100;
            }
            if !lost {
                prop_assert_eq!(world.members(), members(&world, set), "{}", world.story());
                prop_assert!(world.engine.sums_are_those_of_members(), "{}", world.story());
            }
        }
        // Two scans and all grace: everything has been seen.
        let end = millis / 1000 + 1;
        world.play(&format!("{end} lost 1\n {end} scan\n {} tick", end + 10));
        prop_assert_eq!(world.members(), members(&world, set));
        let firing: i32 = open_alarms(&world).values().sum();
        let status = world.engine.status(KTime::from_secs(end + 10));
        let machines: usize = status
            .groups
            .iter()
            .flat_map(|group| &group.bounds)
            .map(|bound| bound.processes.map_or(usize::from(bound.state == State::Firing), |each| each.firing))
            .sum();
        prop_assert_eq!(usize::try_from(firing).unwrap(), machines, "{}", world.story());
        // What is watched is what belongs.
        let wanted: Vec<u32> = world.engine.groups.iter().flat_map(|group| group.members.iter().map(|key| key.tgid)).collect();
        for pid in world.pids() {
            prop_assert_eq!(world.watched().split(' ').any(|word| word.starts_with(&format!("{pid}:"))), wanted.contains(&pid));
        }
    }
}

use super::super::State;
use crate::time::KTime;
