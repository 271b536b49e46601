//! `procprobe unload`: removes what daemons left in the kernel.

use super::args::UnloadArgs;
use super::{Exit, complain, print};
use crate::config::load::Flags;
use crate::kernel::pins::{Pins, PinsError};
use crate::yaml::read::Trust;

pub(super) fn unload(args: &UnloadArgs) -> Exit {
    let flags = Flags { config: args.config.clone(), pins: args.pin_dir.clone().map(Some), ..Flags::default() };
    let config = match flags.config(Trust::OwnerOnly) {
        Ok(config) => config,
        Err(wrong) => {
            complain(&wrong.to_string());
            return Exit::Config;
        }
    };
    let Some(path) = config.pins else {
        print("pins are off in the configuration: nothing to remove\n");
        return Exit::Well;
    };
    let removed = match Pins::find(&path) {
        Ok(None) => {
            print(&format!("{}: nothing is pinned there\n", path.display()));
            return Exit::Well;
        }
        Ok(Some(pins)) => pins.remove_all(),
        Err(error) => Err(error),
    };
    match removed {
        Ok(removed) => {
            print(&format!("{}: {removed} removed\n", path.display()));
            Exit::Well
        }
        Err(PinsError::InUse(_)) => {
            complain(&format!("procprobe: a daemon runs with its pins in {}; stop it first", path.display()));
            Exit::NotWell
        }
        Err(error @ PinsError::Refused { .. }) => {
            complain(&format!("procprobe: {error}"));
            Exit::Config
        }
        Err(error) => {
            complain(&format!("procprobe: {error}"));
            Exit::NotWell
        }
    }
}
