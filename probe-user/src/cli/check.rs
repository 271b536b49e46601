//! `procprobe check`: every error of the given policies and configuration at once.

use std::path::PathBuf;

use super::args::CheckArgs;
use super::{Exit, complain, print};
use crate::config::load::{Flags, host_labels, policy_paths};
use crate::config::{Config, DEFAULT_FILE, DEFAULT_POLICIES};
use crate::host::lacks;
use crate::policy;
use crate::yaml::read::Trust;

pub(super) fn check(args: &CheckArgs) -> Exit {
    let whole = args.paths.is_empty() && args.config.is_none();
    let file = if whole { Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()) } else { args.config.clone() };
    let is_without = whole && file.is_none();
    let mut exit = Exit::Well;
    let mut config = Some(Config::default());
    if file.is_some() {
        config = match (Flags { config: file, ..Flags::default() }).config(Trust::Anyone) {
            Ok(config) => {
                print("the configuration has no errors\n");
                Some(config)
            }
            Err(wrong) => {
                complain(&format!("{wrong}\n"));
                exit = Exit::NotWell;
                None
            }
        }
    }
    // Without paths what a daemon with this configuration would load.
    let paths = match &config {
        Some(config) if args.paths.is_empty() => policy_paths(config),
        _ => args.paths.clone(),
    };
    if paths.is_empty() {
        if is_without {
            complain(&format!(
                "procprobe: neither {DEFAULT_FILE} nor {DEFAULT_POLICIES} is there: name files to check"
            ));
            exit = Exit::NotWell;
        }
        return exit;
    }
    let labels = host_labels(&config.unwrap_or_default());
    let loaded = policy::load(&paths, &labels, &lacks::read(), Trust::Anyone);
    let report = policy::report(&loaded);
    if loaded.is_ok() {
        print(&format!("{report}\n"));
    } else {
        complain(&report);
        exit = Exit::NotWell;
    }
    exit
}
