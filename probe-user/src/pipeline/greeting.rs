//! What `procprobe run` shows on a terminal before the first event: what is attached, what is watched, where to look.
//!
//! One screen of 80 columns, whatever is configured: lists end with how many more there are. Names come from files that
//! others wrote, and are shown as harmlessly as in events.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::agent::Held;
use crate::config::{Config, DEFAULT_SOCKET};
use crate::engine::Processes;
use crate::event::clean;
use crate::policy::spec::PolicySet;

/// As much as stands behind a title on a line of a terminal.
const WIDTH: usize = 68;

/// What is known once everything is attached.
#[derive(Debug)]
pub(super) struct Greeting<'a> {
    /// The daemon's version.
    pub(super) version: &'a str,
    /// The host's name.
    pub(super) host: &'a str,
    /// The kernel's release.
    pub(super) kernel: &'a str,
    /// How many programs are attached, and how long that took.
    pub(super) attached: (usize, Duration),
    /// Where they outlive the daemon.
    pub(super) pins: Option<&'a Path>,
    /// What the host is held against.
    pub(super) policies: &'a PolicySet,
    /// What the daemon runs by.
    pub(super) config: &'a Config,
    /// Where the page and metrics are.
    pub(super) http: Option<SocketAddr>,
    /// What works less well than it should.
    pub(super) degraded: usize,
}

impl Greeting<'_> {
    /// The screen, with a blank line at its end.
    pub(super) fn text(&self) -> String {
        let mut text = format!("procprobe {} on {}, Linux {}\n\n", self.version, clean(self.host), clean(self.kernel));
        let mut line = |title: &str, what: &str| {
            // A string takes everything.
            let _ = writeln!(text, "{title:<10}{what}");
        };
        line("attached", &self.attached());
        let mut titles = std::iter::once("watching").chain(std::iter::repeat(""));
        for what in self.watched() {
            line(titles.next().unwrap_or_default(), &what);
        }
        line("events", &self.events());
        for way in self.config.collectors.iter().filter_map(|collector| collector.endpoints.first()) {
            line("", &format!("sent to {way}"));
        }
        line("ask", &self.questions());
        if let Some(address) = self.http {
            line("page", &self.page(address));
        }
        match self.degraded {
            0 => (),
            1 => line("degraded", "in one way: see above, or procprobe status"),
            ways => line("degraded", &format!("in {ways} ways: see above, or procprobe status")),
        }
        text.push('\n');
        text
    }

    fn attached(&self) -> String {
        let (programs, within) = self.attached;
        let mut text = format!("{programs} kernel programs in {} ms", within.as_millis());
        match self.pins {
            Some(pins) => {
                let _ = write!(text, "; they outlive the daemon in {}", clean(&pins.to_string_lossy()));
            }
            None => text.push_str("; they go with the daemon"),
        }
        text
    }

    fn watched(&self) -> Vec<String> {
        let policies = self.policies;
        let mut lines = Vec::new();
        let mut list = |noun: &str, names: Vec<&str>| {
            if !names.is_empty() {
                lines.push(some_of(noun, &names));
            }
        };
        list("group", policies.groups.iter().map(|group| &*group.name).collect());
        list("job", policies.jobs.iter().map(|job| &*job.name).collect());
        list("log", policies.logs.iter().map(|log| &*log.name).collect());
        list("peer set", policies.peers.iter().map(|set| &*set.name).collect());
        match Held::of(policies).host {
            0 => (),
            1 => lines.push("1 bound on the host".to_owned()),
            bounds => lines.push(format!("{bounds} bounds on the host")),
        }
        if lines.is_empty() {
            lines.push("nothing: no policy is in force; --policies FILE names some".to_owned());
        }
        lines
    }

    fn events(&self) -> String {
        let of = match self.config.events.processes {
            Processes::All => "starts and exits of all processes",
            Processes::Matched => "starts and exits of processes in groups",
            Processes::None => "no starts and exits",
        };
        format!("below, with {of}; kept in {}", clean(&self.config.state_dir.to_string_lossy()))
    }

    /// For a browser, and for Prometheus; who listens everywhere is reached by the host's name.
    fn page(&self, address: SocketAddr) -> String {
        let place = if address.ip().is_unspecified() {
            format!("{}:{}", clean(self.host), address.port())
        } else {
            address.to_string()
        };
        let token = if self.config.http.token_file.is_some() { "; it asks for the token" } else { "" };
        format!("http://{place}/ in a browser (metrics: /metrics){token}")
    }

    fn questions(&self) -> String {
        let socket = &self.config.api.socket;
        let mut text = "procprobe status, procprobe events, procprobe match PID".to_owned();
        if socket != Path::new(DEFAULT_SOCKET) {
            let _ = write!(text, " (--socket {})", clean(&socket.to_string_lossy()));
        }
        text
    }
}

/// `3 groups: init, sshd, cron`, or as many as fit and how many more.
fn some_of(noun: &str, names: &[&str]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    let mut text = format!("{} {noun}{plural}: ", names.len());
    for (index, name) in names.iter().enumerate() {
        let name = clean(name);
        let more = names.len() - index;
        let rest = format!("and {more} more");
        let room = WIDTH.saturating_sub(text.chars().count() + ", ".len() + rest.len());
        // The first one stands there in any case.
        if index > 0 && name.chars().count() > room {
            text.push_str(&rest);
            return text;
        }
        text.push_str(&name);
        if more > 1 {
            text.push_str(", ");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load::host_labels;
    use crate::host::lacks;
    use crate::policy;
    use crate::yaml::read::Trust;

    fn policies(text: &str) -> PolicySet {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.yaml");
        std::fs::write(&file, text).unwrap();
        policy::load(&[file], &host_labels(&Config::default()), &lacks::read(), Trust::Anyone).unwrap().policies
    }

    #[test]
    fn lists_end_with_how_many_more() {
        let check = |names: &[&str], expected: &str| assert_eq!(some_of("group", names), expected);
        check(&["web"], "1 group: web");
        check(&["web", "db"], "2 groups: web, db");
        check(&["a\x1b[31mb"], "1 group: a\\x1b[31mb");
        let many: Vec<String> = (0..1_000).map(|number| format!("service-{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        check(&many, "1000 groups: service-0, service-1, service-2, and 997 more");
    }

    #[test]
    fn the_page_is_where_a_browser_finds_it() {
        let policies = policies("version: 1\n");
        let check = |address: &str, token_file: Option<&str>, expected: &str| {
            let mut config = Config::default();
            config.http.token_file = token_file.map(Into::into);
            let greeting = Greeting {
                version: "0.1.0",
                host: "web-1",
                kernel: "6.12.9",
                attached: (10, Duration::ZERO),
                pins: None,
                policies: &policies,
                config: &config,
                http: Some(address.parse().unwrap()),
                degraded: 0,
            };
            let text = greeting.text();
            assert!(text.contains(&format!("\npage      {expected}\n")), "{text}");
        };
        check("127.0.0.1:9464", None, "http://127.0.0.1:9464/ in a browser (metrics: /metrics)");
        check("[::1]:80", None, "http://[::1]:80/ in a browser (metrics: /metrics)");
        let everywhere = "http://web-1:9464/ in a browser (metrics: /metrics); it asks for the token";
        check("0.0.0.0:9464", Some("/t"), everywhere);
        check("[::]:9464", Some("/t"), everywhere);
    }

    #[test]
    fn a_screen() {
        let policies = policies("version: 1\ngroups: { web: { match: { exe: nginx }, count: { min: 1 } } }\n");
        let greeting = Greeting {
            version: "0.1.0",
            host: "web-1",
            kernel: "6.12.9",
            attached: (10, Duration::from_millis(99)),
            pins: None,
            policies: &policies,
            config: &Config::default(),
            http: None,
            degraded: 1,
        };
        assert_eq!(
            greeting.text(),
            "procprobe 0.1.0 on web-1, Linux 6.12.9\n\n\
             attached  10 kernel programs in 99 ms; they go with the daemon\n\
             watching  1 group: web\n\
             events    below, with starts and exits of processes in groups; kept in /var/lib/procprobe\n\
             ask       procprobe status, procprobe events, procprobe match PID\n\
             degraded  in one way: see above, or procprobe status\n\n"
        );
    }
}
