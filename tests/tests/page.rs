//! The page for browsers, in a real one: the real daemon, real processes, real keys.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use procprobe_tests::actor::{self, Actor};
use procprobe_tests::browser::Browser;
use procprobe_tests::daemon::{Setup, binary};
use procprobe_tests::home::Home;
use procprobe_tests::{mark, port};
use rustix::process::Signal;
use serde_json::{Value, json};

const ACTOR: &str = env!("CARGO_BIN_EXE_actor");

/// The views, by their addresses.
const VIEWS: [&str; 5] = ["#/", "#/alarms", "#/jobs", "#/peers", "#/probe"];

fn live(mark: &str) -> Actor {
    Actor::start(ACTOR, "sleep 600000", mark)
}

/// A browser that has the page open, and has heard of the daemon.
fn looking(at: SocketAddr, width: u32, height: u32) -> Browser {
    let browser = Browser::start(width, height);
    browser.open(&format!("http://{at}/"));
    browser.wait_for("the first figures", "document.querySelector('#link').textContent === 'live'");
    browser
}

/// Opens a view of the page that is there.
fn go(browser: &Browser, view: &str) {
    browser.run(&format!("location.hash = {};", json!(view)));
}

/// The text of a row of the table of groups, by the group's name.
fn row(name: &str) -> String {
    format!(
        "[...document.querySelectorAll('.groups tbody tr')].find((row) => row.cells[0].textContent === '{name}')?.innerText"
    )
}

#[test]
fn a_kill_is_on_the_page_with_who_did_it_and_goes_when_it_is_mended() {
    let mark = mark();
    let bounds = "count: { min: 2, severity: critical }\ncpu: { max: 2 cores }";
    let (one, two) = (live(&mark), live(&mark));
    let daemon = Setup::new().http("127.0.0.1:0").policy(&actor::group("app", "sleep", &mark, bounds)).start();
    let browser = looking(daemon.http_address(), 1280, 900);
    browser.wait_for("two processes", &format!("/^app\\s+healthy\\s+2\\s/.test({})", row("app")));
    browser.wait_for("that nothing fires", "document.body.innerText.includes('Nothing fires')");
    go(&browser, "#/group/app");
    browser.wait_for("both members", "document.querySelectorAll('.members tbody button').length === 2");
    browser.wait_for("the bound in the chart", "document.querySelector('.chart .limit')");
    let kept = "fetch('/v1/history?name=app').then((answer) => answer.json()).then((kept) => { window.kept = kept.series.length; })";
    browser.run(&format!("{kept};"));
    browser.wait_for("what the daemon has kept", "window.kept >= 1");
    browser.wait_for("what the chart shows, in words",
        "[...document.querySelectorAll('.chart')].some((chart) => /^Processes: .*minimum 2/.test(chart.getAttribute('aria-label')))");
    two.signal(Signal::KILL);
    browser.wait_for(
        "the alarm, heard",
        "/Alarm: app: 1 process, minimum 2/.test(document.querySelector('#told').textContent)",
    );
    browser.wait_for("the alarm in the title", "document.title.startsWith('(1) ')");
    browser.wait_for("one member less", "document.querySelectorAll('.members tbody button').length === 1");
    browser
        .wait_for("it in the timeline", "document.querySelector('ol.alarms')?.innerText.includes('killed by SIGKILL')");
    go(&browser, "#/alarms");
    let sentence =
        browser.wait_for("the alarm with its cause", "document.querySelector('.firing .sentence')?.textContent");
    assert!(
        sentence.as_str().unwrap().contains(&format!("{} killed by SIGKILL from {}", two.pid(), std::process::id())),
        "{sentence}"
    );
    browser.run("document.querySelector('.firing summary').click();");
    let evidence = browser.wait_for("the evidence", "document.querySelector('.firing .evidence')?.innerText");
    assert!(evidence.as_str().unwrap().contains("process.exit.signal"), "{evidence}");
    let _three = live(&mark);
    browser.wait_for("its end", "document.body.innerText.includes('Nothing fires')");
    browser.wait_for("both turns", "document.querySelectorAll('ol.alarms > li').length === 2 && document.querySelectorAll('.lane rect').length === 1");
    assert_quiet(&browser);
    drop(one);
}

#[test]
fn it_outlives_the_daemon_and_says_so_meanwhile() {
    let mark = mark();
    let at = port::free();
    let policy = actor::group("app", "sleep", &mark, "count: { max: 9 }");
    let mut daemon = Setup::new().http(&at.to_string()).policy(&policy).start();
    let _one = live(&mark);
    let browser = looking(at, 1280, 900);
    browser.wait_for("a process", &format!("/^app\\s+healthy\\s+1\\s/.test({})", row("app")));
    let mut two = None;
    daemon.crash(|| {
        browser.wait_for(
            "that nobody answers",
            "/^No answer since .* What you see is of then/.test(document.querySelector('#stale').textContent)",
        );
        assert_eq!(browser.run("return document.body.hasAttribute('data-stale');"), json!(true));
        browser.wait_for("what was there before", &row("app"));
        two = Some(live(&mark));
    });
    browser.wait_for("what is there now", &format!("/^app\\s+healthy\\s+2\\s/.test({})", row("app")));
    browser.wait_for(
        "that all is well",
        "document.querySelector('#stale').hidden && !document.body.hasAttribute('data-stale')",
    );
}

#[test]
fn hostile_names_are_letters_and_nothing_else() {
    let mark = mark();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("app.log");
    fs::write(&log, "").unwrap();
    let token = secret(folder.path(), "hunter2\n");
    let config = folder.path().join("config.yaml");
    fs::write(&config, format!("http: {{ token_file: {} }}\nevents: {{ args_max: 4KiB }}\n", token.display())).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    // The last word of a very long command line is cut off.
    let group = format!(
        "groups:\n  app:\n    match: {{ args: '^[^ ]*actor (sleep|rename) .*{mark}' }}\n    count: {{ max: 0 }}\n    cpu: {{ max: 9 cores }}\n"
    );
    let policy = format!(
        "{}logs:\n  lines: {{ path: {}, any: [Panic], lines: {{ max: 0, within: 1h }} }}\n",
        group,
        log.display()
    );
    let daemon = Setup::new().http("127.0.0.1:0").policy(&policy).args([Path::new("--config"), &config]).start();
    let markup = "<img src=x onerror=window.hit=1><script>window.hit=1</script><h1 id=hit>";
    let turned = "\u{202e}gpj.exe\u{2066}\u{7}\u{1b}[31m";
    let endless = "x".repeat(100 << 10);
    let hostile = Actor::of(&mut actor::command(
        ACTOR,
        ["sleep", "600000", markup, turned, "\"'><svg onload=window.hit=1>"],
        &mark,
    ));
    let _endless = Actor::of(&mut actor::command(ACTOR, ["sleep", "600000", mark.as_str(), &endless], ""));
    let _named = Actor::start(ACTOR, "rename <b>\u{202e}</b> 600000", &mark);
    fs::write(&log, format!("Panic {markup} {turned}\n")).unwrap();
    let browser = Browser::start(1280, 900);
    browser.open(&format!("http://{}/", daemon.http_address()));
    present(&browser, "hunter2");
    browser.wait_for("both alarms", "document.querySelectorAll('.firing .alarms > li').length === 2");
    browser.run("for (const each of document.querySelectorAll('summary')) each.click();");
    browser.wait_for(
        "the line, as letters",
        &format!("document.querySelector('.firing').innerText.includes({})", json!(markup)),
    );
    assert_harmless(&browser);
    go(&browser, "#/alarms");
    browser.wait_for(
        "the line in the timeline",
        &format!("document.querySelector('ol.alarms')?.innerText.includes({})", json!(markup)),
    );
    assert_harmless(&browser);
    go(&browser, "#/group/app");
    browser.wait_for("all three", "document.querySelectorAll('.members tbody button').length === 3");
    let command = format!(
        "[...document.querySelectorAll('.members tr')].find((row) => row.cells[0].textContent === '{}')?.innerText",
        hostile.pid()
    );
    let shown = browser.wait_for("the process", &command);
    let shown = shown.as_str().unwrap();
    assert!(shown.contains(markup) && shown.contains("\\u{202e}gpj.exe") && !shown.contains('\u{202e}'), "{shown}");
    browser.run(&format!(
        "[...document.querySelectorAll('.members button')].find((each) => each.textContent === '{}').click();",
        hostile.pid()
    ));
    browser.wait_for(
        "its facts",
        &format!("document.querySelector('dialog[open] .facts')?.innerText.includes({})", json!(markup)),
    );
    assert_harmless(&browser);
}

/// Nothing of what processes and logs say has become a part of the page.
#[track_caller]
fn assert_harmless(browser: &Browser) {
    let found = browser.run(
        "return { hit: window.hit ?? null, images: document.images.length, scripts: document.scripts.length, \
         bold: document.querySelectorAll('b, #hit, h1 + h1').length, \
         handlers: [...document.querySelectorAll('*')].filter((each) => [...each.attributes].some((one) => one.name.startsWith('on'))).length, \
         title: document.title.includes('procprobe'), turned: /[\\u202a-\\u202e\\u2066-\\u2069\\u0007\\u001b]/.test(document.body.textContent), \
         wide: document.documentElement.scrollWidth > innerWidth };",
    );
    let expected = json!({ "hit": null, "images": 0, "scripts": 1, "bold": 0, "handlers": 0, "title": true, "turned": false, "wide": false });
    assert_eq!(found, expected);
    assert_quiet(browser);
}

/// No error, and nothing that the policy for contents refused. Whoever is asked for a token was refused before.
#[track_caller]
fn assert_quiet(browser: &Browser) {
    let said: Vec<String> = browser.console().into_iter().filter(|line| !line.contains(" 401 ")).collect();
    assert_eq!(said, Vec::<String>::new());
}

fn secret(folder: &Path, text: &str) -> std::path::PathBuf {
    let path = folder.join("http.token");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Types a token into the form.
fn present(browser: &Browser, token: &str) {
    browser.wait_for("the form", "document.activeElement?.id === 'token'");
    for letter in token.chars() {
        browser.press(&letter.to_string());
    }
    browser.press("\u{e007}");
}

#[test]
fn a_token_is_asked_for_and_kept_in_the_tab_alone() {
    let folder = tempfile::tempdir().unwrap();
    let token = secret(folder.path(), "hunter2\n");
    let config = folder.path().join("config.yaml");
    fs::write(&config, format!("http: {{ token_file: {} }}\n", token.display())).unwrap();
    fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
    let mark = mark();
    let policy = actor::group("app", "sleep", &mark, "count: { max: 9 }");
    let daemon = Setup::new().http("0.0.0.0:0").policy(&policy).args([Path::new("--config"), &config]).start();
    let at = SocketAddr::new("127.0.0.1".parse().unwrap(), daemon.http_address().port());
    let browser = Browser::start(1280, 900);
    browser.open(&format!("http://{at}/#/group/app"));
    present(&browser, "wrong");
    browser.wait_for("the refusal", "document.querySelector('#token-why')?.textContent.includes('does not accept')");
    assert!(!browser.text().contains("app"), "nothing is told before: {}", browser.text());
    present(&browser, "hunter2");
    browser.wait_for("the group", "document.querySelector('h1')?.textContent === 'app'");
    let kept = browser.run("return [location.href.includes('hunter2'), document.cookie, JSON.stringify(localStorage).includes('hunter2'), JSON.stringify(sessionStorage).includes('hunter2')];");
    assert_eq!(kept, json!([false, "", false, true]));
    // Another token from now on: the tab that has the old one is asked again.
    secret(folder.path(), "hunter3\n");
    daemon.reload();
    present(&browser, "hunter3");
    browser.wait_for("the group again", "document.querySelector('h1')?.textContent === 'app'");
}

#[test]
fn a_thousand_groups_are_quick_to_go_through() {
    let mut policy = "groups:\n".to_owned();
    for number in 0..1000 {
        let _ = writeln!(
            policy,
            "  service-{number:03}: {{ match: {{ exe: /nonexistent/{number} }}, count: {{ max: 5 }} }}"
        );
    }
    let daemon = Setup::new().http("127.0.0.1:0").policy(&policy).start();
    let browser = looking(daemon.http_address(), 1280, 900);
    browser.wait_for("all of them", "document.querySelector('.groups').getAttribute('aria-rowcount') === '1001'");
    let drawn = "document.querySelectorAll('.groups tbody tr:not(.spacer)').length";
    let few = |browser: &Browser| {
        let count = browser.run(&format!("return {drawn};")).as_u64().unwrap();
        assert!((10..100).contains(&count), "{count} rows are drawn");
    };
    few(&browser);
    browser.run("document.querySelector('.groups tbody a').focus();");
    browser.press("\u{e010}");
    browser.wait_for("the last one, by the key End", "document.activeElement.textContent === 'service-999'");
    few(&browser);
    browser.press("\u{e013}");
    browser.wait_for("the one before", "document.activeElement.textContent === 'service-998'");
    let index = browser.run("return document.activeElement.closest('tr').getAttribute('aria-rowindex');");
    assert_eq!(index, json!("1000"));
    browser.press("/");
    for letter in "e-04".chars() {
        browser.press(&letter.to_string());
    }
    browser.wait_for(
        "those with this text",
        &format!("{drawn} === 10 && document.querySelector('.count').textContent === '10 of 1,000 rows'"),
    );
    browser.press("\u{e00c}");
    browser.press("3");
    browser.wait_for("another view by its key", "document.querySelector('nav [aria-current]').textContent === 'Jobs'");
    assert_quiet(&browser);
}

/// A daemon with something on each view.
/// One of three hosts of a site, each at a loopback address of its own.
fn member(number: usize, folder: &Path) -> Home {
    let (zone, key) = (["north", "south"][number % 2], folder.join("peers.key"));
    Home::new(&format!(
        "node: {{ name: host-{number}, zone: {zone} }}\n\
         peers: {{ listen: \"127.78.0.{number}:7946\", join: [127.78.0.1, 127.78.0.2], key_file: {} }}\n",
        key.display()
    ))
}

#[test]
fn the_map_of_peers_shows_whose_daemon_died_and_that_it_is_back() {
    let folder = tempfile::tempdir().unwrap();
    let made = Command::new(binary()).args(["peers", "key"]).arg(folder.path().join("peers.key")).status().unwrap();
    assert!(made.success());
    let homes = [1, 2, 3].map(|number| member(number, folder.path()));
    let [one, two, three] = &homes;
    let one = one.setup().http("127.0.0.1:0").start();
    let _two = two.setup().start();
    let mut three = three.setup().start();
    let browser = looking(one.http_address(), 1280, 900);
    go(&browser, "#/peers");
    let held = |name: &str| {
        format!(
            "[...document.querySelectorAll('.peers > li')].find((host) => host.querySelector('strong').textContent === '{name}')\
             ?.querySelector('.pill').textContent"
        )
    };
    for name in ["host-1", "host-2", "host-3"] {
        browser.wait_for(name, &format!("{} === 'alive'", held(name)));
    }
    let zones =
        browser.run("return [...document.querySelectorAll('.zone h2')].map((zone) => zone.firstChild.textContent);");
    assert_eq!(zones, json!(["Zone north", "Zone south"]));
    three.crash(|| {
        browser.wait_for("the verdict", &format!("{} === 'agent down'", held("host-3")));
        assert_eq!(browser.run(&format!("return {};", held("host-2"))), json!("alive"));
        browser.wait_for(
            "its zone",
            "/1 down/.test(document.querySelector('[aria-label=\"Zone south\"] h2').textContent)",
        );
    });
    browser.wait_for("its return", &format!("{} === 'alive'", held("host-3")));
    assert_quiet(&browser);
}

fn furnished(mark: &str) -> Setup {
    let policy = actor::group(
        "app",
        "sleep",
        mark,
        "count: { min: 2, severity: critical }\nmemory: { max: 1GiB }\ncpu: { max: 2 cores }",
    );
    let others = "host:\n- disk_free: { min: 1 B, path: / }\n- memory_available: { min: 1% }\n\
                  jobs:\n  nightly-backup-of-everything: { match: { exe: /nonexistent }, schedule: '0 2 * * *', start_within: 15m }\n\
                  logs:\n  panics: { path: '/nonexistent/*.log', any: [Panic], lines: { max: 3, within: 1m } }\n";
    Setup::new().http("127.0.0.1:0").policy(&format!("{policy}{others}"))
}

#[test]
fn it_fits_a_phone_and_speaks_to_everybody() {
    let mark = mark();
    let daemon = furnished(&mark).start();
    let _one = live(&mark);
    let browser = looking(daemon.http_address(), 1280, 900);
    for theme in ["light", "dark"] {
        browser.theme(theme);
        for view in VIEWS.into_iter().chain(["#/group/app"]) {
            go(&browser, view);
            browser.wait_for("the view", "document.querySelector('main h1')");
            if view == "#/group/app" {
                browser.wait_for("a chart", "document.querySelector('.chart')");
            }
            let wrong = browser.run(include_str!("page/checks.js"));
            assert_eq!(wrong, json!([]), "{theme} {view}");
        }
    }
    browser.phone(360, 740);
    for view in VIEWS.into_iter().chain(["#/group/app"]) {
        go(&browser, view);
        browser.wait_for("the view", "document.querySelector('main h1')");
        let sizes = browser.run("return [document.documentElement.scrollWidth, innerWidth];");
        assert_eq!(sizes[0], sizes[1], "{view} is to be scrolled sideways");
    }
    // The themes of the page's own go around, and stay.
    let theme = |browser: &Browser| browser.run("return document.documentElement.dataset.theme ?? 'system';");
    let mut seen: Vec<Value> = Vec::new();
    for _ in 0..3 {
        browser.press("t");
        seen.push(theme(&browser));
    }
    assert_eq!(seen, [json!("light"), json!("dark"), json!("system")]);
    browser.press("?");
    browser.wait_for("the keys", "document.querySelector('#help').open");
    assert_quiet(&browser);
}
