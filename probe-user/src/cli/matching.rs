//! `procprobe match`: asks the daemon, or the given policies.

use std::fmt::Write as _;
use std::sync::Arc;

use super::args::{Format, MatchArgs};
use super::{Exit, block_on, complain, print};
use crate::config::Config;
use crate::config::load::host_labels;
use crate::host::lacks;
use crate::host::processes::with_ancestors;
use crate::policy::{self, users};
use crate::serve::{Fields, MatchReport, Subject, client, explain};
use crate::yaml::read::Trust;

pub(super) fn matching(args: &MatchArgs) -> Exit {
    let subject = subject(args);
    let answer = if args.policies.is_empty() { ask(args, &subject) } else { look(args, &subject) };
    let report = match answer {
        Ok(report) => report,
        Err(why) => {
            complain(&why);
            return Exit::NotWell;
        }
    };
    if report.process.is_none() {
        if let Subject::Pid(pid) = subject {
            complain(&format!("procprobe: there is no process {pid}"));
        }
        return Exit::NotWell;
    }
    match args.format {
        Format::Text => print(&text(&report)),
        Format::Json => match serde_json::to_string_pretty(&report) {
            Ok(json) => print(&format!("{json}\n")),
            Err(error) => complain(&format!("procprobe: {error}")),
        },
    }
    Exit::Well
}

fn subject(args: &MatchArgs) -> Subject {
    let given = &args.fields;
    match args.pid {
        Some(pid) => Subject::Pid(pid),
        None => Subject::Fields(Fields {
            exe: given.exe.clone(),
            args: given.args.clone(),
            user: given.user.clone(),
            comm: given.comm.clone(),
            cgroup: given.cgroup.clone(),
        }),
    }
}

/// With a daemon.
fn ask(args: &MatchArgs, subject: &Subject) -> Result<MatchReport, String> {
    let asked = block_on(client::matches(&args.socket, subject)).map_err(|error| format!("procprobe: {error}"))?;
    asked.map_err(|error| format!("procprobe: {error}\n(without a daemon: --policies PATH)"))
}

/// Without one.
fn look(args: &MatchArgs, subject: &Subject) -> Result<MatchReport, String> {
    let loaded = policy::load(&args.policies, &host_labels(&Config::default()), &lacks::read(), Trust::Anyone);
    let loaded = loaded.map_err(|wrong| wrong.to_string())?;
    let policies = Arc::new(loaded.policies);
    let users = Arc::new(users::read().map_err(|error| format!("procprobe: /etc/passwd: {error}"))?);
    match subject {
        Subject::Fields(fields) => {
            explain::of_fields(&policies, &users, fields).map_err(|why| format!("procprobe: {why}"))
        }
        Subject::Pid(pid) => Ok(with_ancestors(*pid)
            .map(|(key, scan)| explain::of_scan(&policies, &users, key, scan))
            .unwrap_or_default()),
    }
}

/// The process, then one line for each group: those it belongs to first.
pub(super) fn text(report: &MatchReport) -> String {
    let mut text = String::new();
    if let Some(process) = &report.process {
        let pid = if process.pid == 0 { "a process".to_owned() } else { process.pid.to_string() };
        let shown = |what: &str| if what.is_empty() { "(none)".to_owned() } else { what.to_owned() };
        let _ =
            writeln!(text, "{pid}: exe {}, comm {}, uid {}", shown(&process.exe), shown(&process.comm), process.uid);
        let _ = writeln!(text, "  args {}", shown(&process.args));
        let _ = writeln!(text, "  cgroup {}", shown(&process.cgroup));
    }
    if report.groups.is_empty() {
        text.push_str("there are no groups\n");
    }
    let width = report.groups.iter().map(|group| group.group.chars().count()).max().unwrap_or(0);
    let (inside, outside): (Vec<_>, Vec<_>) = report.groups.iter().partition(|group| group.belongs);
    for group in inside.into_iter().chain(outside) {
        let sign = if group.belongs { "+" } else { "-" };
        let job = if group.job { "job, " } else { "" };
        let _ = writeln!(text, "{sign} {:width$}  {} ({job}{})", group.group, group.why, group.declared);
    }
    text
}
