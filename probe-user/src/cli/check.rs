//! `procprobe check`: every error of the given policies and configuration at once.

use super::args::CheckArgs;
use super::{Exit, complain, print};
use crate::config::load::{Flags, host_labels, policy_paths};
use crate::host::lacks;
use crate::policy;
use crate::yaml::read::Trust;

pub(super) fn check(args: &CheckArgs) -> Exit {
    let mut exit = Exit::Well;
    let mut labels = host_labels(&crate::config::Config::default());
    let mut named = Vec::new();
    if args.config.is_some() {
        let flags = Flags { config: args.config.clone(), ..Flags::default() };
        match flags.config(Trust::Anyone) {
            Ok(config) => {
                labels = host_labels(&config);
                // What a daemon with this configuration would load.
                named = policy_paths(&config);
                print("the configuration has no errors\n");
            }
            Err(wrong) => {
                complain(&format!("{wrong}\n"));
                exit = Exit::NotWell;
            }
        }
    }
    let paths = if args.paths.is_empty() { &named } else { &args.paths };
    if paths.is_empty() {
        return exit;
    }
    let loaded = policy::load(paths, &labels, &lacks::read(), Trust::Anyone);
    let report = policy::report(&loaded);
    if loaded.is_ok() {
        print(&format!("{report}\n"));
    } else {
        complain(&report);
        exit = Exit::NotWell;
    }
    exit
}
